"""What is to be written where, turned into a patch of only the bytes that differ."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass

from builder.binary.elf.image import Image, Section, Segment
from builder.binary.model import BinaryError
from builder.patch import Patch

__all__ = [
    "Write",
    "has_room",
    "packed",
    "packed_entries",
    "packed_segment",
    "patch_of",
    "section_writes",
]

_BLOCK = 4096


@dataclass(frozen=True, slots=True, order=True)
class Write:
    """New bytes at a place of the file."""

    offset: int
    content: bytes

    @property
    def end(self) -> int:
        """The place behind them."""
        return self.offset + len(self.content)


def packed(image: Image, fields: str, *values: int) -> bytes:
    """Numbers as the file writes them."""
    try:
        return struct.pack(image.window.order + fields, *values)
    except struct.error as error:
        raise BinaryError(
            f"a number does not fit into a file of {image.layout.bits} bits",
            hint="the file cannot become any larger: link it anew",
        ) from error


def packed_segment(image: Image, segment: Segment) -> bytes:
    """A program header as the file writes it."""
    type_, flags, *places, alignment = astuple(segment)
    if image.layout.bits == 32:  # noqa: PLR2004  # the flags are in another place
        return packed(image, image.layout.segment, type_, *places, flags, alignment)
    return packed(image, image.layout.segment, type_, flags, *places, alignment)


def has_room(image: Image, entries: Sequence[object]) -> bool:
    """Whether the dynamic section can have these entries, and an end mark if it has one now."""
    dynamic = image.dynamic
    return len(entries) < dynamic.room or len(entries) <= len(dynamic.entries)


def packed_entries(image: Image, entries: Sequence[tuple[int, int]]) -> bytes:
    """The dynamic section as the file writes it, with end marks up to where it ended before."""
    ends = max(len(image.dynamic.entries) + 1 - len(entries), 1)
    room = max(image.dynamic.room, len(entries))
    rows = [*entries, *[(0, 0)] * ends][:room]
    return packed(image, image.layout.word * 2 * len(rows), *(word for row in rows for word in row))


def section_writes(image: Image, sections: tuple[Section, ...]) -> Iterator[Write]:
    """The section headers that differ from those in the file."""
    fields, start = image.layout.section, image.section_table[0]
    size = struct.calcsize("=" + fields)
    for number, (old, new) in enumerate(zip(image.sections(), sections, strict=True)):
        if old != new:
            yield Write(start + number * size, packed(image, fields, *astuple(new)))


def patch_of(view: memoryview, writes: Iterable[Write], size: int) -> Patch:
    """The patch that makes all writes. Raises `BinaryError` when two are for the same place."""
    pieces: list[tuple[int, bytes]] = []
    end = 0
    for write in sorted(write for write in writes if write.content):
        if write.offset < end:
            raise BinaryError(f"tables of the file overlap at {write.offset:#x}")
        end = write.end
        old = view[write.offset : write.end]
        pieces.extend(
            (write.offset + start, write.content[start:stop])
            for start, stop in _differing(old, write.content)
        )
    return Patch(size, tuple(pieces))


def _differing(old: memoryview, new: bytes) -> Iterator[tuple[int, int]]:
    """The stretches of `new` that differ from `old`, which may be shorter: to the byte at the ends."""
    start = stop = -1
    for place in range(0, len(new), _BLOCK):
        end = min(place + _BLOCK, len(new))
        if end <= len(old) and old[place:end] == new[place:end]:
            continue
        if stop != place:
            if start >= 0:
                yield _trimmed(old, new, start, stop)
            start = place
        stop = end
    if start >= 0:
        yield _trimmed(old, new, start, stop)


def _trimmed(old: memoryview, new: bytes, start: int, stop: int) -> tuple[int, int]:
    while start < min(stop, len(old)) and old[start] == new[start]:
        start += 1
    while start < stop <= len(old) and old[stop - 1] == new[stop - 1]:
        stop -= 1
    return start, stop
