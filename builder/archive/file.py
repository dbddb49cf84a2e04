"""Files that several threads read and write at once, at any place, in bounded windows."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Self

from builder.errors import UsageError

if TYPE_CHECKING:
    from builder.archive.tally import Tally

__all__ = ["BIG", "WINDOW", "File", "copy", "file_digest", "first_bytes"]

WINDOW = 1 << 20
"""Bytes that are held at once when a file is passed over in order."""
BIG = 8 << 20
"""Bytes from which on content that is only looked at is not held in memory."""
# A pipe must not make us wait for someone who writes.
_READ = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
_CREATE = os.O_RDWR | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0)
_NOT_HERE = frozenset({errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM})


class File:
    """An open file by its descriptor, which it closes.

    Systems without positioned reads get them by a lock.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._lock = Lock()

    @classmethod
    def open(cls, path: Path) -> Self:
        """A file to read. Raises `OSError`."""
        return cls(os.open(path, _READ))

    @classmethod
    def create(cls, path: Path) -> Self:
        """An empty file to write, and to read again. Raises `OSError`."""
        return cls(os.open(path, _CREATE, 0o644))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; a second time does nothing."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def read(self, offset: int, size: int, /) -> bytes:
        """Up to `size` bytes from `offset` on; fewer only where the file ends."""
        data = self._read(offset, size)
        if len(data) in {0, size}:
            return data
        parts = [data]
        done = len(data)
        while done < size and (data := self._read(offset + done, size - done)):
            parts.append(data)
            done += len(data)
        return b"".join(parts)

    def write(self, offset: int, content: bytes | memoryview) -> None:
        """All of `content` at `offset`."""
        rest = memoryview(content)
        while rest:
            done = self._write(offset, rest)
            offset, rest = offset + done, rest[done:]

    def windows(self, start: int, size: int) -> Iterator[bytes]:
        """A range in order, in pieces of at most `WINDOW` bytes."""
        end = start + size
        while start < end and (data := self.read(start, min(WINDOW, end - start))):
            yield data
            start += len(data)

    def _read(self, offset: int, size: int) -> bytes:
        if hasattr(os, "pread"):
            return os.pread(self.descriptor, size, offset)
        with self._lock:
            os.lseek(self.descriptor, offset, os.SEEK_SET)
            return os.read(self.descriptor, size)

    def _write(self, offset: int, content: memoryview) -> int:
        if hasattr(os, "pwrite"):
            return os.pwrite(self.descriptor, content, offset)
        with self._lock:
            os.lseek(self.descriptor, offset, os.SEEK_SET)
            return os.write(self.descriptor, content)


def first_bytes(path: Path, size: int) -> bytes:
    """What a file begins with. Raises `UsageError` when it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(size)
    except OSError as error:
        raise UsageError(
            f"`{path}` cannot be read: {error.strerror}", hint="check its permissions"
        ) from error


def file_digest(path: Path) -> str:
    """The sha256 of a file, in hex. Raises `OSError`."""
    import hashlib  # noqa: PLC0415  # slow to load, and most files are not hashed

    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def copy(source: File, start: int, size: int, target: File, place: int, tally: Tally) -> None:
    """Copy a range from one file into another, inside of the kernel where it can.

    Raises `OSError`, also when the source is shorter.
    """
    tally.add(copied=size)
    end = start + size
    if hasattr(os, "copy_file_range"):
        try:
            while start < end:
                done = os.copy_file_range(
                    source.descriptor, target.descriptor, end - start, start, place
                )
                if not done:
                    break
                start, place = start + done, place + done
        except OSError as error:
            if error.errno not in _NOT_HERE:
                raise
    for data in source.windows(start, end - start):
        target.write(place, data)
        start, place = start + len(data), place + len(data)
    if start < end:
        raise OSError(errno.EIO, f"the file ends {end - start} bytes early")
