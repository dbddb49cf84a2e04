"""BuildSpec: recipe, target, toolchain and version, nothing left to look up."""

from __future__ import annotations

from dataclasses import dataclass

from builder.config.recipe import Archive, Recipe
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

    @property
    def finished_wheel(self) -> Archive | None:
        """The source when it is a wheel: then there is nothing to compile."""
        source = self.recipe.source
        if isinstance(source, Archive) and source.location.endswith(".whl"):
            return source
        return None
