"""Conda packages: `.conda` (a zip with two packed tar archives) and the older `.tar.bz2`.

Both hold one tree, which is given as if it were one archive.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from builder.archive.refusals import Limits, Member
from builder.archive.tar import read_tar
from builder.archive.tar_source import ArchiveError, Content, Part, open_source, unpacked
from builder.archive.zip_entry import STORED
from builder.archive.zip_read import Zip

__all__ = ["INDEX", "open_package", "read_conda", "read_info", "subdir_of"]

INDEX: Final = "info/index.json"
_PARTS: Final = ("info-", "pkg-")
_SUFFIX: Final = ".tar.zst"


@contextmanager
def open_package(
    path: Path, limits: Limits | None = None
) -> Iterator[Iterator[tuple[Member, Content]]]:
    """Every member of a package of either format; of a `.conda`, the information first.

    Raises `ArchiveError` and `ZipError`, both `UsageError`.
    """
    if path.suffix == ".conda":
        with Zip(path) as archive:
            yield read_conda(archive, limits)
    else:
        with open_source(path, limits) as source:
            yield read_tar(source, path.name, limits)


def read_conda(archive: Zip, limits: Limits | None = None) -> Iterator[tuple[Member, Content]]:
    """Every member of a `.conda` package, the information first.

    Raises `ArchiveError` and `ZipError`.
    """
    for start in _PARTS:
        yield from _part(archive, start, limits)


def read_info(path: Path, wanted: Mapping[str, int]) -> Mapping[str, bytes]:
    """Some documents of a package by name, each with the most bytes that it may have.

    Of a `.conda`, nothing else than the information is unpacked. Those that are not there are left
    out. Raises `ArchiveError` and `ZipError`.
    """
    if path.suffix == ".conda":
        with Zip(path) as archive:
            return _documents(path.name, _part(archive, _PARTS[0], None), wanted)
    with open_package(path) as members:
        return _documents(path.name, members, wanted)


def _documents(
    name: str, members: Iterable[tuple[Member, Content]], wanted: Mapping[str, int]
) -> Mapping[str, bytes]:
    found: dict[str, bytes] = {}
    for member, content in members:
        if member.name not in wanted or member.kind != "file":
            continue
        if member.name in found:
            raise ArchiveError(name, (f"{member.name!r} is there twice",))
        if member.size > wanted[member.name]:
            raise ArchiveError(name, (f"{member.name!r} has {member.size} bytes",))
        found[member.name] = content.read(member.size)
    return found


def _part(archive: Zip, start: str, limits: Limits | None) -> Iterator[tuple[Member, Content]]:
    """The members of one of the two tars."""
    name = archive.path.name
    parts = [entry for entry in archive.entries if entry.name.endswith(_SUFFIX)]
    counts = [sum(entry.name.startswith(each) for entry in parts) for each in _PARTS]
    if counts != [1] * len(_PARTS) or any(entry.method != STORED for entry in parts):
        raise ArchiveError(
            name, ("is no conda package: it has no `info-*.tar.zst` and `pkg-*.tar.zst`",)
        )
    entry = next(entry for entry in parts if entry.name.startswith(start))
    part = Part(archive.file, *archive.packed_range(entry))
    source = unpacked(part, "zstandard", name, entry.packed, limits)
    yield from read_tar(source, name, limits)


def subdir_of(index: bytes) -> tuple[str, ...]:
    """The platform that `info/index.json` names (`linux-64`); nothing when it does not."""
    try:
        document = json.loads(index)
    except (ValueError, RecursionError):
        return ()
    subdir = document.get("subdir") if isinstance(document, dict) else None
    return (subdir,) if isinstance(subdir, str) and subdir.isascii() and subdir else ()
