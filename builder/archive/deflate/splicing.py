"""Splice: new raw bytes into an old packed stream, of which all other blocks are kept as they are.

Only the blocks that hold touched bytes are packed anew, and those within reach of them: a block
may refer to 32 KiB in front of it, and beyond that decodes as ever. What is new begins and ends at
whole bytes; empty blocks lead there from the middle of a byte and back to the bit at which the old
stream goes on, so that nothing kept is ever shifted. A truncated or longer file gets a new end.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from builder.archive.deflate.bits import align, lead_to
from builder.archive.deflate.engines import Engines, installed
from builder.archive.deflate.packing import CHUNK, pack_chunk
from builder.archive.deflate.values import WINDOW, Blocks, Copy, DeflateError, Piece, ReadAt
from builder.archive.tally import Tally
from builder.archive.workers import in_order

__all__ = ["splice"]

# What follows a stretch is decoded so far: twice what may still refer to the new bytes.
_PROVEN = 2 * WINDOW


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Blocks `first` up to `last` are made anew, from raw `start` to `end`."""

    first: int
    last: int
    start: int
    end: int
    is_final: bool


@dataclass(frozen=True, slots=True)
class _Case:
    """The old stream, the new content, and how it is packed."""

    packed: ReadAt
    blocks: Blocks
    raw: ReadAt
    level: int
    engines: Engines
    tally: Tally


def splice(
    packed: ReadAt,
    packed_size: int,
    blocks: Blocks,
    raw: ReadAt,
    old_size: int,
    new_size: int,
    touched: Sequence[tuple[int, int]],
    *,
    level: int,
    tally: Tally,
    threads: int = 0,
    engines: Engines | None = None,
) -> Iterator[Piece]:
    """The stream of the new content as pieces of the old one and new bytes, in order.

    `packed` and `blocks` are the old stream, `raw` the new content of `new_size` bytes; it may
    differ from the old one in `touched` (start, end) only, and behind `old_size`. Wide stretches
    are packed in chunks by `threads` (0 means one per core) and never held as a whole. Each one is
    proven before it is handed out: inflated together with what follows it, and compared. Raises
    `DeflateError` when that fails or the blocks are of another stream.
    """
    if (blocks.size, blocks.packed_size) != (old_size, packed_size):
        raise DeflateError(
            f"blocks of {blocks.size} bytes, {blocks.packed_size} packed, are not those of a "
            f"stream of {old_size}, {packed_size} packed",
            hint="inflate the file again to see its blocks",
        )
    case = _Case(packed, blocks, raw, level, engines or installed(), tally)
    stretches = tuple(_stretches(blocks, new_size, touched))
    return in_order(_jobs(case, stretches, packed_size), threads)


def _stretches(
    blocks: Blocks, new_size: int, touched: Iterable[tuple[int, int]]
) -> Iterator[_Stretch]:
    """What has to be made anew, sorted and apart."""
    spans = sorted(_spans(blocks, new_size, touched))
    while spans:
        first, last = spans.pop(0)
        while spans and spans[0][0] <= last:
            last = max(last, spans.pop(0)[1])
        is_final = last == len(blocks)
        end = new_size if is_final else blocks.raw[last]
        yield _Stretch(first, last, blocks.raw[first], end, is_final)


def _spans(
    blocks: Blocks, new_size: int, touched: Iterable[tuple[int, int]]
) -> Iterator[tuple[int, int]]:
    """First block and the one behind the last for every touched range."""
    count = len(blocks)
    for start, end in touched:
        if start < end and start < min(blocks.size, new_size):
            first = bisect_right(blocks.raw, start) - 1
            yield first, min(bisect_left(blocks.raw, end + WINDOW), count)
    if new_size != blocks.size:
        # The last block says that it is the last one, so it cannot stay when more follows.
        yield min(bisect_right(blocks.raw, new_size), count) - 1, count


def _jobs(
    case: _Case, stretches: tuple[_Stretch, ...], packed_size: int
) -> Iterator[Callable[[], Piece]]:
    here = 0
    bits = case.blocks.bits
    for number, stretch in enumerate(stretches):
        yield from _kept(here, bits[stretch.first] >> 3)
        limit = stretches[number + 1].start if number + 1 < len(stretches) else case.blocks.size
        yield from _remade(case, stretch, limit)
        here = packed_size if stretch.is_final else (bits[stretch.last] + 7) >> 3
    yield from _kept(here, packed_size)


def _kept(start: int, end: int) -> Iterator[Callable[[], Piece]]:
    if start < end:
        yield partial(Copy, start, end - start)


def _remade(case: _Case, stretch: _Stretch, limit: int) -> Iterator[Callable[[], Piece]]:
    """The chunks of one stretch; `limit` is where the old raw content ends that follows it."""
    head = _head(case, stretch)
    start = stretch.start
    while True:
        end = min(start + CHUNK, stretch.end)
        yield partial(_chunk, case, stretch, start, end, head, limit)
        head, start = b"", end
        if end >= stretch.end:
            break


def _chunk(case: _Case, stretch: _Stretch, start: int, end: int, head: bytes, limit: int) -> bytes:
    """One chunk of a stretch, the last one with all that leads back to the old stream."""
    begin = max(0, start - WINDOW)
    content = _read(case.raw, begin, end - begin)
    window, fresh = content[: start - begin], content[start - begin :]
    is_end = end == stretch.end
    made = pack_chunk(fresh, window, case.level, is_end and stretch.is_final, case.engines)
    case.tally.add(deflated=len(fresh))
    if is_end and not stretch.is_final:
        made += _tail(case, stretch)
        _prove(case, stretch, made, window, fresh, limit)
    return head + made


def _head(case: _Case, stretch: _Stretch) -> bytes:
    """From the bit at which the old stream is left to the next whole byte."""
    bit = case.blocks.bits[stretch.first]
    if not bit & 7:
        return b""
    started = bytearray(_read(case.packed, bit >> 3, 1))
    align(started, bit & 7)
    return bytes(started)


def _tail(case: _Case, stretch: _Stretch) -> bytes:
    """From a whole byte to the bit at which the old stream goes on."""
    bit = case.blocks.bits[stretch.last]
    return lead_to(bit & 7, _read(case.packed, bit >> 3, 1)[0]) if bit & 7 else b""


def _prove(
    case: _Case, stretch: _Stretch, made: bytes, window: bytes, fresh: bytes, limit: int
) -> None:
    """Decode the end of a stretch and what follows it, and compare with the new content."""
    streams = case.engines.streams
    size = min(_PROVEN, limit - stretch.end)
    expected = fresh + _read(case.raw, stretch.end, size)
    decoder = streams.start(window)
    found = bytearray()
    try:
        found += decoder.decompress(made, len(expected))
        here = (case.blocks.bits[stretch.last] + 7) >> 3
        while len(found) < len(expected) and here < case.blocks.packed_size:
            count = min(_PROVEN, case.blocks.packed_size - here)
            packed = _read(case.packed, here, count)
            found += decoder.decompress(packed, len(expected) - len(found))
            here += count
    except streams.error as error:
        raise _unproven(stretch) from error
    if found != expected:
        raise _unproven(stretch)


def _read(source: ReadAt, offset: int, size: int) -> bytes:
    """Exactly `size` bytes. Raises `DeflateError` when the file has become shorter."""
    content = bytes(source.read(offset, size))
    if len(content) != size:
        raise DeflateError(f"{len(content)} bytes were read at {offset} instead of {size}")
    return content


def _unproven(stretch: _Stretch) -> DeflateError:
    return DeflateError(
        f"the bytes {stretch.start} to {stretch.end} packed anew do not lead on to the old ones",
        hint="pack the whole file anew",
    )
