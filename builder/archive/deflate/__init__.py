"""Deflate (RFC 1951): inflate with block boundaries, splice few new bytes into old, pack in parallel.

Pure codecs over raw streams, ignorant of archives. Which library does the work is decided once, in
`engines`; every combination, down to Python's own `zlib` alone, gives streams that every inflater
reads. What is made here was inflated again and compared before it is handed out, but for short
streams of `deflate_bytes`, whose callers do that with what they wrote.
"""

from __future__ import annotations

from builder.archive.deflate.engines import Engines, codecs, crc32, installed
from builder.archive.deflate.packing import CHUNK, deflate, deflate_bytes
from builder.archive.deflate.splicing import splice
from builder.archive.deflate.unpacking import inflate, inflate_bytes
from builder.archive.deflate.values import (
    Blocks,
    Buffer,
    Copy,
    DeflateError,
    Inflated,
    Piece,
    ReadAt,
)

__all__ = [
    "CHUNK",
    "Blocks",
    "Buffer",
    "Copy",
    "DeflateError",
    "Engines",
    "Inflated",
    "Piece",
    "ReadAt",
    "codecs",
    "crc32",
    "deflate",
    "deflate_bytes",
    "inflate",
    "inflate_bytes",
    "installed",
    "splice",
]
