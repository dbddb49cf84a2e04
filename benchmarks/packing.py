"""Measure how fast a tree becomes a zip, beside what the cores can deflate at all; write a page.

Run `python benchmarks/packing.py [WHEEL] [LEVEL]`; without a wheel, that of torch for the CPU is
fetched from the index. Its C++ part is unpacked, then packed in turns by libdeflate alone (every
core, nothing written, nothing proven) and by `write_zip`, which also reads, hashes, writes, flushes
and proves. The machine may be shared: the best of all turns counts. No test asserts a time.
"""

from __future__ import annotations

import os
import platform
import resource
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from builder.archive.deflate import CHUNK, codecs, installed
from builder.archive.tally import Tally
from builder.archive.workers import in_order
from builder.archive.zip_items import Put
from builder.archive.zip_write import write_zip

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import wheels  # noqa: E402  # found from the line above

WHEEL = "torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl"
PARTS = ("lib/", "include/", "share/", "bin/")
TURNS = 5
PAGE = ROOT / "docs" / "benchmarks-packing.md"


def prepare(wheel: Path, folder: Path) -> tuple[Path, ...]:
    """The files of the wheel that are C++, unpacked."""
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.partition("/")[2].startswith(PARTS)]
        archive.extractall(folder, names)
    return tuple(folder / name for name in sorted(names))


def read(files: tuple[Path, ...]) -> Iterator[bytes]:
    """All content, in pieces of the size that is packed at once."""
    for path in files:
        with path.open("rb", buffering=0) as file:
            while window := file.read(CHUNK):
                yield window


def bare(files: tuple[Path, ...], level: int) -> int:
    """Deflate everything on every core, and do nothing else."""
    compress = installed().compress
    if compress is None:
        raise SystemExit("there is no libdeflate: install the package `deflate`")
    jobs = (partial(compress.run, window, level) for window in read(files))
    return sum(len(packed) for packed in in_order(jobs, 0))


def whole(files: tuple[Path, ...], level: int, folder: Path, tally: Tally) -> int:
    """Write the archive as a build does."""
    items = (Put(str(path.relative_to(folder)), path) for path in files)
    target = folder / "packed.zip"
    write_zip(None, target, items, stamp=(0, 33), level=level, tally=tally)
    return target.stat().st_size


def timed(work: Callable[[], int]) -> tuple[float, float, int]:
    """Seconds on the clock, seconds of all cores, and what came out."""
    clock, cores = time.perf_counter(), time.process_time()
    size = work()
    return time.perf_counter() - clock, time.process_time() - cores, size


def measure(wheel: Path, level: int) -> Iterator[str]:
    """The lines of the page."""
    with tempfile.TemporaryDirectory() as folder:
        files = prepare(wheel, Path(folder))
        total = sum(path.stat().st_size for path in files)
        bare(files, 1)  # now everything is in memory
        turns = []
        for _ in range(TURNS):
            tally = Tally()
            turns.append(
                (
                    timed(partial(bare, files, level)),
                    timed(partial(whole, files, level, Path(folder), tally)),
                )
            )
    yield f"{len(files)} files of `{wheel.name}`, {total / 1e6:.0f} MB, level {level},"
    yield f"{codecs()['deflate']}, {os.cpu_count()} cores, {platform.machine()}."
    yield ""
    yield "| what | seconds | of all cores | MB/s | bytes |"
    yield "|---|---|---|---|---|"
    best = [min(turn[side] for turn in turns) for side in (0, 1)]
    cores = [min(turn[side][1] for turn in turns) for side in (0, 1)]
    for name, (clock, _, size), spent in zip(
        ("libdeflate alone", "the archive, proven"), best, cores, strict=True
    ):
        yield f"| {name} | {clock:.2f} | {spent:.2f} | {total / clock / 1e6:.0f} | {size} |"
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    yield ""
    yield f"The archive takes {best[0][0] / best[1][0]:.0%} of the speed that the cores deflate with,"
    yield f"{cores[0] / cores[1]:.0%} by the work of the cores; {memory} MiB of memory at most. Of"
    yield f"{tally.deflated / 1e6:.0f} MB deflated, {tally.inflated / 1e6:.0f} MB were inflated again"
    yield "after they were written; the rest was proven piece by piece while it was made."


if __name__ == "__main__":
    given = sys.argv[1:]
    wheel = Path(given[0]) if given else wheels.fetch(WHEEL)
    lines = measure(wheel, int(given[1]) if len(given) > 1 else 6)
    text = (
        "# Packing\n\nWritten by `python benchmarks/packing.py`: the C++ part of a wheel, packed by "
        "turns; the best of each.\n\n" + "\n".join(lines) + "\n"
    )
    PAGE.write_text(text, encoding="utf-8")
    print(text)
