"""Code signatures as they lie in a Mach-O image (Apple's `kern/cs_blobs.h`): read and made.

A signature is a table of blobs. One of them, the code directory, has a digest of every page of the
image in front of the signature; there may be a second one with other digests. All numbers are
big-endian.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import Final

from builder.binary.macho.image import CODE_SIGNATURE, Slice
from builder.binary.model import BinaryError
from builder.binary.window import Window

__all__ = ["SHA256", "Blob", "Directory", "Pages", "Signed", "encoded", "signature_of"]

_SUPERBLOB, _DIRECTORY, _REQUIREMENTS, _WRAPPER = 0xFADE0CC0, 0xFADE0C02, 0xFADE0C01, 0xFADE0B01
_REQUIREMENTS_SLOT, _CMS_SLOT = 2, 0x10000
_ADHOC: Final = 0x2
_FIELDS: Final = "12x6IBBBBI"
"""Flags, digests, identifier, special digests, pages, limit, size and kind of a digest, platform,
page size as a power of two, spare; behind magic, size and version."""
_SCATTER_AT, _LIMIT_AT = 44, 56
_ENDS: Final = ((0, 44), (0x20100, 48), (0x20200, 52), (0x20300, 64), (0x20400, 88))
"""Where the fields end that a directory of a version has at least."""
_HEADER: Final = ">9IBBBBIIIIQQQQ"
_HEADER_SIZE: Final = 88
_VERSION, _WIDE, _SCATTER = 0x20400, 0x20300, 0x20100
"""The versions that know the segment with the code, limits beyond 4 GiB, and scattered parts."""
_MAIN_BINARY: Final = 1
_EMPTY: Final = 8
"""The size of a blob without content."""
_MOST_BLOBS: Final = 64
_MOST_DIRECTORIES: Final = 6
"""The first one, and what Apple's systems look at beside it."""
_LONGEST_NAME: Final = 1024
_POWERS: Final = range(12, 17)
SHA256: Final = 2
_DIGESTS: Final = {
    1: (hashlib.sha1, 20),
    SHA256: (hashlib.sha256, 32),
    3: (hashlib.sha256, 20),
    4: (hashlib.sha384, 48),
}
"""By kind: the digest, and how much of it is kept."""


@dataclass(frozen=True, slots=True)
class Pages:
    """The first `limit` bytes of an image in pages of 2**`power` bytes, for digests of a kind."""

    kind: int
    power: int
    limit: int

    @property
    def width(self) -> int:
        """The size of a digest."""
        return _DIGESTS[self.kind][1]

    @property
    def count(self) -> int:
        """The number of pages."""
        return -(-self.limit >> self.power)

    def digest(self, content: bytes | memoryview) -> bytes:
        """The digest of a page, or of a blob."""
        return _DIGESTS[self.kind][0](content, usedforsecurity=False).digest()[: self.width]

    def place(self, number: int) -> tuple[int, int]:
        """Where a page begins and ends; the last one may be short."""
        return number << self.power, min(number + 1 << self.power, self.limit)


@dataclass(frozen=True, slots=True)
class Blob:
    """One entry of a signature: what it is for, and where it is in the image."""

    slot: int
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Directory:
    """A code directory: of which pages it has digests, and where these begin in the image.

    In front of them are those of `special` blobs, the first one last.
    """

    pages: Pages
    offset: int
    special: int
    is_adhoc: bool
    identifier: bytes

    @property
    def size(self) -> int:
        """The number of bytes of all digests of pages."""
        return self.pages.count * self.pages.width


@dataclass(frozen=True, slots=True)
class Signed:
    """A signature: the space it has in the image, and what is in it."""

    offset: int
    space: int
    blobs: tuple[Blob, ...]
    directories: tuple[Directory, ...]

    @property
    def has_identity(self) -> bool:
        """Whether someone signed: whether there is more than digests."""
        return any(blob.slot == _CMS_SLOT and blob.size > _EMPTY for blob in self.blobs)

    @property
    def is_plain(self) -> bool:
        """Whether it is ad hoc, and every digest in it can be replaced without harm to the rest."""
        adhoc = all(directory.is_adhoc for directory in self.directories)
        end = self.offset + 12 + 8 * len(self.blobs)
        for blob in sorted(self.blobs, key=lambda blob: blob.offset):
            if blob.offset < end:
                return False
            end = blob.offset + blob.size
        return adhoc and not self.has_identity


def signature_of(image: Slice) -> Signed | None:
    """The signature of an image, if it has one. Raises `BinaryError` when it is damaged."""
    for command in image.of(CODE_SIGNATURE):
        offset, space = image.fields(command, "II")
        return _parsed(Window(image.window.cut(offset, space, "code signature"), ">"), offset)
    return None


def _parsed(window: Window, start: int) -> Signed:
    magic, size, count = window.numbers("III", 0, "code signature")
    if magic != _SUPERBLOB or count > _MOST_BLOBS:
        raise BinaryError(f"code signature: begins with {magic:#x} and has {count} parts")
    inside = Window(window.cut(0, size, "code signature"), ">")
    blobs: list[Blob] = []
    directories: list[Directory] = []
    for slot, offset in inside.rows("II", 12, count, "table of the code signature"):
        magic, length = inside.numbers("II", offset, "part of the code signature")
        part = Window(inside.cut(offset, length, "part of the code signature"), ">")
        if any(blob.slot == slot for blob in blobs):
            raise BinaryError(f"code signature: has two parts for {slot:#x}")
        blobs.append(Blob(slot, start + offset, length))
        if magic == _DIRECTORY:
            directories.append(_directory(part, start + offset))
    if not 0 < len(directories) <= _MOST_DIRECTORIES:
        many = (
            f"more than {_MOST_DIRECTORIES} code directories"
            if directories
            else "no code directory"
        )
        raise BinaryError(f"code signature: has {many}")
    return Signed(start, len(window.view), tuple(blobs), tuple(directories))


def _directory(part: Window, start: int) -> Directory:
    what = "code directory"
    (version,) = part.numbers("I", 8, what)
    flags, digests, name, special, count, limit, width, kind, _, power, _ = part.numbers(
        _FIELDS, 0, what
    )
    if version >= _SCATTER and part.numbers("I", _SCATTER_AT, what)[0]:
        raise BinaryError("code directory: is for scattered parts of the image")
    if version >= _WIDE:
        limit = part.numbers("Q", _LIMIT_AT, what)[0] or limit
    if kind not in _DIGESTS or power not in _POWERS:
        raise BinaryError(f"code directory: digests of kind {kind} of pages of 2**{power} bytes")
    pages = Pages(kind, power, limit)
    if width != pages.width or count != pages.count:
        raise BinaryError(f"code directory: {count} digests of {width} bytes for {limit} bytes")
    if digests < special * width + max(end for least, end in _ENDS if version >= least):
        raise BinaryError(f"code directory: {special} special digests before {digests:#x}")
    part.cut(digests, count * width, what)
    identifier = bytes(part.view[name : name + _LONGEST_NAME]).partition(b"\0")[0]
    return Directory(pages, start + digests, special, bool(flags & _ADHOC), identifier)


def encoded(
    identifier: bytes, pages: Pages, digests: bytes, *, text: tuple[int, int], runs: bool
) -> bytes:
    """A new ad-hoc signature with these SHA-256 digests of pages.

    `text` is where the segment with the code begins in the image and its size; `runs` says that the
    image is a program.
    """
    name = identifier + b"\0"
    requirements = struct.pack(">III", _REQUIREMENTS, 12, 0)
    # The first special digest, which is the last in the row, is that of an Info.plist.
    special = hashlib.sha256(requirements).digest() + bytes(32)
    start = _HEADER_SIZE + len(name) + len(special)
    header = struct.pack(
        _HEADER, _DIRECTORY, start + len(digests), _VERSION, _ADHOC, start, _HEADER_SIZE, 2,
        pages.count, pages.limit, pages.width, SHA256, 0, pages.power, 0, 0, 0, 0, 0, *text,
        _MAIN_BINARY if runs else 0,
    )  # fmt: skip
    parts = {
        0: header + name + special + digests,
        _REQUIREMENTS_SLOT: requirements,
        _CMS_SLOT: struct.pack(">II", _WRAPPER, _EMPTY),
    }
    place = 12 + 8 * len(parts)
    table = b""
    for slot, part in parts.items():
        table += struct.pack(">II", slot, place)
        place += len(part)
    head = struct.pack(">III", _SUPERBLOB, place, len(parts))
    return head + table + b"".join(parts.values())
