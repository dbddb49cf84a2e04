"""Where new names go in a PE file: the padding of a section, else a section of their own.

Nothing in the file moves. A section's padding is what the file stores of it beyond its size in
memory: making the section larger by some of it changes no address.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final

from builder.binary.model import BinaryError
from builder.binary.pe.image import Directory, Image, Section, aligned

__all__ = ["Room", "find_room"]

_CODE, _DATA, _NO_DATA = 0x20, 0x40, 0x80
_DISCARDABLE, _SHARED, _EXECUTE, _READ, _WRITE = (1 << bit for bit in (25, 28, 29, 30, 31))
_UNFIT: Final = _CODE | _NO_DATA | _DISCARDABLE | _SHARED | _EXECUTE
_REWRITTEN: Final = b".rsrc"
"""Editors of resources write this section anew and know nothing of names in it."""
_GAP: Final = 4
"""At least one byte stays zero behind what a section has, in case that it counts on it."""
_NAME: Final = b".imports"
_HEADER: Final = "<8sIIII12xI"
_HEADER_SIZE: Final = 40
_PAGE, _SECTOR, _LARGEST_UNIT = 0x1000, 0x200, 0x10000
_SIZE_IN_MEMORY: Final = 8
_SECTION_COUNT: Final = 2
_MOST_SECTIONS: Final = 0xFFFF
_INITIALIZED_DATA, _IMAGE_SIZE = 8, 56
_HINT: Final = "keep the old name, or take one that is not longer"


@dataclass(frozen=True, slots=True)
class Room:
    """The address of each name, the bytes that put them there, and the file's new size."""

    addresses: Mapping[bytes, int]
    changes: tuple[tuple[int, bytes], ...]
    size: int


def find_room(image: Image, names: Iterable[bytes], size: int) -> Room:
    """Places for some names in a file that ends at `size`: the first ones choose first.

    Raises `BinaryError` when there is none.
    """
    left = tuple(dict.fromkeys(names))
    addresses: dict[bytes, int] = {}
    changes: list[tuple[int, bytes]] = []
    end = image.size
    for section, limit in _paddings(image, size):
        begin = aligned(section.size + 1, _GAP)
        taken, content = _packed(left, limit - begin)
        memory = begin + len(content)
        beyond = image.window.view[section.start + section.size : section.start + memory]
        reach = aligned(section.address + memory, image.section_alignment)
        if not taken or any(beyond) or reach >= 1 << 32:
            continue
        addresses.update((name, section.address + begin + at) for name, at in taken.items())
        changes.append((section.start + begin, content))
        changes.append((section.header + _SIZE_IN_MEMORY, struct.pack("<I", memory)))
        end = max(end, reach)
        left = tuple(name for name in left if name not in taken)
    if left:
        return _with_section(image, left, Room(addresses, tuple(changes), size))
    if end != image.size:
        changes.append((image.optional + _IMAGE_SIZE, struct.pack("<I", end)))
    return Room(addresses, tuple(changes), size)


def _packed(names: Iterable[bytes], room: int) -> tuple[dict[bytes, int], bytes]:
    """Those of the names that fit, with their places, and the bytes that they make up."""
    taken: dict[bytes, int] = {}
    content = b""
    for name in names:
        if len(content) + len(name) + 1 <= room:
            taken[name] = len(content)
            content += name + b"\0"
    return taken, content


def _paddings(image: Image, size: int) -> Iterator[tuple[Section, int]]:
    """The sections that may grow and how far, counted from their beginning.

    First the one with the exports, whose name should be near them; then the others, read-only ones
    first.
    """
    exports = image.directory(Directory.EXPORT)[0]
    found = []
    following = [section.address for section in image.sections[1:]]
    for section, after in zip_longest(image.sections, following):
        limit = min(section.stored, size - section.start)
        if after is not None:
            limit = min(limit, after - section.address)
        usable = section.flags & (_DATA | _READ | _UNFIT) == _DATA | _READ
        if usable and 0 < section.size < limit and section.name != _REWRITTEN:
            near = 0 <= exports - section.address < section.size
            found.append((not near, bool(section.flags & _WRITE), section.address, section, limit))
    for *_, section, limit in sorted(found):
        yield section, limit


def _with_section(image: Image, names: Sequence[bytes], room: Room) -> Room:
    """Add a section with these names, behind all that is in the file."""
    unit = max(image.file_alignment, _SECTOR)
    if image.section_alignment < _PAGE or unit > _LARGEST_UNIT or not image.sections:
        raise BinaryError(
            "has no room for a longer name, and cannot get one more section", hint=_HINT
        )
    header = _header_place(image)
    last = image.sections[-1]
    address = aligned(last.address + (last.size or last.stored), image.section_alignment)
    taken, content = _packed(names, _LARGEST_UNIT)
    start = aligned(room.size, unit)
    stored = aligned(len(content), unit)
    end = aligned(address + len(content), image.section_alignment)
    if len(taken) < len(names) or end >= 1 << 32 or start + stored >= 1 << 32:
        raise BinaryError("has no room for one more section", hint=_HINT)
    data = image.window.numbers("I", image.optional + _INITIALIZED_DATA, "optional header")[0]
    new = struct.pack(_HEADER, _NAME, len(content), address, stored, start, _DATA | _READ)
    changes = (
        (header, new),
        (image.coff + _SECTION_COUNT, struct.pack("<H", len(image.sections) + 1)),
        (image.optional + _INITIALIZED_DATA, struct.pack("<I", (data + stored) & 0xFFFFFFFF)),
        (image.optional + _IMAGE_SIZE, struct.pack("<I", end)),
        # With zeros around: a certificate may have been there.
        (room.size, bytes(start - room.size) + content.ljust(stored, b"\0")),
    )
    addresses = {name: address + at for name, at in taken.items()}
    return Room({**room.addresses, **addresses}, (*room.changes, *changes), start + stored)


def _header_place(image: Image) -> int:
    """Where one more section header goes. Raises `BinaryError` when something else is there."""
    place = image.section_table_end
    stored = (section.start for section in image.sections if section.stored)
    limit = min(image.header_size, *stored, len(image.window.view))
    start, size = image.directory(Directory.BOUND_IMPORT)
    bound = range(start, start + size)  # which an edit makes void
    free = image.window.view[place : place + _HEADER_SIZE]
    taken = any(byte and place + at not in bound for at, byte in enumerate(free))
    if place + _HEADER_SIZE > limit or taken or len(image.sections) >= _MOST_SECTIONS:
        raise BinaryError(
            "has no room for a longer name: no section has padding, and the headers are full",
            hint=_HINT,
        )
    return place
