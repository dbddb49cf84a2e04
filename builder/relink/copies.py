"""Edits made on copies: what a plan changes in a binary, written beside it and read back."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from builder.binary import Binary, BinaryError, Edit, edited, plan, read
from builder.errors import BuilderError
from builder.patch import Patch

__all__ = ["changed_copy"]

_WINDOW: Final = 1 << 20


def changed_copy(
    name: str, content: bytes | Path, before: Binary, edit: Edit, copy: Path, *, leave_out: str
) -> bytes | Path:
    """The content with an edit: as bytes where it was bytes, else in the file `copy`.

    `leave_out` is the key of a recipe that keeps libraries out of it. Raises `BuilderError` when the
    edit cannot be made, or did not come out as planned.
    """
    patch = _planned(name, content, edit, leave_out)
    changed: bytes | Path
    if isinstance(content, Path):
        _write(content, copy, patch)
        changed = copy
    else:
        changed = patch.apply(content)
    if problems := edited(before, read(changed), edit):
        raise BuilderError(
            f"the edit of `{name}` did not come out as planned",
            faults=problems,
            hint="this is a fault of ours; please report it with the file",
        )
    return changed


def _planned(name: str, content: bytes | Path, edit: Edit, leave_out: str) -> Patch:
    try:
        return plan(content, edit)
    except BinaryError as error:
        raise BuilderError(
            f"`{name}` cannot be edited: {error.message}",
            hint=error.hint or f"leave the libraries it needs outside with `{leave_out}`",
        ) from error


def _write(before: Path, after: Path, patch: Patch) -> None:
    try:
        after.parent.mkdir(parents=True, exist_ok=True)
        with before.open("rb") as source, after.open("w+b") as copy:
            left = patch.size
            while left and (window := source.read(min(_WINDOW, left))):
                copy.write(window)
                left -= len(window)
            copy.truncate(patch.size)
            for offset, piece in patch.pieces:
                copy.seek(offset)
                copy.write(piece)
    except OSError as error:
        raise BuilderError(
            f"`{error.filename or after}` cannot be used: {error.strerror or error}",
            hint="free space or choose another temporary folder",
        ) from error
