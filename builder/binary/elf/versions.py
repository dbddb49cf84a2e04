"""Symbol versions of an ELF file, needed and defined ("Symbol Versioning" of the LSB)."""

from __future__ import annotations

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
    window, start = image.window, image.offset_of(values[VERNEED], "version needs")
    place, total = start, 0
    found: list[Need] = []
    for _ in range(min(values.get(VERNEEDNUM, 0), _MOST_VERSIONS)):
        _, count, library, first, following = window.numbers("HHIII", place, "version need")
        versions, places = [], []
        inner = place + first
        for _ in range(count):
            _, _, index, name, further = window.numbers("IHHII", inner, "version need")
            versions.append((name, index & ~HIDDEN))
            places.append(inner)
            if not further:
                break
            inner += further
        found.append(Need(place, library, tuple(versions), tuple(places)))
        total += len(versions)
        if total > _MOST_VERSIONS:
            raise BinaryError(f"version needs at {start:#x}: more than there can be")
        if not following:
            break
        place += following
    return tuple(found)


def definitions(image: Image) -> tuple[Definition, ...]:
    """The versions that the file defines: a chain of them, each with the names of its parents."""
    values = image.dynamic.values
    if VERDEF not in values:
        return ()
    window, start = image.window, image.offset_of(values[VERDEF], "version definitions")
    place, total = start, 0
    found: list[Definition] = []
    for _ in range(min(values.get(VERDEFNUM, 0), _MOST_VERSIONS)):
        _, flags, _, count, _, first, following = window.numbers(
            "HHHHIII", place, "version definition"
        )
        names = []
        inner = place + first
        for _ in range(count):
            name, further = window.numbers("II", inner, "version definition")
            names.append(name)
            if not further:
                break
            inner += further
        total += len(names)
        if total > _MOST_VERSIONS:
            raise BinaryError(f"version definitions at {start:#x}: more than there can be")
        if names:
            is_base = bool(flags & _BASE)
            found.append(Definition(place, place + first, names[0], is_base, tuple(names[1:])))
        if not following:
            break
        place += following
    return tuple(found)
