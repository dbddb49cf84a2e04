"""Symbol versions of an ELF file, needed and defined ("Symbol Versioning" of the LSB)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from builder.binary.elf.image import Image
from builder.binary.elf.tags import VERDEF, VERDEFNUM, VERNEED, VERNEEDNUM
from builder.binary.model import BinaryError

__all__ = ["HIDDEN", "Definition", "Need", "definitions", "needs"]

HIDDEN: Final = 0x8000
"""A flag beside the index of a version."""
_MOST_VERSIONS: Final = 0x8000
_BASE: Final = 1


@dataclass(frozen=True, slots=True)
class Need:
    """One library that versions are needed of: where its record is, its name, (name, index) of each.

    Names are places in the string table; `places` are where the records of the versions are.
    """

    offset: int
    library: int
    versions: tuple[tuple[int, int], ...]
    places: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Definition:
    """One version that the file defines; the base stands for the file itself.

    `aux` is where the record with its name is.
    """

    offset: int
    aux: int
    name: int
    is_base: bool
    parents: tuple[int, ...]


def needs(image: Image) -> tuple[Need, ...]:
    """The needed versions: a chain of libraries, each with a chain of versions."""
    values = image.dynamic.values
    if VERNEED not in values:
        return ()
    start = image.offset_of(values[VERNEED], "version needs")
    count, total = min(values.get(VERNEEDNUM, 0), _MOST_VERSIONS), 0
    found: list[Need] = []
    for place, _, size, library, first in _chain(image, "HHIII", start, count, "version need"):
        rows = tuple(_chain(image, "IHHII", place + first, size, "version need"))
        versions = tuple((name, index & ~HIDDEN) for _, _, _, index, name in rows)
        found.append(Need(place, library, versions, tuple(row[0] for row in rows)))
        total += len(rows)
        if total > _MOST_VERSIONS:
            raise BinaryError(f"version needs at {start:#x}: more than there can be")
    return tuple(found)


def definitions(image: Image) -> tuple[Definition, ...]:
    """The versions that the file defines: a chain of them, each with the names of its parents."""
    values = image.dynamic.values
    if VERDEF not in values:
        return ()
    start = image.offset_of(values[VERDEF], "version definitions")
    count, total, what = min(values.get(VERDEFNUM, 0), _MOST_VERSIONS), 0, "version definition"
    found: list[Definition] = []
    for place, _, flags, _, size, _, first in _chain(image, "HHHHIII", start, count, what):
        names = [name for _, name in _chain(image, "II", place + first, size, what)]
        total += len(names)
        if total > _MOST_VERSIONS:
            raise BinaryError(f"version definitions at {start:#x}: more than there can be")
        if names:
            is_base = bool(flags & _BASE)
            found.append(Definition(place, place + first, names[0], is_base, tuple(names[1:])))
    return tuple(found)


def _chain(
    image: Image, fields: str, place: int, count: int, what: str
) -> Iterator[tuple[int, ...]]:
    """The place of each record and its numbers but the last, which says how far on the next is."""
    for _ in range(count):
        *numbers, following = image.window.numbers(fields, place, what)
        yield place, *numbers
        if not following:
            return
        place += following
