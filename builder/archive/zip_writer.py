"""An archive that is being written, member by member, at its end.

Format: PKWARE APPNOTE 6.3.x with ZIP64. What is kept is copied as it is, in runs as long as
possible, inside of the kernel where it can. What is new is inflated and hashed from the file it was
written to; what was too big to hold was proven while it was made, and its packed bytes are compared.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, Self

from builder.archive.copier import Copier
from builder.archive.deflate import Copy, Piece, crc32, deflate, splice
from builder.archive.file import File
from builder.archive.record import Row, encode_digest
from builder.archive.spool import Digest
from builder.archive.tally import Tally
from builder.archive.zip_entry import STORED, Entry
from builder.archive.zip_format import (
    MAX_32,
    Packed,
    central_header,
    end_records,
    local_header,
    moved_header,
)
from builder.archive.zip_items import Change, Keep, Link, Put, blank_of, windows_of
from builder.archive.zip_read import Zip
from builder.archive.zip_verify import Planned, Proven, read_back, written
from builder.errors import BuilderError

__all__ = ["Writer"]

_MARGIN: Final = 1 << 20
_AT_ONCE: Final = 1024
"""Members whose headers are read before the first of them is copied."""


class Writer:
    """An archive that is being written; `end` is where the next member begins.

    `rows` are those of new members, as soon as they are settled, `planned` what the directory has
    to say in the end.
    """

    def __init__(
        self,
        source: Zip | None,
        out: File,
        stamp: tuple[int, int],
        *,
        level: int,
        threads: int,
        tally: Tally,
    ) -> None:
        self._source, self._out = source, out
        self.stamp, self.level, self.threads, self.tally = stamp, level, threads, tally
        self._copier = Copier(source.file, out, tally) if source is not None else None
        self.end = 0
        self.rows: dict[str, Row] = {}
        self.planned: list[Planned] = []
        self._records: list[bytes] = []
        self._fresh: list[tuple[Packed, int]] = []
        self._proven: list[Proven] = []
        self._pending: list[tuple[int, Packed, Callable[[], Digest]]] = []

    @property
    def old(self) -> Zip:
        """The archive that members are kept of."""
        assert self._source is not None, "only members of an archive can be kept or changed"
        return self._source

    def copied(self) -> None:
        """Wait until everything that is kept was copied."""
        if self._copier is not None:
            self._copier.settle()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if self._copier is not None:
            self._copier.close()

    def keep(self, entries: Sequence[Entry]) -> None:
        """Copy members, every stretch of neighbours in one go."""
        for first in range(0, len(entries), _AT_ONCE):
            self._keep(entries[first : first + _AT_ONCE])

    def _keep(self, entries: Sequence[Entry]) -> None:
        start = place = 0
        stop = -1  # nothing was met yet, not even what begins at 0
        for entry, last in zip(entries, self.old.ends(entries), strict=True):
            first, size = entry.offset, last - entry.offset
            if first != stop:
                self._copy(start, stop, place)
                start, place = first, self.end
            stop = last
            record = entry.record
            if first != self.end:
                record = moved_header(record, (entry.size, entry.packed), self.end)
            self._records.append(record)
            self.planned.append((*entry[:6], self.end))
            self.end += size
        self._copy(start, stop, place)

    def rename(self, item: Keep) -> None:
        """Copy the packed bytes of a member behind a new header."""
        start, size = self.old.packed_range(item.entry)
        packed = blank_of(item, self.stamp, item.entry.size)._replace(offset=self.end)
        begin = self.head(packed)
        self._copy(start, start + size, begin)
        self.note(packed, begin + size)

    def add(self, packed: Packed, content: bytes) -> None:
        """Write a member that is ready."""
        packed = packed._replace(offset=self.end)
        header = local_header(packed)
        self._out.write(self.end, header + content)
        begin = self.end + len(header)
        self._fresh.append((packed, begin))
        self.note(packed, begin + len(content))

    def stream(self, item: Put | Link | Change, size: int) -> None:
        """Write a new member that is too big to hold; `deflate` proves it, piece by piece."""
        from hashlib import sha256  # noqa: PLC0415  # slow to load

        blank = blank_of(item, self.stamp, size)._replace(offset=self.end)
        begin = self.end + len(local_header(blank))
        digest = sha256()
        read = _Read(windows_of(item), digest.update)
        made = _Read(deflate(read, level=self.level, threads=self.threads, tally=self.tally))
        end = self._all(made, begin) if self.level else begin
        if not self.level or end - begin >= size:
            read = _Read(windows_of(item))
            end, blank = self._all(read, begin), blank._replace(method=STORED)
        if read.size != size:
            raise _shrunk(blank.path, read.size, size)
        packed = blank._replace(crc=read.crc, packed=end - begin)
        self.head(packed)
        if packed.method == STORED:
            self._fresh.append((packed, begin))
        else:
            self.tally.add(hashed=size)
            self._proven.append(Proven(packed, begin, made.crc, digest.digest()))
        self.note(packed, end)

    def pieces(self, item: Change, threads: int) -> Iterator[Piece]:
        """The packed bytes of a member of which most are kept; any thread may ask.

        What `splice` gives is proven, and what it copies was inflated: nothing is read back.
        """
        data, packed_size = self.old.packed_range(item.entry)
        assert item.raw.blocks is not None, "decided before"
        return splice(
            _Shifted(self.old.file, data), packed_size, item.raw.blocks, item.raw,
            item.old_size, item.raw.size, item.touched,
            level=self.level, tally=self.tally, threads=threads,
        )  # fmt: skip

    def splice(self, item: Change, pieces: Iterable[Piece], digest: Callable[[], Digest]) -> None:
        """Write a member from its pieces; its header comes when it is hashed."""
        data, packed_size = self.old.packed_range(item.entry)
        most = max(packed_size, item.raw.size)
        blank = blank_of(item, self.stamp, item.raw.size)
        blank = blank._replace(offset=self.end, big=most + (most >> 10) + _MARGIN >= MAX_32)
        begin = place = self.end + len(local_header(blank))
        for piece in pieces:
            if isinstance(piece, Copy):
                at = data + piece.offset
                self._copy(at, at + piece.size, place)
                place += piece.size
            else:
                self._out.write(place, piece)
                place += len(piece)
        packed = blank._replace(packed=place - begin)
        self._pending.append((len(self._records), packed, digest))
        self.note(packed, place)

    def settle(self) -> None:
        """Read back what is new, and complete what waited for its digest: now all have rows."""
        self.rows |= written(self._out, self._proven)
        self.rows |= read_back(self._out, self._fresh, self.threads, self.tally)
        for index, blank, digest in self._pending:
            crc, sha256, read = digest()
            if read != blank.size:
                raise _shrunk(blank.path, read, blank.size)
            packed = blank._replace(crc=crc)
            self._out.write(packed.offset, local_header(packed))
            self._records[index] = central_header(packed)
            self.planned[index] = (*self.planned[index][:3], crc, *self.planned[index][4:])
            self.rows[packed.path] = Row(packed.path, encode_digest(sha256), read)
        self._pending.clear()
        self._proven.clear()
        self._fresh.clear()

    def finish(self) -> None:
        """Write the directory."""
        directory = b"".join(self._records)
        end = end_records(len(self._records), self.end, len(directory))
        self._out.write(self.end, directory + end)
        # A stream that became smaller when it was stored may have left something behind.
        os.ftruncate(self._out.descriptor, self.end + len(directory) + len(end))

    def head(self, packed: Packed) -> int:
        """Write a header; where the packed bytes go comes back."""
        header = local_header(packed)
        self._out.write(packed.offset, header)
        return packed.offset + len(header)

    def note(self, packed: Packed, end: int) -> None:
        """List a member that ends at `end`, where the next one begins."""
        self._records.append(central_header(packed))
        flags = 0 if packed.path.isascii() else 1 << 11
        numbers = (packed.crc, packed.packed, packed.size, packed.offset)
        self.planned.append((packed.path, packed.method, flags, *numbers))
        self.end = end

    def _all(self, parts: Iterable[bytes], place: int) -> int:
        for part in parts:
            self._out.write(place, part)
            place += len(part)
        return place

    def _copy(self, start: int, stop: int, place: int) -> None:
        if stop > start and self._copier is not None:
            self._copier.add(start, stop - start, place)


class _Read:
    """Content that is passed on, to `also` as well, and what it was."""

    def __init__(
        self, windows: Iterable[bytes], also: Callable[[bytes], object] | None = None
    ) -> None:
        self._windows, self._also = windows, also
        self.crc = self.size = 0

    def __iter__(self) -> Iterator[bytes]:
        for window in self._windows:
            self.crc = crc32(window, self.crc)
            self.size += len(window)
            if self._also is not None:
                self._also(window)
            yield window


class _Shifted:
    """A file as if it began at a later place."""

    def __init__(self, file: File, start: int) -> None:
        self._file, self._start = file, start

    def read(self, offset: int, size: int, /) -> bytes:
        """Bytes from a place behind the start on."""
        return self._file.read(self._start + offset, size)


def _shrunk(name: str, read: int, size: int) -> BuilderError:
    return BuilderError(
        f"`{name}` changed while it was packed: {read} bytes, not {size}",
        hint="make sure that nothing writes there, then run the same command again",
    )
