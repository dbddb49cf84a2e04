"""The skeleton of an ELF file: header, segments, sections, dynamic section, addresses.

All else is found through these. Structures as in chapters 4 and 5 of the System V gABI.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from builder.binary.model import BinaryError
from builder.binary.window import Window

__all__ = ["Dynamic", "Image", "Section", "Segment", "open_image"]

_IDENT: Final = 16
_LOAD: Final = 1
_DYNAMIC: Final = 2
_NO_BITS: Final = 8
_EXTENDED: Final = 0xFFFF


@dataclass(frozen=True, slots=True)
class Layout:
    """The structures of one ELF class as `struct` letters, without the fields that nobody reads."""

    bits: Literal[32, 64]
    word: Literal["I", "Q"]
    header: str
    segment: str
    section: str
    symbol: str
    symbol_size: int


@dataclass(frozen=True, slots=True)
class Segment:
    """One program header."""

    type: int
    flags: int
    offset: int
    address: int
    size: int
    alignment: int


@dataclass(frozen=True, slots=True)
class Section:
    """One section header. `size` is what the section has in the file."""

    name: int
    type: int
    address: int
    offset: int
    size: int
    link: int


@dataclass(frozen=True, slots=True)
class Dynamic:
    """The dynamic section: the value of each tag (the last one counts), and every DT_NEEDED."""

    values: Mapping[int, int]
    needed: tuple[int, ...]


# symbol: name, info, section; section: name, type, address, offset, size, link
_LAYOUTS: Final[Mapping[int, Layout]] = {
    1: Layout(32, "I", "HHIIIIIHHHHHH", "IIIIIIII", "II4xIIII12x", "I8xBxH", 16),
    2: Layout(64, "Q", "HHIQQQIHHHHHH", "IIQQQQQQ", "II8xQQQI20x", "IBxH16x", 24),
}
_ORDERS: Final[Mapping[int, Literal["<", ">"]]] = {1: "<", 2: ">"}


@dataclass(frozen=True, slots=True)
class Image:
    """A file whose skeleton is sound."""

    window: Window
    layout: Layout
    type: int
    machine: int
    segments: tuple[Segment, ...]
    dynamic: Dynamic
    section_table: tuple[int, int, int]
    """Offset and number of the section headers, and which of them holds their names."""

    def offset_of(self, address: int, what: str) -> int:
        """The place in the file of an address. Raises `BinaryError` when no segment loads it."""
        for segment in self.segments:
            start = segment.address
            if segment.type == _LOAD and start <= address < start + segment.size:
                return address - start + segment.offset
        raise BinaryError(f"{what}: no segment loads the address {address:#x}")

    def sections(self) -> tuple[Section, ...]:
        """All section headers, the empty first one too."""
        offset, count, _ = self.section_table
        return tuple(
            Section(name, type_, address, place, 0 if type_ == _NO_BITS else size, link)
            for name, type_, address, place, size, link in self.window.rows(
                self.layout.section, offset, count, "section headers"
            )
        )

    def contents(self, names: Collection[bytes]) -> tuple[memoryview, ...]:
        """The bytes of the sections with one of these names."""
        sections = self.sections()
        index = self.section_table[2]
        if not index:
            return ()
        table = sections[index]
        texts = bytes(self.window.cut(table.offset, table.size, "section names"))
        wanted = tuple(name + b"\0" for name in names)
        return tuple(
            self.window.cut(section.offset, section.size, "section")
            for section in sections
            if texts.startswith(wanted, section.name)
        )


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
        return tuple(
            Segment(type_, flags, place, address, length, alignment)
            for type_, place, address, _, length, _, flags, alignment in rows
        )
    return tuple(
        Segment(type_, flags, place, address, length, alignment)
        for type_, flags, place, address, _, length, _, alignment in rows
    )


def _dynamic(window: Window, layout: Layout, segments: tuple[Segment, ...]) -> Dynamic:
    """The dynamic section, empty for a static program or an object file. It ends at DT_NULL."""
    values: dict[int, int] = {}
    needed: list[int] = []
    segment = next((segment for segment in segments if segment.type == _DYNAMIC), None)
    if segment is not None:
        fields = layout.word * 2
        count = segment.size // _size(fields)
        for tag, value in window.rows(fields, segment.offset, count, "dynamic section"):
            if tag == 0:
                break
            if tag == 1:
                needed.append(value)
            values[tag] = value
    return Dynamic(values, tuple(needed))


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
        _, _, _, _, many, link = window.numbers(layout.section, offset, "section header")
        count, names = count or many, link if names == _EXTENDED else names
    window.cut(offset, count * size, "section headers")
    if names and names >= count:
        raise BinaryError(f"ELF header: section {names} of {count} has the section names")
    return (offset, count, names)


def _size(fields: str) -> int:
    return struct.calcsize("<" + fields)
