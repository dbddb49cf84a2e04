"""Choosing targets with globs over their ids."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from builder.config.target import Target
from builder.errors import NothingSelected

__all__ = ["choose"]

_SHOWN: Final = 20


def choose(
    targets: Iterable[Target], select: Sequence[str], skip: Sequence[str]
) -> tuple[Target, ...]:
    """The targets that match any glob of `select` and none of `skip`, in the order given.

    Without `select` every target matches. Raises `NothingSelected`, saying what there was.
    """
    available = tuple(targets)
    wanted = tuple(
        target for target in available if not select or any(target.matches(glob) for glob in select)
    )
    chosen = tuple(target for target in wanted if not any(target.matches(glob) for glob in skip))
    if chosen:
        return chosen
    if not available:
        raise NothingSelected(
            "there is no target to choose from",
            hint="name a package type, a Python and an accelerator that the recipe is meant for",
        )
    ids = [str(target) for target in available]
    shown = ids[:_SHOWN]
    if len(ids) > _SHOWN:
        shown.append(f"and {len(ids) - _SHOWN} more")
    raise NothingSelected(
        _reason(wanted, select, skip),
        faults=shown,
        hint="globs match the whole id, for example 'manywheel-cp31?-cuda*'",
    )


def _reason(wanted: Sequence[Target], select: Sequence[str], skip: Sequence[str]) -> str:
    if wanted:
        globs = ", ".join(f"`{glob}`" for glob in skip)
        return f"every selected target is skipped by {globs}; there were"
    globs = ", ".join(f"`{glob}`" for glob in select)
    return f"no target matches {globs}; there are"
