"""Names of libraries in the strings of an ELF file: what `dlopen` may be called with."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING

from builder.binary import Binary, BinaryError

if TYPE_CHECKING:
    from builder.binary.elf.image import Section

__all__ = ["opens_by_name", "spoken"]

_OPENERS = frozenset({"dlopen", "dlmopen"})
_MARK = b".so"
_WINDOW = 4 << 20
_LONGEST = 256

Read = Callable[[int, int], bytes]


def opens_by_name(binary: Binary) -> bool:
    """Whether a binary is able to open a library by its name."""
    return binary.format == "elf" and not _OPENERS.isdisjoint(binary.undefined)


def spoken(view: memoryview, read: Read, names: Collection[str]) -> frozenset[str]:
    """Those of the names that are strings of their own in the constants of an ELF file.

    `read` gives bytes from a place on; through it large parts are passed over. A file without
    sections speaks no name.
    """
    wanted = {name.encode(): name for name in names}
    found: set[str] = set()
    try:
        ranges = list(_constants(view))
    except BinaryError:
        return frozenset()
    for start, size in ranges:
        for place in range(start, start + size, _WINDOW):
            # The zero in front of the first string may be the byte before the section.
            length = min(_WINDOW + _LONGEST, start + size - place) + 1
            window = b"\0" + read(place, length) if place == start else read(place - 1, length + 1)
            found.update(wanted[text] for text in _strings(window) if text in wanted)
    return frozenset(found)


def _strings(window: bytes) -> Iterator[bytes]:
    """Every string that has the mark of a library in it and ends in the window."""
    place = window.find(_MARK)
    while place >= 0:
        end = window.find(b"\0", place, place + _LONGEST)
        start = window.rfind(b"\0", max(0, place - _LONGEST), place)
        if end >= 0 and start >= 0:
            yield window[start + 1 : end]
        place = window.find(_MARK, place + 1)


def _constants(view: memoryview) -> Iterator[tuple[int, int]]:
    """Offset and size of the sections with constants."""
    from builder.binary.elf.image import open_image  # noqa: PLC0415  # seldom asked for

    image = open_image(view)
    sections = image.sections()
    index = image.section_table[2]
    if not 0 < index < len(sections):
        return
    table = sections[index]
    names = image.window.cut(table.offset, table.stored, "section names")
    for section in sections:
        if _is_constant(section, bytes(names[section.name : section.name + 8])):
            image.window.cut(section.offset, section.stored, "constants")
            yield section.offset, section.stored


def _is_constant(section: Section, name: bytes) -> bool:
    return section.stored > 0 and (name.startswith((b".rodata", b".lrodata")))
