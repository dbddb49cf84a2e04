"""Write a zstandard-compressed tar: the same bytes for the same content, on every core.

Formats: POSIX.1-2001 pax (only where a name or size asks for it, else ustar) and RFC 8878. The
stream is cut into blocks of fixed size and each becomes a frame of its own, which every reader puts
together again; so the blocks are compressed in parallel and memory stays bounded.
"""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from builder.archive.deliver import staged
from builder.archive.workers import in_order
from builder.errors import BuilderError

__all__ = ["TarItem", "frames", "tar_end", "tar_header", "tar_padding", "write_tar"]

_BLOCK = 4 << 20
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class TarItem:
    """One member: the bytes themselves or the file that has them, or the target of a link."""

    path: str
    content: bytes | Path = b""
    executable: bool = False
    link: str = ""


def write_tar(
    items: Iterable[TarItem], target: Path, *, epoch: int, level: int = 6, threads: int = 0
) -> Path:
    """Write the members in the given order into a `.tar.zst`, and give `target` back.

    Every time stamp is `epoch`, owners are 0, modes 0644 or 0755. `level` is zstandard's. Raises
    `BuilderError` when it cannot be written, or when a file changes while it is read; then nothing
    is left behind.
    """
    with staged(target) as path, path.open("wb") as out:
        out.writelines(frames(_blocks(_stream(items, epoch)), level=level, threads=threads))
        out.flush()
        os.fsync(out.fileno())
    return target


def frames(blocks: Iterable[bytes], *, level: int, threads: int = 0) -> Iterator[bytes]:
    """One zstandard frame for each block, compressed in parallel and given in order."""
    import zstandard  # noqa: PLC0415  # only those who write such an archive pay for it

    def compress(block: bytes) -> bytes:
        return zstandard.ZstdCompressor(level=level, write_content_size=True).compress(block)

    return in_order((partial(compress, block) for block in blocks), threads)


def tar_header(item: TarItem, size: int, epoch: int) -> bytes:
    """What stands before the content of a member of so many bytes; of a link, all of it."""
    info = tarfile.TarInfo(item.path)
    info.size, info.mtime = size, epoch
    info.mode = 0o755 if item.executable else 0o644
    if item.link:
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, item.link, 0o777
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def tar_padding(size: int) -> bytes:
    """What stands behind a content of so many bytes."""
    return bytes(-size % tarfile.BLOCKSIZE)


def tar_end() -> bytes:
    """What stands behind the last member."""
    return bytes(2 * tarfile.BLOCKSIZE)


def _stream(items: Iterable[TarItem], epoch: int) -> Iterator[bytes]:
    """The bytes of the tar."""
    for item in items:
        size = _size(item)
        yield tar_header(item, size, epoch)
        if item.link:
            continue
        written = 0
        for chunk in _chunks(item):
            written += len(chunk)
            yield chunk
        if written != size:
            raise BuilderError(
                f"`{item.path}` changed while it was packed: {written} bytes, not {size}",
                hint="make sure that nothing writes there, then run the same command again",
            )
        yield tar_padding(size)
    yield tar_end()


def _size(item: TarItem) -> int:
    if item.link:
        return 0
    return len(item.content) if isinstance(item.content, bytes) else item.content.stat().st_size


def _chunks(item: TarItem) -> Iterator[bytes]:
    if isinstance(item.content, bytes):
        yield item.content
        return
    with item.content.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def _blocks(stream: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in blocks of one size, the last one shorter."""
    waiting = io.BytesIO()
    for chunk in stream:
        rest = memoryview(chunk)
        while room := min(_BLOCK - waiting.tell(), len(rest)):
            waiting.write(rest[:room])
            rest = rest[room:]
            if waiting.tell() == _BLOCK:
                yield waiting.getvalue()
                waiting = io.BytesIO()
    if waiting.tell():
        yield waiting.getvalue()
