"""The rpaths of a wheel: to sibling wheels and inside of itself, never anywhere else.

Decided first as values (`plan_edits`), then written, one process per file.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from builder.binary import Binary
from builder.config.recipe import Sibling
from builder.process import Processes
from builder.relink.closure import Closure, expand, installed
from builder.relink.patchelf import set_rpath

__all__ = [
    "RpathEdit",
    "apply_edits",
    "leaving",
    "plan_edits",
    "requirements",
    "used_siblings",
    "ways_inside",
    "ways_to_siblings",
]


@dataclass(frozen=True, slots=True, order=True)
class RpathEdit:
    """One binary of the wheel and all rpath entries it is to have."""

    path: str
    entries: tuple[str, ...]


def used_siblings(closure: Closure, siblings: Iterable[Sibling]) -> tuple[Sibling, ...]:
    """The siblings that own at least one library that is needed."""
    names = {need.name for need in closure.of("sibling")}
    return tuple(
        sibling for sibling in siblings if any(_owns(sibling, name) for name in sorted(names))
    )


def requirements(siblings: Iterable[Sibling]) -> tuple[str, ...]:
    """What must be in the metadata of a wheel that uses these siblings."""
    return tuple(sibling.requires or sibling.package for sibling in siblings)


def ways_to_siblings(
    closure: Closure, siblings: Sequence[Sibling]
) -> Mapping[str, tuple[str, ...]]:
    """For each binary that needs a sibling's library, the entries that lead to it."""
    ways: dict[str, tuple[str, ...]] = {}
    for need in closure.of("sibling"):
        for sibling in siblings:
            if _owns(sibling, need.name):
                entry = _relative(need.requirer, sibling.directory)
                ways[need.requirer] = (*ways.get(need.requirer, ()), entry)
    return {path: tuple(dict.fromkeys(entries)) for path, entries in sorted(ways.items())}


def ways_inside(closure: Closure) -> Mapping[str, tuple[str, ...]]:
    """For each binary that needs a library of its wheel beyond every rpath, the missing entry."""
    ways: dict[str, tuple[str, ...]] = {}
    for need in closure.of("loose"):
        entry = _relative(need.requirer, posixpath.dirname(installed(need.place)))
        ways[need.requirer] = (*ways.get(need.requirer, ()), entry)
    return {path: tuple(dict.fromkeys(entries)) for path, entries in sorted(ways.items())}


def leaving(path: str, binary: Binary) -> tuple[str, ...]:
    """The rpath entries of a binary that do not stay below the folder the wheel is installed in."""
    folder = posixpath.dirname(installed(path))
    return tuple(
        entry
        for entry in (*binary.rpath, *binary.runpath)
        if (place := expand(entry, folder)).startswith(("/", "../")) or place in {"", ".."}
    )


def plan_edits(
    members: Mapping[str, Binary], ways: Mapping[str, tuple[str, ...]], *, tidy: bool
) -> tuple[RpathEdit, ...]:
    """The binaries whose rpath has to change; `tidy` drops every entry that leaves the wheel."""
    edits: list[RpathEdit] = []
    for path, binary in sorted(members.items()):
        old = binary.runpath or binary.rpath
        dropped = leaving(path, binary) if tidy else ()
        kept = tuple(entry for entry in old if entry not in dropped)
        entries = tuple(dict.fromkeys((*kept, *ways.get(path, ()))))
        if entries != old or (binary.rpath and binary.runpath):
            edits.append(RpathEdit(path, entries))
    return tuple(edits)


def apply_edits(
    root: Path, edits: Sequence[RpathEdit], processes: Processes, log: Path, jobs: int
) -> None:
    """Write the edits into the files below `root`. Raises `BuilderError` when one does not take."""
    with ThreadPoolExecutor(max_workers=max(1, jobs)) as pool:
        for future in [
            pool.submit(set_rpath, root / edit.path, edit.entries, processes, log) for edit in edits
        ]:
            future.result()


def _owns(sibling: Sibling, soname: str) -> bool:
    return any(fnmatchcase(soname, glob) for glob in sibling.libraries)


def _relative(path: str, directory: str) -> str:
    """The `$ORIGIN` entry that leads from a file to a folder, both below site-packages."""
    way = posixpath.relpath(directory or ".", posixpath.dirname(installed(path)) or ".")
    return "$ORIGIN" if way == "." else f"$ORIGIN/{way}"
