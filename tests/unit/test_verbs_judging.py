"""Packages that are sound one by one and wrong together: nothing of them is delivered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest

from builder.backend import Backend, Judges, Package, Tools, Trees, Trial
from builder.cli.surroundings import environment, this_machine
from builder.config.plan import Step
from builder.config.recipe import Checks
from builder.config.spec import BuildSpec
from builder.events import Event
from builder.hookspecs import hookimpl
from builder.plugins import Plugins
from builder.requests import BuildOutcome, BuildRequest
from builder.verbs.build import build

RECIPE = '[recipe]\nname = "tour"\nsummary = "walks"\n[version]\nnumber = "1.0"\n'


@dataclass(frozen=True)
class Text:
    """A backend that writes a file with its target, and can be tried."""

    name: str
    needs_python: bool = False

    def plan(self, spec: BuildSpec) -> tuple[Step, ...]:
        del spec
        return ()

    def identity(self, spec: BuildSpec, trees: Trees, tools: Tools) -> Mapping[str, object]:
        del trees, tools
        return {"target": str(spec.target)}

    def package(self, spec: BuildSpec, trees: Trees, out: Path, tools: Tools) -> Package:
        del trees, tools
        path = out / f"{spec.target}.txt"
        path.write_text(str(spec.target))
        return Package(path, {})

    def check(
        self, path: Path, checks: Checks, recipe: Path | None, tools: Tools
    ) -> tuple[Trial, ...]:
        del checks, recipe, tools
        return (Trial("text.there", () if path.is_file() else ("gone",)),)


@dataclass(frozen=True)
class Judging(Text):
    """One that wants no more than so many packages in a call, its companions' among them."""

    most: int = 2

    def judge(
        self, packages: tuple[Path, ...], channels: tuple[str, ...], tools: Tools
    ) -> tuple[Trial, ...]:
        del tools
        assert channels == ()
        count = len({path.read_text() for path in packages})
        if count == 1:
            return (Trial("tour.many", reason="there is one only"),)
        return (Trial("tour.many", (f"{count} are too many",) if count > self.most else ()),)


@dataclass(frozen=True)
class Point:
    most: int
    name: str = "offer"
    value: str = "offer"

    def load(self) -> object:
        most = self.most

        class Offer:
            @hookimpl
            def builder_backends(self) -> tuple[Backend, ...]:
                return (Judging("tour", most=most), Text("tour_map"), Text("other"))

        return Offer()


def made(
    tmp_path: Path, most: int, *types: str, check: bool = True
) -> tuple[BuildOutcome, list[Event]]:
    project = tmp_path / "project"
    project.mkdir()
    (project / "builder.toml").write_text(RECIPE)
    told: list[Event] = []
    request = BuildRequest(
        str(project), date(2026, 11, 21), types, accelerators=("cpu",), store=tmp_path / "store",
        output=tmp_path / "dist", check=check,
    )  # fmt: skip
    machine = this_machine({**environment(), "BUILDER_CACHE": str(tmp_path / "cache")})
    return build(request, machine, plugins=Plugins([Point(most)]), events=told.append), told


def delivered(tmp_path: Path) -> list[str]:
    return sorted(path.name.partition("-")[0] for path in (tmp_path / "dist").glob("*"))


def test_a_backend_judges_its_packages_and_those_of_its_companions(tmp_path: Path) -> None:
    assert isinstance(Judging("tour"), Judges)

    outcome, _ = made(tmp_path, 2, "tour", "tour_map", "other")

    assert outcome.failures == ()
    assert delivered(tmp_path) == ["other", "tour", "tour_map"]


def test_what_is_wrong_together_is_kept_back_and_the_rest_is_delivered(tmp_path: Path) -> None:
    outcome, _ = made(tmp_path, 1, "tour", "tour_map", "other")

    assert [(one.stage, "tour.many: 2 are too many" in one.error) for one in outcome.failures] == [
        ("judge", True), ("judge", True),
    ]  # fmt: skip
    assert delivered(tmp_path) == ["other"]


def test_without_checks_nothing_is_judged(tmp_path: Path) -> None:
    outcome, _ = made(tmp_path, 1, "tour", "tour_map", check=False)

    assert outcome.failures == ()
    assert delivered(tmp_path) == ["tour", "tour_map"]


@pytest.mark.parametrize("types", [("tour",), ("tour", "other")])
def test_a_question_that_was_not_asked_is_noted(tmp_path: Path, types: tuple[str, ...]) -> None:
    outcome, told = made(tmp_path, 1, *types)

    assert outcome.failures == ()
    assert "tour.many: not asked, there is one only" in [event.text for event in told]
