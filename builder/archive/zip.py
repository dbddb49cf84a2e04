"""Write a folder as a wheel: the same bytes for the same content, on every core."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from builder.archive.listing import list_files
from builder.archive.zip_format import stamp_of
from builder.archive.zip_write import Put, write_zip

__all__ = ["pack"]


def pack(folder: Path, target: Path, *, epoch: int, level: int = 6, threads: int = 0) -> Path:
    """Write every file below `folder` into the archive `target` and give `target` back.

    Every time stamp is `epoch` (seconds since 1970, moved into 1980-2107). Modes are 0644 or 0755.
    `level` is 1 to 9, 0 stores. `threads` 0 means one per core; it never changes the bytes. Raises
    `BuilderError` when it cannot be written; then nothing is left behind.
    """
    write_zip(None, target, _items(folder), stamp=stamp_of(epoch), level=level, threads=threads)
    return target


def _items(folder: Path) -> Iterator[Put]:
    for path in list_files(folder):
        file = folder / path
        yield Put(path, file, executable=bool(file.stat().st_mode & 0o111))
