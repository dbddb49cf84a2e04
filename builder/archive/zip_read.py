"""Read a zip in place: its directory at once, its members only as far as somebody asks.

Nothing is trusted: local headers that contradict the directory, and members that reach into what
follows them, are refused when they are used.
"""

from __future__ import annotations

import os
import stat
import struct
import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final, NoReturn, Self

from builder.archive.deflate import Blocks, Buffer, DeflateError, crc32, inflate, inflate_bytes
from builder.archive.file import BIG, WINDOW, File
from builder.archive.spool import Held, Spooled
from builder.archive.tally import Tally
from builder.archive.zip_directory import read_directory, widened
from builder.archive.zip_entry import DEFLATED, ENCRYPTED, METHODS, Entry, ZipError, method_name
from builder.archive.zip_format import MAX_32
from builder.errors import BuilderError, UsageError

__all__ = ["Entry", "Zip", "ZipError"]

_LOCAL: Final = struct.Struct("<4s5H3L2H")
_LARGEST_READ: Final = 256 << 20
_LONGEST_TARGET: Final = 4096
_HEADERS: Final = 64 << 10
"""Bytes read at once when the headers of many small members are passed over."""
_FEW: Final = 8 << 10
"""Packed bytes of a small member."""
_LIKELY: Final = 512
_DESCRIPTOR, _HINTS, _UTF_8 = 8, 6, 0x800
_RARE: Final = _DESCRIPTOR | ENCRYPTED


def _size_of(descriptor: int, path: Path) -> int:
    """The size of an open file. Raises `UsageError` for what is none."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise UsageError(f"`{path}` is no file", hint="check the path")
    return status.st_size


class Zip:
    """An open archive; `entries` are in the order of its directory.

    Any number of threads may read. `tally` counts what is inflated and hashed. Raises `ZipError`, and
    `UsageError` for a file that cannot be opened.
    """

    def __init__(self, path: Path, tally: Tally | None = None) -> None:
        self.path = path
        self.tally = tally or Tally()
        try:
            self.file = File.open(path)
        except OSError as error:
            raise UsageError(
                f"`{path}` cannot be read: {error.strerror or error}", hint="check the path"
            ) from error
        try:
            self.size = _size_of(self.file.descriptor, path)
            self._written = self._last_written()
            directory = read_directory(self.file, self.size, path.name)
        except OSError as error:
            self.close()
            raise UsageError(
                f"`{path}` cannot be read: {error.strerror}", hint="check the disk"
            ) from error
        except BaseException:
            self.close()
            raise
        self.entries, self.offsets, self.start = (
            directory.entries, directory.offsets, directory.start
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    def has_changed(self) -> bool:
        """Whether somebody wrote to the file since it was opened."""
        return self._last_written() != self._written

    def _last_written(self) -> tuple[int, int]:
        status = os.fstat(self.file.descriptor)
        return status.st_size, status.st_mtime_ns

    def ends(self, entries: Iterable[Entry]) -> list[int]:
        """Where what belongs to each of many members ends; as `extent`, but quick.

        The headers of small members that lie in the given order are read many at once.
        """
        found: list[int] = []
        limits = (*self.offsets, self.start)
        base = following = 0
        window = b""
        for entry in entries:
            _, _, flags, _, packed, _, offset, _, _, record = entry
            place = offset - base
            if place < 0 or place + _LIKELY > len(window):
                window = self.file.read(offset, _HEADERS if packed < _FEW else _LIKELY)
                base, place = offset, 0
            stop = place + _LOCAL.size + (record[28] | record[29] << 8)
            # Both headers say flags, method, time, CRC, both sizes, and the sizes of the name and
            # of extra fields in the same order; nearly always there are none of the latter.
            if (
                window[place + 6 : place + 30] == record[8:32]
                and window[place : place + 4] == b"PK\x03\x04"
                and window[place + 30 : stop] == record[46:]
                and not flags & _DESCRIPTOR
            ):
                end = base + stop + packed
                is_next = limits[following] == offset
                following = following + 1 if is_next else bisect_right(limits, offset)
                if end > limits[following]:
                    self._refuse(f"{entry.name!r} reaches into what follows it")
            else:
                end = self.extent(entry)[2]
            found.append(end)
        return found

    def extent(self, entry: Entry) -> tuple[int, int, int]:
        """Where a member's header, its packed bytes and what belongs to it begin, begin and end.

        Its local header is compared with the directory.
        """
        name = entry.raw_name
        header = self.file.read(entry.offset, _LOCAL.size + len(name))
        if len(header) < _LOCAL.size or header[:4] != b"PK\x03\x04":
            self._refuse(f"no member begins at {entry.offset:#x}, where {entry.name!r} should")
        _, _, flags, method, _, _, crc, packed, size, length, extra = _LOCAL.unpack_from(header)
        # How hard it was packed means nothing to a reader, UTF-8 nothing for a plain name.
        ignored = _HINTS | (_UTF_8 if name.isascii() else 0)
        here = (header[_LOCAL.size :], length, method, flags & ~ignored)
        if here != (name, len(name), entry.method, entry.flags & ~ignored):
            self._refuse(f"the header of {entry.name!r} is not what the directory says")
        data = entry.offset + _LOCAL.size + length + extra
        end = data + entry.packed
        if MAX_32 in {packed, size}:
            fields = self.file.read(data - extra, extra)
            size, packed, _ = widened(fields, size, packed, 0, self.path.name)
        is_blank = flags & _DESCRIPTOR and not (crc or packed or size)
        if not is_blank and (crc, packed, size) != (entry.crc, entry.packed, entry.size):
            self._refuse(f"the header of {entry.name!r} is not what the directory says")
        if flags & _DESCRIPTOR:
            end += self._descriptor(entry, end)
        following = bisect_right(self.offsets, entry.offset)
        if end > (self.offsets[following] if following < len(self.offsets) else self.start):
            self._refuse(f"{entry.name!r} reaches into what follows it")
        return entry.offset, data, end

    def _descriptor(self, entry: Entry, place: int) -> int:
        """The size of the data descriptor behind a member: with or without its magic, and wide."""
        data = self.file.read(place, 24)
        for layout in ("<4xLLL", "<4xLQQ", "<LLL", "<LQQ"):
            length = struct.calcsize(layout)
            marked = not layout.startswith("<4x") or data[:4] == b"PK\x07\x08"
            told = (entry.crc, entry.packed, entry.size)
            if marked and len(data) >= length and struct.unpack_from(layout, data) == told:
                return length
        raise self._error(f"what follows {entry.name!r} does not describe it")

    def packed_range(self, entry: Entry) -> tuple[int, int]:
        """Where the packed bytes of a member begin, and how many there are.

        Raises `ZipError` for those that nobody here can read: encrypted ones, and other methods
        than stored and deflated.
        """
        if entry.flags & ENCRYPTED:
            self._refuse(f"{entry.name!r} is encrypted")
        if entry.method not in METHODS:
            self._refuse(f"{entry.name!r} is packed with {method_name(entry.method)}, not deflate")
        return self.extent(entry)[1], entry.packed

    def head(self, entry: Entry, size: int) -> bytes:
        """The first `size` raw bytes of a member, or all it has."""
        data, length = self.packed_range(entry)
        packed = self.file.read(data, min(length, size + 512))
        if entry.method != DEFLATED:
            return packed[:size]
        try:
            return zlib.decompressobj(-15).decompress(packed, size)
        except zlib.error as error:
            raise self._error(f"{entry.name!r} is damaged: {error}") from error

    def target(self, entry: Entry) -> str:
        """Where a link leads, as it is written; empty for what is none."""
        if entry.kind != "link":
            return ""
        return self.head(entry, _LONGEST_TARGET).decode("utf-8", "backslashreplace")

    def read(self, entry: Entry) -> bytes:
        """The whole content of a member of at most 256 MiB."""
        if entry.size > _LARGEST_READ:
            self._refuse(f"{entry.name!r} has {entry.size} bytes, too many to read at once")
        raw = self._packed(entry)
        if entry.method == DEFLATED:
            try:
                raw = inflate_bytes(raw, entry.size, self.tally)
            except DeflateError as error:
                raise self._error(f"{entry.name!r}: {error.message}") from error
        if len(raw) != entry.size or crc32(raw) != entry.crc:
            self._refuse(f"{entry.name!r} does not have the bytes it was packed with")
        return raw

    def _packed(self, entry: Entry) -> bytes:
        """All packed bytes of a member; with its header, when that is as plain as most, in one go."""
        record, offset = entry.record, entry.offset
        begin = _LOCAL.size + (record[28] | record[29] << 8)
        found = self.file.read(offset, begin + entry.packed)
        # What is compared is told in `ends`.
        if (
            found[6:30] == record[8:32]
            and found[:4] == b"PK\x03\x04"
            and found[30:begin] == record[46:]
            and not entry.flags & _RARE
            and entry.method in METHODS
        ):
            following = bisect_right(self.offsets, offset)
            end = self.offsets[following] if following < len(self.offsets) else self.start
            if offset + begin + entry.packed <= end:
                return found[begin:]
        data, length = self.packed_range(entry)
        return self.file.read(data, length)

    def stream(self, entry: Entry, sink: Callable[[memoryview], None]) -> None:
        """Hand the content of a member to `sink`, in pieces that are valid until it returns."""
        self._inflate(entry, sink, blocks=False)

    def sha256(self, entry: Entry) -> bytes:
        """The digest of the content of a member."""
        from hashlib import sha256  # noqa: PLC0415  # slow to load

        digest = sha256()
        if entry.size <= WINDOW:
            digest.update(self.read(entry))
        else:
            self.stream(entry, digest.update)
        self.tally.add(hashed=entry.size)
        return digest.digest()

    def spool(
        self,
        entry: Entry,
        folder: Path,
        *,
        blocks: bool = True,
        also: Callable[[memoryview], object] = lambda _: None,
    ) -> Spooled:
        """The content of a big member in a file that nobody sees, made in `folder`.

        With `blocks`, those that it was packed in come along. Every window of it goes to `also`.
        """
        spooled = Spooled(folder)

        def take(window: memoryview) -> None:
            also(window)
            spooled.append(window)

        try:
            spooled.blocks = self._inflate(entry, take, blocks=blocks)
        except BaseException:
            spooled.close()
            raise
        return spooled

    def hold(self, entry: Entry, *, blocks: bool = False) -> Held:
        """The same of a small member in memory."""
        if not blocks:
            return Held(self.read(entry))
        content = bytearray()
        found = self._inflate(entry, content.extend, blocks=True)
        return Held(bytes(content), found)

    def content(
        self, entry: Entry, folder: Path, also: Callable[[Buffer], object] = lambda _: None
    ) -> Held | Spooled:
        """The content of a member for a `with`: in memory, or in a file made in `folder`.

        `also` gets all of it first, in order, in pieces that are valid until it returns.
        """
        if entry.size >= BIG:
            return self.spool(entry, folder, blocks=False, also=also)
        held = self.hold(entry)
        also(held.content)
        return held

    def save(
        self, entry: Entry, file: Path, also: Callable[[memoryview], None] = lambda _: None
    ) -> None:
        """Write the content of a member to a new file, and hand every window of it to `also`.

        Raises `BuilderError` when it cannot be written; then nothing is left of it.
        """
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("xb") as out:

                def take(window: memoryview) -> None:
                    also(window)
                    out.write(window)

                if entry.size > WINDOW:
                    self.stream(entry, take)
                else:
                    take(memoryview(self.read(entry)))
        except OSError as error:
            with suppress(OSError):
                file.unlink()
            raise BuilderError(
                f"`{file}` cannot be written: {error.strerror or error}",
                hint="free space or choose another temporary folder",
            ) from error

    def _inflate(
        self, entry: Entry, sink: Callable[[memoryview], None], *, blocks: bool
    ) -> Blocks | None:
        windows = self.file.windows(*self.packed_range(entry))
        found: Blocks | None = None
        crc = total = 0
        if entry.method == DEFLATED:
            try:
                done = inflate(windows, sink, size=entry.size, blocks=blocks, tally=self.tally)
            except DeflateError as error:
                raise self._error(f"{entry.name!r}: {error.message}") from error
            crc, total, found = done.crc, done.size, done.blocks
        else:
            for window in windows:
                crc, total = crc32(window, crc), total + len(window)
                sink(memoryview(window))
        if (crc, total) != (entry.crc, entry.size):
            self._refuse(f"{entry.name!r} does not have the bytes it was packed with")
        return found

    def _error(self, fault: str) -> ZipError:
        return ZipError(self.path.name, fault)

    def _refuse(self, fault: str) -> NoReturn:
        raise self._error(fault)
