"""`builder matrix`: the targets of a recipe; no interpreter, compiler or index is asked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from builder.config.apply import for_target
from builder.config.matrix import refuse_collisions
from builder.config.python import Python
from builder.config.target import Target
from builder.plugins import Plugins
from builder.requests import BuildRequest
from builder.verbs.companions import pythonless, with_companions
from builder.verbs.resolve import find_recipe
from builder.verbs.targets import file_name, target_version, targets_of

__all__ = ["Row", "matrix"]

_FALLBACK = Python(3, 11, "")


@dataclass(frozen=True, slots=True)
class Row:
    """One target of a matrix, and the file it will be."""

    target: Target
    file_name: str

    def to_json(self) -> dict[str, object]:
        """The row as the command line prints it."""
        target = self.target
        return {
            "target": str(target),
            "type": target.package_type,
            "python": target.python.version if target.python else None,
            "accelerator": str(target.accelerator),
            "os": target.os,
            "arch": target.arch,
            "abi": target.abi,
            "variant": target.variant,
            "file": self.file_name,
        }


def matrix(request: BuildRequest, plugins: Plugins | None = None) -> tuple[Row, ...]:
    """Every target of the request's recipe; silent axes mean all that the recipe lists.

    Raises `UsageError` for a bad request or two targets with one file name, `NothingSelected` for no target.
    """
    recipe = find_recipe(request, Path.cwd())
    wide = replace(
        request, pythons=request.pythons or ("all",), accelerators=request.accelerators or ("all",)
    )
    plugins = plugins or Plugins.installed()
    types = with_companions(wide, recipe, plugins)
    targets = targets_of(recipe, wide, _FALLBACK, (_FALLBACK,), pythonless(plugins), types)
    base = recipe.version.number or "0"
    rows = tuple(
        Row(
            target,
            file_name(
                for_target(recipe, target), target, target_version(recipe, target, request, base)
            ),
        )
        for target in targets
    )
    refuse_collisions((row.target, row.file_name) for row in rows)
    return rows
