"""The version needs of libraries that are needed no more, taken out of their chain."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import zip_longest

from builder.binary.elf import tags
from builder.binary.elf.draft import Write, packed
from builder.binary.elf.image import Image, Section
from builder.binary.elf.symbols import symbols_of
from builder.binary.elf.versions import HIDDEN, Need
from builder.binary.window import Column

__all__ = ["Without", "without_needs"]

_PROGBITS, _VERNEED, _VERSYM = 1, 0x6FFFFFFE, 0x6FFFFFFF
_NEXT = 12
"""Where in the record of a library the distance to the next one is."""
_GLOBAL = 1
"""The version index of a symbol that asks for none."""


@dataclass(frozen=True, slots=True)
class Without:
    """What is left: the dynamic section, the section headers, and what is written elsewhere."""

    entries: tuple[tuple[int, int], ...]
    sections: tuple[Section, ...]
    writes: tuple[Write, ...]


def without_needs(
    image: Image,
    entries: tuple[tuple[int, int], ...],
    sections: tuple[Section, ...],
    needs: tuple[tuple[Need, bool], ...],
) -> Without:
    """The file with only those needs that are to stay. A chain of none is not allowed, and goes."""
    kept = [need for need, stays in needs if stays]
    if len(kept) == len(needs):
        return Without(entries, sections, ())
    first = needs[0][0].offset
    ahead = kept[0].offset - first if kept else 0
    gone: set[int] = set()
    if not kept:
        gone = {tags.VERNEED, tags.VERNEEDNUM}
        # A table of versions that are nowhere described would mislead the loader.
        gone |= set() if tags.VERDEF in image.dynamic.values else {tags.VERSYM}
    changed = {
        tags.VERNEED: image.dynamic.values[tags.VERNEED] + ahead,
        tags.VERNEEDNUM: len(kept),
    }
    return Without(
        tuple((tag, changed.get(tag, value)) for tag, value in entries if tag not in gone),
        tuple(_section(section, first, ahead, len(kept), gone) for section in sections),
        (*_links(image, kept), *_freed_symbols(image, needs)),
    )


def _section(section: Section, first: int, ahead: int, count: int, gone: set[int]) -> Section:
    is_needs = section.type == _VERNEED and section.offset == first
    if (is_needs and not count) or (section.type == _VERSYM and tags.VERSYM in gone):
        return replace(section, type=_PROGBITS, link=0, info=0)
    if not is_needs:
        return section
    return replace(
        section,
        address=section.address + ahead,
        offset=section.offset + ahead,
        size=max(section.size - ahead, 0),
        info=count,
    )


def _links(image: Image, kept: list[Need]) -> Iterable[Write]:
    """Each record says how far the next one is; the last one says zero."""
    for need, following in zip_longest(kept, kept[1:]):
        distance = following.offset - need.offset if following else 0
        yield Write(need.offset + _NEXT, packed(image, "I", distance))


def _freed_symbols(image: Image, needs: tuple[tuple[Need, bool], ...]) -> Iterable[Write]:
    """Symbols that asked for a version of a library that is gone ask for none."""
    values, count = image.dynamic.values, symbols_of(image).count
    if tags.VERSYM not in values or not count:
        return
    stays = {index for need, stays in needs for _, index in need.versions if stays}
    goes = {index for need, stays in needs for _, index in need.versions if not stays} - stays
    offset = image.offset_of(values[tags.VERSYM], "symbol versions")
    versions = list(image.window.column(Column("H", 0, 2), offset, count, "symbol versions"))
    new = [_GLOBAL if version & ~HIDDEN in goes else version for version in versions]
    yield Write(offset, packed(image, f"{count}H", *new))
