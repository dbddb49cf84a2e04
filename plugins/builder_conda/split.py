"""The C++ part of a finished wheel, which goes into the library package; in its place there are links.

A wheel finds its libraries beside each other. So whatever leaves it stays reachable by its old path, and
`$ORIGIN` goes on to mean what it meant. A library that a required package brings, which somebody put into
the wheel, is left to that package in the same way.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from builder.archive.wheel import Wheel
from builder.archive.zip_read import Zip
from builder.binary import Binary, BinaryError, looks_like, read
from builder.config.recipe import CppArchive
from builder.errors import BuilderError
from builder.relink.policy import matches
from builder.stage.tree import Entry as Filed
from builder_conda.core import Core
from builder_conda.linked import Brought
from builder_conda.members import recorded, save_member

__all__ = ["Split", "read_member"]

_HEAD: Final = 8


@dataclass(frozen=True, slots=True)
class Split:
    """Members of a wheel that are elsewhere in an environment: their paths below the prefix.

    `own` are in the library package, `brought` in packages that it requires.
    """

    own: Mapping[str, str]
    brought: Mapping[str, str]

    @classmethod
    def of(cls, wheel: Wheel, archive: CppArchive, brought: Sequence[Brought]) -> Split:
        """What `[archive]` chooses of a wheel. Raises `BuilderError` when that is nothing."""
        chosen = {
            entry.name: inner
            for entry in wheel.entries
            if entry.kind == "file" and (inner := archive.inner(entry.name))
        }
        if not chosen:
            raise BuilderError(
                f"there is nothing for a library package in `{wheel.path.name}`: no file below "
                f"`{archive.wheel or '.'}` matches {', '.join(archive.keep)}",
                hint="set `archive.keep` and `archive.wheel` in the recipe, or no `conda.library`",
            )
        theirs = {
            name: f"{row.folder}/{posixpath.basename(name)}"
            for name in chosen
            for row in brought
            if matches(row.libraries, posixpath.basename(name))
        }
        return cls({name: path for name, path in chosen.items() if name not in theirs}, theirs)

    @property
    def elsewhere(self) -> Mapping[str, str]:
        """All of them."""
        return {**self.own, **self.brought}

    def core(self, archive: Zip, wheel: Wheel, folder: Path, *, whole: bool) -> Core:
        """The members of the library package below the new `folder`: all, or only its binaries.

        Raises `BuilderError` for one that is damaged, or is not what RECORD says, and `UsageError` where
        RECORD does not list exactly what is there.
        """
        rows = recorded(wheel)
        files: dict[str, Filed] = {}
        binaries: dict[str, Binary] = {}
        for entry in wheel.entries:
            path = self.own.get(entry.name, "")
            is_binary = bool(path) and looks_like(archive.head(entry, _HEAD)) is not None
            if not path or not (whole or is_binary):
                continue
            digest = save_member(archive, entry, folder / path, rows[entry.name])
            files[path] = Filed(path, "file", bool(entry.mode & 0o111), entry.size, digest)
            if is_binary:
                binary = read_member(folder / path, entry.name, wheel)
                if binary.is_loaded:
                    binaries[path] = binary
        return Core(folder, files, {}, {}, binaries, "")


def read_member(file: Path, name: str, wheel: Wheel) -> Binary:
    """A binary of a wheel that was written to a file. Raises `BuilderError` for a damaged one."""
    try:
        return read(file)
    except BinaryError as error:
        raise BuilderError(
            f"{name!r} of `{wheel.path.name}` is damaged: {error.message}",
            hint="build the wheel again",
        ) from error
