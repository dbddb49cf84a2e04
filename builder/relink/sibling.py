"""The rpaths of ELF binaries: to sibling wheels and inside of the wheel, never anywhere else."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from typing import TYPE_CHECKING

from builder.binary import Binary
from builder.relink.closure import Closure, expansions, installed
from builder.relink.policy import matches

if TYPE_CHECKING:
    from builder.config.recipe import Sibling

__all__ = ["leaving", "leaving_for_anywhere", "owner_of", "requirements", "used_siblings", "way"]

_SYSTEM = ("/lib/", "/lib64/", "/usr/lib/", "/usr/lib64/")


def owner_of(name: str, siblings: Iterable[Sibling]) -> Sibling | None:
    """The first sibling that owns a library by its name, or by the last part of a path."""
    names = {name, posixpath.basename(name)}
    return next((sibling for sibling in siblings if matches(sibling.libraries, *names)), None)


def used_siblings(closure: Closure, siblings: Iterable[Sibling]) -> tuple[Sibling, ...]:
    """The siblings that own at least one library that is needed."""
    owners = tuple(siblings)
    used = [owner_of(need.name, owners) for need in closure.of("sibling")]
    return tuple(sibling for sibling in owners if sibling in used)


def requirements(siblings: Iterable[Sibling]) -> tuple[str, ...]:
    """What must be in the metadata of a wheel that uses these siblings."""
    return tuple(sibling.requires or sibling.package for sibling in siblings)


def leaving(path: str, binary: Binary) -> tuple[str, ...]:
    """The rpath entries of a binary that do not stay below the folder the wheel is installed in."""
    folder = posixpath.dirname(installed(path))
    return tuple(
        entry
        for entry in (*binary.rpath, *binary.runpath)
        if not (places := expansions(entry, folder, binary)) or any(map(_is_outside, places))
    )


def leaving_for_anywhere(path: str, binary: Binary) -> tuple[str, ...]:
    """Those of them that have to go: what leads into the system's own folders finds what is there."""
    return tuple(entry for entry in leaving(path, binary) if not entry.startswith(_SYSTEM))


def way(path: str, directory: str) -> str:
    """The `$ORIGIN` entry that leads from a file to a folder, both below site-packages."""
    relative = posixpath.relpath(directory or ".", posixpath.dirname(installed(path)) or ".")
    return "$ORIGIN" if relative == "." else f"$ORIGIN/{relative}"


def _is_outside(place: str) -> bool:
    return place.startswith(("/", "../")) or place == ".."
