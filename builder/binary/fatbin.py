"""CUDA fat binaries: for which architectures a section holds device code.

A section is a row of containers, each a row of entries (machine code, PTX or link-time code). The
format is not published; this is what CUDA 11.8 to 13.0 write.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Iterator

from builder.binary.model import BinaryError
from builder.binary.window import Window

__all__ = ["SECTIONS", "architectures"]

SECTIONS = (b".nv_fatbin", b"__nv_relfatbin")
"""Where device code is: linked, and for a later device link."""

_MAGIC = 0xBA55ED50
_CONTAINER = "IHHQ"  # magic, version, size of this header, size of all entries
_CONTAINER_SIZE = 16
_ENTRY = "HHIQIIHHIQQ"
"""Kind, version, size of this header, size of the code, its packed size, options, minor and major
version, architecture, name, flags."""
_ENTRY_SIZE = 48
_ALIGNMENT = 8
_HELD = 32 << 20
"""Bytes that are walked over before the pages behind are let go: touched ones count as memory."""
_LOOK = 64 << 10
_MOST_ARCHITECTURES = 4096
_KINDS = {1: "compute_", 2: "sm_", 8: "lto_"}
_SUFFIXES = {1 << 20: "a", 1 << 21: "f"}


def architectures(sections: Iterable[Window]) -> tuple[str, ...]:
    """The architectures in some sections, each once, sorted by number. Raises `BinaryError`."""
    found: set[tuple[str, int, str]] = set()
    for section in sections:
        for entry in _containers(section):
            found.add(entry)
            if len(found) > _MOST_ARCHITECTURES:
                raise BinaryError("CUDA sections: code for more architectures than there are")
    return tuple(kind + str(number) + suffix for kind, number, suffix in sorted(found, key=_rank))


def _containers(section: Window) -> Iterator[tuple[str, int, str]]:
    """The entries of all containers; between two of them are zeros."""
    place = 0
    held = 0
    while place + _ALIGNMENT <= len(section.view):
        if place > held + _HELD:
            _let_go(section.view)
            held = place
        if not any(section.view[place : place + _ALIGNMENT]):
            place += _zeros(section.view, place)
            continue
        magic, _, header, size = section.numbers(_CONTAINER, place, "CUDA container")
        if magic != _MAGIC or header < _CONTAINER_SIZE:
            raise BinaryError(f"CUDA section: no container begins at {place:#x}")
        yield from _entries(section, place + header, size)
        place = -(-(place + header + size) // _ALIGNMENT) * _ALIGNMENT


def _zeros(view: memoryview, place: int) -> int:
    """How many zeros there are from a place on, as far as one looks, in whole units."""
    some = bytes(view[place : place + _LOOK])
    return max(_ALIGNMENT, (len(some) - len(some.lstrip(b"\0"))) // _ALIGNMENT * _ALIGNMENT)


def _let_go(view: memoryview) -> None:
    """Give the touched pages of a mapped file back; they come again when they are looked at."""
    whole = view.obj
    if isinstance(whole, mmap.mmap) and view.readonly and hasattr(mmap, "MADV_DONTNEED"):
        whole.madvise(mmap.MADV_DONTNEED)


def _entries(section: Window, start: int, size: int) -> Iterator[tuple[str, int, str]]:
    section.cut(start, size, "CUDA container")
    place = start
    while place < start + size:
        kind, _, header, length, *_, number, _, flags = section.numbers(
            _ENTRY, place, "CUDA container entry"
        )
        if header < _ENTRY_SIZE or place + header + length > start + size:
            raise BinaryError(f"CUDA container entry at {place:#x} reaches out of its container")
        suffix = "".join(letter for bit, letter in _SUFFIXES.items() if flags & bit)
        yield _KINDS.get(kind, f"kind{kind}_"), number, suffix
        place += header + length


def _rank(architecture: tuple[str, int, str]) -> tuple[int, str, str]:
    kind, number, suffix = architecture
    return number, suffix, kind
