"""BuildSpec: recipe, target, toolchain and version, nothing left to look up."""

from __future__ import annotations

from dataclasses import dataclass

from builder.config.recipe import Recipe
from builder.config.target import Target
from builder.config.toolchain import Interpreter, Toolchain

__all__ = ["BuildSpec"]


@dataclass(frozen=True, slots=True)
class BuildSpec:
    """One package to build.

    `recipe` has its overrides applied for `target`. `version` is the full version with its local
    part, or empty when only the built wheel can say it. `interpreter` is None for C++ archives.
    """

    recipe: Recipe
    target: Target
    toolchain: Toolchain
    version: str
    source_digest: str
    interpreter: Interpreter | None
