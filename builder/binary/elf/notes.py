"""Notes of an ELF file: the GNU build id, and the properties that its code was compiled for.

As in the Linux extensions to the gABI and the supplements for x86-64 and AArch64.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Final

from builder.binary.elf.image import NOTES, PROPERTY, Image
from builder.binary.window import Window

__all__ = ["build_id", "properties"]

_BUILD_ID, _PROPERTIES = 3, 5
_MOST_BYTES: Final = 1 << 20
"""Of all notes that are looked at together: no more than that says anything."""
_LEVELS: Final = ((8, "x86-64-v4"), (4, "x86-64-v3"), (2, "x86-64-v2"))
_X86: Final = frozenset({3, 62})
_AARCH64: Final = 183
_X86_LEVEL, _X86_FEATURES, _AARCH64_FEATURES = 0xC0008002, 0xC0000002, 0xC0000000
_FEATURES: Final[Mapping[int, tuple[tuple[int, str], ...]]] = {
    _X86_FEATURES: ((1, "ibt"), (2, "shstk")),
    _AARCH64_FEATURES: ((1, "bti"), (2, "pac")),
}


def build_id(image: Image) -> str:
    """The GNU build id as hex digits."""
    return next((note.hex() for note in _notes(image, NOTES, _BUILD_ID)), "")


def properties(image: Image) -> tuple[str, ...]:
    """What the code needs or was made for, sorted: of the levels of x86-64 only the highest."""
    found: set[str] = set()
    where = PROPERTY if image.of_type(PROPERTY) else NOTES
    for note in _notes(image, where, _PROPERTIES):
        for type_, bits in _pairs(note, image):
            if image.machine in _X86 and type_ == _X86_LEVEL:
                found.update([name for bit, name in _LEVELS if bits & bit][:1])
            elif image.machine == _AARCH64 if type_ == _AARCH64_FEATURES else image.machine in _X86:
                found.update(name for bit, name in _FEATURES.get(type_, ()) if bits & bit)
    return tuple(sorted(found))


def _pairs(note: bytes, image: Image) -> Iterator[tuple[int, int]]:
    """The properties of one note that are a word of 32 bits."""
    order, unit, place = image.window.order, image.layout.bits // 8, 0
    while place + 12 <= len(note):
        type_, size, word = struct.unpack_from(order + "III", note, place)
        if size == 4:  # noqa: PLR2004  # bytes of a word
            yield type_, word
        place += 8 + size + -size % unit


def _notes(image: Image, segments: int, wanted: int) -> Iterator[bytes]:
    """The GNU notes of one type.

    Notes are for people and some tools leave stale ones behind: one that does not add up only ends
    the search, and so does a file that has far too many.
    """
    left = _MOST_BYTES
    for segment in image.of_type(segments):
        notes = Window(image.window.cut(segment.offset, segment.size, "notes"), image.window.order)
        unit = 8 if segment.alignment == 8 else 4  # noqa: PLR2004  # the two alignments there are
        place = 0
        while place + 12 <= segment.size:
            name_size, size, type_ = notes.numbers("III", place, "note")
            start = place + 12 + name_size
            start += -start % unit
            left -= start + size - place
            if start + size > segment.size or left < 0:
                break
            if type_ == wanted and bytes(notes.view[place + 12 : place + 16]) == b"GNU\0":
                yield bytes(notes.view[start : start + size])
            place = start + size + -(start + size) % unit
