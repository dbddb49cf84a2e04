"""The skeleton of a PE file: headers, data directories, sections, relative virtual addresses.

All else is found through these. Structures as in Microsoft's "PE Format"; where that leaves open
what a field means, as the loader of Windows takes it.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from builder.binary.model import BinaryError
from builder.binary.window import Window

__all__ = ["Directory", "Image", "Section", "Texts", "aligned", "open_image"]

_DOS_HEADER: Final = 64
_OFFSET_OF_HEADER: Final = 0x3C
_COFF_HEADER: Final = "HH12xHH"
_COFF_HEADER_SIZE: Final = 20
_SECTION: Final = "8sIIII12xI"
_SECTION_SIZE: Final = 40
_MOST_DIRECTORIES: Final = 16
_PAGE: Final = 0x1000
_SECTOR: Final = 0x200
_LONGEST_TEXT: Final = 0x10000
_MOST_TEXT: Final = 1 << 26
"""All names of one file together: a hundred times those of the largest known."""
_OTHERS: Final[Mapping[bytes, str]] = {
    b"!<arch>\n": "an archive of objects (`.lib`, `.a`): an import library or a static one",
    b"\0\0\xff\xff": "an entry of an import library, or an object of link-time code generation",
    b"\x4c\x01": "a COFF object of win32",
    b"\x64\x86": "a COFF object of amd64",
    b"\x64\xaa": "a COFF object of arm64",
    b"\x41\xa6": "a COFF object of arm64ec",
}


class Directory:
    """Which data directory is which."""

    EXPORT: Final = 0
    IMPORT: Final = 1
    CERTIFICATE: Final = 4
    DEBUG: Final = 6
    LOAD_CONFIG: Final = 10
    BOUND_IMPORT: Final = 11
    DELAY_IMPORT: Final = 13


@dataclass(frozen=True, slots=True)
class _Layout:
    """One kind of optional header: its fields as `struct` letters, and the place of directories.

    Fields: image base, section and file alignment, version of the subsystem, size of the image and
    of the headers, checksum, characteristics of a DLL, number of data directories.
    """

    bits: Literal[32, 64]
    header: str
    directories: int


_LAYOUTS: Final[Mapping[int, _Layout]] = {
    0x10B: _Layout(32, "28xIII8xHH4xIII2xH20xI", 96),
    0x20B: _Layout(64, "24xQII8xHH4xIII2xH36xI", 112),
}


@dataclass(frozen=True, slots=True)
class Section:
    """One section: `size` in memory, `start` and `stored` in the file, `header` is its place."""

    header: int
    name: bytes
    size: int
    address: int
    stored: int
    start: int
    flags: int


@dataclass(frozen=True, slots=True)
class Image:
    """A file whose skeleton is sound.

    `coff` and `optional` are the places of the two headers, `section_table` where the section
    headers begin; `directories` are pairs of address and size. Sections ascend by address.
    """

    window: Window
    layout: _Layout
    coff: int
    optional: int
    section_table: int
    machine: int
    characteristics: int
    base: int
    section_alignment: int
    file_alignment: int
    subsystem_version: tuple[int, int]
    size: int
    header_size: int
    checksum: int
    dll_characteristics: int
    directories: tuple[tuple[int, int], ...]
    sections: tuple[Section, ...]
    _addresses: tuple[int, ...] = field(repr=False)

    def directory(self, which: int) -> tuple[int, int]:
        """Address and size of a table; zeros when there is none."""
        return self.directories[which] if which < len(self.directories) else (0, 0)

    def directory_entry(self, which: int) -> int:
        """The place in the file of a directory's address and size."""
        return self.optional + self.layout.directories + 8 * which

    def stretch(self, address: int, what: str) -> tuple[int, int]:
        """The place in the file of an address, and how many bytes of its section follow there.

        Raises `BinaryError` when the address has no bytes in the file.
        """
        index = bisect_right(self._addresses, address) - 1
        if index < 0:
            start, extent, delta = 0, min(self.header_size, self._lowest), address
        else:
            section = self.sections[index]
            memory = aligned(section.size or section.stored, self.section_alignment)
            start, extent = section.start, min(section.stored, memory)
            delta = address - section.address
        left = min(extent - delta, len(self.window.view) - start - delta)
        if left <= 0 or address < 0:
            raise BinaryError(f"{what}: no section has bytes of the address {address:#x}")
        return start + delta, left

    def place(self, address: int, size: int, what: str) -> int:
        """The place in the file of `size` bytes. Raises `BinaryError` unless all are there."""
        offset, left = self.stretch(address, what)
        if size > left:
            raise BinaryError(f"{what}: {size} bytes at {address:#x} reach out of their section")
        return offset

    def numbers(self, fields: str, address: int, size: int, what: str) -> tuple[int, ...]:
        """The fields of one structure of `size` bytes at an address."""
        return self.window.numbers(fields, self.place(address, size, what), what)

    @property
    def section_table_end(self) -> int:
        """Where one more section header would be."""
        return self.section_table + _SECTION_SIZE * len(self.sections)

    @property
    def _lowest(self) -> int:
        """The address of the first section."""
        return self._addresses[0] if self._addresses else self.header_size


@dataclass(slots=True)
class Texts:
    """Zero-terminated texts of an image by address; all of them together only so many bytes."""

    image: Image
    left: int = _MOST_TEXT
    _chunk: bytes = b""
    _start: int = 0
    """What was read last, for most names stand one after another, and its address."""

    def at(self, address: int, what: str) -> bytes:
        """The text without its zero. Raises `BinaryError`."""
        place = address - self._start
        end = self._chunk.find(b"\0", place) if place >= 0 else -1
        if end < 0:
            self._load(address, what)
            place, end = 0, self._chunk.find(b"\0")
        self.left -= end - place
        if self.left < 0:
            raise BinaryError(f"{what} at {address:#x}: the names overlap beyond reason")
        return self._chunk[place:end]

    def _load(self, address: int, what: str) -> None:
        """Read on from an address: as far as it takes to find the end of the text there."""
        offset, left = self.image.stretch(address, what)
        for size in (_PAGE, _LONGEST_TEXT):
            self._chunk = bytes(self.image.window.view[offset : offset + min(size, left)])
            self._start = address
            if b"\0" in self._chunk:
                return
        raise BinaryError(f"{what} at {address:#x} has no end")


def aligned(number: int, unit: int) -> int:
    """The next multiple of `unit`, a power of two."""
    return number + -number % unit if unit else number


def open_image(view: memoryview) -> Image:
    """Read the skeleton. Raises `BinaryError`."""
    window = Window(view, "<")
    coff = _coff_header(window)
    machine, count, optional_size, characteristics = window.numbers(
        _COFF_HEADER, coff, "COFF header"
    )
    optional = coff + _COFF_HEADER_SIZE
    magic = window.numbers("H", optional, "optional header")[0]
    layout = _LAYOUTS.get(magic)
    if layout is None:
        raise BinaryError(f"optional header: {magic:#x} is neither PE32 nor PE32+")
    (base, section_alignment, file_alignment, major, minor, size, header_size, checksum, flags,
     directories) = window.numbers(layout.header, optional, "optional header")  # fmt: skip
    for unit in (section_alignment, file_alignment):
        if not unit or unit & (unit - 1):
            raise BinaryError(f"optional header: an alignment of {unit} is no power of two")
    table = window.rows(
        "II",
        optional + layout.directories,
        min(directories, _MOST_DIRECTORIES),
        "data directories",
    )
    section_table = optional + optional_size
    sections = _sections(window, section_table, count, section_alignment)
    return Image(
        window=window,
        layout=layout,
        coff=coff,
        optional=optional,
        section_table=section_table,
        machine=machine,
        characteristics=characteristics,
        base=base,
        section_alignment=section_alignment,
        file_alignment=file_alignment,
        subsystem_version=(major, minor),
        size=size,
        header_size=header_size,
        checksum=checksum,
        dll_characteristics=flags,
        directories=tuple((address, extent) for address, extent in table),
        sections=sections,
        _addresses=tuple(section.address for section in sections),
    )


def _coff_header(window: Window) -> int:
    """Its place. Whatever else begins with `MZ` or goes by the name of a library is named."""
    head = bytes(window.view[:8])
    for start, name in _OTHERS.items():
        if head.startswith(start):
            raise BinaryError(
                f"is {name}, not a PE file", hint="give the DLL, `.pyd` or program it belongs to"
            )
    if not head.startswith(b"MZ"):
        raise BinaryError("is no PE file: it does not begin with `MZ`")
    window.cut(0, _DOS_HEADER, "DOS header")
    header = window.numbers("I", _OFFSET_OF_HEADER, "DOS header")[0]
    if bytes(window.view[header : header + 4]) != b"PE\0\0":
        raise BinaryError(f"is a DOS program or damaged: no PE header at {header:#x}")
    return header + 4


def _sections(window: Window, start: int, count: int, alignment: int) -> tuple[Section, ...]:
    """The sections, which a loader wants in the order of their addresses."""
    cut = bytes(window.cut(start, _SECTION_SIZE * count, "section table"))
    found: list[Section] = []
    for index, row in enumerate(struct.iter_unpack("<" + _SECTION, cut)):
        name, size, address, stored, offset, flags = row
        if found and address <= found[-1].address:
            raise BinaryError(f"section {index}: its address {address:#x} is not above the last")
        # With whole pages, the loader reads whole sectors.
        begin = offset & -_SECTOR if alignment >= _PAGE else offset
        header = start + _SECTION_SIZE * index
        found.append(Section(header, name.rstrip(b"\0"), size, address, stored, begin, flags))
    return tuple(found)
