"""Deflated data as different encoders write it, and what can read it here."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace

import deflate as libdeflate
from zlib_ng import zlib_ng

from builder.archive.deflate import Engines, installed
from builder.archive.deflate.engines import all_streams
from builder.archive.deflate.native import libraries

__all__ = ["COMMON", "OWN", "bounded", "flushed", "raw_zlib"]

OWN = all_streams()[-1]
"""Python's `zlib`, which is there on any machine."""


def bounded() -> dict[str, Engines]:
    """Every combination that finds the boundaries of blocks, from what is installed here."""
    best = installed()
    found = {"installed": best}
    for library in libraries():
        found[f"{library.name}, zlib deflates"] = Engines(OWN, library)
        found[library.name] = replace(best, boundaries=library)
    return found


def raw_zlib(data: bytes, level: int = 6, memory: int = 8, strategy: int = 0) -> bytes:
    """One stream without a header."""
    coder = zlib.compressobj(level, zlib.DEFLATED, -15, memory, strategy)
    return coder.compress(data) + coder.flush()


def flushed(data: bytes) -> bytes:
    """Blocks with and without content, of every kind, between any two bits."""
    coder, made = zlib.compressobj(6, zlib.DEFLATED, -15), b""
    for number in range(0, len(data), 9_000):
        flush = (zlib.Z_SYNC_FLUSH, zlib.Z_PARTIAL_FLUSH, zlib.Z_FULL_FLUSH)[number // 9_000 % 3]
        made += coder.compress(data[number : number + 9_000]) + coder.flush(flush)
    return made + coder.flush()


COMMON: Mapping[str, Callable[[bytes], bytes]] = {
    "zlib 1": lambda data: raw_zlib(data, 1),
    "zlib 6": raw_zlib,
    "zlib 9": lambda data: raw_zlib(data, 9, 9),
    "stored": lambda data: raw_zlib(data, 0),
    "no matches": lambda data: raw_zlib(data, 6, 8, zlib.Z_HUFFMAN_ONLY),
    "flushed": flushed,
    "zlib-ng 1": lambda data: zlib_ng.compress(data, 1, -15),
    "libdeflate 1": lambda data: bytes(libdeflate.deflate_compress(data, 1)),
    "libdeflate 12": lambda data: bytes(libdeflate.deflate_compress(data, 12)),
}
"""What every test of streams goes through; a test file adds what is hard for it."""
