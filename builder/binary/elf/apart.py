"""The parts of an ELF file, and whether they are apart: an edit of one must not change another."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from builder.binary.elf import tags
from builder.binary.elf.image import Image
from builder.binary.elf.symbols import Symbols
from builder.binary.elf.versions import definitions, needs
from builder.binary.model import BinaryError

__all__ = ["Part", "parts_of"]

_IDENT = 16
_RECORD, _AUX, _DEFINITION, _DEFINITION_AUX = 16, 16, 20, 8


@dataclass(frozen=True, slots=True, order=True)
class Part:
    """Something in the file that is read or written."""

    offset: int
    size: int
    what: str


def parts_of(image: Image, strings: int, symbols: Symbols) -> tuple[Part, ...]:
    """All parts in the order of the file, where there are that many bytes of strings and symbols.

    Raises `BinaryError` when they overlap.
    """
    parts = sorted(part for part in _parts(image, strings, symbols) if part.size)
    end, before = 0, ""
    for part in parts:
        if part.offset < end:
            raise BinaryError(
                f"{part.what} at {part.offset:#x} overlaps the {before}, which ends at {end:#x}",
                hint="the file is damaged, or was made by hand: link it anew",
            )
        end, before = part.offset + part.size, part.what
    return tuple(parts)


def _parts(image: Image, strings: int, symbols: Symbols) -> Iterator[Part]:
    layout, values = image.layout, image.dynamic.values
    yield Part(0, _IDENT + struct.calcsize("<" + layout.header), "ELF header")
    size = struct.calcsize("<" + layout.segment)
    yield Part(image.segment_table, len(image.segments) * size, "program headers")
    offset, sections, _ = image.section_table
    yield Part(offset, sections * struct.calcsize("<" + layout.section), "section headers")
    yield Part(image.dynamic.offset, image.dynamic.room * layout.entry_size, "dynamic section")
    sizes = {
        tags.STRTAB: (strings, "string table"),
        tags.SYMTAB: (symbols.count * layout.symbol_size, "symbol table"),
        tags.VERSYM: (symbols.count * 2, "table of symbol versions"),
        tags.GNU_HASH if tags.HASH not in values else tags.HASH: (symbols.hash_size, "hash table"),
    }
    for tag, (size, what) in sizes.items():
        if tag in values and size:
            yield Part(image.offset_of(values[tag], what), size, what)
    yield from _versions(image)


def _versions(image: Image) -> Iterator[Part]:
    for need in needs(image):
        yield Part(need.offset, _RECORD, "version need")
        yield from (Part(place, _AUX, "version need") for place in need.places)
    for start in {definition.offset for definition in definitions(image)}:
        yield Part(start, _DEFINITION, "version definition")
    for start in {definition.aux for definition in definitions(image)}:
        yield Part(start, _DEFINITION_AUX, "version definition")
