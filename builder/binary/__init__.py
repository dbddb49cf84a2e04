"""Binaries: what a linker sees in one file, read from its bytes alone.

Knows nothing of wheels, search paths or policy, starts no process, and trusts no number it reads.
"""

from __future__ import annotations

import mmap
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from builder.binary import elf
from builder.binary.model import Binary, BinaryError, ByteOrder, Format, Kind, VersionNeed

__all__ = [
    "Binary",
    "BinaryError",
    "ByteOrder",
    "Format",
    "Kind",
    "VersionNeed",
    "defined",
    "looks_like",
    "read",
]

_Told = TypeVar("_Told")

_MACHO = frozenset(
    {b"\xfe\xed\xfa\xce", b"\xce\xfa\xed\xfe", b"\xfe\xed\xfa\xcf", b"\xcf\xfa\xed\xfe"}
)
_UNIVERSAL = b"\xca\xfe\xba\xbe"
_MOST_UNIVERSAL = 0x2B
"""A Java class begins like a universal Mach-O file, with its version for a count of machines."""


def looks_like(head: bytes) -> Format | None:
    """The format that the first bytes of a file announce: four of them, or eight to know Java."""
    if head[:4] == b"\x7fELF":
        return "elf"
    if head[:4] in _MACHO:
        return "macho"
    if head[:4] == _UNIVERSAL:
        count = int.from_bytes(head[4:8], "big")
        return "macho" if count <= _MOST_UNIVERSAL else None
    return "pe" if head[:2] == b"MZ" else None


def read(source: Path | bytes | memoryview) -> Binary:
    """What is in one binary: a file, which is mapped and not copied, or its bytes.

    Raises `BinaryError` for what is no binary, is damaged, or has a format that cannot be read yet.
    """
    return _tell(source, elf.read)


def defined(source: Path | bytes | memoryview) -> tuple[str, ...]:
    """The global and weak names that a binary offers to others, in the order of its table.

    Apart from `read`, because few ask and large libraries have hundreds of thousands. Same errors.
    """
    return _tell(source, elf.defined)


def _tell(source: Path | bytes | memoryview, reader: Callable[[memoryview], _Told]) -> _Told:
    """What a reader says about the bytes; its errors name the file."""
    if not isinstance(source, Path):
        return reader(_elf(memoryview(source)))
    try:
        return reader(_elf(_map(source)))
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


def _elf(view: memoryview) -> memoryview:
    head = bytes(view[:8])
    match looks_like(head):
        case "elf":
            return view
        case "macho" | "pe" as other:
            name = {"macho": "Mach-O", "pe": "PE"}[other]
            raise BinaryError(f"is a {name} file: not yet readable", hint="only ELF is so far")
        case None:
            start = f"begins with {head.hex(' ')}" if head else "is empty"
            raise BinaryError(f"is no binary: it {start}")
