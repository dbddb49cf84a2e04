"""Measure the codecs on one file: levels, inflating with block boundaries, splicing.

Run `python benchmarks/deflating.py FILE` (a script called `deflate.py` would hide the package of
that name). Of a wheel its biggest deflated member is taken, packed as it is; another file is packed
with zlib 6 first. Sizes are exact, times are medians. No test asserts a time.
"""

from __future__ import annotations

import os
import statistics
import struct
import sys
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from builder.archive.deflate import (
    Blocks,
    Copy,
    DeflateError,
    codecs,
    deflate,
    inflate,
    inflate_bytes,
    splice,
)
from builder.archive.tally import Tally

MIB = 1 << 20
STEP = MIB
RUNS = 5


class Opened:
    """A file that is read and written anywhere."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.number = os.open(path, os.O_RDWR)

    def read(self, offset: int, size: int, /) -> bytes:
        """Exactly that many bytes."""
        return os.pread(self.number, size, offset)

    def windows(self) -> Iterator[bytes]:
        """The file from start to end."""
        for offset in range(0, self.size, STEP):
            yield self.read(offset, STEP)

    @property
    def size(self) -> int:
        """In bytes."""
        return os.fstat(self.number).st_size


def median(work: Callable[[], object], runs: int = RUNS) -> float:
    """Seconds."""
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def prepare(source: Path, folder: Path) -> tuple[Opened, Opened]:
    """The packed and the raw bytes, as files."""
    packed, raw = folder / "packed", folder / "raw"
    if not zipfile.is_zipfile(source):
        coder = zlib.compressobj(6, zlib.DEFLATED, -15)
        with source.open("rb") as read, raw.open("wb") as plain, packed.open("wb") as out:
            while window := read.read(STEP):
                plain.write(window)
                out.write(coder.compress(window))
            out.write(coder.flush())
        return Opened(packed), Opened(raw)
    with zipfile.ZipFile(source) as archive, source.open("rb") as read:
        deflated = (item for item in archive.infolist() if item.compress_type == zlib.DEFLATED)
        member = max(deflated, key=lambda item: item.file_size)
        print(f"member {member.filename}")
        read.seek(member.header_offset + 26)
        read.seek(sum(struct.unpack("<HH", read.read(4))), os.SEEK_CUR)
        packed.write_bytes(read.read(member.compress_size))
        with archive.open(member) as content, raw.open("wb") as plain:
            while window := content.read(STEP):
                plain.write(window)
    return Opened(packed), Opened(raw)


def levels(raw: Opened) -> None:
    """Size and speed of each level on sixteen pieces of the file, by one thread."""
    pieces = [raw.read(raw.size * part // 16, 4 * MIB) for part in range(16)]
    total = sum(map(len, pieces))
    started = time.thread_time()
    base = sum(len(zlib.compress(piece, 6, -15)) for piece in pieces)
    speed = total / (time.thread_time() - started) / 1e6
    print(f"\n{total / 1e6:.0f} MB in pieces of 4 MiB: size to zlib 6, and speed of one thread")
    print(f"zlib 6   {base:>12} bytes   {speed:6.0f} MB/s")
    for level in range(1, 10):
        started = time.thread_time()
        size = sum(
            len(part)
            for piece in pieces
            for part in deflate([piece], level=level, threads=1, tally=Tally())
        )
        here = total / (time.thread_time() - started) / 1e6
        print(
            f"level {level}  {size / base - 1:+11.2%}         {here:6.0f} MB/s  x{here / speed:.1f}"
        )


def inflating(packed: Opened, raw: Opened) -> Blocks | None:
    """Speed with and without boundaries, and into a file."""
    size = raw.size

    def run(sink: Callable[[memoryview], object], *, blocks: bool) -> Blocks | None:
        return inflate(packed.windows(), sink, size=size, blocks=blocks, tally=Tally()).blocks

    def spool() -> None:
        with tempfile.TemporaryFile(dir=raw.path.parent) as out:
            run(out.write, blocks=True)

    cases: dict[str, Callable[[], object]] = {
        "inflate": lambda: run(len, blocks=False),
        "inflate with blocks": lambda: run(len, blocks=True),
        "inflate with blocks into a file": spool,
    }
    print()
    for name, work in cases.items():
        taken = median(work)
        print(f"{name:32} {taken:7.3f} s {size / taken / 1e6:6.0f} MB/s")
    part = zlib.compress(raw.read(size // 2, 4 * MIB), 6, -15)
    whole = min(4 * MIB, size - size // 2)
    taken = median(lambda: inflate_bytes(part, whole, Tally()), 50)
    print(f"{'inflate in memory, 4 MiB':32} {taken:7.4f} s {whole / taken / 1e6:6.0f} MB/s")
    return run(len, blocks=True)


def splicing(packed: Opened, raw: Opened, blocks: Blocks) -> None:
    """Time of edits; the pieces are made, not copied. Every result is inflated whole once."""
    old = raw.size
    middle, wide, tail = old // 2, min(10_000_000, old // 4), min(12_000_000, old // 4)
    more = raw.read(old // 3, tail)
    edits: dict[str, tuple[tuple[int, bytes], ...]] = {
        "a byte": ((middle, bytes([raw.read(middle, 1)[0] ^ 1])),),
        f"{wide / 1e6:.0f} MB zeroed, {tail / 1e6:.0f} MB appended": (
            (middle, bytes(wide)),
            (old, more),
        ),
    }
    print()
    for name, pieces in edits.items():
        for offset, content in pieces:
            os.pwrite(raw.number, content, offset)
        touched = tuple((offset, offset + len(content)) for offset, content in pieces)
        tally = Tally()

        def run(
            touched: tuple[tuple[int, int], ...] = touched, tally: Tally = tally
        ) -> list[Copy | bytes]:
            return list(
                splice(
                    packed, packed.size, blocks, raw, old, raw.size, touched, level=6, tally=tally
                )
            )

        taken = median(run)
        print(f"splice {name}: {taken:.3f} s, {tally.deflated / RUNS / 1e6:.2f} MB packed anew")
        verify(run(), packed, raw)


def verify(pieces: list[Copy | bytes], packed: Opened, raw: Opened) -> None:
    """Inflate the pieces and compare the checksum with the file's. Raises `DeflateError`."""
    parts = (
        packed.read(piece.offset + at, min(STEP, piece.size - at))
        if isinstance(piece, Copy)
        else piece
        for piece in pieces
        for at in range(0, piece.size if isinstance(piece, Copy) else 1, STEP)
    )
    crc = 0
    for window in raw.windows():
        crc = zlib.crc32(window, crc)
    if inflate(parts, len, size=raw.size, tally=Tally()).crc != crc:
        raise DeflateError("the spliced stream holds other bytes")


def main(source: Path) -> None:
    """All of it, printed."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        packed, raw = prepare(source, Path(name))
        print(f"{raw.size} bytes, {packed.size} packed; {dict(codecs())}")
        levels(raw)
        blocks = inflating(packed, raw)
        if blocks is None:
            print("no engine sees blocks here")
            return
        print(f"{len(blocks)} blocks")
        splicing(packed, raw, blocks)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
