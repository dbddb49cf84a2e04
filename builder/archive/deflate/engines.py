"""Which library does what: looked for once, probed before it is trusted, and named for the record.

| does                               | first choice                    | else                       |
|------------------------------------|---------------------------------|----------------------------|
| inflate and tell the blocks        | zlib-ng, then zlib, by ctypes   | nobody tells the blocks    |
| inflate a stream in memory         | libdeflate by ctypes            | `zlib_ng`, then `zlib`     |
| inflate a stream piece by piece    | the first row                   | `zlib_ng`, then `zlib`     |
| deflate                            | libdeflate (package `deflate`)  | `zlib`                     |
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Protocol

from builder.archive.deflate.bits import lead_to
from builder.archive.deflate.values import Blocks, Buffer, DeflateError

if TYPE_CHECKING:
    from builder.archive.deflate.native import Library

__all__ = [
    "Compress",
    "Decompress",
    "Engines",
    "Streams",
    "Whole",
    "all_streams",
    "codecs",
    "crc32",
    "installed",
    "library_sound",
]

_RAW = -15
_WORTH_LOADING = 64 << 10


class Decompress(Protocol):
    """A stream being inflated, as Python's `zlib` does it."""

    @property
    def eof(self) -> bool: ...  # noqa: D102 - as in the standard library
    @property
    def unused_data(self) -> bytes: ...  # noqa: D102
    @property
    def unconsumed_tail(self) -> bytes: ...  # noqa: D102
    def decompress(self, data: Buffer, max_length: int = 0, /) -> bytes: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Streams:
    """Python's `zlib`, or `zlib_ng` which does the same faster."""

    name: str
    start: Callable[[Buffer], Decompress]
    crc32: Callable[[Buffer, int], int]
    error: type[Exception]


@dataclass(frozen=True, slots=True)
class Compress:
    """One-shot raw deflate by libdeflate."""

    name: str
    run: Callable[[Buffer, int], bytearray]


@dataclass(frozen=True, slots=True)
class Whole:
    """One-shot raw inflate: packed bytes and their raw size; raises `DeflateError`."""

    name: str
    run: Callable[[bytes, int], bytes]


@dataclass(frozen=True, slots=True)
class Engines:
    """One choice of libraries; without arguments it is Python's `zlib` for everything."""

    streams: Streams
    boundaries: Library | None = None
    whole: Whole | None = None
    compress: Compress | None = None

    @property
    def joins(self) -> bool:
        """Whether one-shot streams can be joined: only who sees the last block can open its end."""
        return self.boundaries is not None and self.compress is not None


def codecs(engines: Engines | None = None) -> Mapping[str, str]:
    """Which library and version does what. `deflate` decides over the bytes that are made."""
    chosen = engines or installed()
    by_zlib = f"zlib {zlib.ZLIB_RUNTIME_VERSION}"
    blocks, whole, compress = chosen.boundaries, chosen.whole, chosen.compress
    seen = f"{blocks.name} {blocks.version}" if blocks else ""
    made = compress.name if compress else by_zlib
    return {
        "deflate": made if chosen.joins or not compress else f"{made}, in blocks {by_zlib}",
        "inflate": seen or chosen.streams.name,
        "inflate whole": whole.name if whole else chosen.streams.name,
        "blocks": seen or "unknown",
    }


@cache
def installed() -> Engines:
    """The best choice on this machine; an engine that fails its probe is left out."""
    # Loaded here: nobody who packs or unpacks nothing pays for it.
    from builder.archive.deflate.native import libraries  # noqa: PLC0415

    streams = next(item for item in all_streams() if _streams_sound(item))
    library = next((item for item in libraries() if library_sound(item)), None)
    whole = _whole()
    compress = _compress()
    return Engines(streams, library, whole, compress)


def crc32(content: Buffer, value: int = 0) -> int:
    """The CRC-32 of what came before, whose own is `value`, and of more bytes."""
    if len(content) < _WORTH_LOADING:
        return zlib.crc32(content, value)
    return installed().streams.crc32(content, value)


def all_streams() -> tuple[Streams, ...]:
    """The modules with `zlib`'s interface, the fastest first; Python's own is always there."""
    own = Streams(
        f"zlib {zlib.ZLIB_RUNTIME_VERSION}",
        lambda window: zlib.decompressobj(_RAW, window) if window else zlib.decompressobj(_RAW),
        zlib.crc32,
        zlib.error,
    )
    try:
        from zlib_ng import zlib_ng as module  # noqa: PLC0415 - optional
    except ImportError:
        return (own,)
    error: type[Exception] = module.error  # type: ignore[assignment] # the stub lacks `type`
    fast = Streams(
        f"zlib-ng {module.ZLIBNG_RUNTIME_VERSION}",
        lambda window: (
            module.decompressobj(_RAW, zdict=window) if window else module.decompressobj(_RAW)
        ),
        module.crc32,
        error,
    )
    return (fast, own)


def _whole() -> Whole | None:
    from builder.archive.deflate.native import whole_stream  # noqa: PLC0415 - as in `installed`

    run = whole_stream()
    if run is None:
        return None
    packed, raw, _ = _known()
    damaged = (packed + b"\0", len(raw)), (packed, len(raw) - 1), (packed, len(raw) + 1)
    with suppress(DeflateError):
        if run(packed, len(raw)) == raw and all(_refuses(run, *case) for case in damaged):
            return Whole(_libdeflate(), run)
    return None


def _compress() -> Compress | None:
    try:
        from deflate import deflate_compress  # noqa: PLC0415 - optional
    except ImportError:
        return None
    raw = _known()[1]
    with suppress(zlib.error):
        if zlib.decompress(deflate_compress(raw, 6), _RAW) == raw:
            return Compress(_libdeflate(), deflate_compress)
    return None


def _libdeflate() -> str:
    """Libdeflate does not say its version; the package that brings it does."""
    import deflate  # noqa: PLC0415 - optional

    return f"libdeflate of deflate {deflate.__version__}"


def _refuses(run: Callable[[bytes, int], bytes], packed: bytes, size: int) -> bool:
    try:
        run(packed, size)
    except DeflateError:
        return True
    return False


def _streams_sound(streams: Streams) -> bool:
    packed, raw, _ = _known()
    decoder = streams.start(b"")
    with suppress(streams.error):
        return decoder.decompress(packed) == raw and decoder.eof
    return False


def library_sound(library: Library) -> bool:
    """Whether every boundary that the library reports is one, as Python's `zlib` sees it.

    A stream that begins at a true boundary gives the rest of the raw bytes, and at no other bit.
    """
    from builder.archive.deflate.native import scan  # noqa: PLC0415 - as in `installed`

    packed, raw, least = _known()
    try:
        blocks = scan(library, bytearray(packed), raw)
    except DeflateError:
        return False
    return (
        len(blocks) >= least
        and blocks.packed_size == len(packed)
        and all(_leads_on(packed, raw, blocks, index) for index in range(len(blocks)))
    )


def _leads_on(packed: bytes, raw: bytes, blocks: Blocks, index: int) -> bool:
    bit, start = blocks.bits[index], blocks.raw[index]
    rest = packed[(bit + 7) >> 3 :]
    if bit & 7:
        rest = lead_to(bit & 7, packed[bit >> 3]) + rest
    decoder = zlib.decompressobj(_RAW, zdict=raw[:start])
    with suppress(zlib.error):
        return decoder.decompress(rest) == raw[start:] and decoder.eof
    return False


@cache
def _known() -> tuple[bytes, bytes, int]:
    """A stream with stored and coded blocks, its content, and how many blocks it has at least."""
    text = b"".join(b"%d;" % (number * number) for number in range(400))
    coder = zlib.compressobj(6, zlib.DEFLATED, _RAW, 1)
    packed = coder.compress(text) + coder.flush(zlib.Z_SYNC_FLUSH) + coder.compress(text[::-1])
    return packed + coder.flush(), text + text[::-1], 5
