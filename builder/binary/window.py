"""Bounds-checked reading: no byte outside of those at hand is used, and every miss has a name."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from builder.binary.model import BinaryError

__all__ = ["Window", "texts"]


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


def texts(strings: bytes, offsets: Iterable[int], what: str) -> dict[int, str]:
    """The zero-terminated texts of a string table by offset.

    Linkers let texts share their ends, but only so far: a table in which all of them overlap would
    unfold a small file to a whole memory, and is refused.
    """
    left = 8 * len(strings) + 0x10000
    found: dict[int, str] = {}
    for offset in dict.fromkeys(offsets):
        end = strings.find(b"\0", offset)
        if end < 0:
            raise BinaryError(
                f"{what} {offset:#x} has no end in the string table ({len(strings)} bytes)"
            )
        left -= end - offset
        if left < 0:
            raise BinaryError(f"{what} {offset:#x}: the names overlap beyond reason")
        found[offset] = strings[offset:end].decode("utf-8", "backslashreplace")
    return found
