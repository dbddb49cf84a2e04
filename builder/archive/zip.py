"""Write a folder as a wheel: the same bytes for the same content, on every core.

Format: PKWARE APPNOTE 6.3.x. Big members are deflated in blocks of fixed size, each with the end of
the one before as its dictionary, so that one huge library uses every core and memory stays bounded.
The file appears under its name whole or not at all.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from builder.archive.listing import list_files
from builder.errors import BuilderError

__all__ = ["MAX_32", "Packed", "central_header", "end_records", "local_header", "pack"]

MAX_32 = 0xFFFFFFFF
_MAX_16 = 0xFFFF
_BLOCK = 4 << 20
_WINDOW = 32 << 10
_FIRST = datetime(1980, 1, 1, tzinfo=UTC)
_LAST = datetime(2107, 12, 31, 23, 59, 58, tzinfo=UTC)
_UNIX = 3
_REGULAR = 0o100000


@dataclass(frozen=True, slots=True)
class Packed:
    """What the directory of the archive says about one member. `stamp` is MS-DOS time and date."""

    path: str
    executable: bool
    stamp: tuple[int, int]
    method: int
    big: bool
    crc: int = 0
    packed: int = 0
    size: int = 0
    offset: int = 0


@dataclass(frozen=True, slots=True)
class _Block:
    """One piece of one member. `data` is empty for the end of an empty file."""

    data: bytes
    window: bytes
    is_last: bool


def pack(folder: Path, target: Path, *, epoch: int, level: int = 6, threads: int = 0) -> Path:
    """Write every file below `folder` into the archive `target` and give `target` back.

    Every time stamp is `epoch` (seconds since 1970, moved into 1980-2107). Modes are 0644 or 0755.
    `level` is zlib's, 0 stores. `threads` 0 means one per core; it never changes the bytes. Raises
    `BuilderError` when it cannot be written; then nothing is left behind.
    """
    partial = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as out:
            _write(folder, out, _stamp(epoch), level, threads or os.cpu_count() or 1)
            out.flush()
            os.fsync(out.fileno())
        partial.replace(target)
    except OSError as error:
        raise BuilderError(
            f"`{target}` cannot be written: {error.strerror or error}",
            hint="free space or choose another folder",
        ) from error
    finally:
        with suppress(OSError):
            partial.unlink()
    return target


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
    mode = _REGULAR | (0o755 if member.executable else 0o644)
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


def end_records(count: int, start: int, size: int) -> bytes:
    """The end of the archive, for a directory of `count` entries and `size` bytes at `start`."""
    records = b""
    if count >= _MAX_16 or start >= MAX_32 or size >= MAX_32:
        fields = (b"PK\x06\x06", 44, 45 | _UNIX << 8, 45, 0, 0, count, count, size, start)
        records = struct.pack("<4sQHHLLQQQQ", *fields)
        records += struct.pack("<4sLQL", b"PK\x06\x07", 0, start + size, 1)
    few = min(count, _MAX_16)
    return records + struct.pack(
        "<4sHHHHLLH", b"PK\x05\x06", 0, 0, few, few, min(size, MAX_32), min(start, MAX_32), 0
    )


def _write(folder: Path, out: IO[bytes], stamp: tuple[int, int], level: int, threads: int) -> None:
    """Deflate blocks in workers, a bounded number ahead of the writer, and write them in order."""
    done: list[Packed] = []
    ahead: deque[tuple[Packed | None, _Block, Future[bytes]]] = deque()
    with ThreadPoolExecutor(max_workers=threads) as pool:
        for member, block in _blocks(folder, stamp, level):
            ahead.append((member, block, pool.submit(_deflated, block, level)))
            if len(ahead) > 2 * threads:
                _write_block(out, done, *ahead.popleft())
        while ahead:
            _write_block(out, done, *ahead.popleft())
    start = out.tell()
    for member in done:
        out.write(central_header(member))
    size = out.tell() - start
    out.write(end_records(len(done), start, size))


def _blocks(
    folder: Path, stamp: tuple[int, int], level: int
) -> Iterator[tuple[Packed | None, _Block]]:
    """Every block of every file; the first one of a file comes with the file's header."""
    for path in list_files(folder):
        status = (folder / path).stat()
        executable = bool(status.st_mode & 0o111)
        method = zlib.DEFLATED if level and status.st_size else 0
        # Deflate may grow what cannot be compressed; leave room below the limit of 4 GiB.
        big = status.st_size + status.st_size // 1000 + _BLOCK >= MAX_32
        header: Packed | None = Packed(path, executable, stamp, method, big)
        with (folder / path).open("rb") as file:
            window, data = b"", file.read(_BLOCK)
            while True:
                following = file.read(_BLOCK)
                yield header, _Block(data, window, is_last=not following)
                header, window = None, data[-_WINDOW:]
                if not following:
                    break
                data = following


def _deflated(block: _Block, level: int) -> bytes:
    if not level or not (block.data or block.window):
        return block.data
    if block.window:
        engine = zlib.compressobj(level, zlib.DEFLATED, -15, 9, zdict=block.window)
    else:
        engine = zlib.compressobj(level, zlib.DEFLATED, -15, 9)
    end = zlib.Z_FINISH if block.is_last else zlib.Z_SYNC_FLUSH
    return engine.compress(block.data) + engine.flush(end)


def _write_block(
    out: IO[bytes], done: list[Packed], header: Packed | None, block: _Block, future: Future[bytes]
) -> None:
    """Write one block; the last one of a member completes the header in front of the member."""
    content = future.result()
    if header is not None:
        done.append(_with(header, offset=out.tell()))
        out.write(local_header(header))
    out.write(content)
    member = done[-1]
    done[-1] = member = _with(
        member,
        offset=member.offset,
        crc=zlib.crc32(block.data, member.crc),
        packed=member.packed + len(content),
        size=member.size + len(block.data),
    )
    if block.is_last:
        if not member.big and max(member.packed, member.size) >= MAX_32:
            raise BuilderError(
                f"`{member.path}` grew while it was packed", hint="run the same command again"
            )
        here = out.tell()
        out.seek(member.offset)
        out.write(local_header(member))
        out.seek(here)


def _with(member: Packed, *, offset: int, crc: int = 0, packed: int = 0, size: int = 0) -> Packed:
    return Packed(
        member.path, member.executable, member.stamp, member.method, member.big,
        crc, packed, size, offset,
    )  # fmt: skip


def _name(path: str) -> tuple[bytes, int]:
    """The name as bytes, and the flag that says it is UTF-8 when it is more than ASCII."""
    return path.encode("utf-8"), 0 if path.isascii() else 1 << 11


def _stamp(epoch: int) -> tuple[int, int]:
    """MS-DOS time and date of a moment, in UTC; even seconds, 1980 to 2107."""
    bounded = max(_FIRST.timestamp(), min(epoch, _LAST.timestamp()))
    when = datetime.fromtimestamp(bounded, tz=UTC)
    return (
        when.hour << 11 | when.minute << 5 | when.second // 2,
        when.year - 1980 << 9 | when.month << 5 | when.day,
    )
