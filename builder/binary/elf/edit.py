"""Edits of the names in an ELF file, in place where there is room.

What the names shall be is decided by `names`, where new ones go by `strings`; only when the string
table or the dynamic section has no room for them, the file grows (`grow`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from builder.binary.elf import tags
from builder.binary.elf.apart import parts_of
from builder.binary.elf.draft import (
    Write,
    has_room,
    packed,
    packed_entries,
    patch_of,
    section_writes,
)
from builder.binary.elf.grow import Grown, grow
from builder.binary.elf.image import (
    DYNAMIC,
    HEADERS,
    INTERPRETER,
    NOTES,
    PROPERTY,
    Image,
    Section,
    open_image,
)
from builder.binary.elf.names import Names, names_after
from builder.binary.elf.removal import without_needs
from builder.binary.elf.slot import no_room
from builder.binary.elf.strings import Path, Placed, place
from builder.binary.elf.symbols import Symbols, string_places, strings_of, symbols_of
from builder.binary.elf.versions import definitions
from builder.binary.model import BinaryError, Edit
from builder.patch import Patch

__all__ = ["plan"]

_GNU_LIBLIST = 0x6FFFFEF9
_DYNSYM, _DYNAMIC, _VERDEF, _VERNEED = 11, 6, 0x6FFFFFFD, 0x6FFFFFFE
_READERS = frozenset({_DYNSYM, _DYNAMIC, _VERDEF, _VERNEED})
"""The types of sections whose places in the string table we know to find."""
_CONTENTS = frozenset({DYNAMIC, INTERPRETER, NOTES, HEADERS, PROPERTY})
"""The types of segments that are something by themselves."""
_MOST_SEGMENTS = 1024
"""Of a file that is edited: each is compared with each, and with every section."""
_NEED_NAME, _VERSION_HASH = 4, 8
"""Where these are in the records of a needed library and of a defined version."""


def plan(view: memoryview, edit: Edit) -> Patch:
    """The bytes that change. Raises `BinaryError`, with a hint when there is no room for an edit."""
    image = open_image(view)
    strings = strings_of(image)
    names = names_after(image, strings, edit)
    if _is_settled(image, names):
        return Patch(len(view))
    sections = image.sections()
    if len(image.segments) > _MOST_SEGMENTS:
        raise BinaryError(f"program headers: {len(image.segments)} are more than anybody needs")
    symbols = symbols_of(image)
    parts = parts_of(image, len(strings), symbols)
    is_private = _is_private(image, sections, len(strings), symbols)
    used = _used(image, names, symbols.count) if is_private else None
    placed = place(strings, _texts(names), used, names.path)
    needs = tuple((need, name != b"") for need, name in names.needs)
    left = without_needs(image, _resolved(names, placed), sections, needs)
    writes = [*left.writes, *_name_writes(image, names, placed)]
    grows = bool(placed.extra) or not has_room(image, left.entries)
    if not symbols.is_told and (grows or _tables(left.entries) != _tables(image.dynamic.entries)):
        raise no_room("has nothing that tells how many symbols it has")
    if grows:
        table = bytearray(strings)
        for offset, content in placed.writes:
            table[offset : offset + len(content)] = content
        table += placed.extra
        return grow(
            image,
            Grown(left.entries, left.sections, bytes(table), tuple(writes), is_private, parts),
        )
    if placed.writes:
        start = image.offset_of(image.dynamic.values[tags.STRTAB], "dynamic string table")
        writes += [Write(start + offset, content) for offset, content in placed.writes]
    writes.append(Write(image.dynamic.offset, packed_entries(image, left.entries)))
    return patch_of(view, [*writes, *section_writes(image, left.sections)], len(view))


def _tables(entries: tuple[tuple[int, int], ...]) -> set[int]:
    return {tag for tag, _ in entries if tag in tags.TABLES}


def _is_settled(image: Image, names: Names) -> bool:
    """Whether nothing is to be written."""
    if names.base is not None or any(name is not None for _, name in names.needs):
        return False
    path = names.path
    if path is not None and path.is_new:
        return False
    settled = ((tag, path.offset if value is path else value) for tag, value in names.entries)
    return tuple(settled) == image.dynamic.entries


def _is_private(image: Image, sections: tuple[Section, ...], size: int, symbols: Symbols) -> bool:
    """Whether the string table is nothing else as well, and all who refer to it are known.

    They are not, for instance, when there are more symbols than a loader would ever look at.
    """
    values = image.dynamic.values
    if tags.STRTAB not in values or _GNU_LIBLIST in values or not symbols.is_told:
        return False
    start = image.offset_of(values[tags.STRTAB], "dynamic string table")
    here = range(start, start + size)
    contents = (segment for segment in image.segments if segment.type in _CONTENTS)
    if any(_overlap(here, segment.offset, segment.size) for segment in contents):
        return False
    within = [at for at, one in enumerate(sections) if _overlap(here, one.offset, one.stored)]
    if not image.section_table[1]:
        return True
    if len(within) != 1 or within[0] == image.section_table[2]:
        return False
    table = sections[within[0]]
    readers = {section.type for section in sections if section.link == within[0]}
    known = symbols.count * image.layout.symbol_size
    return (
        (table.offset, table.size) == (start, size)
        and readers <= _READERS
        and all(section.size <= known for section in sections if section.type == _DYNSYM)
    )


def _overlap(here: range, offset: int, size: int) -> bool:
    return bool(size) and offset < here.stop and here.start < offset + size


def _used(image: Image, names: Names, count: int) -> Iterator[int]:
    """The places in the string table that something will still refer to."""
    renamed = names.base[0] if names.base is not None else None
    versions = definitions(image)
    return chain(
        string_places(image, count),
        (need.library for need, name in names.needs if name is None),
        (place for need, name in names.needs if name != b"" for place, _ in need.versions),
        (version.name for version in versions if version != renamed),
        (parent for version in versions for parent in version.parents),
        (value for tag, value in names.entries if tag in tags.TEXTS and isinstance(value, int)),
    )


def _texts(names: Names) -> Iterable[bytes]:
    """Every name that needs a place."""
    return chain(
        (value for _, value in names.entries if isinstance(value, bytes)),
        (name for _, name in names.needs if name),
        () if names.base is None else (names.base[1],),
    )


def _resolved(names: Names, placed: Placed) -> tuple[tuple[int, int], ...]:
    found = []
    for tag, value in names.entries:
        match value:
            case bytes():
                found.append((tag, placed.places[value]))
            case Path():
                found.append((tag, placed.path))
            case int():
                found.append((tag, value))
    return tuple(found)


def _name_writes(image: Image, names: Names, placed: Placed) -> Iterator[Write]:
    """Version needs follow the libraries they are of, and the base version follows the file."""
    for need, name in names.needs:
        if name:
            yield Write(need.offset + _NEED_NAME, packed(image, "I", placed.places[name]))
    if names.base is not None:
        version, name = names.base
        yield Write(version.offset + _VERSION_HASH, packed(image, "I", _hash(name)))
        yield Write(version.aux, packed(image, "I", placed.places[name]))


def _hash(name: bytes) -> int:
    """The hash of the gABI."""
    value = 0
    for byte in name:
        value = (value << 4) + byte
        value = (value ^ (value & 0xF0000000) >> 24) & 0x0FFFFFFF
    return value
