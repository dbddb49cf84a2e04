"""Inflate: a stream of any size through a few buffers, or a small one in memory."""

from __future__ import annotations

import zlib
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from builder.archive.deflate.engines import Decompress, Engines, Streams, installed
from builder.archive.deflate.values import Blocks, Buffer, DeflateError, Inflated
from builder.archive.tally import Tally

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future

    from builder.archive.deflate.native import Library

__all__ = ["inflate", "inflate_bytes"]

Sink = Callable[[memoryview], object]

_ROOM = 512 << 10
_ROOMS = 4
_PARALLEL = 8 << 20
_SMALL = 16 << 10

# Deflate needs at least one bit for 258 bytes, 1032 : 1, and a few bytes around.
_EXPANSION = 1032


def inflate(
    packed: Iterable[Buffer],
    sink: Sink,
    *,
    size: int,
    blocks: bool = False,
    tally: Tally,
    engines: Engines | None = None,
) -> Inflated:
    """Hand the raw bytes of a raw deflate stream to `sink`, and tell their CRC-32.

    The parts of `packed` may have any size. What `sink` gets is valid until it returns; a big
    stream calls it from another thread, in order, while the next bytes are inflated. With `blocks`
    the boundaries of all blocks come back too, unless no engine sees them or there are far more
    than any sensible encoder makes. Raises `DeflateError` when the stream is damaged, ends early,
    has other bytes behind it, or is not exactly `size` bytes; then never more than `size` bytes
    reached `sink`. Errors of `sink` come through.
    """
    chosen = engines or installed()
    library = chosen.boundaries
    with _outlet(chosen.streams, sink, size) as outlet:
        if library is None:
            _inflate_plain(chosen.streams, packed, outlet)
            marks = None
        else:
            marks = _Marks(size) if blocks else None
            _inflate_natively(library, packed, outlet, marks)
    if outlet.made != size:
        raise DeflateError(f"the packed bytes hold {outlet.made} bytes, not {size}")
    tally.add(inflated=size)
    return Inflated(outlet.crc, size, marks.blocks() if marks is not None else None)


def inflate_bytes(
    packed: Buffer, size: int, tally: Tally, *, engines: Engines | None = None
) -> bytes:
    """The raw bytes of a stream in memory that is small enough. Raises as `inflate` does."""
    if size > _EXPANSION * (len(packed) + 1):
        raise DeflateError(f"{len(packed)} packed bytes cannot hold {size} bytes")
    if engines is None and size <= _SMALL:
        # As fast as any other, and a small wheel needs no other library to be loaded.
        raw = _inflate_one(zlib.decompressobj(-15), zlib.error, packed, size)
    else:
        chosen = engines or installed()
        if chosen.whole is not None:
            raw = chosen.whole.run(bytes(packed), size)
        else:
            raw = _inflate_one(chosen.streams.start(b""), chosen.streams.error, packed, size)
    tally.add(inflated=size)
    return raw


class _Marks:
    """Boundaries of blocks, up to a number that no sensible encoder reaches."""

    def __init__(self, size: int) -> None:
        self._bits = array("Q", [0])
        self._raw = array("Q", [0])
        self._most = 1024 + size // 1024

    @property
    def wanted(self) -> bool:
        return len(self._bits) <= self._most

    def note(self, bit: int, raw: int) -> None:
        self._bits.append(bit)
        self._raw.append(raw)

    def blocks(self) -> Blocks | None:
        return Blocks(self._bits, self._raw) if self.wanted else None


class _Outlet:
    """Where raw bytes go: counted, bounded, and handed to the sink, here or in another thread."""

    def __init__(self, streams: Streams, sink: Sink, size: int, pool: Executor | None) -> None:
        self.made = 0
        self.crc = 0
        self._crc32, self._sink, self._size, self._pool = streams.crc32, sink, size, pool
        count = 1 if pool is None else _ROOMS
        self._rooms = deque(bytearray(min(_ROOM, size + 1)) for _ in range(count))
        self._pending: deque[Future[None]] = deque()
        self._failed = False

    @property
    def room(self) -> bytearray:
        """A buffer that nobody reads any more, until the next bytes are handed over."""
        return self._rooms[0]

    def hand_over(self, raw: memoryview) -> None:
        """Give bytes to the sink. Raises `DeflateError` when they are more than there should be."""
        if self.made + len(raw) > self._size:
            raise DeflateError(f"the packed bytes hold more than {self._size} bytes")
        self.made += len(raw)
        self.crc = self._crc32(raw, self.crc)
        if self._pool is None:
            self._sink(raw)
            return
        self._pending.append(self._pool.submit(self._deliver, raw))
        self._rooms.rotate(-1)
        self.settle(leave=len(self._rooms) - 1)

    def settle(self, *, leave: int = 0) -> None:
        """Wait until at most `leave` calls of the sink are under way; its errors come out here."""
        while len(self._pending) > leave:
            self._pending.popleft().result()

    def _deliver(self, raw: memoryview) -> None:
        """Call the sink, but never again after it failed."""
        if not self._failed:
            self._failed = True
            self._sink(raw)
            self._failed = False


@contextmanager
def _outlet(streams: Streams, sink: Sink, size: int) -> Iterator[_Outlet]:
    if size < _PARALLEL:
        yield _Outlet(streams, sink, size, None)
        return
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - slow to import

    with ThreadPoolExecutor(1) as pool:
        outlet = _Outlet(streams, sink, size, pool)
        yield outlet
        outlet.settle()


def _inflate_natively(
    library: Library, packed: Iterable[Buffer], outlet: _Outlet, marks: _Marks | None
) -> None:
    from builder.archive.deflate.native import INPUT, Inflater  # noqa: PLC0415 - as in `engines`

    room = outlet.room
    with Inflater(library) as inflater:
        inflater.aim(room)
        for part in _parts(packed, INPUT):
            if inflater.ended:
                raise DeflateError("other bytes follow behind the packed ones")
            inflater.feed(part)
            stop = marks is not None and marks.wanted
            while inflater.advance(stop=stop):
                if marks is not None and inflater.at_boundary:
                    marks.note(inflater.bit, outlet.made + len(room) - inflater.room)
                    stop = marks.wanted
                if not inflater.room:
                    outlet.hand_over(memoryview(room))
                    room = outlet.room
                    inflater.aim(room)
        if not inflater.ended:
            raise DeflateError("the packed bytes end too early")
        if inflater.left:
            raise DeflateError("other bytes follow behind the packed ones")
        outlet.hand_over(memoryview(room)[: len(room) - inflater.room])


def _inflate_plain(streams: Streams, packed: Iterable[Buffer], outlet: _Outlet) -> None:
    decoder = streams.start(b"")
    for part in _parts(packed, _ROOM // 4):
        if decoder.eof:
            raise DeflateError("other bytes follow behind the packed ones")
        rest: Buffer = part
        while True:
            try:
                raw = decoder.decompress(rest, _ROOM)
            except streams.error as error:
                raise _damaged(error) from error
            rest = decoder.unconsumed_tail
            outlet.hand_over(memoryview(raw))
            if not rest and len(raw) < _ROOM:
                break
    if not decoder.eof:
        raise DeflateError("the packed bytes end too early")
    if decoder.unused_data:
        raise DeflateError("other bytes follow behind the packed ones")


def _inflate_one(decoder: Decompress, damage: type[Exception], packed: Buffer, size: int) -> bytes:
    """Inflate in one call, with room for one byte too much."""
    try:
        raw = decoder.decompress(packed, size + 1)
    except damage as error:
        raise _damaged(error) from error
    if len(raw) > size:
        raise DeflateError(f"the packed bytes hold more than {size} bytes")
    if not decoder.eof:
        raise DeflateError("the packed bytes end too early")
    if len(raw) < size:
        raise DeflateError(f"the packed bytes hold {len(raw)} bytes, not {size}")
    if decoder.unused_data:
        raise DeflateError("other bytes follow behind the packed ones")
    return raw


def _damaged(error: Exception) -> DeflateError:
    """Python's message without the number and the words that every one begins with."""
    return DeflateError(f"the packed bytes are damaged: {str(error).rpartition(': ')[2]}")


def _parts(packed: Iterable[Buffer], most: int) -> Iterator[memoryview]:
    """The same bytes in parts of a size that fits; none is empty."""
    for chunk in packed:
        view = memoryview(chunk)
        for offset in range(0, len(view), most):
            yield view[offset : offset + most]
