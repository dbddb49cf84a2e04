from __future__ import annotations

import hashlib
import zlib
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import deflate as libdeflate
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zlib_ng import zlib_ng

from builder.archive.deflate import (
    Blocks,
    Copy,
    DeflateError,
    Engines,
    Piece,
    deflate,
    inflate,
    packing,
    splice,
    splicing,
)
from builder.archive.tally import Tally
from builder.patch import Patch
from tests.encoders import COMMON, bounded, flushed, raw_zlib

KIB = 1024


@dataclass(frozen=True)
class Held:
    content: bytes

    def read(self, offset: int, size: int, /) -> bytes:
        return self.content[offset : offset + size]


ENGINES = bounded()


def noise(size: int) -> bytes:
    return hashlib.shake_128(b"more noise").digest(size)


def code(size: int) -> bytes:
    """Repeats from near and far, so that blocks refer to what is in front of them."""
    fresh = noise(size // 2 + 100)
    parts = [fresh[at : at + 50] + fresh[at // 3 : at // 3 + 50] for at in range(0, size // 2, 50)]
    return b"".join(parts)[:size]


def one_fixed_block(data: bytes) -> bytes:
    """Literals in one block with fixed codes, as an encoder in a hurry writes them."""
    bits = ["1", "10"]
    bits += [f"{48 + byte:08b}" if byte < 144 else f"{256 + byte:09b}" for byte in data]
    text = "".join([*bits, "0000000"])
    return int(text[::-1], 2).to_bytes((len(text) + 7) // 8, "little")


def ours(data: bytes) -> bytes:
    return b"".join(deflate([data], level=6, threads=1, tally=Tally()))


ENCODERS: Mapping[str, Callable[[bytes], bytes]] = {
    **COMMON,
    "fixed codes": lambda data: raw_zlib(data, 6, 4, zlib.Z_FIXED),
    "small blocks": lambda data: raw_zlib(data, 6, 2),
    "one fixed block": one_fixed_block,
    "zlib-ng 9": lambda data: zlib_ng.compress(data, 9, -15),
    "ours": ours,
}
every_encoder = pytest.mark.parametrize("encode", ENCODERS.values(), ids=ENCODERS)

SIZE = 120_000
OLD = code(SIZE)
CASES: dict[str, Patch] = {
    "nothing": Patch(SIZE),
    "the first byte": Patch(SIZE, ((0, b"X"),)),
    "the last byte": Patch(SIZE, ((SIZE - 1, b"X"),)),
    "a byte": Patch(SIZE, ((50_000, b"X"),)),
    "three places": Patch(SIZE, ((9, b"abc"), (60_000, noise(500)), (119_000, bytes(100)))),
    "places side by side": Patch(SIZE, ((40_000, b"a"), (40_001, b"b"), (41_000, b"c"))),
    "a wide place": Patch(SIZE, ((20_000, noise(60_000)),)),
    "everything": Patch(SIZE, ((0, noise(SIZE)),)),
    "a byte more": Patch(SIZE + 1),
    "a tail": Patch(SIZE + 90_000, ((SIZE, code(90_000)[::-1]),)),
    "a hole and a tail": Patch(SIZE + 20_000, ((3, b"Y"), (SIZE + 19_000, noise(1000)))),
    "over the end": Patch(SIZE + 50, ((SIZE - 50, noise(100)),)),
    "a byte less": Patch(SIZE - 1),
    "half": Patch(SIZE // 2),
    "half and a byte": Patch(SIZE // 2, ((30_000, b"X"),)),
    "a byte left": Patch(1),
    "nothing left": Patch(0),
}
every_case = pytest.mark.parametrize("patch", CASES.values(), ids=CASES)


def blocks_of(packed: bytes, size: int) -> Blocks:
    blocks = inflate([packed], bytes, size=size, blocks=True, tally=Tally()).blocks
    assert blocks is not None
    return blocks


def spliced(
    old: bytes,
    patch: Patch,
    packed: bytes,
    tally: Tally | None = None,
    chosen: Engines | None = None,
    threads: int = 1,
) -> tuple[list[Piece], bytes]:
    new = patch.apply(old)
    pieces = list(
        splice(
            Held(packed), len(packed), blocks_of(packed, len(old)), Held(new), len(old), len(new),
            tuple(patch.touched(len(old))), level=6, tally=tally or Tally(), threads=threads,
            engines=chosen,
        )
    )  # fmt: skip
    return pieces, joined(pieces, packed)


def joined(pieces: Sequence[Piece], packed: bytes) -> bytes:
    return b"".join(
        packed[piece.offset : piece.offset + piece.size] if isinstance(piece, Copy) else piece
        for piece in pieces
    )


def decoded(packed: bytes, size: int) -> bytes:
    """What every decoder at hand makes of it: all agree, and no byte is left over."""
    found = set()
    for decoder in (zlib.decompressobj(-15), zlib_ng.decompressobj(-15)):
        found.add(decoder.decompress(packed))
        assert decoder.eof
        assert not decoder.unused_data
    if size:
        found.add(bytes(libdeflate.deflate_decompress(packed, size)))
    (content,) = found
    return content


@every_encoder
@every_case
def test_every_edit_of_every_stream_decodes_to_the_new_content(
    encode: Callable[[bytes], bytes], patch: Patch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(splicing, "CHUNK", 30_000)
    packed = encode(OLD)

    _, made = spliced(OLD, patch, packed)

    assert decoded(made, patch.size) == patch.apply(OLD)


@pytest.mark.parametrize("chosen", ENGINES.values(), ids=ENGINES)
@every_case
def test_every_engine_splices(
    patch: Patch, chosen: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(splicing, "CHUNK", 30_000)
    packed = flushed(OLD)

    _, made = spliced(OLD, patch, packed, chosen=chosen)

    assert decoded(made, patch.size) == patch.apply(OLD)


@every_case
def test_bytes_do_not_depend_on_threads(patch: Patch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splicing, "CHUNK", 10_000)
    packed = raw_zlib(OLD)

    assert spliced(OLD, patch, packed)[0] == spliced(OLD, patch, packed, threads=4)[0]


@every_encoder
def test_what_was_spliced_can_be_spliced_again(encode: Callable[[bytes], bytes]) -> None:
    content, packed = OLD, encode(OLD)
    for number in range(12):
        patch = Patch(len(content) + 7, ((number * 9_931, b"edit"), (len(content), b"tail...")))
        packed = spliced(content, patch, packed)[1]
        content = patch.apply(content)

    assert decoded(packed, len(content)) == content


def test_nothing_changed_is_one_copy() -> None:
    packed = raw_zlib(OLD)

    assert spliced(OLD, Patch(SIZE), packed)[0] == [Copy(0, len(packed))]


def test_only_the_blocks_within_reach_of_an_edit_are_made_anew() -> None:
    old = code(4 << 20)
    packed, tally = raw_zlib(old), Tally()
    blocks = blocks_of(packed, len(old))
    at = 2 << 20

    pieces, made = spliced(old, Patch(len(old), ((at, b"X"),)), packed, tally)

    block = max(b - a for a, b in zip(blocks.raw[:-1], blocks.raw[1:], strict=True))
    assert tally.deflated <= 32 * KIB + 2 * block + 1
    assert tally == Tally(deflated=tally.deflated)
    first, new, last = pieces
    assert isinstance(first, Copy)
    assert isinstance(new, bytes)
    assert isinstance(last, Copy)
    assert (first.offset, last.offset + last.size) == (0, len(packed))
    assert first.size + last.size > 0.9 * len(packed)
    assert abs(len(made) - len(packed)) < 0.01 * len(packed)


def test_a_tail_costs_the_last_block_and_itself() -> None:
    old = code(1 << 20)
    packed, tally = raw_zlib(old), Tally()

    spliced(old, Patch(len(old) + 300_000, ((len(old), noise(300_000)),)), packed, tally)

    blocks = blocks_of(packed, len(old))
    assert tally.deflated == 300_000 + len(old) - blocks.raw[-2]


@pytest.mark.parametrize("touched", [1, 2, 3, 100])
def test_the_farthest_reference_there_is_makes_its_block_new(touched: int) -> None:
    stored = noise(32 * KIB)
    head = b"\0" + len(stored).to_bytes(2, "little") + (0xFFFF ^ len(stored)).to_bytes(2, "little")
    # The last block, with fixed codes: three bytes from 32768 bytes before, and the end.
    text = "1" + "10" + "0000001" + "11101" + "1" * 13 + "0000000"
    packed = head + stored + int(text[::-1], 2).to_bytes(5, "little")
    old = stored + stored[:3]
    patch = Patch(len(old), ((0, bytes(255 ^ byte for byte in old[:touched])),))
    tally = Tally()

    _, made = spliced(old, patch, packed, tally)

    assert zlib.decompress(packed, -15) == old
    assert decoded(made, len(old)) == patch.apply(old)
    assert tally.deflated == len(old)


def test_an_old_stream_without_content_can_grow() -> None:
    for packed in (b"\x03\0", raw_zlib(b"", 0)):
        _, made = spliced(b"", Patch(5, ((0, b"hello"),)), packed)
        assert decoded(made, 5) == b"hello"


def test_wide_stretches_are_never_held_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splicing, "CHUNK", 4 * KIB)
    packed, new = raw_zlib(b"x"), b"x" + noise(400 * KIB)
    reads: list[int] = []

    class Counted(Held):
        def read(self, offset: int, size: int, /) -> bytes:
            reads.append(size)
            return super().read(offset, size)

    pieces = splice(
        Held(packed), len(packed), blocks_of(packed, 1), Counted(new), 1, len(new),
        ((1, len(new)),), level=1, tally=Tally(), threads=2,
    )  # fmt: skip
    for count, _ in enumerate(pieces, 1):
        assert len(reads) <= count + 5
    assert max(reads) <= 4 * KIB + 32 * KIB


@pytest.mark.parametrize("distance", [0, 1, 5_000, 20_000])
def test_a_change_that_was_not_told_is_found_by_the_proof(distance: int) -> None:
    packed = raw_zlib(OLD, 6, 4)
    blocks = blocks_of(packed, SIZE)
    follows = min(start for start in blocks.raw if start >= 40_000 + 1 + 32 * KIB)
    hidden = follows + distance
    new = Patch(SIZE, ((40_000, b"X"), (hidden, bytes([OLD[hidden] ^ 1])))).apply(OLD)

    with pytest.raises(DeflateError, match="do not lead on to the old ones"):
        list(
            splice(
                Held(packed), len(packed), blocks, Held(new), SIZE, SIZE, ((40_000, 40_001),),
                level=6, tally=Tally(),
            )
        )  # fmt: skip


@pytest.mark.parametrize(
    "packed",
    [noise(60_000), bytes(60_000), b"\x07" * 60_000],
    ids=["noise", "zeros", "unknown block"],
)
def test_an_old_stream_that_changed_meanwhile_is_found_by_the_proof(packed: bytes) -> None:
    old = raw_zlib(OLD, 6, 4)
    new = Patch(SIZE, ((40_000, b"X"),)).apply(OLD)

    with pytest.raises(DeflateError, match="do not lead on to the old ones"):
        list(
            splice(
                Held(packed + old), len(old), blocks_of(old, SIZE), Held(new), SIZE, SIZE,
                ((40_000, 40_001),), level=6, tally=Tally(),
            )
        )  # fmt: skip


@pytest.mark.parametrize(("packed_left", "raw_left"), [(10_000, SIZE), (1 << 20, 40_050)])
def test_a_file_that_became_shorter_is_named(packed_left: int, raw_left: int) -> None:
    packed = raw_zlib(OLD, 6, 4)
    short, raw = Held(packed[:packed_left]), Held(OLD[:raw_left])

    with pytest.raises(DeflateError, match="bytes were read at"):
        list(
            splice(
                short, len(packed), blocks_of(packed, SIZE), raw, SIZE, SIZE, ((40_000, 40_001),),
                level=6, tally=Tally(),
            )
        )  # fmt: skip


@pytest.mark.parametrize(
    "blocks",
    [Blocks(array("Q", [0, 80]), array("Q", [0, SIZE])), Blocks(array("Q", [0]), array("Q", [0]))],
)
def test_blocks_of_another_stream_are_refused(blocks: Blocks) -> None:
    packed = raw_zlib(OLD)
    with pytest.raises(DeflateError, match="are not those of a stream"):
        splice(Held(packed), len(packed), blocks, Held(OLD), SIZE, SIZE, (), level=6, tally=Tally())


@given(st.data())
@settings(deadline=None, max_examples=150)
def test_any_edits_of_any_stream_decode(data: st.DataObject) -> None:
    size = data.draw(st.integers(0, 30_000))
    old = data.draw(st.sampled_from([code(size), noise(size), bytes(size), code(size)[::-1]]))
    packed = ENCODERS[data.draw(st.sampled_from(sorted(ENCODERS)))](old)
    new_size = data.draw(st.one_of(st.just(size), st.integers(0, size + 20_000)))
    pieces: list[tuple[int, bytes]] = []
    here = 0
    for content in data.draw(st.lists(st.binary(min_size=1, max_size=300), max_size=6)):
        here = data.draw(st.integers(here, max(here, new_size)))
        if here + len(content) <= new_size:
            pieces.append((here, content))
            here += len(content)
    patch = Patch(new_size, tuple(pieces))
    with pytest.MonkeyPatch.context() as changed:
        changed.setattr(splicing, "CHUNK", data.draw(st.sampled_from([100, 5_000, packing.CHUNK])))
        made = spliced(old, patch, packed)[1]

    assert decoded(made, new_size) == patch.apply(old)
