"""The doors: every hook a plugin may implement, with an example each.

A plugin is a module (or object) named by an entry point of the group `builder`. Hooks take keyword arguments, get
immutable values and give values back; no hook depends on the order of plugins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from builder.backend import Backend
    from builder.converter import Converter
    from builder.foreign import ForeignRecipes
    from builder.requests import BuildOutcome
    from smoke.catalogue import Check

__all__ = [
    "builder_backends",
    "builder_build_finished",
    "builder_checks",
    "builder_converters",
    "builder_foreign_recipes",
    "hookimpl",
    "hookspec",
]

hookspec = pluggy.HookspecMarker("builder")
hookimpl = pluggy.HookimplMarker("builder")


@hookspec
def builder_backends() -> Iterable[Backend]:  # type: ignore[empty-body]  # a specification has no body
    """Give the package types this plugin can make; two backends of one name are an error.

    Example:
        @hookimpl
        def builder_backends():
            return [ZipBackend()]
    """


@hookspec
def builder_checks() -> Iterable[Check]:  # type: ignore[empty-body]  # a specification has no body
    """Give checks to run beside the built-in ones; their ids are `<plugin>.<name>`.

    Example:
        @hookimpl
        def builder_checks():
            return [Check(id="acme.licence", ...)]
    """


@hookspec
def builder_converters() -> Iterable[Converter]:  # type: ignore[empty-body]  # a specification has no body
    """Give the kinds of packages that wheels can be turned into; two of one name are an error.

    Example:
        @hookimpl
        def builder_converters():
            return [WheelToDeb()]
    """


@hookspec
def builder_foreign_recipes() -> Iterable[ForeignRecipes]:  # type: ignore[empty-body]  # a specification has no body
    """Give the recipes of other tools that this plugin builds; two for one package type are an error.

    Example:
        @hookimpl
        def builder_foreign_recipes():
            return [SpackRecipes()]
    """


@hookspec
def builder_build_finished(outcome: BuildOutcome) -> None:
    """Hear what one `build` call did, after every target ended and before the command exits.

    Example:
        @hookimpl
        def builder_build_finished(outcome):
            post_to_chat(f"{len(outcome.artifacts)} packages")
    """
