"""The content of one member while it is looked into and changed: in a file, or in memory."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from builder.archive.deflate import Blocks, crc32
from builder.archive.file import File
from builder.archive.tally import Tally
from builder.errors import BuilderError
from builder.patch import Patch

__all__ = ["Digest", "Held", "Spooled"]

Digest = tuple[int, bytes, int]
"""CRC, sha256, and how many bytes there were."""


class Spooled:
    """Content in a file without a name, which is gone when it is closed or the process ends.

    `view` is for looking here and there: the pages one touches count as memory. Whoever passes over
    all of it uses `read`. `blocks` are those of the stream it was inflated from. Raises
    `BuilderError` when the folder cannot be written, or is full.
    """

    def __init__(self, folder: Path) -> None:
        from tempfile import mkstemp  # noqa: PLC0415  # slow to load, and few members are so big

        self._folder = folder
        self._name = ""
        self._map: mmap.mmap | None = None
        self.size = 0
        self.blocks: Blocks | None = None
        with self._writing():
            folder.mkdir(parents=True, exist_ok=True)
            descriptor, name = mkstemp(prefix="member-", dir=folder)
        self.file = File(descriptor)
        try:
            Path(name).unlink()
        except OSError:
            self._name = name  # a system that keeps the names of open files

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.close()

    @property
    def view(self) -> memoryview:
        """The content as it is now, mapped; call it again after `write`."""
        if not self.size:
            return memoryview(b"")
        if self._map is None:
            self._map = mmap.mmap(self.file.descriptor, self.size, access=mmap.ACCESS_READ)
        return memoryview(self._map)

    def read(self, offset: int, size: int, /) -> bytes:
        """Bytes from a place on."""
        return self.file.read(offset, size)

    def windows(self) -> Iterator[bytes]:
        """All of it in order, in pieces that are not too big."""
        return self.file.windows(0, self.size)

    def append(self, content: bytes | memoryview) -> None:
        """Write more behind what is there."""
        with self._writing():
            self.file.write(self.size, content)
        self.size += len(content)

    def write(self, patch: Patch) -> None:
        """Make a patch. A view from before it must not be used any more."""
        self._map = None  # unmapped when the last view of it is gone
        with self._writing():
            for offset, content in patch.pieces:
                self.file.write(offset, content)
            os.ftruncate(self.file.descriptor, patch.size)
        self.size = patch.size

    def digest(self, tally: Tally) -> Digest:
        """What the content is known by."""
        return _digest(self.windows(), tally)

    def close(self) -> None:
        """Let the file go."""
        self._map = None
        self.file.close()
        if self._name:
            Path(self._name).unlink(missing_ok=True)
            self._name = ""

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise BuilderError(
                f"nothing can be written in `{self._folder}`: {error.strerror or error}",
                hint="free space or choose another temporary folder",
            ) from error


class Held:
    """The same in memory."""

    def __init__(self, content: bytes, blocks: Blocks | None = None) -> None:
        self.content = content
        self.blocks = blocks

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.close()

    @property
    def size(self) -> int:
        """How many bytes there are."""
        return len(self.content)

    @property
    def view(self) -> memoryview:
        """The content as it is now."""
        return memoryview(self.content)

    def read(self, offset: int, size: int, /) -> bytes:
        """Bytes from a place on."""
        return self.content[offset : offset + size]

    def windows(self) -> Iterator[bytes]:
        """All of it, in one piece."""
        return iter((self.content,))

    def write(self, patch: Patch) -> None:
        """Make a patch."""
        self.content = patch.apply(self.content)

    def digest(self, tally: Tally) -> Digest:
        """What the content is known by."""
        return _digest(self.windows(), tally)

    def close(self) -> None:
        """Let the bytes go."""
        self.content = b""


def _digest(windows: Iterable[bytes], tally: Tally) -> Digest:
    from hashlib import sha256  # noqa: PLC0415  # slow to load, and most content is only looked into

    digest = sha256()
    crc = size = 0
    for window in windows:
        digest.update(window)
        crc = crc32(window, crc)
        size += len(window)
    tally.add(hashed=size)
    return crc, digest.digest(), size
