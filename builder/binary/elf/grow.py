"""An ELF file that grows: the string table moves to its end, where there is room for more of it.

Each byte that is loaded there belongs to a section, so that `strip` keeps it, and sections keep
their numbers, which symbols refer to.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, product
from typing import Final

from builder.binary.elf import tags
from builder.binary.elf.apart import Part
from builder.binary.elf.draft import (
    Write,
    has_room,
    packed,
    packed_entries,
    packed_segment,
    patch_of,
    section_writes,
)
from builder.binary.elf.image import (
    DYNAMIC,
    HEADERS,
    LOAD,
    MOVABLE,
    NO_BITS,
    Image,
    Section,
    Segment,
)
from builder.binary.elf.slot import no_room
from builder.binary.elf.tail import Move, Tail, tail_of
from builder.patch import Patch

__all__ = ["Grown", "grow"]

_WRITABLE: Final = 2
_ALLOCATED: Final = 2
_THREAD_LOCAL: Final = 0x400
_PROGBITS, _STRTAB, _DYNAMIC, _NOTES = 1, 3, 6, 7
_SYMBOLS: Final = frozenset({2, 11})
_SPARE_ENTRIES: Final = 8
_COUNT: Final = {32: 44, 64: 56}
"""Where the ELF header has the number of program headers."""


@dataclass(frozen=True, slots=True)
class Grown:
    """What the grown file shall have in it: the whole string table, and the dynamic section.

    `writes` are into other tables, at the places that these have now. The old string table is
    cleared when it `is_private`. `parts` are what must stay whole.
    """

    entries: tuple[tuple[int, int], ...]
    sections: tuple[Section, ...]
    table: bytes
    writes: tuple[Write, ...]
    is_private: bool
    parts: tuple[Part, ...]


def grow(image: Image, grown: Grown) -> Patch:
    """The patch of a file that becomes larger. Raises `BinaryError` when it cannot."""
    dynamic, values = image.dynamic, image.dynamic.values
    if tags.STRTAB not in values:
        raise no_room("has no dynamic string table")
    start = image.offset_of(values[tags.STRTAB], "dynamic string table")
    table = range(start, start + values.get(tags.STRSZ, 0))
    _check_sections(image, grown.sections, table)
    segment = image.of_type(DYNAMIC)[0]
    section = range(dynamic.offset, dynamic.offset + segment.size)
    moves_dynamic = not has_room(image, grown.entries)
    tail = tail_of(image, grown.sections, table, (table, section) if moves_dynamic else (table,))
    if moves_dynamic:
        size = (len(grown.entries) + _SPARE_ENTRIES) * image.layout.entry_size
        place = tail.put(bytes(size), image.layout.entry_size)
        tail.rebuilt.append(Move(section.start, len(section), segment.address, *place, size))
    writes = [*grown.writes, *_table_writes(image, grown, tail, table)]
    _check_whole(grown.parts, tail.moves)
    writes += _entry_writes(image, grown, tail)
    writes += _symbol_writes(image, grown.sections, tail)
    writes = [*tail.redirect(writes), *_skeleton(image, grown, tail)]
    size = tail.offset + len(tail.content)
    if max(size, tail.address + len(tail.content)) >> image.layout.bits:
        raise no_room("has no addresses left")
    return patch_of(image.window.view, [*writes, Write(tail.offset, bytes(tail.content))], size)


def _check_sections(image: Image, sections: tuple[Section, ...], table: range) -> None:
    """Where there are section headers, one of them must be of the string table, or `strip` loses it."""
    found = [
        section
        for section in sections
        if section.type == _STRTAB and (section.offset, section.size) == (table.start, len(table))
    ]
    if not table or (image.section_table[1] and len(found) != 1):
        raise no_room("has no section headers that tell its string table")


def _check_whole(parts: tuple[Part, ...], moves: tuple[Move, ...]) -> None:
    """What moves is whole: section headers of damaged files may tell a part of a table only."""
    for part, move in product(parts, moves):
        apart = part.offset + part.size <= move.offset or move.offset + move.size <= part.offset
        if not apart and not move.has(part.offset, part.size):
            raise no_room(f"has section headers that cut off the {part.what} at {part.offset:#x}")


def _table_writes(image: Image, grown: Grown, tail: Tail, table: range) -> Iterator[Write]:
    """Put the new string table into the tail: all of it, or when it ends there already, its end."""
    address = image.dynamic.values[tags.STRTAB]
    if tail.end == table.stop and not tail.rebuilt:
        place = (tail.offset + len(tail.content) - len(table), address)
        tail.content += grown.table[len(table) :]
        yield Write(table.start, grown.table[: len(table)])
    else:
        place = tail.put(grown.table, 1)
        if grown.is_private:
            yield Write(table.start, bytes(len(table)))
    tail.rebuilt.append(Move(table.start, len(table), address, *place, len(grown.table)))


def _entry_writes(image: Image, grown: Grown, tail: Tail) -> Iterator[Write]:
    """The dynamic section with the new addresses, where it is or in the tail."""
    dynamic = image.dynamic
    home = next((move for move in tail.rebuilt if move.offset == dynamic.offset), None)
    distance = home.new_address - home.address if home is not None else 0
    entries: list[tuple[int, int]] = []
    for tag, value in grown.entries:
        if tag == tags.STRSZ:
            entries.append((tag, len(grown.table)))
        elif tag == tags.MIPS_MAP_RELATIVE:
            entries.append((tag, (value - distance) % (1 << image.layout.bits)))
        else:
            entries.append((tag, _moved(tail.moves, value) if tag in tags.TABLES else value))
    if home is None:
        yield Write(dynamic.offset, packed_entries(image, entries))
        return
    content = packed(image, image.layout.word * 2 * len(entries), *chain.from_iterable(entries))
    at = home.new_offset - tail.offset
    tail.content[at : at + len(content)] = content
    yield Write(dynamic.offset, bytes(home.size))


def _moved(moves: Iterable[Move], address: int) -> int:
    return next((new for move in moves if (new := move.moved(address)) != address), address)


def _symbol_writes(image: Image, sections: tuple[Section, ...], tail: Tail) -> Iterator[Write]:
    """The addresses of symbols that are in what moves; tables have none that are worth a search."""
    moves = [move for move in tail.moves if move.address != move.new_address]
    moved = {
        at
        for at, section in enumerate(sections)
        if section.type in {_PROGBITS, _DYNAMIC, _NOTES}
        and any(move.has(section.offset, section.stored) for move in moves)
    }
    layout = image.layout
    tables = [
        section
        for section in sections
        if moved and section.type in _SYMBOLS and section.entry == layout.symbol_size
    ]
    if sum(section.size for section in tables) > len(image.window.view):
        raise no_room("has tables of symbols that overlap")
    for section in tables:
        count = section.size // layout.symbol_size
        homes = image.window.column(layout.symbol_section, section.offset, count, "symbols")
        for at in [at for at, home in enumerate(homes) if home in moved]:
            place = section.offset + at * layout.symbol_size + layout.symbol_value.place
            (value,) = image.window.numbers(layout.word, place, "symbol")
            if (new := _moved(moves, value)) != value:
                yield Write(place, packed(image, layout.word, new))


def _skeleton(image: Image, grown: Grown, tail: Tail) -> Iterator[Write]:
    """Program headers and section headers."""
    is_written = image.dynamic.offset in {move.offset for move in tail.rebuilt}
    grown_segments = tail.grown_segments(flags=_WRITABLE if is_written else 0)
    size = struct.calcsize("=" + image.layout.segment)
    segments = [_segment(segment, tail, len(grown_segments) * size) for segment in grown_segments]
    content = b"".join(packed_segment(image, segment) for segment in segments)
    yield Write(image.segment_table, content)
    yield Write(_COUNT[image.layout.bits], packed(image, "H", len(segments)))
    yield from section_writes(image, tuple(_section(one, tail) for one in grown.sections))
    headers, count, _ = image.section_table
    stop = headers + count * struct.calcsize("=" + image.layout.section)
    for move in tail.carried:
        if move.address == move.new_address and not (
            headers < move.offset + move.size and move.offset < stop
        ):
            yield Write(move.offset, bytes(move.size))


def _segment(segment: Segment, tail: Tail, headers: int) -> Segment:
    """A program header that follows what it describes."""
    if segment.type == HEADERS:
        return replace(segment, size=headers, memory=headers)
    for move in tail.moves if segment.type != LOAD else ():
        is_movable = segment.type in MOVABLE or move.address == move.new_address
        if not is_movable or not move.has(segment.offset, segment.size):
            continue
        ahead, distance = segment.offset - move.offset, move.new_address - move.address
        segment = replace(
            segment,
            offset=move.new_offset + ahead,
            address=segment.address + distance,
            physical=segment.physical + distance,
        )
        if move in tail.rebuilt:
            return replace(segment, size=move.new_size, memory=move.new_size)
        return segment
    return segment


def _section(section: Section, tail: Tail) -> Section:
    """A section header that follows its section."""
    if not section.flags & _ALLOCATED:
        return section
    if section.type == NO_BITS:
        if section.address not in tail.zeros or section.flags & _THREAD_LOCAL:
            return section
        offset = tail.offset + section.address - tail.address
        return replace(section, type=_PROGBITS, offset=offset)
    for move in tail.moves:
        if move.has(section.offset, section.size):
            ahead = section.offset - move.offset
            size = move.new_size if move in tail.rebuilt else section.size
            address = move.new_address + ahead if section.address else 0
            return replace(section, offset=move.new_offset + ahead, address=address, size=size)
    return section
