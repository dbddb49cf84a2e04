"""Damage done to files, for tests in which anything may be damaged: only named errors may come of it."""

from __future__ import annotations

import struct
from collections.abc import Iterable

__all__ = ["with_bytes", "with_words"]


def with_bytes(sample: bytes, changes: Iterable[tuple[int, int]], base: int = 0) -> bytes:
    """The file with other bytes at places counted from `base`, and from the start again at the end."""
    content = bytearray(sample)
    for place, value in changes:
        content[(base + place) % len(content)] = value
    return bytes(content)


def with_words(sample: bytes, changes: Iterable[tuple[int, int]]) -> bytes:
    """The file with other little-endian numbers of 32 bits, whose places are counted in words."""
    content = bytearray(sample)
    for place, value in changes:
        struct.pack_into("<I", content, 4 * place % (len(content) - 4), value)
    return bytes(content)
