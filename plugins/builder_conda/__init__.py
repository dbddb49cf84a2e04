"""Conda packages from finished wheels and from recipes, registered as any plugin is: by an entry point."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from builder.hookspecs import hookimpl

if TYPE_CHECKING:
    from builder.converter import Converter
    from builder.foreign import ForeignRecipes

__all__ = ["builder_converters", "builder_foreign_recipes"]


@hookimpl
def builder_converters() -> Iterable[Converter]:
    """Give the conversion of wheels; its machinery is imported when it is used."""
    from builder_conda.convert import WheelToConda  # noqa: PLC0415  # loading a plugin stays cheap

    return (WheelToConda(),)


@hookimpl
def builder_foreign_recipes() -> Iterable[ForeignRecipes]:
    """Give who builds `recipe.yaml` and `meta.yaml`."""
    from builder_conda.foreign import CondaRecipes  # noqa: PLC0415  # loading a plugin stays cheap

    return (CondaRecipes(),)
