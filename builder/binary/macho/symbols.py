"""The symbols of a Mach-O image (`mach-o/nlist.h`), and the trie of what it exports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from builder.binary.macho.image import (
    DYLD_INFO,
    DYSYMTAB,
    EXPORTS_TRIE,
    MOST_NAMES,
    SYMTAB,
    Slice,
)
from builder.binary.model import BinaryError
from builder.binary.window import Window

__all__ = ["defined_names", "ordinals", "undefined_names"]

_EXTERNAL, _PRIVATE, _DEBUG, _TYPE = 0x01, 0x10, 0xE0, 0x0E
_LAST_LIBRARY: Final = 0xFD
"""Ordinals above are not of a library: looked up everywhere, or in the program."""
_REEXPORT: Final = 0x08
_MOST_TEXT: Final = 32 << 20
"""Bytes that names may have more than the table they are in, which they share their ends in."""
_LONGEST_TRIE: Final = 64 << 20
_FIRST_LOOK: Final = 256
"""Bytes in which most names end."""
_LONGEST_NUMBER: Final = 10
"""Bytes of a number of 64 bits in LEB128."""


@dataclass(frozen=True, slots=True)
class _Table:
    """The symbol table: how its rows are laid out, where they are, and where their names are."""

    window: Window
    row: str
    width: int
    offset: int
    count: int
    strings: memoryview

    def rows(self, first: int, count: int) -> Iterator[tuple[int, ...]]:
        """Name, type, section, description and value of some symbols."""
        if first + count > self.count:
            raise BinaryError(f"dynamic symbol table: {first} + {count} of {self.count} symbols")
        start = self.offset + first * self.width
        return self.window.rows(self.row, start, count, "symbol table")


def undefined_names(image: Slice) -> tuple[str, ...]:
    """The names taken from elsewhere as they are in the file (C names begin with `_`), each once."""
    table = _table(image)
    if table is None:
        return ()
    return tuple(_names(table.strings, (row[0] for row in _undefined(image, table))))


def defined_names(image: Slice) -> tuple[str, ...]:
    """The names offered to others, as they are in the file, each once.

    Those of the symbol table, and where it has none, those that the loader finds.
    """
    table = _table(image)
    if table is not None:
        first, count = _range(image, table, 8)
        offered = (
            row[0]
            for row in table.rows(first, count)
            if row[1] & (_EXTERNAL | _PRIVATE | _DEBUG) == _EXTERNAL and row[1] & _TYPE
        )
        names = tuple(_names(table.strings, offered))
        if names:
            return names
    exports = list(islice(_exports(image), MOST_NAMES + 1))
    if len(exports) > MOST_NAMES:
        raise BinaryError(f"export table: over {MOST_NAMES} names cannot be")
    return tuple(dict.fromkeys(name for name, _ in exports))


def ordinals(image: Slice) -> frozenset[int] | None:
    """The numbers of the libraries that symbols come from, the first is 1; None: unknown."""
    table = _table(image)
    if table is None or any(flags & _REEXPORT for _, flags in _exports(image)):
        return None
    found = {row[3] >> 8 for row in _undefined(image, table)}
    return frozenset(number for number in found if 0 < number <= _LAST_LIBRARY) or None


def _table(image: Slice) -> _Table | None:
    for command in image.of(SYMTAB):
        offset, count, strings, size = image.fields(command, "IIII")
        row, width = ("IBBHQ", 16) if image.bits == 64 else ("IBBHI", 12)  # noqa: PLR2004  # a class, not a number
        view = image.window.cut(strings, size, "string table")
        image.window.cut(offset, count * width, "symbol table")
        return _Table(image.window, row, width, offset, count, view)
    return None


def _range(image: Slice, table: _Table, place: int) -> tuple[int, int]:
    """The first of a group of symbols and their number; all when the groups are not known."""
    for command in image.of(DYSYMTAB):
        first, count = image.fields(command, "II", 8 + place)
        return first, count
    return 0, table.count


def _undefined(image: Slice, table: _Table) -> Iterator[tuple[int, ...]]:
    """The rows of undefined symbols; one with a value is room that the linker shall reserve."""
    return (
        row
        for row in table.rows(*_range(image, table, 16))
        if row[1] & (_EXTERNAL | _DEBUG) == _EXTERNAL and not row[1] & _TYPE and not row[4]
    )


def _names(strings: memoryview, offsets: Iterable[int]) -> dict[str, None]:
    """The texts at some places of a string table, in their order.

    String tables have hundreds of megabytes: only the texts asked for are touched, and they may
    overlap, as linkers make them do, but not without end.
    """
    left = _most_text(strings)
    found: dict[str, None] = {}
    places = list(islice(offsets, MOST_NAMES + 1))
    if len(places) > MOST_NAMES:
        raise BinaryError(f"symbol table: over {MOST_NAMES} names cannot be")
    for offset in dict.fromkeys(places):
        size = _FIRST_LOOK
        text, end, _ = bytes(strings[offset : offset + size]).partition(b"\0")
        while not end:
            if offset + size >= len(strings):
                raise BinaryError(f"symbol name {offset:#x} has no end in the string table")
            size *= 4
            text, end, _ = bytes(strings[offset : offset + size]).partition(b"\0")
        left -= len(text)
        if left < 0:
            raise BinaryError(f"symbol name {offset:#x}: the names overlap beyond reason")
        if text:
            found[text.decode("utf-8", "backslashreplace")] = None
    return found


def _most_text(table: bytes | memoryview) -> int:
    return min(8 * len(table), len(table) + _MOST_TEXT) + 0x10000


def _exports(image: Slice) -> Iterator[tuple[str, int]]:
    """What the loader's table offers: names and flags, in the order of the table."""
    trie = _trie(image)
    if not trie:
        return
    left = _most_text(trie)
    seen = bytearray(len(trie))
    nodes = [(0, b"")]
    while nodes:
        place, name = nodes.pop()
        if any(seen[place : place + 1]):
            raise BinaryError(f"export table: its branches meet at {place:#x}")
        seen[place : place + 1] = b"\1" * (place < len(trie))
        size, place = _number(trie, place)
        if size:
            flags, _ = _number(trie, place)
            yield name.decode("utf-8", "backslashreplace"), flags
        below: list[tuple[int, bytes]] = []
        for branch in _branches(trie, place + size, name):
            left -= len(branch[1])
            if left < 0:
                raise BinaryError(f"export table at {place:#x}: the names overlap beyond reason")
            below.append(branch)
        nodes += reversed(below)


def _branches(trie: bytes, place: int, name: bytes) -> Iterator[tuple[int, bytes]]:
    """The nodes below one: their places and names so far."""
    if place >= len(trie):
        raise BinaryError(f"export table: the node before {place:#x} reaches out of it")
    count = trie[place]
    place += 1
    for _ in range(count):
        end = trie.find(b"\0", place)
        if end < 0:
            raise BinaryError(f"export table: the name at {place:#x} has no end")
        target, following = _number(trie, end + 1)
        yield target, name + trie[place:end]
        place = following


def _number(trie: bytes, place: int) -> tuple[int, int]:
    """A number in LEB128 and the place behind it."""
    value = 0
    for at in range(_LONGEST_NUMBER):
        if place + at >= len(trie):
            break
        byte = trie[place + at]
        value |= (byte & 0x7F) << 7 * at
        if not byte & 0x80:
            return value, place + at + 1
    raise BinaryError(f"export table: no number ends at {place:#x}")


def _trie(image: Slice) -> bytes:
    for command in image.of(EXPORTS_TRIE):
        return _cut(image, *image.fields(command, "II"))
    for command in image.of(*DYLD_INFO):
        return _cut(image, *image.fields(command, "II", 40))
    return b""


def _cut(image: Slice, offset: int, size: int) -> bytes:
    view = image.window.cut(offset, size, "export table")
    if size > _LONGEST_TRIE:
        raise BinaryError(f"export table: {size} bytes are more than there can be")
    return bytes(view)
