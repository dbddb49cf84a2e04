"""Bytes of an archive read front to back, once: plain, or unpacked while they are read.

Hides gzip, bzip2, xz and zstandard, and what each of them raises on damage. Memory is bounded: by
the windows of the formats, none of which may be larger than what their own tools make.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Final, Protocol, cast

from builder.archive.file import BIG, File
from builder.archive.refusals import Limits
from builder.archive.spool import Held, Spooled
from builder.errors import UsageError

__all__ = [
    "ArchiveError",
    "Content",
    "Packing",
    "Part",
    "Source",
    "open_source",
    "packing_of",
    "unpacked",
]

_CHUNK: Final = 256 << 10
_XZ_MEMORY: Final = 160 << 20
_ZSTD_WINDOW: Final = 128 << 20

Packing = str
"""`gzip`, `bzip2`, `xz`, `zstandard`, or empty for bytes that are not packed."""

_LONGEST_MAGIC: Final = 6
_MAGIC: Final = (
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\0", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstandard"),
)


class ArchiveError(UsageError):
    """An archive that is damaged, or that unfolds to more than it may; `faults` say every reason."""

    def __init__(self, archive: str, faults: tuple[str, ...], *, hint: str = "") -> None:
        super().__init__(
            f"`{archive}` is not a sound archive",
            faults=faults,
            hint=hint or "build or download it again",
        )


class Source(Protocol):
    """Bytes that come once, in order."""

    def read(self, size: int, /) -> bytes:
        """The next `size` bytes, fewer only at the end. Raises `ArchiveError` on damage."""
        ...

    def skip(self, size: int, /) -> None:
        """Pass over bytes; those behind the end are not noticed."""
        ...


class Content:
    """The bytes of one member, front to back; those nobody reads are passed over.

    `what` is how an error calls it.
    """

    def __init__(self, source: Source, size: int, what: str, archive: str) -> None:
        self._source, self._archive = source, archive
        self.what, self.left = what, size

    def read(self, size: int) -> bytes:
        """The next bytes, empty at the end. Raises `ArchiveError` when the archive ends before."""
        wanted = min(size, self.left)
        data = self._source.read(wanted)
        if len(data) < wanted:
            raise ArchiveError(self._archive, (f"damaged: it ends within {self.what}",))
        self.left -= wanted
        return data

    def skip(self) -> None:
        """Pass over what is left."""
        self._source.skip(self.left)
        self.left = 0

    @contextmanager
    def whole(
        self, folder: Path, head: bytes = b"", also: Callable[[bytes], object] = lambda _: None
    ) -> Iterator[Held | Spooled]:
        """What is left behind `head`, which was read: in memory, or in a file made in `folder`.

        `also` gets all of it first, `head` included, piece by piece.
        """
        if self.left < BIG:
            held = Held(head + self.read(self.left))
            also(held.content)
            yield held
            return
        spooled = Spooled(folder)
        try:
            also(head)
            spooled.append(head)
            while chunk := self.read(_CHUNK):
                also(chunk)
                spooled.append(chunk)
            yield spooled
        finally:
            spooled.close()


class _Decoder(Protocol):
    """What the decoders of `bz2` and `lzma` have in common."""

    @property
    def eof(self) -> bool:
        """Whether the end of a stream was met."""
        ...

    @property
    def needs_input(self) -> bool:
        """Whether nothing more comes out before more goes in."""
        ...

    @property
    def unused_data(self) -> bytes:
        """What follows behind the end."""
        ...

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """At most so many bytes more."""
        ...


class _File(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _Streams:
    """Several streams in a row, with or without zeros between them, as one file."""

    def __init__(self, packed: _File, make: Callable[[], _Decoder]) -> None:
        self._packed, self._make = packed, make
        self._decoder = make()

    def read(self, size: int) -> bytes:
        """The next bytes, fewer than asked for at any time, none at the end."""
        while True:
            if self._decoder.eof:
                data = self._following()
                if not data:
                    return b""
                self._decoder = self._make()
            else:
                data = self._packed.read(_CHUNK) if self._decoder.needs_input else b""
                if self._decoder.needs_input and not data:
                    raise EOFError("the packed bytes end too early")
            if raw := self._decoder.decompress(data, size):
                return raw

    def _following(self) -> bytes:
        """The first bytes of the next stream."""
        data = self._decoder.unused_data.lstrip(b"\0")
        while not data and (more := self._packed.read(_CHUNK)):
            data = more.lstrip(b"\0")
        return data


class Part:
    """A range of a file as it is."""

    def __init__(self, file: File, place: int, size: int) -> None:
        self._file, self._place, self._left = file, place, size

    def read(self, size: int = -1) -> bytes:
        """The next bytes, all that are left by default."""
        data = self._file.read(self._place, self._left if size < 0 else min(size, self._left))
        self.skip(len(data))
        return data

    def skip(self, size: int) -> None:
        """Pass over bytes."""
        self._place += size
        self._left = max(0, self._left - size)


class _Bounded:
    """What comes out of a decoder, in the pieces asked for, and no more of it than it may be."""

    def __init__(self, raw: _File, archive: str, most: int) -> None:
        self._raw, self._archive, self._left = raw, archive, most

    def read(self, size: int) -> bytes:
        parts: list[bytes] = []
        while size and (part := self._raw.read(min(size, _CHUNK))):
            size -= len(part)
            self._left -= len(part)
            if self._left < 0:
                raise ArchiveError(self._archive, ("bomb: it unfolds to more than it may",))
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def skip(self, size: int) -> None:
        while size and (part := self.read(min(size, _CHUNK))):
            size -= len(part)


class _Named:
    """A source whose errors name the archive and nothing of the library that raised them."""

    def __init__(self, inner: Source, archive: str, damage: tuple[type[Exception], ...]) -> None:
        self._inner, self._archive, self._damage = inner, archive, damage

    def read(self, size: int) -> bytes:
        with self._named():
            return self._inner.read(size)

    def skip(self, size: int) -> None:
        with self._named():
            self._inner.skip(size)

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except self._damage as error:
            raise ArchiveError(self._archive, (f"damaged: {error}",)) from error


def packing_of(head: bytes) -> Packing:
    """How the bytes that begin like this are packed; six of them are enough."""
    return next((name for magic, name in _MAGIC if head.startswith(magic)), "")


@contextmanager
def open_source(path: Path, limits: Limits | None = None) -> Iterator[Source]:
    """The bytes of a file, unpacked. Raises `ArchiveError`, or `UsageError` if it cannot be read."""
    try:
        file = File.open(path)
    except OSError as error:
        raise UsageError(
            f"`{path}` cannot be read: {error.strerror}", hint="check its permissions"
        ) from error
    with file:
        size = os.fstat(file.descriptor).st_size
        part = Part(file, 0, size)
        packing = packing_of(file.read(0, _LONGEST_MAGIC))
        if packing:
            yield unpacked(part, packing, path.name, size, limits)
        else:
            yield _Named(part, path.name, (OSError,))


def unpacked(
    packed: _File, packing: Packing, archive: str, size: int, limits: Limits | None = None
) -> Source:
    """Unpack what `packed` gives when it is read, `size` bytes in all.

    They may unfold as far as `limits` say, and to as much again for headers and padding.
    """
    bounds = limits or Limits()
    most = 2 * max(bounds.floor, min(bounds.total, size * bounds.ratio))
    raw, damage = _decoded(packed, packing)
    inner = _Bounded(raw, archive, most)
    return _Named(inner, archive, (*damage, EOFError, OSError, MemoryError))


def _decoded(packed: _File, packing: Packing) -> tuple[_File, tuple[type[Exception], ...]]:
    """The raw bytes, and what reading them raises. Imported when met: most archives are zips."""
    match packing:
        case "gzip":
            import gzip  # noqa: PLC0415  # as said above

            return gzip.GzipFile(fileobj=cast("IO[bytes]", packed)), (zlib.error,)
        case "bzip2":
            import bz2  # noqa: PLC0415  # as said above

            return _Streams(packed, bz2.BZ2Decompressor), (ValueError,)
        case "xz":
            import lzma  # noqa: PLC0415  # as said above

            make = partial(lzma.LZMADecompressor, memlimit=_XZ_MEMORY)
            return _Streams(packed, make), (lzma.LZMAError,)
        case _:
            import zstandard  # noqa: PLC0415  # as said above

            engine = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
            reader = engine.stream_reader(cast("IO[bytes]", packed), read_across_frames=True)
            return reader, (zstandard.ZstdError,)
