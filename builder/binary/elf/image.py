"""The skeleton of an ELF file: header, segments, sections, dynamic section, addresses.

All else is found through these. Structures as in chapters 4 and 5 of the System V gABI.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from builder.binary.model import BinaryError
from builder.binary.window import Column, Window

__all__ = [
    "DYNAMIC",
    "HEADERS",
    "INTERPRETER",
    "LOAD",
    "MOVABLE",
    "NOTES",
    "NO_BITS",
    "PROPERTY",
    "Dynamic",
    "Image",
    "Layout",
    "Section",
    "Segment",
    "open_image",
]

LOAD, DYNAMIC, INTERPRETER, NOTES, HEADERS, PROPERTY = 1, 2, 3, 4, 6, 0x6474E553
"""Types of segments."""
MOVABLE: Final = frozenset({DYNAMIC, INTERPRETER, NOTES, PROPERTY, 0x70000000, 0x70000003})
"""Those that only say where something is; the last two are register information and ABI of MIPS."""
NO_BITS: Final = 8
_IDENT: Final = 16
_EXTENDED: Final = 0xFFFF
_MOST_ENTRIES: Final = 1 << 16
_MOST_SECTIONS: Final = 1 << 14
"""Of a file that is edited, and of those that are looked into."""
_LONGEST_TABLE: Final = 64 << 20
"""What is no sense in a table of names; no file may make us hold more than that in memory."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The structures of one ELF class as `struct` letters; `symbol` as columns."""

    bits: Literal[32, 64]
    word: Literal["I", "Q"]
    header: str
    segment: str
    section: str
    symbol_name: Column
    symbol_info: Column
    symbol_section: Column
    symbol_value: Column

    @property
    def symbol_size(self) -> int:
        """Bytes of one symbol."""
        return self.symbol_name.row

    @property
    def entry_size(self) -> int:
        """Bytes of one entry of the dynamic section."""
        return 2 * self.bits // 8


@dataclass(frozen=True, slots=True)
class Segment:
    """One program header. `size` is what the segment has in the file, `memory` what it is loaded to."""

    type: int
    flags: int
    offset: int
    address: int
    physical: int
    size: int
    memory: int
    alignment: int


@dataclass(frozen=True, slots=True)
class Section:
    """One section header."""

    name: int
    type: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    alignment: int
    entry: int

    @property
    def stored(self) -> int:
        """How many bytes of the file are the section."""
        return 0 if self.type == NO_BITS else self.size


@dataclass(frozen=True, slots=True)
class Dynamic:
    """The dynamic section up to its end mark, and how many entries it has room for.

    `values` has the value of each tag (the last one counts).
    """

    offset: int
    entries: tuple[tuple[int, int], ...]
    values: Mapping[int, int]
    room: int


_LAYOUTS: Final[Mapping[int, Layout]] = {
    1: Layout(
        32, "I", "HHIIIIIHHHHHH", "IIIIIIII", "IIIIIIIIII",
        Column("I", 0, 16), Column("B", 12, 16), Column("H", 14, 16), Column("I", 4, 16),
    ),
    2: Layout(
        64, "Q", "HHIQQQIHHHHHH", "IIQQQQQQ", "IIQQQQIIQQ",
        Column("I", 0, 24), Column("B", 4, 24), Column("H", 6, 24), Column("Q", 8, 24),
    ),
}  # fmt: skip
_ORDERS: Final[Mapping[int, Literal["<", ">"]]] = {1: "<", 2: ">"}


@dataclass(frozen=True, slots=True)
class Image:
    """A file whose skeleton is sound."""

    window: Window
    layout: Layout
    type: int
    machine: int
    segments: tuple[Segment, ...]
    segment_table: int
    """Where the program headers are."""
    dynamic: Dynamic
    section_table: tuple[int, int, int]
    """Offset and number of the section headers, and which of them holds their names."""

    def of_type(self, type_: int) -> tuple[Segment, ...]:
        """The segments of one type."""
        return tuple(segment for segment in self.segments if segment.type == type_)

    def offset_of(self, address: int, what: str) -> int:
        """The place in the file of an address. Raises `BinaryError` when no segment loads it."""
        for segment in self.segments:
            start = segment.address
            if segment.type == LOAD and start <= address < start + segment.size:
                return address - start + segment.offset
        raise BinaryError(f"{what}: no segment loads the address {address:#x}")

    def sections(self) -> tuple[Section, ...]:
        """All section headers, the empty first one too. Raises `BinaryError` for far too many."""
        if self.section_table[1] > _MOST_SECTIONS:
            raise BinaryError(
                f"section headers: {self.section_table[1]} are more than anybody needs"
            )
        return tuple(self.each_section())

    def each_section(self) -> Iterator[Section]:
        """The same one by one, however many there are."""
        offset, count, _ = self.section_table
        rows = self.window.rows(self.layout.section, offset, count, "section headers")
        return (Section(*row) for row in rows)

    def contents(self, names: Collection[bytes]) -> tuple[tuple[bytes, memoryview], ...]:
        """The sections with one of these names, in the order of the file, with their bytes.

        Few files have what is looked for: first of all the names are searched. Raises `BinaryError`
        for sections that overlap.
        """
        offset, count, index = self.section_table
        if not index:
            return ()
        fields = self.layout.section
        row = struct.calcsize("=" + fields)
        place = offset + index * row
        table = Section(*self.window.numbers(fields, place, "section header"))
        if table.size > _LONGEST_TABLE:
            raise BinaryError(f"section names: {table.size} bytes are more than there can be")
        strings = bytes(self.window.cut(table.offset, table.stored, "section names"))
        wanted = tuple(name + b"\0" for name in names if name + b"\0" in strings)
        if not wanted:
            return ()
        found: list[tuple[bytes, memoryview]] = []
        left = len(self.window.view)
        column = self.window.column(Column("I", 0, row), offset, count, "section headers")
        for number, name_place in enumerate(column):
            if not strings.startswith(wanted, name_place):
                continue
            header = self.window.numbers(fields, offset + number * row, "section header")
            section = Section(*header)
            content = self.window.cut(section.offset, section.stored, "section")
            name = strings[name_place : strings.index(b"\0", name_place)]
            found.append((name, content))
            left -= section.stored
            if left < 0 or len(found) > _MOST_SECTIONS:
                raise BinaryError(f"sections overlap, of which {len(found)} are `{name.decode()}`")
        return tuple(found)


def open_image(view: memoryview) -> Image:
    """The skeleton of an ELF file. Raises `BinaryError` naming what is damaged, and where."""
    layout, order = _identify(view)
    window = Window(view, order)
    header = window.numbers(layout.header, _IDENT, "ELF header")
    type_, machine, _, _, phoff, shoff, _, _, phentsize, phnum, shentsize, shnum, shstrndx = header
    segments = _segments(window, layout, phoff, phentsize, phnum)
    return Image(
        window,
        layout,
        type_,
        machine,
        segments,
        phoff,
        _dynamic(window, layout, segments),
        _section_table(window, layout, shoff, (shentsize, shnum, shstrndx)),
    )


def _identify(view: memoryview) -> tuple[Layout, Literal["<", ">"]]:
    """Class and byte order; that the magic is right was seen before."""
    ident = bytes(view[:_IDENT])
    if len(ident) < _IDENT:
        raise BinaryError(f"ELF header: the file ends after {len(ident)} bytes")
    layout, order = _LAYOUTS.get(ident[4]), _ORDERS.get(ident[5])
    if layout is None or order is None or ident[6] != 1:
        raise BinaryError(
            f"ELF header: unknown class, byte order or version ({ident[4:7].hex(' ')})"
        )
    return layout, order


def _segments(
    window: Window, layout: Layout, offset: int, size: int, count: int
) -> tuple[Segment, ...]:
    if not count:
        return ()
    if size != _size(layout.segment):
        raise BinaryError(f"ELF header: program headers of {size} bytes")
    rows = window.rows(layout.segment, offset, count, "program headers")
    if layout.bits == 32:  # noqa: PLR2004  # the flags are in another place
        return tuple(Segment(*row[:1], *row[6:7], *row[1:6], *row[7:]) for row in rows)
    return tuple(Segment(*row) for row in rows)


def _dynamic(window: Window, layout: Layout, segments: tuple[Segment, ...]) -> Dynamic:
    """The dynamic section, empty for a static program or an object file. It ends at DT_NULL."""
    segment = next((segment for segment in segments if segment.type == DYNAMIC), None)
    if segment is None:
        return Dynamic(0, (), {}, 0)
    entries: list[tuple[int, int]] = []
    room = segment.size // layout.entry_size
    for tag, value in window.rows(layout.word * 2, segment.offset, room, "dynamic section"):
        if tag == 0:
            break
        entries.append((tag, value))
        if len(entries) > _MOST_ENTRIES:
            raise BinaryError("dynamic section: more entries than anybody needs")
    return Dynamic(segment.offset, tuple(entries), dict(entries), room)


def _section_table(
    window: Window, layout: Layout, offset: int, place: tuple[int, int, int]
) -> tuple[int, int, int]:
    """Offset, number and name section; what is too large for the header is in the first section."""
    size, count, names = place
    if not offset:
        return (0, 0, 0)
    if size != _size(layout.section):
        raise BinaryError(f"ELF header: section headers of {size} bytes")
    if not count or names == _EXTENDED:
        first = Section(*window.numbers(layout.section, offset, "section header"))
        count, names = count or first.size, first.link if names == _EXTENDED else names
    window.cut(offset, count * size, "section headers")
    if names and names >= count:
        raise BinaryError(f"ELF header: section {names} of {count} has the section names")
    return (offset, count, names)


def _size(fields: str) -> int:
    return struct.calcsize("<" + fields)
