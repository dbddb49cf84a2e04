from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from types import ModuleType

import pytest

from builder.cli.surroundings import this_machine
from builder.config.plan import Plan
from builder.errors import BuilderError, UsageError
from builder.foreign import ForeignOutcome, ForeignTools
from builder.hookspecs import hookimpl
from builder.plugins import Plugins
from builder.requests import BuildRequest
from builder.verbs.foreign import claimed


@dataclass(frozen=True)
class Spack:
    """Recipes in a file `package.py`; building them only says where."""

    name: str = "spack"

    def claims(self, folder: Path) -> bool:
        return (folder / "package.py").is_file()

    def plan(self, folder: Path, request: BuildRequest, tools: ForeignTools) -> Plan:
        raise NotImplementedError

    def build(self, folder: Path, request: BuildRequest, tools: ForeignTools) -> ForeignOutcome:
        raise UsageError(f"{folder.name} with {request.channels} in {tools.store.name}")

    def shell(self, folder: Path, request: BuildRequest, tools: ForeignTools) -> str:
        return f"enter {request.debug_shell} of {folder} in {tools.store}"


@dataclass
class Point:
    name: str
    value: str = "somewhere"

    def load(self) -> object:
        plugin = ModuleType("plugin")
        plugin.builder_foreign_recipes = hookimpl(builder_foreign_recipes)  # type: ignore[attr-defined]  # a plugin
        return plugin


def builder_foreign_recipes() -> list[Spack]:
    return [Spack()]


PLUGINS = Plugins([Point("one")])
REQUEST = BuildRequest("folder", date(2026, 1, 1), types=("spack",))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "package.py").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_folder_with_a_foreign_recipe_is_built_by_who_claims_it(here: Path) -> None:
    request = replace(REQUEST, channels=("./c",), store=here / "s")

    found = claimed(request, this_machine({}), PLUGINS)

    assert found is not None
    with pytest.raises(UsageError, match=r"folder with \('./c',\) in s"):
        found.build()


@pytest.mark.parametrize(
    ("request_", "file"),
    [
        pytest.param(replace(REQUEST, types=()), "", id="no type asked for"),
        pytest.param(replace(REQUEST, types=("manywheel",)), "", id="another type"),
        pytest.param(replace(REQUEST, types=("spack", "manywheel")), "", id="two types"),
        pytest.param(replace(REQUEST, recipe="elsewhere"), "", id="no folder"),
        pytest.param(replace(REQUEST, recipe="."), "", id="a folder without one"),
        pytest.param(REQUEST, "folder/builder.toml", id="a recipe of ours beside it"),
        pytest.param(REQUEST, "recipes/folder/recipe.toml", id="a recipe of ours with this name"),
    ],
)
def test_what_is_not_foreign(request_: BuildRequest, file: str, here: Path) -> None:
    if file:
        (here / file).parent.mkdir(parents=True, exist_ok=True)
        (here / file).touch()
    request = replace(request_, recipe_roots=(here / "recipes",))

    assert claimed(request, this_machine({}), PLUGINS) is None


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (
            replace(REQUEST, types=(), channels=("nightyl",)),
            "--channel is for recipes of other tools",
        ),
        (
            replace(REQUEST, types=(), engine="rattler", debug_shell="x"),
            "--engine and --debug-shell are",
        ),
    ],
)
def test_options_of_foreign_recipes_mean_nothing_elsewhere(
    request_: BuildRequest, words: str, here: Path
) -> None:
    del here

    with pytest.raises(UsageError, match=words):
        claimed(request_, this_machine({}), PLUGINS)


def test_two_builders_of_one_type_are_named() -> None:
    with pytest.raises(BuilderError, match="named `spack`: `one` and `two`"):
        Plugins([Point("one"), Point("two")]).foreign_recipes()
