"""Bounds-checked reading: no byte outside of those at hand is used, and every miss has a name."""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Literal

from builder.binary.model import BinaryError

__all__ = ["Column", "Window", "texts"]

_NATIVE = "<" if sys.byteorder == "little" else ">"
_FEW = 256
"""Texts whose ends are looked for before it is judged what they cost: each may be far away."""
_AT_ONCE = 1 << 16
"""Rows of a table that are in memory at the same time: a table may be as long as its file."""


@dataclass(frozen=True, slots=True)
class Column:
    """Where one number is in the rows of a table: its `struct` letter, its place, the row's size."""

    letter: Literal["B", "H", "I", "Q"]
    place: int
    row: int


@dataclass(frozen=True, slots=True)
class Window:
    """Bytes, and the byte order of the numbers in them; `what` in the calls is for messages."""

    view: memoryview
    order: Literal["<", ">"]

    def cut(self, offset: int, size: int, what: str) -> memoryview:
        """`size` bytes from `offset` on. Raises `BinaryError` unless all of them are there."""
        end = len(self.view)
        if offset + size > end:
            raise BinaryError(f"{what}: {size} bytes at {offset:#x} reach past the end at {end:#x}")
        return self.view[offset : offset + size]

    def numbers(self, fields: str, offset: int, what: str) -> tuple[int, ...]:
        """The fields of one structure, as `struct` letters without a byte order."""
        layout = struct.Struct(self.order + fields)
        return layout.unpack(self.cut(offset, layout.size, what))

    def rows(self, fields: str, offset: int, count: int, what: str) -> Iterator[tuple[int, ...]]:
        """The structures of a table, one after another."""
        layout = struct.Struct(self.order + fields)
        return layout.iter_unpack(self.cut(offset, layout.size * count, what))

    def column(self, column: Column, offset: int, count: int, what: str) -> Iterator[int]:
        """One number of every row of a table: many times as fast as whole rows."""
        table = self.cut(offset, column.row * count, what)
        step = column.row * _AT_ONCE
        parts = (table[start : start + step] for start in range(0, len(table), step))
        return chain.from_iterable(self._column(column, part) for part in parts)

    def _column(self, column: Column, rows: memoryview) -> Iterable[int]:
        size = struct.calcsize(column.letter)
        found = rows.cast(column.letter)[column.place // size :: column.row // size]
        if self.order == _NATIVE:
            return found.tolist()
        values = array(column.letter, found.tobytes())
        values.byteswap()
        return values


def texts(strings: bytes, offsets: Iterable[int], what: str) -> dict[int, str]:
    """The zero-terminated texts of a string table by offset.

    Linkers let texts share their ends, but only so far: a table in which all of them overlap would
    unfold a small file to a whole memory, and is refused.
    """
    places = tuple(dict.fromkeys(offsets))
    ends: list[int] = []
    left = 8 * len(strings) + 0x10000
    for start in range(0, len(places), _FEW):
        some = places[start : start + _FEW]
        found = list(map(strings.find, repeat(b"\0"), some))
        left -= sum(found) - sum(some)
        if min(found) < 0 or left < 0:
            raise _no_texts(strings, zip(some, found, strict=True), what)
        ends += found
    raw = map(strings.__getitem__, map(slice, places, ends))
    decoded = map(bytes.decode, raw, repeat("utf-8"), repeat("backslashreplace"))
    return dict(zip(places, decoded, strict=True))


def _no_texts(strings: bytes, rows: Iterable[tuple[int, int]], what: str) -> BinaryError:
    """Why there are no texts at these places."""
    for place, end in rows:
        if end < 0:
            return BinaryError(
                f"{what} {place:#x} has no end in the string table ({len(strings)} bytes)"
            )
    return BinaryError(f"{what}: the names overlap beyond reason")
