"""The end of an ELF file that grows: which segment loads it, and what moves there.

A segment that ends with the file just becomes longer. One that an earlier edit made, and that
`strip` put before other things, is put at the end again, at its old addresses. Else there is a new
one, 64 KiB apart from all others, which is the largest page there is. Where there is no room for
its program header (as linkers leave it that put code right behind the headers), the segment of the
variables is put at the end, with zeros in the file for those that had none there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from builder.binary.elf.draft import Write
from builder.binary.elf.image import LOAD, Image, Section, Segment
from builder.binary.elf.slot import find_slot, no_room
from builder.binary.model import BinaryError

__all__ = ["Move", "Tail", "tail_of"]

_PAGE: Final = 0x10000
_LINE: Final = 64
_EXECUTABLE, _WRITABLE, _READABLE = 1, 2, 4
_LARGEST_CARRIED: Final = 64 << 20
_LARGEST_PAGE: Final = 16 << 20


@dataclass(frozen=True, slots=True)
class Move:
    """A stretch of the file, and where and at which address it is afterwards, how long it is then."""

    offset: int
    size: int
    address: int
    new_offset: int
    new_address: int
    new_size: int

    def has(self, offset: int, size: int) -> bool:
        """Whether all of that part of the file is in it."""
        return self.offset <= offset and 0 < size <= self.offset + self.size - offset

    def moved(self, address: int) -> int:
        """The new address of what was at an address in it; any other stays."""
        inside = self.address <= address < self.address + self.size
        return address - self.address + self.new_address if inside else address


@dataclass(slots=True)
class Tail:
    """The new end of the file while it is put together; address and offset go hand in hand.

    `carried` is moved as it is, `rebuilt` was made anew. `end` is where the segment that loads the
    tail ended before, in the file. `zeros` are addresses whose content is in the file from now on.
    """

    segments: tuple[Segment, ...]
    index: int
    offset: int
    address: int
    end: int | None
    content: bytearray = field(default_factory=bytearray)
    zeros: range = range(0)
    carried: list[Move] = field(default_factory=list)
    rebuilt: list[Move] = field(default_factory=list)

    def put(self, content: bytes, alignment: int, phase: int = 0) -> tuple[int, int]:
        """Offset and address of some bytes at the end."""
        self.content += bytes((phase - self.address - len(self.content)) % alignment)
        at = len(self.content)
        self.content += content
        return self.offset + at, self.address + at

    def redirect(self, writes: Iterable[Write]) -> Iterator[Write]:
        """Make the writes into what was carried here, and give back the others."""
        for write in writes:
            for move in self.carried:
                if move.has(write.offset, len(write.content)):
                    at = write.offset - move.offset + move.new_offset - self.offset
                    self.content[at : at + len(write.content)] = write.content
                    break
            else:
                yield write

    @property
    def moves(self) -> tuple[Move, ...]:
        """All that moves; what was made anew out of something that is carried comes first."""
        return (*self.rebuilt, *self.carried)

    def grown_segments(self, *, flags: int) -> tuple[Segment, ...]:
        """The program headers, the one for the tail as long as it is now, with more rights."""
        segment = self.segments[self.index]
        size = self.address + len(self.content) - segment.address
        segment = replace(segment, size=size, memory=size, flags=segment.flags | flags)
        return (*self.segments[: self.index], segment, *self.segments[self.index + 1 :])


def tail_of(
    image: Image, sections: tuple[Section, ...], table: range, leaving: tuple[range, ...]
) -> Tail:
    """The tail of a file whose string `table` grows; `leaving` are the parts that will be in it.

    Raises `BinaryError` when nothing can be loaded from there.
    """
    size = len(image.window.view)
    loads = [at for at, segment in enumerate(image.segments) if segment.type == LOAD]
    index = max(loads, key=lambda at: _top(image.segments[at]))
    last = image.segments[index]
    end = last.offset + last.size
    if last.size == last.memory and last.size and not last.flags & _EXECUTABLE:
        if end == size:
            return Tail(image.segments, index, size, last.address + last.size, end)
        if last.offset <= table.start and table.stop <= end and _is_carriable(image, last):
            return _carried(image, index)
    try:
        return _new(image, sections, leaving, last)
    except BinaryError:
        if last.flags & (_EXECUTABLE | _WRITABLE) == _WRITABLE and _is_carriable(image, last):
            return _carried(image, index)
        raise


def _top(segment: Segment) -> int:
    """The address behind a segment; that it is larger in the file happens to damaged ones."""
    return segment.address + max(segment.size, segment.memory)


def _is_carriable(image: Image, segment: Segment) -> bool:
    """Whether a segment is small, and has neither the program headers nor a part of another one.

    Between what is there and its new place are zeros, fewer than its alignment.
    """
    here = range(segment.offset, segment.offset + segment.size)
    others = [
        other
        for other in image.of_type(LOAD)
        if other != segment and other.offset < here.stop and here.start < other.offset + other.size
    ]
    apart = image.segment_table not in here and not others
    fits = segment.size <= segment.memory <= _LARGEST_CARRIED
    return apart and fits and segment.alignment <= _LARGEST_PAGE


def _carried(image: Image, index: int) -> Tail:
    """The last segment once more, at its old address."""
    last, size = image.segments[index], len(image.window.view)
    offset = size + (last.offset - size) % max(last.alignment, _LINE)
    segments = list(image.segments)
    segments[index] = replace(last, offset=offset)
    content = bytearray(image.window.cut(last.offset, last.size, "last segment"))
    content += bytes(last.memory - last.size)
    end = last.offset + last.size if last.size == last.memory else None
    zeros = range(last.address + last.size, last.address + last.memory)
    move = Move(last.offset, last.size, last.address, offset, last.address, last.size)
    return Tail(tuple(segments), index, offset, last.address, end, content, zeros, [move])


def _new(
    image: Image, sections: tuple[Section, ...], leaving: tuple[range, ...], last: Segment
) -> Tail:
    slot = find_slot(image, sections, leaving)
    offset = len(image.window.view) + -len(image.window.view) % _LINE
    top = _top(last)
    address = top + -top % _PAGE + offset % _PAGE
    segment = Segment(LOAD, _READABLE, offset, address, address, 0, 0, _PAGE)
    loads = [at for at, segment in enumerate(slot.segments) if segment.type == LOAD]
    index = loads[-1] + 1
    segments = (*slot.segments[:index], segment, *slot.segments[index:])
    tail = Tail(segments, index, offset, address, None)
    for run in slot.runs:
        tail.carried.append(_moved(image, tail, run))
    return tail


def _moved(image: Image, tail: Tail, run: tuple[Section, ...]) -> Move:
    """Some sections that follow each other, put at the end of the file as they are."""
    start, end = run[0], run[-1]
    if any(section.address - section.offset != start.address - start.offset for section in run):
        raise no_room("has sections whose addresses do not add up")
    size = end.offset + end.stored - start.offset
    if size > _LARGEST_CARRIED:
        raise no_room("has too much behind its program headers to move it")
    content = bytes(image.window.cut(start.offset, size, "sections"))
    alignment = max(1, *(section.alignment for section in run))
    phase = start.address % alignment
    return Move(start.offset, size, start.address, *tail.put(content, alignment, phase), size)
