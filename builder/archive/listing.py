"""The files below a folder, in the one order in which archives are written."""

from __future__ import annotations

import os
from pathlib import Path

from builder.errors import BuilderError

__all__ = ["list_files"]


def list_files(root: Path) -> tuple[str, ...]:
    """Every file below a folder, sorted, `*.dist-info` last and its RECORD the very last.

    Raises `BuilderError` for a symbolic link or a special file: a wheel cannot hold one.
    """
    found: list[str] = []
    for folder, folders, names in os.walk(root):
        for name in (*names, *(inner for inner in folders if (Path(folder) / inner).is_symlink())):
            path = Path(folder) / name
            if path.is_symlink() or not path.is_file():
                raise BuilderError(
                    f"`{path.relative_to(root).as_posix()}` is no regular file, "
                    "so it cannot be in a wheel",
                    hint="replace it with a copy of what it points to",
                )
            found.append(path.relative_to(root).as_posix())
    return tuple(sorted(found, key=_rank))


def _rank(path: str) -> tuple[bool, bool, str]:
    top, _, rest = path.partition("/")
    is_info = top.endswith(".dist-info")
    return (is_info, is_info and rest == "RECORD", path)
