from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from builder import hookspecs
from builder.config.plan import Plan
from builder.errors import BuilderError, UsageError
from builder.hookspecs import hookimpl
from builder.plugins import Plugins
from builder.requests import BuildOutcome

if TYPE_CHECKING:
    from collections.abc import Callable

DOCS = Path(__file__).parents[2] / "docs" / "guide" / "plugins.md"


@dataclass
class Point:
    name: str
    load: Callable[[], object]
    value: str = "somewhere.module"


@dataclass(frozen=True)
class Toy:
    """As much of a backend as the loader looks at."""

    name: str


def module(**hooks: Callable[..., object]) -> ModuleType:
    plugin = ModuleType("plugin")
    for name, function in hooks.items():
        function.__name__ = name
        setattr(plugin, name, hookimpl(function))
    return plugin


def offering(*names: str) -> ModuleType:
    return module(builder_backends=lambda: [Toy(name) for name in names])


def explode() -> object:
    raise RuntimeError("half installed")


def test_backends_come_by_name() -> None:
    plugins = Plugins(
        [Point("one", lambda: offering("zip")), Point("two", lambda: offering("tar", "deb"))]
    )

    assert list(plugins.backends()) == ["deb", "tar", "zip"]
    assert plugins.backend("tar").name == "tar"
    assert plugins.names == ("one", "two")


def test_two_backends_of_one_name_name_both_plugins() -> None:
    plugins = Plugins(
        [Point("one", lambda: offering("zip")), Point("two", lambda: offering("zip"))]
    )

    with pytest.raises(BuilderError, match="named `zip`: `one` and `two`"):
        plugins.backends()


def test_converters_come_by_name_and_two_of_one_name_are_an_error() -> None:
    def turning(*names: str) -> ModuleType:
        return module(builder_converters=lambda: [Toy(name) for name in names])

    plugins = Plugins([Point("one", lambda: turning("deb", "rpm")), Point("bad", explode)])
    assert plugins.converter("rpm").name == "rpm"
    with pytest.raises(UsageError, match="kind `conda`") as caught:
        plugins.converter("conda")
    assert "plugin `bad` is broken" in caught.value.faults[0]
    assert "deb, rpm" in caught.value.hint

    twins = [Point("one", lambda: turning("deb")), Point("two", lambda: turning("deb"))]
    with pytest.raises(BuilderError, match="named `deb`: `one` and `two`"):
        Plugins(twins).converter("deb")


def test_a_broken_plugin_is_named_when_it_is_missed_and_never_before() -> None:
    plugins = Plugins([Point("bad", explode), Point("good", lambda: offering("zip"))])

    assert plugins.backend("zip").name == "zip"
    with pytest.raises(UsageError) as caught:
        plugins.backend("conda")
    assert caught.value.faults == (
        "plugin `bad` is broken: `somewhere.module` cannot be loaded: half installed",
    )
    assert "zip" in caught.value.hint


def test_a_misspelt_hook_is_refused_and_the_others_work() -> None:
    misspelt = module(builder_backend=lambda: [Toy("zip")])

    plugins = Plugins([Point("typo", lambda: misspelt), Point("good", lambda: offering("zip"))])

    assert plugins.names == ("good",)
    assert "builder_backend" in plugins.faults["typo"]


def test_a_hook_that_fails_is_the_fault_of_its_plugin_alone() -> None:
    bad = module(builder_backends=explode)

    plugins = Plugins([Point("bad", lambda: bad), Point("good", lambda: offering("zip"))])

    assert list(plugins.backends()) == ["zip"]
    assert plugins.faults == {"bad": "`builder_backends` failed: half installed"}


def test_build_finished_reaches_every_plugin() -> None:
    heard: list[BuildOutcome] = []

    def listen(outcome: BuildOutcome) -> None:
        heard.append(outcome)

    listener = module(builder_build_finished=listen)
    outcome = BuildOutcome(Plan(()), (), (), 0.0)

    Plugins([Point("ear", lambda: listener)]).build_finished(outcome)

    assert heard == [outcome]


def test_the_in_tree_backend_comes_in_through_the_same_door() -> None:
    assert "manywheel" in Plugins.installed().names
    assert "manywheel" in Plugins.installed().backends()
    assert "manywheel" not in Plugins.installed(without=["manywheel"]).names


@pytest.mark.parametrize(
    "hook", [name for name in hookspecs.__all__ if name.startswith("builder_")]
)
def test_every_hook_is_documented_with_its_signature(hook: str) -> None:
    code = getattr(hookspecs, hook).__code__
    signature = f"{hook}({', '.join(code.co_varnames[: code.co_argcount])})"

    assert f"### `{signature}`" in DOCS.read_text(encoding="utf-8")


BROKEN_FILES = {
    "no such file": None,
    "syntax": "def",
    "raises": "raise RuntimeError('half written')",
    "unknown hook": (
        "from builder.hookspecs import hookimpl\n@hookimpl\ndef builder_chekcs():\n    return []\n"
    ),
}
CHECKS_FILE = """
from dataclasses import dataclass
from builder.hookspecs import hookimpl
from smoke.catalogue import Check, Outcome

@dataclass
class Seen:
    problems: tuple[str, ...] = ()

@hookimpl
def builder_checks():
    yield Check("acme.one", "One.", ("wheel",), "artifact", "mend it", lambda _: Outcome(Seen().problems))
"""


def test_a_recipe_brings_its_own_checks(tmp_path: Path) -> None:
    (tmp_path / "checks.py").write_text(CHECKS_FILE)
    plugins = Plugins([])

    plugins.add_file(tmp_path / "checks.py", "recipe acme")
    plugins.add_file(tmp_path / "checks.py", "recipe acme")

    assert [check.id for check in plugins.checks()] == ["acme.one"]


@pytest.mark.parametrize("case", BROKEN_FILES)
def test_broken_checks_of_a_recipe_are_refused(tmp_path: Path, case: str) -> None:
    text = BROKEN_FILES[case]
    if text is not None:
        (tmp_path / "checks.py").write_text(text)

    with pytest.raises(UsageError, match="the checks of recipe acme cannot be used"):
        Plugins([]).add_file(tmp_path / "checks.py", "recipe acme")
