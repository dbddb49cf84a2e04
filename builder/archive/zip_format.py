"""The records of a zip as bytes (PKWARE APPNOTE 6.3.x): headers, directory, end, ZIP64."""

from __future__ import annotations

import struct
from time import gmtime
from typing import NamedTuple

__all__ = [
    "MAX_16",
    "MAX_32",
    "Packed",
    "central_header",
    "end_records",
    "field_of",
    "local_header",
    "moved_header",
    "stamp_of",
]

MAX_16 = 0xFFFF
MAX_32 = 0xFFFFFFFF
_FIRST = 315532800
"""1980-01-01 in seconds since 1970."""
_LAST = 4354819198
"""2107-12-31 23:59:58."""
_UNIX = 3
_REGULAR = 0o100000
_LINK = 0o120777


class Packed(NamedTuple):
    """What the directory of the archive says about one member. `stamp` is MS-DOS time and date.

    A `link` is a symbolic one, whose content is its target.
    """

    path: str
    executable: bool
    stamp: tuple[int, int]
    method: int
    big: bool
    crc: int = 0
    packed: int = 0
    size: int = 0
    offset: int = 0
    link: bool = False


def local_header(member: Packed) -> bytes:
    """The header in front of a member's bytes; a `big` one has its sizes in a ZIP64 field."""
    name, flags = _name(member.path)
    extra = struct.pack("<HHQQ", 1, 16, member.size, member.packed) if member.big else b""
    sizes = (MAX_32, MAX_32) if member.big else (member.packed, member.size)
    return (
        struct.pack(
            "<4sHHHHHLLLHH",
            b"PK\x03\x04",
            45 if member.big else 20,
            flags,
            member.method,
            *member.stamp,
            member.crc,
            *sizes,
            len(name),
            len(extra),
        )
        + name
        + extra
    )


def central_header(member: Packed) -> bytes:
    """The member's entry in the directory; only values that do not fit go into a ZIP64 field."""
    name, flags = _name(member.path)
    large = [value for value in (member.size, member.packed, member.offset) if value >= MAX_32]
    extra = struct.pack(f"<HH{len(large)}Q", 1, 8 * len(large), *large) if large else b""
    mode = _LINK if member.link else _REGULAR | (0o755 if member.executable else 0o644)
    needed = 45 if large or member.big else 20
    return (
        struct.pack(
            "<4sBBHHHHHLLLHHHHHLL",
            b"PK\x01\x02",
            needed,
            _UNIX,
            needed,
            flags,
            member.method,
            *member.stamp,
            member.crc,
            min(member.packed, MAX_32),
            min(member.size, MAX_32),
            len(name),
            len(extra),
            0,
            0,
            0,
            mode << 16,
            min(member.offset, MAX_32),
        )
        + name
        + extra
    )


def moved_header(record: bytes, sizes: tuple[int, int], offset: int) -> bytes:
    """The directory's bytes about a kept member, with its new place.

    `sizes` are its raw and its packed one.
    """
    if record[42:46] != b"\xff\xff\xff\xff" and offset < MAX_32:
        return record[:42] + offset.to_bytes(4, "little") + record[46:]
    return _rebuilt(record, sizes, offset)


def _rebuilt(record: bytes, sizes: tuple[int, int], offset: int) -> bytes:
    """The same where the old place or the new one is in the ZIP64 field."""
    name_size, extra_size = (
        int.from_bytes(record[28:30], "little"),
        int.from_bytes(record[30:32], "little"),
    )
    begin = 46 + name_size
    extra, comment = record[begin : begin + extra_size], record[begin + extra_size :]
    large = [value for value in (*sizes, offset) if value >= MAX_32]
    field_ = b"".join(value.to_bytes(8, "little") for value in large)
    wide = b"\x01\0" + len(field_).to_bytes(2, "little") + field_ if large else b""
    rest = _without_wide(extra)
    narrow = b"".join(min(value, MAX_32).to_bytes(4, "little") for value in reversed(sizes))
    head = record[:20] + narrow + record[28:30] + (len(wide) + len(rest)).to_bytes(2, "little")
    needed = b"\x2d\0" if large else record[6:8]
    head = head[:6] + needed + head[8:]
    place = min(offset, MAX_32).to_bytes(4, "little")
    return head + record[32:42] + place + record[46:begin] + wide + rest + comment


def _without_wide(extra: bytes) -> bytes:
    """The extra fields without the one of ZIP64."""
    kept = b""
    place = 0
    while place + 4 <= len(extra):
        size = 4 + int.from_bytes(extra[place + 2 : place + 4], "little")
        if extra[place : place + 2] != b"\x01\0":
            kept += extra[place : place + size]
        place += size
    return kept


def field_of(extra: bytes, wanted: int) -> bytes | None:
    """One extra field; what is no list of fields has none."""
    place = 0
    while place + 4 <= len(extra):
        kind, size = struct.unpack_from("<HH", extra, place)
        if kind == wanted:
            return extra[place + 4 : place + 4 + size]
        place += 4 + size
    return None


def end_records(count: int, start: int, size: int) -> bytes:
    """The end of the archive, for a directory of `count` entries and `size` bytes at `start`."""
    records = b""
    if count >= MAX_16 or start >= MAX_32 or size >= MAX_32:
        fields = (b"PK\x06\x06", 44, 45 | _UNIX << 8, 45, 0, 0, count, count, size, start)
        records = struct.pack("<4sQHHLLQQQQ", *fields)
        records += struct.pack("<4sLQL", b"PK\x06\x07", 0, start + size, 1)
    few = min(count, MAX_16)
    return records + struct.pack(
        "<4sHHHHLLH", b"PK\x05\x06", 0, 0, few, few, min(size, MAX_32), min(start, MAX_32), 0
    )


def _name(path: str) -> tuple[bytes, int]:
    """The name as bytes, and the flag that says it is UTF-8 when it is more than ASCII."""
    return path.encode("utf-8"), 0 if path.isascii() else 1 << 11


def stamp_of(epoch: int) -> tuple[int, int]:
    """MS-DOS time and date of a moment, in UTC; even seconds, 1980 to 2107."""
    when = gmtime(max(_FIRST, min(epoch, _LAST)))
    return (
        when.tm_hour << 11 | when.tm_min << 5 | when.tm_sec // 2,
        when.tm_year - 1980 << 9 | when.tm_mon << 5 | when.tm_mday,
    )
