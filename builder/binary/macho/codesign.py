"""Code signatures of Mach-O images: checked, brought up to date, and made anew.

An Apple system ends a process that touches a page of which the signature says something else. A
signature without an identity ("ad hoc") is digests alone, and these can be computed anywhere.
"""

from __future__ import annotations

import mmap
import struct
import sys
from collections.abc import Callable, Iterator
from typing import Final

from builder.binary.macho.blobs import SHA256, Directory, Pages, Signed, encoded, signature_of
from builder.binary.macho.header import headed, install_name
from builder.binary.macho.image import CODE_SIGNATURE, LINKEDIT, LOADED, Slice, open_image
from builder.binary.model import BinaryError, Flaw

__all__ = [
    "Pieces",
    "differing",
    "flaws",
    "renewed",
    "signature_problems",
    "updated",
    "wants_signature",
]

Pieces = tuple[tuple[int, bytes], ...]
"""Places in an image and the new bytes there."""

_MACHINES: Final = frozenset({"arm64", "arm64e"})
_PROGRAM: Final = 2
_WINDOW: Final = 4 << 20
_POWER: Final = 12
"""Pages of 4 KiB are what every system takes, and what linkers write."""
_BINDING: Final = range(2, 8)
"""Slots of blobs in the signature that the directory has a digest of."""
_ALIGNMENT: Final = 16
_MEMORY_PAGE: Final = 1 << 14
"""Of the largest kind."""
_LARGEST: Final = 0xFFFFFFFF
_SEGMENTS: Final = {0x1: (28, "III"), 0x19: (32, "QQQ")}
"""Segments: the place and the fields of size in memory, place in the file, size in the file."""


def wants_signature(image: Slice) -> bool:
    """Whether no system runs the image without a signature."""
    return image.machine in _MACHINES and image.type in LOADED


def signature_problems(view: memoryview) -> tuple[str, ...]:
    """What is wrong with the signatures of a Mach-O file: every page of every image is digested.

    The file is read from front to end, and if it is mapped does not stay in memory. Who signed is
    not judged. Raises `BinaryError` for a file or a signature that cannot be read.
    """
    image = open_image(view)
    found: list[str] = []
    for part in image.slices:
        with image.naming(part):
            prefix = f"{part.machine}: " if image.row else ""
            found += (prefix + problem for problem in _problems(part))
    return tuple(found)


def flaws(view: memoryview) -> tuple[Flaw, ...]:
    """What is wrong with the signatures, as `signature_problems` has it, damaged ones too.

    Where nothing runs without a signature, a wrong one is fatal; Intel Macs start most programs all
    the same. Raises `BinaryError` for a file that cannot be read.
    """
    image = open_image(view)
    found: list[Flaw] = []
    for part in image.slices:
        prefix = f"{part.machine}: " if image.row else ""
        try:
            problems = tuple(_problems(part))
        except BinaryError as error:
            problems = (error.message,)
        fatal = wants_signature(part)
        found += (Flaw("signature", prefix + problem, fatal) for problem in problems)
    return tuple(found)


def updated(image: Slice, signed: Signed, head: bytes, *, anew: bool) -> Pieces | None:
    """The digests that change in an ad-hoc signature when the image begins with `head`.

    Only the pages of this beginning are looked at, or all (`anew`). None when the signature has to
    be made again: it has an identity or no SHA-256, or does not cover all bytes in front of it.
    """
    _refuse_shared(image, signed, len(head))
    covers = all(directory.pages.limit == signed.offset for directory in signed.directories)
    kinds = {directory.pages.kind for directory in signed.directories}
    if not (covers and signed.is_plain and SHA256 in kinds):
        return None
    pieces: list[tuple[int, bytes]] = []
    for directory in signed.directories:
        pages = directory.pages
        last = pages.count if anew else min(_pages_of(head, pages), pages.count)
        new = b"".join(_digests(image, head, pages, range(last)))
        old = bytes(image.window.view[directory.offset : directory.offset + len(new)])
        pieces += differing(directory.offset, old, new)
    return tuple(pieces)


def renewed(
    image: Slice, signed: Signed | None, commands: list[bytes], *, anew: bool
) -> tuple[bytes, Pieces, int]:
    """The new beginning of an image with a new ad-hoc signature, that signature, and the new size.

    It takes the place of an old one. Digests of pages that stay are taken from there, unless all
    are to be made `anew`.
    """
    linkedit = image.linkedit
    if linkedit is None:
        raise BinaryError("the image has no segment `__LINKEDIT` that could hold a signature")
    end = signed.offset if signed else linkedit.end
    offset = end if signed else end + -end % _ALIGNMENT
    if end > image.size or offset > _LARGEST:
        raise BinaryError(
            f"code signature: `__LINKEDIT` ends at {end:#x}, there is no place behind"
        )
    space = signed.space if signed else 0
    pages, known = _known(image, signed, offset)
    make = _maker(image, signed, pages)
    size = len(make(bytes(pages.count * pages.width)))
    if size > space:
        if not image.size == linkedit.end == end + space:
            raise BinaryError(
                "code signature: has no place, for `__LINKEDIT` does not end the image"
            )
        space = size + -size % _ALIGNMENT
        if offset + space > _LARGEST:
            raise BinaryError("code signature: has no place in an image of 4 GiB")
        commands = _placed(image, commands, offset, space)
    head = headed(image, commands)
    if signed:
        _refuse_shared(image, signed, len(head))
    first = pages.count if anew or not known else min(_pages_of(head, pages), pages.count)
    digests = b"".join(_digests(image, head, pages, range(first)))
    blob = make(digests + known[len(digests) :])
    piece = bytes(offset - end) + blob.ljust(space, b"\0")
    return head, ((end, piece),), max(image.size, offset + space)


def differing(place: int, old: bytes, new: bytes) -> Pieces:
    """The part of `new` that is not as `old`, from its first to its last byte, if there is any."""
    if old == new:
        return ()
    start = _common(old, new)
    end = len(new) - _common(old[start:][::-1], new[start:][::-1])
    return ((place + start, new[start:end]),)


def _common(one: bytes, other: bytes) -> int:
    """How many bytes two texts begin with alike."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _problems(image: Slice) -> Iterator[str]:
    signed = signature_of(image)
    if signed is None:
        if wants_signature(image):
            yield "has no signature, and no system loads it without one"
        return
    for directory in signed.directories:
        pages = directory.pages
        if pages.limit != signed.offset:
            yield f"the signature covers {pages.limit} bytes, {signed.offset} are in front of it"
        if pages.limit <= image.size:
            yield from _wrong_pages(image, directory)
        for blob in signed.blobs:
            if blob.slot in _BINDING and blob.slot <= directory.special:
                content = image.window.view[blob.offset : blob.offset + blob.size]
                place = directory.offset - blob.slot * pages.width
                if pages.digest(content) != image.window.view[place : place + pages.width]:
                    yield f"part {blob.slot} of the signature is not what was signed"


def _wrong_pages(image: Slice, directory: Directory) -> Iterator[str]:
    pages = directory.pages
    signed = image.window.view[directory.offset : directory.offset + directory.size]
    width = pages.width
    wrong, first = 0, 0
    for number, digest in enumerate(_digests(image, b"", pages, range(pages.count))):
        if digest != signed[number * width : (number + 1) * width]:
            wrong, first = wrong + 1, first if wrong else number
    if wrong:
        start, _ = pages.place(first)
        yield (
            f"{wrong} of {pages.count} pages are not what was signed, "
            f"the first of them at {start:#x}"
        )


def _digests(image: Slice, head: bytes, pages: Pages, numbers: range) -> Iterator[bytes]:
    """The digests of some pages of an image that begins with `head`."""
    view = image.window.view
    step = _WINDOW >> pages.power
    for first in range(numbers.start, numbers.stop, step):
        for number in range(first, min(first + step, numbers.stop)):
            start, end = pages.place(number)
            if start >= len(head) and end <= len(view):
                yield pages.digest(view[start:end])
                continue
            content = head[start:end] + bytes(view[max(start, len(head)) : end])
            yield pages.digest(content.ljust(end - start, b"\0"))
        _release(image, first << pages.power)


def _release(image: Slice, start: int) -> None:
    """Let go of a stretch of a mapped file that was read; elsewhere there is nothing to do.

    Only where nobody can have written into the mapping, for that would be lost.
    """
    source = image.window.view.obj
    if sys.platform == "win32" or not isinstance(source, mmap.mmap):
        return
    begin = (image.offset + start) // mmap.PAGESIZE * mmap.PAGESIZE
    size = min(_WINDOW + mmap.PAGESIZE, len(source) - begin)
    if size > 0 and memoryview(source).readonly:
        source.madvise(mmap.MADV_DONTNEED, begin, size)


def _pages_of(head: bytes, pages: Pages) -> int:
    """How many pages a beginning touches."""
    return -(-len(head) >> pages.power)


def _refuse_shared(image: Slice, signed: Signed, head: int) -> None:
    """Refuse a signature that shares bytes with what has another use."""
    ends = [place.end for place in image.tables if place.kind != CODE_SIGNATURE]
    if max(head, *ends, 0) > signed.offset:
        raise BinaryError(f"code signature at {signed.offset:#x}: other data reaches into it")


def _known(image: Slice, signed: Signed | None, limit: int) -> tuple[Pages, bytes]:
    """The pages to sign and, from the old signature, their digests, if it has them."""
    for directory in signed.directories if signed else ():
        if (directory.pages.kind, directory.pages.limit) == (SHA256, limit):
            place = directory.offset
            return directory.pages, bytes(image.window.view[place : place + directory.size])
    return Pages(SHA256, _POWER, limit), b""


def _maker(image: Slice, signed: Signed | None, pages: Pages) -> Callable[[bytes], bytes]:
    """What makes a signature out of digests; it has the name of the old one, or of the library."""
    names = [directory.identifier for directory in signed.directories] if signed else []
    names += [install_name(image).rpartition("/")[2].encode("utf-8", "replace"), b"adhoc"]
    name = next(filter(None, names))
    text = next((part for part in image.segments if part.name == b"__TEXT"), None)
    place = (text.offset, text.size) if text else (0, 0)
    return lambda digests: encoded(name, pages, digests, text=place, runs=image.type == _PROGRAM)


def _placed(image: Slice, commands: list[bytes], offset: int, space: int) -> list[bytes]:
    """The load commands with a new place of the signature, which ends the last segment."""
    order = image.window.order
    signature = struct.pack(order + "IIII", CODE_SIGNATURE, 16, offset, space)
    new: list[bytes] = []
    for raw in commands:
        (kind,) = struct.unpack_from(order + "I", raw)
        if kind in _SEGMENTS and raw[8:24].rstrip(b"\0") == LINKEDIT:
            at, fields = _SEGMENTS[kind]
            memory, start, _ = struct.unpack_from(order + fields, raw, at)
            size = offset + space - start
            row = struct.pack(order + fields, max(memory, size + -size % _MEMORY_PAGE), start, size)
            new.append(raw[:at] + row + raw[at + len(row) :])
        elif kind == CODE_SIGNATURE:
            new.append(signature)
        else:
            new.append(raw)
    return new if signature in new else [*new, signature]
