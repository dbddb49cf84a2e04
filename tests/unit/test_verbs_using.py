"""Packages that a client of their own installs: what their environment says belongs to their report."""

from __future__ import annotations

import venv
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest

from builder.backend import Backend, Gathers, Home, Installs, Tools
from builder.cli.surroundings import environment, this_machine
from builder.config.machine import Machine
from builder.config.spec import BuildSpec
from builder.errors import BuilderError, UsageError
from builder.hookspecs import hookimpl
from builder.plugins import Plugins
from builder.requests import BuildOutcome, BuildRequest
from builder.verbs.build import build
from builder.verbs.companions import belongs
from builder.verbs.foreign import claimed
from tests.unit.test_verbs_judging import Text

RECIPE = """
[recipe]
name = "tour"
[version]
number = "1.0"
[check]
imports = ["{module}"]
commands = [["{{python}}", "-c", "import sys; sys.exit(sys.prefix == sys.base_prefix)"]]
"""


@dataclass(frozen=True)
class Installing(Text):
    """One whose channels are folders that hold a file `ready` each."""

    def absent(self, spec: BuildSpec, channels: tuple[str, ...], machine: Machine) -> str:
        del spec, machine
        return "" if channels else "no channel"

    def install(
        self,
        package: Path,
        beside: tuple[Path, ...],
        spec: BuildSpec,
        channels: tuple[str, ...],
        tools: Tools,
    ) -> Home:
        assert package in beside
        assert spec.target.package_type == "tour"
        assert {path.name.partition("-")[0] for path in beside} == {"tour", "tour_map"}
        if broken := [text for text in channels if not Path(text, "ready").is_file()]:
            raise BuilderError("no way", faults=broken, hint="ask")
        venv.create(tools.work / "home", symlinks=True)
        return Home(tools.work / "home" / "bin" / "python")

    def gather(self, output: Path) -> None:
        names = sorted(path.name for path in output.iterdir())
        if (output / "locked").exists():
            raise BuilderError("nobody may write here", hint="unlock it")
        (output / "list").write_text("\n".join(names))


class Point:
    name = value = "offer"

    def load(self) -> object:
        class Offer:
            @hookimpl
            def builder_backends(self) -> tuple[Backend, ...]:
                return (Installing("tour"), Text("tour_map"), Text("other"))

        return Offer()


def request(tmp_path: Path, *channels: Path, module: str = "json") -> BuildRequest:
    project = tmp_path / "project"
    project.mkdir()
    (project / "builder.toml").write_text(RECIPE.format(module=module))
    return BuildRequest(
        str(project), date(2026, 11, 21), ("tour", "tour_map", "other"), accelerators=("cpu",),
        store=tmp_path / "store", output=tmp_path / "dist", channels=tuple(map(str, channels)),
    )  # fmt: skip


def made(asked: BuildRequest, tmp_path: Path) -> BuildOutcome:
    machine = this_machine({**environment(), "BUILDER_CACHE": str(tmp_path / "cache")})
    return build(asked, machine, plugins=Plugins([Point()]))


@pytest.fixture
def channel(tmp_path: Path) -> Path:
    (tmp_path / "channel").mkdir()
    (tmp_path / "channel" / "ready").touch()
    return tmp_path / "channel"


def rows(outcome: BuildOutcome, kind: str) -> dict[str, str]:
    report = next(one.report for one in outcome.artifacts if one.target.package_type == kind)
    assert report is not None
    return {row.id: row.status for row in report.results}


def test_an_environment_is_made_of_all_packages_of_the_call_and_asked(
    tmp_path: Path, channel: Path
) -> None:
    assert isinstance(Installing("tour"), Installs)

    outcome = made(request(tmp_path, channel), tmp_path)

    assert outcome.failures == ()
    found = rows(outcome, "tour")
    asked = ("text.there", "env.install", "env.import", "env.commands")
    assert [found[name] for name in asked] == ["pass"] * 4
    assert rows(outcome, "tour_map") == {"text.there": "pass"}
    assert list((tmp_path / "cache" / "checks").iterdir()) == []


def test_without_a_channel_that_is_said(tmp_path: Path) -> None:
    outcome = made(request(tmp_path), tmp_path)

    assert outcome.failures == ()
    assert rows(outcome, "tour") == {"text.there": "pass", "env.install": "skip"}


@pytest.mark.parametrize(
    ("module", "is_ready", "said"),
    [
        pytest.param("json", False, ("env.install: no way", "nowhere"), id="cannot be installed"),
        pytest.param("absent_module", True, ("env.import: absent_module",), id="does not import"),
    ],
)
def test_what_is_no_use_is_not_delivered_and_takes_nothing_else_down(
    tmp_path: Path, channel: Path, module: str, is_ready: bool, said: tuple[str, ...]
) -> None:
    place = channel if is_ready else tmp_path / "nowhere"

    outcome = made(request(tmp_path, place, module=module), tmp_path)

    assert [(one.target.split("-")[0], one.stage) for one in outcome.failures] == [("tour", "use")]
    assert all(words in outcome.failures[0].error for words in said)
    assert {one.target.package_type for one in outcome.artifacts} == {"tour_map", "other"}


def test_channels_are_for_those_who_install_from_them(tmp_path: Path, channel: Path) -> None:
    machine = this_machine(environment())
    asked = request(tmp_path, channel)
    assert claimed(asked, machine, Plugins([Point()])) is None

    class Without(Point):
        def load(self) -> object:
            class Offer:
                @hookimpl
                def builder_backends(self) -> tuple[Backend, ...]:
                    return (Text("tour"), Text("tour_map"), Text("other"))

            return Offer()

    with pytest.raises(UsageError, match="--channel is for recipes of other tools"):
        claimed(asked, machine, Plugins([Without()]))


@pytest.mark.parametrize(
    ("package_type", "name", "is_meant"),
    [("tour", "tour", True), ("tour_map", "tour", True), ("tourist", "tour", False), ("tour", "tour_map", False)],
)  # fmt: skip
def test_who_belongs_to_whom(package_type: str, name: str, is_meant: bool) -> None:
    assert belongs(package_type, name) is is_meant


def test_what_was_delivered_is_gathered_once_at_the_end(tmp_path: Path) -> None:
    assert isinstance(Installing("tour"), Gathers)
    made(request(tmp_path), tmp_path)
    listed = (tmp_path / "dist" / "list").read_text().split()
    assert [name.partition("-")[0] for name in listed] == ["other", "tour", "tour_map"]


def test_what_cannot_be_gathered_is_a_failure_and_the_packages_stay(tmp_path: Path) -> None:
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / "locked").touch()

    outcome = made(request(tmp_path), tmp_path)

    assert [(one.target, one.stage) for one in outcome.failures] == [
        (str(tmp_path / "dist"), "index")
    ]
    assert len(outcome.artifacts) == 3
