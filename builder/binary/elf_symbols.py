"""The dynamic symbols of an ELF file, and the versions they ask for.

The dynamic section does not say how many symbols there are: the hash tables do (`DT_HASH` of the
gABI, `DT_GNU_HASH`). Versions as in "Symbol Versioning" of the Linux Standard Base.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from builder.binary.elf_image import Image
from builder.binary.model import BinaryError, VersionNeed
from builder.binary.window import texts

__all__ = ["defined_names", "strings_of", "undefined_symbols"]

HASH, STRTAB, SYMTAB, STRSZ, SYMENT = 4, 5, 6, 10, 11
GNU_HASH, VERSYM, VERNEED, VERNEEDNUM = 0x6FFFFEF5, 0x6FFFFFF0, 0x6FFFFFFE, 0x6FFFFFFF
_TABLES: Final = frozenset({HASH, STRTAB, 7, 17, 23, GNU_HASH, VERSYM, VERNEED})
"""Tags whose value is the address of a table; 7, 17 and 23 are relocations."""
_DYNSYM: Final = 11
_S390X, _ALPHA = 22, 0x9026
_MOST_VERSIONS: Final = 0x8000
_HIDDEN: Final = 0x8000
_VISIBLE_BINDINGS: Final = frozenset({1, 2, 10})
"""Global, weak, and unique (GNU)."""


@dataclass(frozen=True, slots=True)
class _Versions:
    """The needed (library, version) pairs in order, and the pair of each version index."""

    pairs: tuple[tuple[str, str], ...]
    by_index: Mapping[int, tuple[str, str]]


def strings_of(image: Image) -> bytes:
    """The dynamic string table; empty when there is none."""
    values = image.dynamic.values
    if STRTAB not in values:
        return b""
    offset = image.offset_of(values[STRTAB], "dynamic string table")
    size = values.get(STRSZ, 0)
    return bytes(image.window.cut(offset, size, "dynamic string table"))


def undefined_symbols(
    image: Image, strings: bytes
) -> tuple[tuple[str, ...], tuple[VersionNeed, ...]]:
    """The names taken from elsewhere, and the needed versions with the names that ask for each."""
    count = _count(image)
    places = [
        (index, name)
        for index, (name, _, section) in enumerate(_symbols(image, count))
        if name and not section
    ]
    names = texts(strings, (name for _, name in places), "symbol name")
    versions = _versions(image, strings)
    wanted: dict[tuple[str, str], dict[str, None]] = {pair: {} for pair in versions.pairs}
    if VERSYM in image.dynamic.values and versions.pairs:
        offset = image.offset_of(image.dynamic.values[VERSYM], "symbol versions")
        indices = image.window.numbers(f"{count}H", offset, "symbol versions")
        for index, name in places:
            pair = versions.by_index.get(indices[index] & ~_HIDDEN)
            if pair is not None:
                wanted[pair][names[name]] = None
    needs = (VersionNeed(*pair, tuple(symbols)) for pair, symbols in wanted.items())
    return tuple(dict.fromkeys(names.values())), tuple(needs)


def defined_names(image: Image, strings: bytes) -> tuple[str, ...]:
    """The global and weak names that the file itself defines, each once."""
    places = [
        name
        for name, info, section in _symbols(image, _count(image))
        if name and section and info >> 4 in _VISIBLE_BINDINGS
    ]
    return tuple(dict.fromkeys(texts(strings, places, "symbol name").values()))


def _symbols(image: Image, count: int) -> Iterator[tuple[int, ...]]:
    if not count:
        return iter(())
    offset = image.offset_of(image.dynamic.values[SYMTAB], "dynamic symbols")
    return image.window.rows(image.layout.symbol, offset, count, "dynamic symbols")


def _versions(image: Image, strings: bytes) -> _Versions:
    """Walk the version needs: a chain of libraries, each with a chain of versions."""
    values = image.dynamic.values
    if VERNEED not in values:
        return _Versions((), {})
    place = image.offset_of(values[VERNEED], "version needs")
    found: list[tuple[int, int, int]] = []
    for _ in range(min(values.get(VERNEEDNUM, 0), _MOST_VERSIONS)):
        _, count, library, first, following = image.window.numbers("HHIII", place, "version need")
        inner = place + first
        for _ in range(count):
            _, _, index, version, further = image.window.numbers("IHHII", inner, "version need")
            found.append((library, version, index & ~_HIDDEN))
            if not further:
                break
            inner += further
        if len(found) > _MOST_VERSIONS:
            raise BinaryError(f"version needs at {place:#x}: more than there can be")
        if not following:
            break
        place += following
    names = texts(strings, (offset for row in found for offset in row[:2]), "version name")
    return _Versions(
        tuple(dict.fromkeys((names[library], names[version]) for library, version, _ in found)),
        {index: (names[library], names[version]) for library, version, index in found},
    )


def _count(image: Image) -> int:
    """The number of dynamic symbols, the empty first one included."""
    values = image.dynamic.values
    if SYMTAB not in values:
        return 0
    entry = image.layout.symbol_size
    if values.get(SYMENT, entry) != entry:
        raise BinaryError(f"dynamic section: symbols of {values[SYMENT]} bytes")
    if HASH in values:
        offset = image.offset_of(values[HASH], "hash table")
        # The gABI says words of 32 bits; these two have 64.
        wide = image.machine in {_S390X, _ALPHA} and image.layout.bits == 64  # noqa: PLR2004  # a class, not a number
        return image.window.numbers("QQ" if wide else "II", offset, "hash table")[1]
    return (_hashed(image) if GNU_HASH in values else 0) or _guessed(image, entry)


def _hashed(image: Image) -> int:
    """One more than the last symbol in the GNU hash table; 0 when it has none.

    Symbols are sorted by bucket: the last one ends the chain of the highest bucket, by a low bit.
    """
    window = image.window
    place = image.offset_of(image.dynamic.values[GNU_HASH], "GNU hash table")
    buckets, first, filters, _ = window.numbers("IIII", place, "GNU hash table")
    place += 16 + filters * (image.layout.bits // 8)
    last = max((row[0] for row in window.rows("I", place, buckets, "GNU hash table")), default=0)
    if last < first or not last:
        return 0
    place += 4 * (buckets + last - first)
    while not window.numbers("I", place, "GNU hash chain")[0] & 1:
        place += 4
        last += 1
    return last + 1


def _guessed(image: Image, entry: int) -> int:
    """The number of symbols when no hash table knows; that of a file that offers none is empty.

    The section headers know, and where they were removed, the table ends where the next one begins.
    """
    start = image.dynamic.values[SYMTAB]
    for section in image.sections():
        if section.type == _DYNSYM and section.address == start:
            return section.size // entry
    tables = (value for tag, value in image.dynamic.values.items() if tag in _TABLES)
    return (min((table for table in tables if table > start), default=start) - start) // entry
