"""A patch: the few bytes of a file that are to change, decided before anything is written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Patch"]


@dataclass(frozen=True, slots=True)
class Patch:
    """New bytes at some places of a file, and the size the file has afterwards.

    `pieces` are (offset, bytes), sorted, not overlapping, and may reach past the old end; what lies
    between the old end and a piece is filled with zeros. `size` may cut the file off.
    """

    size: int
    pieces: tuple[tuple[int, bytes], ...] = ()

    def apply(self, old: bytes | memoryview) -> bytes:
        """The new bytes of a file that is small enough to hold in memory."""
        new = bytearray(memoryview(old)[: self.size])
        new.extend(bytes(self.size - len(new)))
        for offset, content in self.pieces:
            new[offset : offset + len(content)] = content
        return bytes(new)

    def touched(self, old_size: int) -> Iterator[tuple[int, int]]:
        """(start, end) of every stretch that may differ from the old file, its new tail included."""
        for offset, content in self.pieces:
            if offset < min(old_size, self.size):
                yield offset, min(offset + len(content), old_size, self.size)
        if self.size > old_size:
            yield old_size, self.size
