"""C libraries reached through ctypes: zlib-ng or zlib to see the blocks, libdeflate for one shot.

The extension modules of the packages `zlib_ng` and `deflate` export the C functions of the library
inside them where the operating system lets them; Python's own `zlib` leads to the one it is linked
to. Nothing found here is trusted before `engines` has probed it. All calls release the GIL.
"""

from __future__ import annotations

import ctypes
import importlib.util
from array import array
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self

from builder.archive.deflate.values import Blocks, Buffer, DeflateError

__all__ = ["INPUT", "Inflater", "Library", "libraries", "scan", "whole_stream"]

INPUT = 1 << 20

# Small enough to stay in the cache of a core.
_ROOM = 64 << 10

_RAW = -15
_NO_FLUSH, _BLOCK = 0, 5
_OK, _STREAM_END, _BUF_ERROR = 0, 1, -5
_AT_BOUNDARY, _HELD_BITS = 128, 63


def _stream_type(total: type, check: type) -> type[ctypes.Structure]:
    """`z_stream` of zlib.h, and `zng_stream` of zlib-ng.h, which differ in two types."""
    pointer, unsigned = ctypes.c_void_p, ctypes.c_uint

    class Stream(ctypes.Structure):
        _fields_ = (
            ("next_in", pointer), ("avail_in", unsigned), ("total_in", total),
            ("next_out", pointer), ("avail_out", unsigned), ("total_out", total),
            ("msg", ctypes.c_char_p), ("state", pointer),
            ("zalloc", pointer), ("zfree", pointer), ("opaque", pointer),
            ("data_type", ctypes.c_int), ("adler", check), ("reserved", ctypes.c_ulong),
        )  # fmt: skip

    return Stream


@dataclass(frozen=True, slots=True)
class Library:
    """A library with zlib's way of inflating, by the name and version it gives itself."""

    name: str
    version: str
    stream: type[ctypes.Structure]
    start: Callable[[int, int, bytes, int], int]
    inflate: Callable[[int, int], int]
    end: Callable[[int], int]


class Inflater:
    """One raw stream being inflated: `feed` it, `aim` it at room for the result, `advance` it."""

    def __init__(self, library: Library) -> None:
        self.ended = False
        self.at_boundary = False
        self._fed = 0
        self._library = library
        self._input = bytearray()
        self._stream = library.stream()
        self._address = ctypes.addressof(self._stream)
        version, size = library.version.encode(), ctypes.sizeof(library.stream)
        if library.start(self._address, _RAW, version, size) != _OK:
            raise DeflateError(f"{library.name} does not start", hint="use another version of it")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._library.end(self._address)

    @property
    def room(self) -> int:
        """How many bytes still fit where it is aimed."""
        return int(self._stream.avail_out)

    @property
    def left(self) -> int:
        """How many bytes it was fed and has not used."""
        return int(self._stream.avail_in)

    @property
    def bit(self) -> int:
        """Which bit of the packed stream comes next."""
        held: int = self._stream.data_type & _HELD_BITS
        return 8 * (self._fed - self.left) - held

    def feed(self, packed: memoryview) -> None:
        """Take the next packed bytes, at most `INPUT`; the ones before must be used up."""
        if not self._input:
            self._input = bytearray(INPUT)
        memoryview(self._input)[: len(packed)] = packed
        self._take(self._input, len(packed))

    def feed_all(self, packed: bytearray) -> None:
        """Take a whole stream, without a copy: it must live, and keep its size, until the end."""
        self._take(packed, len(packed))

    def _take(self, packed: bytearray, size: int) -> None:
        self._stream.next_in = _address(packed)
        self._stream.avail_in = size
        self._fed += size

    def aim(self, room: bytearray) -> None:
        """Where to write next. The buffer must live, and keep its size, until it is aimed anew."""
        self._stream.next_out = _address(room)
        self._stream.avail_out = len(room)

    def advance(self, *, stop: bool) -> bool:
        """Go on until there is no room, no input or, if asked to `stop`, a boundary of blocks.

        False when only more input helps or the stream has ended. Raises `DeflateError`.
        """
        status = self._library.inflate(self._address, _BLOCK if stop else _NO_FLUSH)
        if status == _STREAM_END:
            self.ended, self.at_boundary = True, False
            return False
        if status not in {_OK, _BUF_ERROR}:
            message: bytes | None = self._stream.msg
            reason = message.decode("ascii", "replace") if message else f"error {status}"
            raise DeflateError(f"the packed bytes are damaged: {reason}")
        self.at_boundary = stop and bool(self._stream.data_type & _AT_BOUNDARY)
        return self.at_boundary or (status == _OK and (self.left > 0 or self.room == 0))


def scan(library: Library, packed: bytearray, raw: Buffer) -> Blocks:
    """The blocks of a whole stream in memory. Raises `DeflateError` unless it holds just `raw`."""
    content, seen = memoryview(raw), 0
    room = bytearray(min(_ROOM, len(content) + 1))
    bits, starts = array("Q", [0]), array("Q", [0])
    with Inflater(library) as inflater:
        inflater.feed_all(packed)
        inflater.aim(room)
        while inflater.advance(stop=True):
            if inflater.at_boundary:
                bits.append(inflater.bit)
                starts.append(seen + len(room) - inflater.room)
            if not inflater.room:
                if room != bytes(content[seen : seen + len(room)]):
                    raise DeflateError("the packed bytes hold other bytes")
                seen += len(room)
                inflater.aim(room)
        rest = room[: len(room) - inflater.room]
        if not inflater.ended or inflater.left or rest != bytes(content[seen:]):
            raise DeflateError("the packed bytes hold other bytes")
    return Blocks(bits, starts)


def libraries() -> Iterator[Library]:
    """Every library with zlib's way of inflating that can be reached, the fastest first."""
    extension = _origin("zlib_ng.zlib_ng")
    if extension:
        with suppress(OSError, AttributeError):
            yield _library(ctypes.CDLL(extension), "zng_", "zlib-ng")
    # What Python's `zlib` is linked to is found by asking the loader through that module.
    for name in (_origin("zlib"), "libz.so.1", "libz.1.dylib"):
        if name:
            with suppress(OSError, AttributeError):
                yield _library(ctypes.CDLL(name), "", "zlib")


def whole_stream() -> Callable[[bytes, int], bytes] | None:
    """Libdeflate's one shot: inflate a whole stream of exactly that many bytes."""
    extension = _origin("deflate._deflate")
    if not extension or not hasattr(ctypes, "pythonapi"):
        return None
    try:
        loaded = ctypes.CDLL(extension)
        start = _function(loaded.libdeflate_alloc_decompressor, ctypes.c_void_p)
        end = _function(loaded.libdeflate_free_decompressor, None, ctypes.c_void_p)
        pointer, size_t = ctypes.c_void_p, ctypes.c_size_t
        run = _function(
            loaded.libdeflate_deflate_decompress_ex, ctypes.c_int,
            pointer, pointer, size_t, pointer, size_t, pointer, pointer,
        )  # fmt: skip
    except (OSError, AttributeError):
        return None
    room = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_ssize_t)(
        ("PyBytes_FromStringAndSize", ctypes.pythonapi)
    )

    def inflate(packed: bytes, size: int) -> bytes:
        # Filled in place: copying or zeroing costs as much as inflating. At least one byte, so
        # that it is nobody else's; two at most for one, which Python keeps for itself.
        raw: bytes = room(None, max(size, 2))
        used = ctypes.c_size_t()
        decompressor = start()
        if not decompressor:
            raise MemoryError
        try:
            # Without a place for the size, anything but exactly `size` bytes is an error.
            status = run(decompressor, packed, len(packed), raw, size, ctypes.addressof(used), None)
        finally:
            end(decompressor)
        if status:
            raise DeflateError(f"the packed bytes are damaged or not {size} bytes")
        if used.value != len(packed):
            raise DeflateError(f"{len(packed) - used.value} bytes follow behind the packed ones")
        return raw if len(raw) == size else raw[:size]

    return inflate


def _library(loaded: ctypes.CDLL, prefix: str, name: str) -> Library:
    """Raises AttributeError when a function is not there."""
    pointer, integer, text = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p
    version = _function(loaded.zlibng_version if prefix else loaded.zlibVersion, text)
    check = ctypes.c_uint32 if prefix else ctypes.c_ulong
    total = ctypes.c_size_t if prefix else ctypes.c_ulong
    start = getattr(loaded, f"{prefix}inflateInit2_")
    return Library(
        name,
        version().decode("ascii", "replace"),
        _stream_type(total, check),
        _function(start, integer, pointer, integer, text, integer),
        _function(getattr(loaded, f"{prefix}inflate"), integer, pointer, integer),
        _function(getattr(loaded, f"{prefix}inflateEnd"), integer, pointer),
    )


def _function(found: Any, result: type | None, *arguments: type) -> Callable[..., Any]:
    """The function with its types told; an address passed as `int` would be cut to 32 bits."""
    found.restype = result
    found.argtypes = arguments
    made: Callable[..., Any] = found
    return made


def _origin(name: str) -> str | None:
    """The file of an extension module; None when there is no such file."""
    try:
        spec = importlib.util.find_spec(name)
    except ImportError:
        return None
    return spec.origin if spec is not None and spec.has_location else None


def _address(room: bytearray) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(room))
