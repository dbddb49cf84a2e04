"""The dynamic symbols of an ELF file, and the versions they ask for.

The dynamic section does not say how many symbols there are: the hash tables do (`DT_HASH` of the
gABI, `DT_GNU_HASH`).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import compress, islice, repeat
from operator import not_
from typing import Final

from builder.binary.elf import tags
from builder.binary.elf.image import Image, Section
from builder.binary.elf.versions import HIDDEN, needs
from builder.binary.model import BinaryError, VersionNeed
from builder.binary.window import Column, texts

__all__ = [
    "Symbols",
    "defined_names",
    "string_places",
    "strings_of",
    "symbols_of",
    "undefined_symbols",
]

_DYNSYM: Final = 11
_S390X, _ALPHA = 22, 0x9026
_VISIBLE_BINDINGS: Final = frozenset({1, 2, 10})
"""Global, weak, and unique (GNU)."""
_MOST_SYMBOLS: Final = 1 << 22
_MOST_NAMES: Final = 1 << 19
_LONGEST_TABLE: Final = 64 << 20
"""No file may make us hold more names than that in memory."""
_CHAIN: Final = 32
"""Numbers of a hash chain that are looked at first."""
_NUMBER: Final = Column("I", 0, 4)
_VERSION: Final = Column("H", 0, 2)


@dataclass(frozen=True, slots=True)
class Symbols:
    """How many dynamic symbols there are, the empty first one included.

    `is_told` unless it had to be guessed. `hash_size` are the bytes of their hash table.
    """

    count: int
    hash_size: int
    is_told: bool


@dataclass(frozen=True, slots=True)
class _Versions:
    """The needed (library, version) pairs in order, and the pair of each version index."""

    pairs: tuple[tuple[str, str], ...]
    by_index: Mapping[int, tuple[str, str]]


def strings_of(image: Image) -> bytes:
    """The dynamic string table; empty when there is none."""
    values = image.dynamic.values
    if tags.STRTAB not in values:
        return b""
    offset = image.offset_of(values[tags.STRTAB], "dynamic string table")
    size = values.get(tags.STRSZ, 0)
    table = image.window.cut(offset, size, "dynamic string table")
    if size > _LONGEST_TABLE:
        raise BinaryError(f"dynamic string table: {size} bytes are more than there can be")
    return bytes(table)


def undefined_symbols(
    image: Image, strings: bytes
) -> tuple[tuple[str, ...], tuple[VersionNeed, ...]]:
    """The names taken from elsewhere, and the needed versions with the names that ask for each."""
    count = symbols_of(image).count
    versions = _versions(image, strings)
    wanted: dict[tuple[str, str], dict[str, None]] = {pair: {} for pair in versions.pairs}
    indices: Iterator[int] = repeat(0)
    if count and tags.VERSYM in image.dynamic.values and versions.pairs:
        offset = image.offset_of(image.dynamic.values[tags.VERSYM], "symbol versions")
        indices = image.window.column(_VERSION, offset, count, "symbol versions")
    layout = image.layout
    rows = zip(_symbols(image, layout.symbol_name, count), indices, strict=False)
    sections = _symbols(image, layout.symbol_section, count)
    undefined = (row for row in compress(rows, map(not_, sections)) if row[0])
    places = list(islice(undefined, _MOST_NAMES + 1))
    if len(places) > _MOST_NAMES:
        raise BinaryError(f"dynamic symbols: over {_MOST_NAMES} undefined ones cannot be")
    names = texts(strings, (name for name, _ in places), "symbol name")
    for name, index in places:
        pair = versions.by_index.get(index & ~HIDDEN)
        if pair is not None:
            wanted[pair][names[name]] = None
    found = (VersionNeed(*pair, tuple(symbols)) for pair, symbols in wanted.items())
    return tuple(dict.fromkeys(names.values())), tuple(found)


def defined_names(image: Image, strings: bytes) -> tuple[str, ...]:
    """The global and weak names that the file itself defines, each once."""
    count, layout = symbols_of(image).count, image.layout
    columns = (layout.symbol_name, layout.symbol_info, layout.symbol_section)
    rows = zip(*(_symbols(image, column, count) for column in columns), strict=True)
    offered = (
        name for name, info, section in rows if name and section and info >> 4 in _VISIBLE_BINDINGS
    )
    places = list(islice(offered, _MOST_NAMES + 1))
    if len(places) > _MOST_NAMES:
        raise BinaryError(f"dynamic symbols: over {_MOST_NAMES} defined ones cannot be")
    return tuple(dict.fromkeys(texts(strings, places, "symbol name").values()))


def string_places(image: Image, count: int) -> Iterator[int]:
    """The places in the string table of the names of that many symbols."""
    return _symbols(image, image.layout.symbol_name, count)


def _symbols(image: Image, column: Column, count: int) -> Iterator[int]:
    if not count:
        return iter(())
    offset = image.offset_of(image.dynamic.values[tags.SYMTAB], "dynamic symbols")
    return image.window.column(column, offset, count, "dynamic symbols")


def _versions(image: Image, strings: bytes) -> _Versions:
    rows = [(need.library, *version) for need in needs(image) for version in need.versions]
    names = texts(strings, (offset for row in rows for offset in row[:2]), "version name")
    return _Versions(
        tuple(dict.fromkeys((names[library], names[version]) for library, version, _ in rows)),
        {index: (names[library], names[version]) for library, version, index in rows},
    )


def symbols_of(image: Image) -> Symbols:
    """How many dynamic symbols there are. Raises `BinaryError` for more than can be."""
    values = image.dynamic.values
    if tags.SYMTAB not in values:
        return Symbols(0, 0, is_told=True)
    entry = image.layout.symbol_size
    if values.get(tags.SYMENT, entry) != entry:
        raise BinaryError(f"dynamic section: symbols of {values[tags.SYMENT]} bytes")
    found = _counted(image)
    offset = image.offset_of(values[tags.SYMTAB], "dynamic symbols") if found.count else 0
    image.window.cut(offset, found.count * entry, "dynamic symbols")
    if found.count > _MOST_SYMBOLS:
        raise BinaryError(f"dynamic symbols: {found.count} are more than there can be")
    return found


def _counted(image: Image) -> Symbols:
    values = image.dynamic.values
    if tags.HASH in values:
        offset = image.offset_of(values[tags.HASH], "hash table")
        # The gABI says words of 32 bits; these two have 64.
        wide = image.machine in {_S390X, _ALPHA} and image.layout.bits == 64  # noqa: PLR2004  # a class, not a number
        word = "Q" if wide else "I"
        buckets, count = image.window.numbers(word * 2, offset, "hash table")
        return Symbols(count, (2 + buckets + count) * struct.calcsize("=" + word), is_told=True)
    count, size = _hashed(image) if tags.GNU_HASH in values else (0, 0)
    if count:
        return Symbols(count, size, is_told=True)
    section = _dynsym(image)
    if section is not None:
        return Symbols(section.size // image.layout.symbol_size, size, is_told=True)
    return Symbols(_guessed(image), size, is_told=False)


def _hashed(image: Image) -> tuple[int, int]:
    """One more than the last symbol in the GNU hash table, 0 when it has none; and its size.

    Symbols are sorted by bucket: the last one ends the chain of the highest bucket, by a low bit.
    """
    window = image.window
    start = image.offset_of(image.dynamic.values[tags.GNU_HASH], "GNU hash table")
    buckets, first, filters, _ = window.numbers("IIII", start, "GNU hash table")
    place = start + 16 + filters * (image.layout.bits // 8)
    last = max(window.column(_NUMBER, place, buckets, "GNU hash table"), default=0)
    place += 4 * buckets
    if last < first or not last:
        return 0, place - start
    place += 4 * (last - first)
    most = max(1, min(_MOST_SYMBOLS, (len(window.view) - place) // 4))
    done = 0
    while done < most:  # nearly every chain ends among its first numbers
        part = min(most - done, max(_CHAIN, done))
        column = window.column(_NUMBER, place + 4 * done, part, "GNU hash chain")
        for length, number in enumerate(column, done + 1):
            if number & 1:
                return last + length, place + 4 * length - start
        done += part
    raise BinaryError(f"GNU hash chain: the one at {place:#x} has no end")


def _guessed(image: Image) -> int:
    """The number of symbols when nothing tells it: the table ends where the next one begins."""
    start = image.dynamic.values[tags.SYMTAB]
    tables = (value for tag, value in image.dynamic.values.items() if tag in tags.TABLES)
    end = min((table for table in tables if table > start), default=start)
    return (end - start) // image.layout.symbol_size


def _dynsym(image: Image) -> Section | None:
    start = image.dynamic.values[tags.SYMTAB]
    found = (one for one in image.each_section() if one.type == _DYNSYM and one.address == start)
    return next(found, None)
