"""Read every package of a channel again and hold it against what the index says about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from builder.archive.conda import open_package
from builder.archive.refusals import harm
from builder.archive.workers import in_order
from builder.channel.channel import subdirs_of
from builder.channel.package import SUFFIXES, read_listed
from builder.channel.shelf import DOCUMENTS, Shelf
from builder.errors import UsageError

__all__ = ["Verified", "verify"]

_MOST_PLAIN: Final = 250
Verified = tuple[int, tuple[str, ...]]
"""How many packages were read, and every problem; each begins with a path below the channel."""


def verify(folder: Path, *, threads: int = 0) -> Verified:
    """What is wrong with a channel. Raises `UsageError` for a folder that is none."""
    if not (folder / "noarch" / "repodata.json").is_file():
        raise UsageError(f"`{folder}` is no channel", hint=f"builder channel create {folder}")
    problems: list[str] = []
    count = 0
    for subdir in subdirs_of(folder):
        try:
            shelf = Shelf.load(folder / subdir)
        except UsageError as error:
            problems.append(f"{subdir}: {error.message}")
            continue
        names = {path.name for path in shelf.files()}
        problems += _listing(shelf, names)
        jobs = (partial(_package, shelf, name) for name in sorted(names & shelf.entries.keys()))
        for found in in_order(jobs, threads):
            count += 1
            problems += found
    return count, tuple(problems)


def _listing(shelf: Shelf, names: set[str]) -> Iterator[str]:
    """Where the index and the folder, or the documents among each other, do not agree."""
    for name in sorted(names - shelf.entries.keys()):
        yield f"{shelf.subdir}/{name}: is not listed"
    for name in sorted(shelf.entries.keys() - names):
        if "/" in name or "\\" in name or not name.endswith(SUFFIXES) or len(name) > _MOST_PLAIN:
            yield f"{shelf.subdir}/repodata.json: {name!r} is unsafe as a file name"
        else:
            yield f"{shelf.subdir}/{name}: is listed, and there is no such file"
    for name in DOCUMENTS:
        if not _is_packed(shelf.folder / name):
            yield f"{shelf.subdir}/{name}.zst: is not what {name} says"


def _is_packed(path: Path) -> bool:
    """Whether the compressed form of a document, if there is one, has its very bytes."""
    import zstandard  # noqa: PLC0415  # slow to load

    packed = path.with_name(f"{path.name}.zst")
    if not packed.is_file():
        return True
    plain = path.read_bytes() if path.is_file() else b""
    try:
        with packed.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as reader:
            return reader.read(len(plain) + 1) == plain
    except zstandard.ZstdError:
        return False


def _package(shelf: Shelf, name: str) -> tuple[str, ...]:
    path = shelf.folder / name
    try:
        found = read_listed(path)
        with open_package(path) as members:
            listed = [member for member, _ in members]
    except UsageError as error:
        return tuple(
            f"{shelf.subdir}/{name}: {fault}" for fault in error.faults or (error.message,)
        )
    faults = list(map(str, harm(listed, path.stat().st_size)))
    faults += _differences(shelf.entries[name], found.entry)
    if shelf.exports.get(name, {}) != found.run_exports:
        faults.append("run_exports.json says something else about it than its information")
    if found.subdir != shelf.subdir:
        faults.append(f"it is for {found.subdir}")
    return tuple(f"{shelf.subdir}/{name}: {fault}" for fault in faults)


def _differences(listed: Mapping[str, object], real: Mapping[str, object]) -> Iterator[str]:
    for key in sorted(listed.keys() | real.keys()):
        if listed.get(key) != real.get(key):
            yield f"{key} is {real.get(key)!r}, and listed as {listed.get(key)!r}"
