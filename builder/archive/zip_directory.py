"""Read the directory of a zip and judge it as a whole, before anything in it is used.

Format: PKWARE APPNOTE 6.3.x with ZIP64. What two readers could understand in two ways is refused:
two ends that say different things, bytes behind the end, names that are written twice differently,
members that lie over each other.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final, NoReturn

from builder.archive.file import File
from builder.archive.zip_entry import STORED, Entry, ZipError
from builder.archive.zip_format import MAX_16, MAX_32, field_of

__all__ = ["Directory", "read_directory", "widened"]

_END: Final = struct.Struct("<4s4H2LH")
_END_64: Final = struct.Struct("<4sQ2H2L4Q")
_LOCATOR: Final = struct.Struct("<4sLQL")
_CENTRAL: Final = struct.Struct("<4s6H3L5H2L")
_LOCAL_SIZE: Final = 30
_LONGEST_COMMENT: Final = 0xFFFF
_LARGEST: Final = 48 << 20
_MOST: Final = 300_000
"""Three times the largest archives known; what is held of each member are some hundred bytes."""
_UNIX: Final = 3
_UTF_8: Final = 0x800
_UNICODE_PATH: Final = 0x7075


@dataclass(frozen=True, slots=True)
class Directory:
    """All members in the order they are listed, and where the list begins.

    `offsets` are sorted: no member reaches beyond the next one.
    """

    entries: tuple[Entry, ...]
    offsets: tuple[int, ...]
    start: int


def read_directory(file: File, size: int, archive: str) -> Directory:
    """The directory of an archive of `size` bytes. Raises `ZipError`."""
    reader = _Reader(file, size, archive)
    start, length, count = reader.end()
    entries = tuple(reader.entries(file.read(start, length), start, count))
    return Directory(entries, reader.offsets(entries, start), start)


def widened(extra: bytes, raw: int, packed: int, offset: int, archive: str) -> tuple[int, int, int]:
    """The three values with those of the ZIP64 field, which has only what did not fit."""
    field = field_of(extra, 1)
    if field is None:
        return raw, packed, offset
    values: list[int] = []
    place = 0
    for value in (raw, packed, offset):
        if value == MAX_32:
            if place + 8 > len(field):
                raise ZipError(archive, "a ZIP64 field is too short")
            values.append(int.from_bytes(field[place : place + 8], "little"))
            place += 8
        else:
            values.append(value)
    return values[0], values[1], values[2]


class _Reader:
    """The steps of reading one directory; all they share is what the error says."""

    def __init__(self, file: File, size: int, archive: str) -> None:
        self._file, self._size, self._archive = file, size, archive

    def end(self) -> tuple[int, int, int]:
        """Where the directory begins, its size, and how many members it has."""
        length = min(self._size, _END.size + _LONGEST_COMMENT)
        tail = self._file.read(self._size - length, length)
        # Only the last mark counts: one within a comment would be the end for other readers.
        place = tail.rfind(b"PK\x05\x06")
        if 0 <= place <= len(tail) - _END.size:
            fields = _END.unpack_from(tail, place)
            if place + _END.size + fields[-1] == len(tail):
                return self._checked_end(self._size - length + place, fields)
        raise ZipError(self._archive, "it has no end record, or bytes behind it")

    def _checked_end(self, place: int, fields: tuple[int, ...]) -> tuple[int, int, int]:
        _, disk, other, here, count, size, start, _ = fields
        wide = self._end_64(place)
        if wide is not None:
            narrow = (disk, other, here, count, size, start)
            limits = (MAX_16, MAX_16, MAX_16, MAX_16, MAX_32, MAX_32)
            for told, value, limit in zip(narrow, wide, limits, strict=False):
                if told not in {value, limit}:
                    self._refuse("its two end records contradict each other")
            disk, other, here, count, size, start, place = wide
        if disk or other or here != count:
            self._refuse("it is one of several disks")
        if start + size != place:
            self._refuse(f"its directory does not end where the end record begins ({place:#x})")
        if count * _CENTRAL.size > size:
            self._refuse(f"its directory cannot have {count} members in {size} bytes")
        if size > _LARGEST or count > _MOST:
            self._refuse(f"its directory is too large: {count} members in {size} bytes")
        return start, size, count

    def _end_64(self, place: int) -> tuple[int, int, int, int, int, int, int] | None:
        """The same from the ZIP64 records, which may be there without need."""
        at = place - _LOCATOR.size
        locator = self._file.read(at, _LOCATOR.size) if at >= 0 else b""
        if locator[:4] != b"PK\x06\x07" or len(locator) < _LOCATOR.size:
            return None
        _, _, offset, _ = _LOCATOR.unpack(locator)
        record = self._file.read(offset, _END_64.size) if offset < at else b""
        if len(record) < _END_64.size or record[:4] != b"PK\x06\x06":
            self._refuse("its ZIP64 end record is not where it should be")
        _, length, _, _, disk, other, here, count, size, start = _END_64.unpack(record)
        if offset + 12 + length != at:
            self._refuse("its ZIP64 end record has a wrong size")
        return disk, other, here, count, size, start, offset

    def entries(self, view: bytes, start: int, count: int) -> list[Entry]:
        """Every member. The loop is what opening a big archive costs, hence its looks."""
        found: list[Entry] = []
        add, make, unpack = found.append, tuple.__new__, _CENTRAL.unpack_from
        place, size = 0, len(view)
        for _ in range(count):
            if place + 46 > size:
                self._refuse("its directory ends early")
            (magic, made, _, flags, method, time, date, crc, packed, raw,
             name_size, extra_size, comment_size, disk, _, external, offset) = unpack(view, place)  # fmt: skip
            begin = place + 46
            name = view[begin : begin + name_size]
            end = begin + name_size + extra_size + comment_size
            if magic != b"PK\x01\x02" or end > size:
                self._refuse(f"its directory is damaged at {start + place:#x}")
            if extra_size or disk:
                extra = view[begin + name_size : begin + name_size + extra_size]
                self._check_rare(name, extra, disk)
                if packed == MAX_32 or raw == MAX_32 or offset == MAX_32:  # noqa: PLR1714  # quicker
                    raw, packed, offset = widened(extra, raw, packed, offset, self._archive)
            text = name.decode() if name.isascii() else self._decoded(name, flags)
            mode = external >> 16 if made >> 8 == _UNIX else 0
            fields = (text, method, flags, crc, packed, raw, offset, mode, (time, date))
            add(make(Entry, (*fields, view[place:end])))
            place = end
        if place != size:
            self._refuse("its directory has more members than it says")
        return found

    def offsets(self, entries: tuple[Entry, ...], start: int) -> tuple[int, ...]:
        """Where the members begin, sorted. Raises for those that overlap or cannot be."""
        end = 0
        for entry in entries:
            if entry.offset < end:
                break
            end = entry.offset + _LOCAL_SIZE + entry.packed
            if entry.method == STORED and entry.packed != entry.size:
                self._refuse(f"{entry.name!r} is stored with two sizes")
        else:
            if end > start:
                self._refuse(f"{entries[-1].name!r} reaches into the directory")
            return tuple([entry.offset for entry in entries])
        return self._sorted_offsets(entries, start)

    def _sorted_offsets(self, entries: tuple[Entry, ...], start: int) -> tuple[int, ...]:
        """The same for an archive whose members are listed in another order than they lie in."""
        in_order = sorted(entries, key=lambda entry: entry.offset)
        end, last = 0, ""
        for entry in in_order:
            if entry.offset < end:
                self._refuse(f"{entry.name!r} overlaps {last!r}")
            if entry.method == STORED and entry.packed != entry.size:
                self._refuse(f"{entry.name!r} is stored with two sizes")
            end, last = entry.offset + _LOCAL_SIZE + entry.packed, entry.name
        if end > start:
            self._refuse(f"{last!r} reaches into the directory")
        return tuple([entry.offset for entry in in_order])

    def _decoded(self, name: bytes, flags: int) -> str:
        try:
            return name.decode("utf-8" if flags & _UTF_8 else "cp437")
        except UnicodeDecodeError as error:
            raise ZipError(self._archive, f"the name {name!r} is no UTF-8") from error

    def _check_rare(self, name: bytes, extra: bytes, disk: int) -> None:
        if disk not in {0, MAX_16}:
            self._refuse("it is one of several disks")
        other = field_of(extra, _UNICODE_PATH)
        if other is not None and other[5:] != name:
            self._refuse(f"{name!r} has a second name, {other[5:]!r}")

    def _refuse(self, fault: str) -> NoReturn:
        raise ZipError(self._archive, fault)
