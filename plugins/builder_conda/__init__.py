"""Conda packages from trees, finished wheels and recipes, registered as any plugin is: by an entry point."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from builder.hookspecs import hookimpl

if TYPE_CHECKING:
    from builder.backend import Backend
    from builder.converter import Converter
    from builder.foreign import ForeignRecipes

__all__ = ["builder_backends", "builder_converters", "builder_foreign_recipes"]


@hookimpl
def builder_backends() -> Iterable[Backend]:
    """Give the three package types; the machinery is imported when it is used."""
    from builder_conda.backend import (  # noqa: PLC0415  # loading a plugin stays cheap
        Conda,
        CondaChoice,
        CondaLibrary,
    )

    return (Conda(), CondaLibrary(), CondaChoice())


@hookimpl
def builder_converters() -> Iterable[Converter]:
    """Give the conversion of wheels; its machinery is imported when it is used."""
    from builder_conda.convert import WheelToConda  # noqa: PLC0415  # loading a plugin stays cheap

    return (WheelToConda(),)


@hookimpl
def builder_foreign_recipes() -> Iterable[ForeignRecipes]:
    """Give who builds `recipe.yaml` and `meta.yaml`."""
    from builder_conda.recipes.foreign import CondaRecipes  # noqa: PLC0415  # loading a plugin stays cheap

    return (CondaRecipes(),)
