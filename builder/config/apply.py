"""A recipe for one target: overrides merged, placeholders expanded."""

from __future__ import annotations

from dataclasses import replace

from builder.config.placeholders import expand
from builder.config.recipe import Recipe
from builder.config.recipe_table import merge
from builder.config.target import Target

__all__ = ["expand", "for_target"]


def for_target(recipe: Recipe, target: Target) -> Recipe:
    """`recipe` as it is for `target`: matching overrides merged in file order, none left over."""
    for glob, table in recipe.overrides:
        if target.matches(glob):
            recipe = merge(recipe, table)
    return replace(recipe, overrides=())
