from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from builder.backend import Accompanied, Backend, Package, Tools, Trees
from builder.config.plan import Step
from builder.config.recipe import Axes, Folder, Recipe
from builder.config.spec import BuildSpec
from builder.hookspecs import hookimpl
from builder.plugins import Plugins
from builder.requests import BuildRequest
from builder.verbs.companions import pythonless, with_companions

RECIPE = Recipe("answer", Path("/r"), Folder(Path("/s")), summary="with a map")
ASKED = BuildRequest("answer", date(2026, 11, 21))


@dataclass(frozen=True)
class Plain:
    """A backend that makes nothing."""

    name: str
    needs_python: bool

    def plan(self, spec: BuildSpec) -> tuple[Step, ...]:
        del spec
        return ()

    def identity(self, spec: BuildSpec, trees: Trees, tools: Tools) -> Mapping[str, object]:
        del spec, trees, tools
        return {}

    def package(self, spec: BuildSpec, trees: Trees, out: Path, tools: Tools) -> Package:
        del spec, trees, tools
        return Package(out, {})


@dataclass(frozen=True)
class WithMap(Plain):
    """One whose packages come with a map, where the recipe speaks of one."""

    def companions(self, recipe: Recipe) -> tuple[str, ...]:
        return ("map",) if "map" in recipe.summary else ()


class Offer:
    @hookimpl
    def builder_backends(self) -> tuple[Backend, ...]:
        return (WithMap("tour", True), Plain("map", False))


@dataclass(frozen=True)
class Point:
    name: str = "offer"
    value: str = "offer"

    def load(self) -> object:
        return Offer()


def types(recipe: Recipe, *asked: str) -> tuple[str, ...]:
    return with_companions(replace(ASKED, types=asked), recipe, Plugins([Point()]))


def test_companions_come_along_once_where_the_recipe_has_them() -> None:
    assert isinstance(WithMap("tour", True), Accompanied)
    assert types(RECIPE, "tour") == ("tour", "map")
    assert types(RECIPE, "map", "tour", "egg") == ("map", "tour", "egg")
    assert types(replace(RECIPE, summary=""), "tour") == ("tour",)


def test_the_types_of_a_silent_request_have_companions_too() -> None:
    assert types(replace(RECIPE, axes=Axes(types=("wheel", "tour")))) == ("wheel", "tour", "map")
    assert types(RECIPE) == ("manywheel",)


def test_types_without_a_python_are_those_whose_backend_says_so() -> None:
    assert pythonless(Plugins([Point()])) == ("map",)
