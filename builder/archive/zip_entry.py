"""One member of a zip as its directory has it, and the one error that a zip raises."""

from __future__ import annotations

import stat
from typing import Final, Literal, NamedTuple

from builder.errors import UsageError

__all__ = [
    "DEFLATED",
    "ENCRYPTED",
    "METHODS",
    "STORED",
    "Entry",
    "ZipError",
    "looks_like_zip",
    "method_name",
]

STORED: Final = 0
DEFLATED: Final = 8
METHODS: Final = frozenset({STORED, DEFLATED})
ENCRYPTED: Final = 0x2041
"""Flags of a member that nobody can read without a key: it, its header, or all of it is encrypted."""
_METHODS: Final = {9: "deflate64", 12: "bzip2", 14: "lzma", 93: "zstandard", 95: "xz"}
_PLAIN: Final = frozenset({0, stat.S_IFREG})
_MAGICS: Final = (b"PK\x03\x04", b"PK\x05\x06")


class ZipError(UsageError):
    """A file that is no zip, or a damaged or dishonest one; the message says where."""

    def __init__(self, archive: str, fault: str) -> None:
        super().__init__(
            f"`{archive}` is not a sound zip: {fault}", hint="build or download it again"
        )
        self.fault = fault


def looks_like_zip(head: bytes) -> bool:
    """Whether a file that begins like this is a zip: with a member, or empty."""
    return head.startswith(_MAGICS)


class Entry(NamedTuple):
    """One member as the directory has it. A tuple, because some archives have a hundred thousand.

    `stamp` is MS-DOS time and date, `mode` that of stat(2) where Unix wrote it, `record` the bytes
    of the directory about it.
    """

    name: str
    method: int
    flags: int
    crc: int
    packed: int
    size: int
    offset: int
    mode: int
    stamp: tuple[int, int]
    record: bytes

    @property
    def kind(self) -> Literal["file", "directory", "link", "special"]:
        """What it stands for."""
        written_as = self.mode & 0o170000
        if written_as == stat.S_IFLNK:
            return "link"
        if self.name[-1:] == "/":
            return "directory"
        return "file" if written_as in _PLAIN else "special"

    @property
    def raw_name(self) -> bytes:
        """The name as it is written."""
        return self.record[46 : 46 + int.from_bytes(self.record[28:30], "little")]


def method_name(method: int) -> str:
    """How people call a way of packing."""
    return _METHODS.get(method, f"method {method}")
