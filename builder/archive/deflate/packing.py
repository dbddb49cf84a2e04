"""Deflate on every core: fixed chunks, each a restart point, joined at whole bytes.

Libdeflate makes one stream of each chunk; the bit that ends it is cleared and an empty block leads
to the next byte. It needs an engine that sees blocks; else `zlib` does it, with the end of the
chunk before as its window. Bytes depend on content, level and engines only.

Levels are libdeflate's. To zlib's level 6 on code, one thread, the proof included: 1 +9.1 % size at
5 times the speed, 3 +4.1 % at 3.4, 5 +0.9 % at 3, 6 (what to use) 0.0 % at 2.5, 7 -0.6 % at 1.9,
9 -0.9 % at 0.9. The proof is 14 % of the time of level 6. `benchmarks/deflating.py` measures it.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from builder.archive.deflate.bits import align, clear_bit
from builder.archive.deflate.engines import Compress, Engines, installed
from builder.archive.deflate.values import WINDOW, Buffer, DeflateError
from builder.archive.tally import Tally
from builder.archive.workers import in_order

if TYPE_CHECKING:
    from builder.archive.deflate.native import Library

__all__ = ["CHUNK", "deflate", "deflate_bytes", "pack_chunk"]

# Smaller ones cost size (256 KiB: +0.9 %), greater ones win little (4 MiB: -0.3 %) and cost memory.
CHUNK = 1 << 20


def deflate(
    chunks: Iterable[Buffer],
    *,
    level: int,
    threads: int = 0,
    tally: Tally,
    engines: Engines | None = None,
) -> Iterator[bytes]:
    """A raw deflate stream of all bytes of `chunks`, which may be cut in any way.

    `level` is 1 to 9. `threads` 0 means one per core. Neither threads nor the cuts change the
    bytes, and about two chunks of 1 MiB per thread are held. Every chunk was inflated again and
    compared.
    """
    chosen = engines or installed()
    jobs = (
        partial(_counted, raw, window, level, is_last, chosen, tally)
        for raw, window, is_last in _with_windows(_cut(chunks))
    )
    return in_order(jobs, threads)


def deflate_bytes(raw: Buffer, *, level: int, tally: Tally) -> bytes:
    """The same stream of bytes in memory, in this thread, for a caller who inflates what he wrote.

    Up to `CHUNK` bytes are one stream of an engine: nobody needs to see its blocks to join it, so
    that it is not inflated here.
    """
    if not raw or len(raw) > CHUNK:
        return b"".join(deflate((raw,), level=level, threads=1, tally=tally))
    tally.add(deflated=len(raw))
    if (compress := installed().compress) is not None:
        return bytes(compress.run(raw, level))
    coder = zlib.compressobj(level, zlib.DEFLATED, -15, 9)
    return coder.compress(raw) + coder.flush()


def pack_chunk(raw: Buffer, window: Buffer, level: int, is_last: bool, engines: Engines) -> bytes:
    """One chunk, from a whole byte to a whole byte; only the last one ends the stream.

    `window` is the raw content in front of it. Raises `DeflateError` when what was packed does not
    inflate to the same bytes.
    """
    if not raw:
        return b"\x03\0" if is_last else b""
    compress, library = engines.compress, engines.boundaries
    if compress is not None and library is not None:
        return _pack_joined(raw, level, is_last, compress, library)
    if compress is not None and is_last and not window:
        return _proven(bytes(compress.run(raw, level)), raw, b"", engines)
    if window:
        coder = zlib.compressobj(level, zlib.DEFLATED, -15, 9, zdict=window)
    else:
        coder = zlib.compressobj(level, zlib.DEFLATED, -15, 9)
    packed = coder.compress(raw) + coder.flush(zlib.Z_FINISH if is_last else zlib.Z_SYNC_FLUSH)
    return _proven(packed, raw, window, engines)


def _counted(
    raw: Buffer, window: Buffer, level: int, is_last: bool, engines: Engines, tally: Tally
) -> bytes:
    packed = pack_chunk(raw, window, level, is_last, engines)
    tally.add(deflated=len(raw))
    return packed


def _pack_joined(
    raw: Buffer, level: int, is_last: bool, compress: Compress, library: Library
) -> bytes:
    from builder.archive.deflate.native import scan  # noqa: PLC0415 - as in `engines`

    packed = compress.run(raw, level)
    try:
        blocks = scan(library, packed, raw)
    except DeflateError as error:
        raise _unlike(compress.name) from error
    if not is_last:
        clear_bit(packed, blocks.bits[-2])
        align(packed, blocks.bits[-1])
    return bytes(packed)


def _with_windows(pieces: Iterator[bytearray]) -> Iterator[tuple[bytearray, bytes, bool]]:
    """Every piece with the end of the one in front of it, and whether it is the last one."""
    window, raw = b"", next(pieces)
    for following in pieces:
        yield raw, window, False
        window, raw = bytes(raw[-WINDOW:]), following
    yield raw, window, True


def _cut(chunks: Iterable[Buffer]) -> Iterator[bytearray]:
    """Pieces of `CHUNK` bytes and a last one, which is empty only when all is."""
    held = bytearray()
    for chunk in chunks:
        view = memoryview(chunk)
        while view:
            if len(held) == CHUNK:
                yield held
                held = bytearray()
            taken = min(CHUNK - len(held), len(view))
            held += view[:taken]
            view = view[taken:]
    yield held


def _proven(packed: bytes, raw: Buffer, window: Buffer, engines: Engines) -> bytes:
    try:
        content = engines.streams.start(window).decompress(packed)
    except engines.streams.error as error:
        raise _unlike("zlib") from error
    if content != raw:
        raise _unlike("zlib")
    return packed


def _unlike(name: str) -> DeflateError:
    return DeflateError(
        f"what {name} packed does not unpack to the same bytes",
        hint="test the memory of this machine, or use another version of the library",
    )
