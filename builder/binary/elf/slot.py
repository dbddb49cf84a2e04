"""Room for one more program header, which has to stand with the others behind the ELF header.

There alone all loaders and tools find it. Best is an entry that is free or of no use; else the small
tables that follow the program headers are moved out of the way.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from builder.binary.elf import tags
from builder.binary.elf.image import (
    HEADERS,
    INTERPRETER,
    LOAD,
    MOVABLE,
    Image,
    Section,
    Segment,
)
from builder.binary.model import BinaryError

__all__ = ["Slot", "find_slot", "no_room"]

_LIBRARY: Final = 3
_PIE: Final = 0x08000000
_MOST_SEGMENTS: Final = 0xFFFE
_ALLOCATED: Final = 2
_PROGBITS: Final = 1
_MOVABLE_SECTIONS: Final = frozenset(
    {5, 7, 11, 0x6FFFFFF6, 0x6FFFFFFD, 0x6FFFFFFE, 0x6FFFFFFF, 0x70000006, 0x7000002A}
)
"""Hash tables, notes, dynamic symbols, versions; register information and ABI flags of MIPS."""
_FILLINGS: Final = (b"\0", b"X", b"Z")
"""What is between sections: zeros, or what patchelf puts where something was."""
_LARGEST_ALIGNMENT: Final = 4096
_LARGEST_COMPANION: Final = 0x10000
_NOTES: Final = 7


@dataclass(frozen=True, slots=True)
class Slot:
    """The program headers to which one can be added, and runs of sections that must move for that."""

    segments: tuple[Segment, ...]
    runs: tuple[tuple[Section, ...], ...]


def find_slot(image: Image, sections: Sequence[Section], leaving: Sequence[range]) -> Slot:
    """Room for a program header. `leaving` are the parts of the file that will move in any case.

    Raises `BinaryError` when there is none.
    """
    slot = _spare_slot(image, sections, leaving) or _made_slot(image, sections, leaving)
    companion = None if slot.runs else _companion(image, sections)
    return replace(slot, runs=((companion,),)) if companion is not None else slot


def _spare_slot(image: Image, sections: Sequence[Section], leaving: Sequence[range]) -> Slot | None:
    segments = image.segments
    for spare in segments:
        if _is_spare(image, spare) or _is_left(image, spare, sections, leaving):
            return Slot(tuple(segment for segment in segments if segment is not spare), ())
    return None


def _is_spare(image: Image, segment: Segment) -> bool:
    """An empty entry; or the one that says where a library has its program headers.

    Only of a program somebody asks that.
    """
    flags = image.dynamic.values.get(tags.FLAGS_1, 0)
    is_library = image.type == _LIBRARY and not image.of_type(INTERPRETER) and not flags & _PIE
    return segment.type == 0 or (is_library and segment.type == HEADERS)


def _is_left(
    image: Image, segment: Segment, sections: Sequence[Section], leaving: Sequence[range]
) -> bool:
    """Whether all that a segment loads will move.

    It must not stay: `strip` would leave an entry for nothing, at which the loader stumbles.
    """
    if segment.type != LOAD or _holds(segment, image.segment_table, 1):
        return False
    loaded = [one for one in sections if one.stored and _holds(segment, one.offset, one.stored)]
    return bool(loaded) and all(
        any(section.offset in place for place in leaving) for section in loaded
    )


def _made_slot(image: Image, sections: Sequence[Section], leaving: Sequence[range]) -> Slot:
    segments = image.segments
    if len(segments) >= _MOST_SEGMENTS:
        raise no_room("has as many program headers as there can be")
    size = struct.calcsize("=" + image.layout.segment)
    end = image.segment_table + len(segments) * size
    if not image.section_table[1]:
        raise no_room("has no section headers that tell what follows its program headers")
    if not any(_holds(segment, end, size) for segment in image.of_type(LOAD)):
        raise no_room("loads nothing behind its program headers")
    return Slot(segments, _displaced(image, sections, range(end, end + size), leaving))


def _companion(image: Image, sections: Sequence[Section]) -> Section | None:
    """A small section that goes along with the string table, best none that core dumps are told by.

    Should another tool move the string table once more, `strip` would leave a segment without a
    section as an entry for nothing, at which the loader stumbles.
    """
    fitting = (
        (at, section)
        for at, section in enumerate(sections)
        if section.flags & _ALLOCATED
        and 0 < section.stored <= _LARGEST_COMPANION
        and _is_movable(image, section)
        and all(
            section.offset <= segment.offset
            and segment.offset + segment.size <= section.offset + section.stored
            for segment in _described(image, section)
        )
    )
    ranked = ((section.type == _NOTES, section.stored, at, section) for at, section in fitting)
    return min(ranked, default=(None,))[-1]


def _holds(segment: Segment, offset: int, size: int) -> bool:
    return segment.offset <= offset and offset + size <= segment.offset + segment.size


def _displaced(
    image: Image, sections: Sequence[Section], wanted: range, leaving: Sequence[range]
) -> tuple[tuple[Section, ...], ...]:
    """The sections in the wanted place, and those that have to stay with them, as runs."""
    runs: list[list[Section]] = [[]]
    reach, done = wanted.stop, wanted.start
    for section in _following(sections, wanted.start):
        if section.offset >= reach:
            break
        if section.offset < done:
            raise no_room("has sections that overlap")
        _check_filling(image, done, section.offset)
        done = section.offset + section.stored
        if any(section.offset in place for place in leaving):
            runs.append([])
            continue
        if not _is_movable(image, section):
            raise no_room("has no room for another program header")
        runs[-1].append(section)
        # What one segment describes stays in one piece.
        ends = [segment.offset + segment.size for segment in _described(image, section)]
        reach = max(reach, *ends, 0)
    _check_filling(image, done, wanted.stop)
    if wanted.start <= image.section_table[0] < wanted.stop:
        raise no_room("has its section headers right behind the program headers")
    return tuple(tuple(run) for run in runs if run)


def _following(sections: Sequence[Section], start: int) -> list[Section]:
    """The loaded sections behind a place of the file, in its order."""
    loaded = (section for section in sections if section.stored and section.flags & _ALLOCATED)
    found = (section for section in loaded if section.offset + section.stored > start)
    return sorted(found, key=lambda section: section.offset)


def _described(image: Image, section: Section) -> list[Segment]:
    end = section.offset + section.stored
    return [
        segment
        for segment in image.segments
        if segment.type in MOVABLE
        and segment.offset < end
        and section.offset < segment.offset + segment.size
    ]


def _check_filling(image: Image, start: int, end: int) -> None:
    """Between sections there is nothing."""
    if start < end:
        content = bytes(image.window.cut(start, end - start, "program headers"))
        if not any(content == filling * len(content) for filling in _FILLINGS):
            raise no_room("has something unknown behind its program headers")


def _is_movable(image: Image, section: Section) -> bool:
    """Whether a section is one of those that all who look for it find by an address we can change."""
    if image.offset_of(section.address, "section") != section.offset:
        return False
    if section.alignment > _LARGEST_ALIGNMENT or section.alignment & (section.alignment - 1):
        return False
    return section.type in _MOVABLE_SECTIONS or (
        section.type == _PROGBITS
        and any(
            (segment.offset, segment.size) == (section.offset, section.size)
            for segment in image.of_type(INTERPRETER)
        )
    )


def no_room(reason: str) -> BinaryError:
    """The error of a file that cannot grow, with what helps."""
    return BinaryError(
        f"has no room for longer names, and cannot grow: it {reason}",
        hint="link it with a search path of many slashes at its end (`-Wl,-rpath,'$ORIGIN////…'`), "
        "which are room for later edits, or choose names that are no longer than the old ones",
    )
