"""What the codecs take and give: buffers, block boundaries, pieces of a packed stream, one error."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import Protocol

from builder.errors import BuilderError

__all__ = [
    "WINDOW",
    "Blocks",
    "Buffer",
    "Copy",
    "DeflateError",
    "Inflated",
    "Piece",
    "ReadAt",
]

Buffer = bytes | bytearray | memoryview

# A block may refer to this many raw bytes in front of itself, and to no more (RFC 1951, 2).
WINDOW = 32 << 10


class DeflateError(BuilderError):
    """Packed bytes that are not exactly one deflate stream of the size promised."""

    def __init__(self, message: str, *, hint: str = "get the file again: it is damaged") -> None:
        super().__init__(message, hint=hint)


class ReadAt(Protocol):
    """Bytes that can be read anywhere, from any thread."""

    def read(self, offset: int, size: int, /) -> Buffer:
        """Exactly `size` bytes from `offset` on."""
        ...


@dataclass(frozen=True, slots=True)
class Blocks:
    """Where each block of a packed stream begins: its bit in the packed, its byte in the raw data.

    One entry more than there are blocks: the last one is the end. Bits count from the lowest of
    the first byte.
    """

    bits: array[int]
    raw: array[int]

    def __len__(self) -> int:
        return len(self.bits) - 1

    @property
    def size(self) -> int:
        """How many raw bytes there are."""
        return self.raw[-1]

    @property
    def packed_size(self) -> int:
        """How many packed bytes there are; the last one may be filled up with bits of no meaning."""
        return (self.bits[-1] + 7) // 8


@dataclass(frozen=True, slots=True)
class Inflated:
    """What was inflated. `blocks` is None unless they were asked for and could be told."""

    crc: int
    size: int
    blocks: Blocks | None = None


@dataclass(frozen=True, slots=True)
class Copy:
    """`size` bytes from `offset` on of the old packed stream, as they are."""

    offset: int
    size: int


Piece = Copy | bytes
