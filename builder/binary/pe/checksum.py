"""The checksum in the header of a PE file, as `CheckSumMappedFile` of Windows makes it.

It is a sum of 16-bit words in which a carry comes in again below: the rest of the file, taken as one
number, by 65535, but never 0. To this the size of the file is added.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable
from typing import Final

from builder.binary.pe.image import Image, open_image

__all__ = ["CHECKSUM_FIELD", "WINDOW", "checksum", "checksum_problems", "corrected", "forget"]

CHECKSUM_FIELD: Final = 64
"""Where it is in the optional header."""
_MODULUS: Final = 0xFFFF
WINDOW: Final = 1 << 20
"""Bytes that are looked at together; their pages are given back after."""


def checksum(view: memoryview) -> int:
    """What the header of this file should say. Raises `BinaryError`."""
    image = open_image(view)
    return _value(_sum(image), len(view))


def checksum_problems(view: memoryview) -> tuple[str, ...]:
    """What is wrong with the checksum; a file may go without one. Raises `BinaryError`."""
    stated = open_image(view).checksum
    if not stated or stated == (right := checksum(view)):
        return ()
    return (f"the checksum in the header is {stated:#x}, the file's is {right:#x}",)


def corrected(image: Image, changes: Iterable[tuple[int, bytes]], size: int) -> int:
    """The checksum after some changes and with a new size; 0 where none was.

    A checksum that can be right is taken for right, so that only the changed bytes are read: a
    wrong one stays as wrong as it was. One that cannot be is made from the whole file.
    """
    view = image.window.view
    if not image.checksum:
        return 0
    total = image.checksum - len(view)
    if not 0 < total <= _MODULUS:
        total = _sum(image)
    for offset, content in changes:
        total += _residue(content, offset) - _residue(view[offset : offset + len(content)], offset)
    if size < len(view):
        total -= _sum_from(view, size)
    return _value(total, size)


def _sum(image: Image) -> int:
    """The sum of all words but the checksum's own; mapped pages are given back on the way."""
    view = image.window.view
    own = image.optional + CHECKSUM_FIELD
    return _sum_from(view, 0) - _residue(view[own : own + 4], own)


def _sum_from(view: memoryview, place: int) -> int:
    total = 0
    for start in range(place - place % WINDOW, len(view), WINDOW):
        begin = max(start, place)
        total += _residue(view[begin : start + WINDOW], begin)
        forget(view, start)
    return total


def _residue(content: bytes | memoryview, offset: int) -> int:
    odd = 256 if offset & 1 else 1
    return int.from_bytes(content, "little") % _MODULUS * odd


def _value(total: int, size: int) -> int:
    return ((total % _MODULUS or _MODULUS) + size) & 0xFFFFFFFF


def forget(view: memoryview, start: int) -> None:
    """Take the window that was just read out of memory, where it comes back from a file."""
    whole = view.obj
    if isinstance(whole, mmap.mmap) and view.readonly and len(whole) == len(view):
        advise, drop = getattr(whole, "madvise", None), getattr(mmap, "MADV_DONTNEED", None)
        if advise is not None and drop is not None:
            advise(drop, start, min(WINDOW, len(view) - start))
