"""Binaries: what a linker sees in one file, read from its bytes alone, and edits of its names.

Knows nothing of wheels, search paths or policy, starts no process, and trusts no number it reads.
"""

from __future__ import annotations

import mmap
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

from builder.binary.expect import expected
from builder.binary.model import (
    Binary,
    BinaryError,
    ByteOrder,
    Edit,
    Flaw,
    FlawKind,
    Format,
    Kind,
    Signature,
    VersionNeed,
)
from builder.patch import Patch

__all__ = [
    "Binary",
    "BinaryError",
    "ByteOrder",
    "Edit",
    "Flaw",
    "FlawKind",
    "Format",
    "Kind",
    "Signature",
    "VersionNeed",
    "defined",
    "edited",
    "flaws",
    "looks_like",
    "plan",
    "read",
]

_Told = TypeVar("_Told")

_MACHO = frozenset(
    {b"\xfe\xed\xfa\xce", b"\xce\xfa\xed\xfe", b"\xfe\xed\xfa\xcf", b"\xcf\xfa\xed\xfe"}
)
_UNIVERSAL = frozenset({b"\xca\xfe\xba\xbe", b"\xca\xfe\xba\xbf"})
_MOST_UNIVERSAL = 0x2B
"""A Java class begins like a universal Mach-O file, with its version for a count of machines."""


class _Room(Protocol):
    """What each format offers: `builder.binary.elf`, `.macho`, `.pe`."""

    def read(self, view: memoryview) -> Binary:
        """What a linker sees."""
        ...

    def defined(self, view: memoryview) -> tuple[str, ...]:
        """The names offered to others."""
        ...

    def plan(self, view: memoryview, edit: Edit) -> Patch:
        """The bytes that change."""
        ...

    def flaws(self, view: memoryview) -> tuple[Flaw, ...]:
        """What is wrong with the bytes."""
        ...


def looks_like(head: bytes) -> Format | None:
    """The format that the first bytes of a file announce: four of them, or eight to know Java."""
    if head[:4] == b"\x7fELF":
        return "elf"
    if head[:4] in _MACHO:
        return "macho"
    if head[:4] in _UNIVERSAL:
        count = int.from_bytes(head[4:8], "big")
        return "macho" if count <= _MOST_UNIVERSAL else None
    return "pe" if head[:2] == b"MZ" else None


def read(source: Path | bytes | memoryview) -> Binary:
    """What is in one binary: a file, which is mapped and not copied, or its bytes.

    Raises `BinaryError` for what is no binary or is damaged.
    """
    return _tell(source, lambda room, view: room.read(view))


def defined(source: Path | bytes | memoryview) -> tuple[str, ...]:
    """The global and weak names that a binary offers to others, in the order of its table.

    Apart from `read`, because few ask and large libraries have hundreds of thousands. Same errors.
    """
    return _tell(source, lambda room, view: room.defined(view))


def flaws(source: Path | bytes | memoryview) -> tuple[Flaw, ...]:
    """What a loader would refuse or a careful packager would not ship, from the bytes alone.

    Of an ELF file only headers and tables are looked at; signed Mach-O files, and PE files with a
    checksum or a signature, are digested from front to end, in windows. A file that cannot be
    `read` may have flaws that say why. Raises `BinaryError` when not even its headers can be read.
    """
    return _tell(source, lambda room, view: room.flaws(view))


def plan(source: Path | bytes | memoryview, edit: Edit) -> Patch:
    """The bytes that have to change to make an edit, and no others; nothing is written.

    Raises `BinaryError` with a hint when the file has no room for the change, or does not have what
    it wants to change.
    """
    return _tell(source, lambda room, view: room.plan(view, edit))


def edited(before: Binary, after: Binary, edit: Edit) -> tuple[str, ...]:
    """What is wrong with a file after an edit: every difference that was not asked for.

    `before` and `after` are what was read from the file. Empty when all is well.
    """
    wanted = expected(before, edit)
    if wanted == after:
        return ()
    names = [name for name in Binary.__slots__ if getattr(wanted, name) != getattr(after, name)]
    return tuple(
        f"{name} is {getattr(after, name)!r}, not {getattr(wanted, name)!r}" for name in names
    )


def _tell(source: Path | bytes | memoryview, reader: Callable[[_Room, memoryview], _Told]) -> _Told:
    """What a reader says about the bytes; its errors name the file."""
    if not isinstance(source, Path):
        view = memoryview(source)
        return reader(_room(view), view)
    try:
        view = _map(source)
        return reader(_room(view), view)
    except BinaryError as error:
        raise BinaryError(f"`{source}`: {error.message}", hint=error.hint) from error


def _map(path: Path) -> memoryview:
    try:
        # Without the flag, opening a pipe would wait for a writer.
        file = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        try:
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode):
                raise BinaryError("is no regular file")
            if not status.st_size:
                return memoryview(b"")
            return memoryview(mmap.mmap(file, 0, access=mmap.ACCESS_READ))
        finally:
            os.close(file)
    except OSError as error:
        raise BinaryError(f"cannot be read: {error.strerror}") from error


def _room(view: memoryview) -> _Room:
    """The reader and editor of the format; imported when it is met, for start-up counts."""
    head = bytes(view[:8])
    match looks_like(head):
        case "elf":
            from builder.binary import elf  # noqa: PLC0415  # as said above

            return elf
        case "macho":
            from builder.binary import macho  # noqa: PLC0415  # as said above

            return macho
        case "pe":
            from builder.binary import pe  # noqa: PLC0415  # as said above

            return pe
        case None:
            start = f"begins with {head.hex(' ')}" if head else "is empty"
            raise BinaryError(f"is no binary: it {start}")
