from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterator, Mapping

import deflate as libdeflate
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zlib_ng import zlib_ng

from builder.archive.deflate import (
    Blocks,
    DeflateError,
    Engines,
    deflate,
    inflate,
    inflate_bytes,
    installed,
    packing,
    unpacking,
)
from builder.archive.deflate.bits import align, lead_to
from builder.archive.tally import Tally
from tests.encoders import COMMON, OWN, bounded, raw_zlib

ENGINES = {
    "zlib alone": Engines(OWN),
    "no ctypes": Engines(installed().streams, compress=installed().compress),
    **bounded(),
}
"""Every combination that can be met: of what is installed here, down to Python's `zlib`."""
every_engine = pytest.mark.parametrize("chosen", ENGINES.values(), ids=ENGINES)


def noise(size: int) -> bytes:
    return hashlib.shake_128(b"noise").digest(size)


def code(size: int) -> bytes:
    """Bytes like those of a program: half new, half repeated from near and far."""
    parts: list[bytes] = []
    made = 0
    fresh = memoryview(noise(size))
    while made < size:
        new = bytes(fresh[made : made + 40 + made % 61])
        parts += [new, new[: made % 37], bytes(made % 23), parts[len(parts) // 2] if parts else b""]
        made += sum(map(len, parts[-4:]))
    return b"".join(parts)[:size]


ENCODERS: Mapping[str, Callable[[bytes], bytes]] = {
    **COMMON,
    "fixed codes": lambda data: raw_zlib(data, 6, 8, zlib.Z_FIXED),
    "small blocks": lambda data: raw_zlib(data, 6, 3),
    "zlib-ng 6": lambda data: zlib_ng.compress(data, 6, -15),
}
every_encoder = pytest.mark.parametrize("encode", ENCODERS.values(), ids=ENCODERS)

CONTENTS = {
    "empty": b"",
    "a byte": b"a",
    "two bytes": b"ab",
    "zeros": bytes(400_000),
    "noise": noise(100_000),
    "code": code(150_000),
}
every_content = pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)


def cut(data: bytes, size: int) -> Iterator[bytes]:
    return (data[offset : offset + size] for offset in range(0, len(data), size))


def inflated(
    packed: bytes, size: int, chosen: Engines, *, part: int = 1000, blocks: bool = True
) -> tuple[bytes, Blocks | None]:
    made = bytearray()
    found = inflate(
        cut(packed, part), made.extend, size=size, blocks=blocks, tally=Tally(), engines=chosen
    )
    assert found.crc == zlib.crc32(made)
    assert found.size == len(made)
    return bytes(made), found.blocks


@every_engine
@every_content
def test_every_content_comes_back_from_every_encoder(chosen: Engines, content: bytes) -> None:
    for name, encode in ENCODERS.items():
        packed = encode(content)
        assert inflated(packed, len(content), chosen)[0] == content, name
        assert inflate_bytes(packed, len(content), Tally(), engines=chosen) == content, name


@every_encoder
@pytest.mark.parametrize("part", [1, 7, 4096, 1 << 30])
def test_boundaries_do_not_depend_on_the_cuts(encode: Callable[[bytes], bytes], part: int) -> None:
    content = code(60_000)
    packed = encode(content)
    expected = inflated(packed, len(content), ENGINES["installed"])[1]

    assert inflated(packed, len(content), ENGINES["installed"], part=part)[1] == expected


@every_encoder
def test_every_boundary_is_the_start_of_a_block(encode: Callable[[bytes], bytes]) -> None:
    content = code(150_000)
    packed = encode(content)

    for chosen in ENGINES.values():
        if chosen.boundaries is None:
            continue
        blocks = inflated(packed, len(content), chosen)[1]
        assert blocks is not None
        assert (blocks.size, blocks.packed_size) == (len(content), len(packed))
        for bit, start in zip(blocks.bits[:-1], blocks.raw[:-1], strict=True):
            rest = packed[(bit + 7) >> 3 :]
            if bit & 7:
                rest = lead_to(bit & 7, packed[bit >> 3]) + rest
            decoder = zlib.decompressobj(-15, zdict=content[max(0, start - 32768) : start])
            assert decoder.decompress(rest) == content[start:]
            assert decoder.eof


@pytest.mark.parametrize("phase", range(1, 8))
def test_empty_blocks_lead_to_every_bit(phase: int) -> None:
    target = raw_zlib(b"what follows")
    shifted = int.from_bytes(target, "little") << phase
    whole = shifted.to_bytes(len(target) + 1, "little")
    led = lead_to(phase, whole[0]) + whole[1:]

    assert zlib.decompress(led, -15) == b"what follows"
    assert zlib_ng.decompress(led, -15) == b"what follows"
    assert libdeflate.deflate_decompress(led, 12) == b"what follows"


@pytest.mark.parametrize("end", range(1, 17))
def test_aligning_keeps_the_bits_in_front_and_clears_those_behind(end: int) -> None:
    packed = bytearray(b"\xff\xff\xff")

    align(packed, end)

    value = int.from_bytes(packed, "little")
    assert value & ((1 << end) - 1) == (1 << end) - 1
    assert packed.endswith(b"\0\0\xff\xff")
    assert value >> end == 0xFFFF0000 << (len(packed) * 8 - 32 - end)
    assert len(packed) == (end + 3 + 7) // 8 + 4


def test_a_bound_on_boundaries_keeps_a_hostile_stream_cheap() -> None:
    empty_blocks = int.from_bytes(b"\0\0\0\xff\xff" * 5000, "little").to_bytes(25_000, "little")
    packed = empty_blocks + raw_zlib(b"content")

    content, blocks = inflated(packed, 7, ENGINES["installed"])

    assert (content, blocks) == (b"content", None)


@every_engine
def test_no_boundaries_unless_they_are_asked_for(chosen: Engines) -> None:
    assert inflated(raw_zlib(b"a"), 1, chosen, blocks=False)[1] is None


def hostile() -> dict[str, tuple[bytes, int]]:
    content = code(20_000)
    packed = raw_zlib(content)
    coder = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zdict=content)
    far = coder.compress(content[5000:9000]) + coder.flush()
    return {
        "nothing": (b"", 0),
        "nothing for something": (b"", 10),
        "too much": (packed, len(content) - 1),
        "much too much": (raw_zlib(bytes(1 << 20)), 100),
        "too little": (packed, len(content) + 1),
        "much too little": (packed, 1 << 60),
        "a byte behind": (packed + b"\0", len(content)),
        "much behind": (packed + packed, len(content)),
        "a byte missing": (packed[:-1], len(content)),
        "half of it": (packed[: len(packed) // 2], len(content)),
        "open end": (packed[:-1] + b"\0", len(content)),
        "unknown kind of block": (b"\x07", 0),
        "lengths of a stored block": (b"\1\5\0\5\0hello", 5),
        "too many codes": (b"\xfd\xff\xff\xff", 10),
        "too far back": (far, 4000),
        "text": (b"Not a deflate stream at all, really", 40),
    }


HOSTILE = hostile()


@every_engine
@pytest.mark.parametrize(("packed", "size"), HOSTILE.values(), ids=HOSTILE)
def test_what_is_not_one_stream_of_that_size_is_refused(
    packed: bytes, size: int, chosen: Engines
) -> None:
    got = bytearray()
    for blocks in (True, False):
        got.clear()
        with pytest.raises(DeflateError):
            inflate([packed], got.extend, size=size, blocks=blocks, tally=Tally(), engines=chosen)
        assert len(got) <= size
    with pytest.raises(DeflateError):
        inflate_bytes(packed, size, Tally(), engines=chosen)


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(DeflateError, match="packed bytes are damaged: invalid block type"):
        inflate([b"\x07"], bytes, size=5, tally=Tally())


@pytest.mark.parametrize("size", [10, 20 << 20])
@every_engine
def test_errors_of_the_sink_come_through_and_end_it(chosen: Engines, size: int) -> None:
    calls = []

    def sink(view: memoryview) -> None:
        calls.append(len(view))
        raise OSError(28, "disk full")

    with pytest.raises(OSError, match="disk full"):
        inflate([raw_zlib(bytes(size))], sink, size=size, tally=Tally(), engines=chosen)
    assert len(calls) == 1


def test_a_big_stream_arrives_in_order_and_in_bounded_buffers() -> None:
    content = code(9 << 20)
    got, sizes = bytearray(), set()

    def sink(view: memoryview) -> None:
        sizes.add(len(view))
        for _ in range(10):  # slower than what fills the buffers
            hashlib.sha256(view)
        got.extend(view)

    tally = Tally()
    found = inflate([raw_zlib(content, 1)], sink, size=len(content), tally=tally)

    assert got == content
    assert found.crc == zlib.crc32(content)
    assert max(sizes) <= 4 << 20
    assert tally == Tally(inflated=len(content))


@every_engine
@given(data=st.data())
@settings(deadline=None, max_examples=40)
def test_any_damage_is_named_or_keeps_the_size(chosen: Engines, data: st.DataObject) -> None:
    content = code(4000)
    packed = bytearray(raw_zlib(content, memory=1))
    for _ in range(data.draw(st.integers(1, 4))):
        packed[data.draw(st.integers(0, len(packed) - 1))] ^= data.draw(st.integers(1, 255))
    made = bytearray()
    try:
        inflate([bytes(packed)], made.extend, size=4000, blocks=True, tally=Tally(), engines=chosen)
        streamed = True
    except DeflateError:
        streamed = False
    try:
        whole = inflate_bytes(packed, 4000, Tally(), engines=chosen)
    except DeflateError:
        assert not streamed
    else:
        assert streamed
        assert whole == made


@every_engine
@every_content
@pytest.mark.parametrize("level", [1, 6, 9])
def test_what_is_deflated_is_read_by_everybody(
    content: bytes, chosen: Engines, level: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "CHUNK", 70_000)
    tally = Tally()
    packed = b"".join(
        deflate(cut(content, 9999), level=level, threads=2, tally=tally, engines=chosen)
    )

    assert tally == Tally(deflated=len(content))
    assert zlib.decompress(packed, -15) == content
    assert zlib_ng.decompress(packed, -15) == content
    assert libdeflate.deflate_decompress(packed, len(content)) == content
    assert len(packed) <= len(raw_zlib(content, 1)) * 1.1 + 8


@every_engine
def test_bytes_depend_on_neither_threads_nor_cuts(
    chosen: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "CHUNK", 50_000)
    content = code(260_000)

    made = {
        b"".join(deflate(cut(content, size), level=6, threads=threads, tally=Tally(), engines=chosen))
        for threads in (1, 2, 5)
        for size in (1 << 20, 50_000, 777)
    }  # fmt: skip

    assert len(made) == 1


@pytest.mark.parametrize("threads", [1, 3])
def test_only_a_few_chunks_are_read_ahead(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "CHUNK", 1000)
    given_out = 0

    def chunks() -> Iterator[bytes]:
        nonlocal given_out
        for number in range(1000):
            given_out += 1
            yield noise(1000) if number % 2 else bytes(1000)

    for count, _ in enumerate(deflate(chunks(), level=1, threads=threads, tally=Tally()), 1):
        assert given_out <= count + 2 * threads + 3
    assert given_out == 1000


def test_a_stream_that_nobody_finishes_reading_ends_its_threads() -> None:
    stream = deflate(cut(noise(4 << 20), 1 << 20), level=1, threads=2, tally=Tally())
    assert next(stream)
    with pytest.raises(StopIteration):
        [stream.close(), next(stream)]  # type: ignore[attr-defined] # it is a generator


@given(
    st.lists(st.binary(max_size=300) | st.just(bytes(500)), max_size=12),
    st.integers(1, 700), st.sampled_from(sorted(ENGINES)), st.integers(1, 9),
)  # fmt: skip
@settings(deadline=None, max_examples=60)
def test_any_content_comes_back(parts: list[bytes], chunk: int, name: str, level: int) -> None:
    content, chosen = b"".join(parts), ENGINES[name]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "CHUNK", chunk)
        packed = b"".join(deflate(parts, level=level, threads=1, tally=Tally(), engines=chosen))

    assert zlib.decompress(packed, -15) == content
    assert inflated(packed, len(content), chosen, part=chunk)[0] == content


def test_small_members_need_no_library() -> None:
    assert inflate_bytes(raw_zlib(b"text"), 4, Tally()) == b"text"
    assert inflate_bytes(memoryview(raw_zlib(code(50_000))), 50_000, Tally()) == code(50_000)
    assert unpacking.inflate_bytes(bytearray(b"\x03\0"), 0, Tally()) == b""
