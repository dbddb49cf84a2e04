"""Measure what a static check of a wheel costs against inflating it twice, and write a page.

Run `python benchmarks/checking.py`; `--only torch` for some, `--times 3` for fewer runs. Each side is
a whole process, and they take turns; processor time counts, user and system, so that what else runs
on the machine counts little. The other side does nothing but to inflate every member, window by
window, two times. No test asserts a time.
"""

from __future__ import annotations

import argparse
import compileall
import importlib
import os
import platform
import statistics
import sys
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import wheels  # noqa: E402  # found from the line above

PAGE = ROOT / "docs" / "benchmarks-check.md"
CASES: Mapping[str, str] = {
    "torch CPU": "torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl",
    "scipy": "scipy-1.17.1-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl",
    "pyarrow": "pyarrow-26.0.1-cp311-cp311-manylinux_2_28_x86_64.whl",
}
ENGINES: Mapping[str, str] = {"zlib-ng": "zlib_ng.zlib_ng", "zlib": "zlib"}
"""The modules with the interface of `zlib`."""
TWICE = 2
WINDOW = 1 << 20
LOCAL_HEADER = 30
COMPILED = ("builder", "smoke")


@dataclass(frozen=True, slots=True)
class Run:
    """One whole process: its processor seconds, those on the clock, and the most MiB it held."""

    work: float
    wall: float
    peak: float


@dataclass(frozen=True, slots=True)
class Result:
    """The medians of one case: the check, and inflating twice by engine."""

    case: str
    times: int
    check: Run
    inflating: Mapping[str, Run]


def run(argv: Sequence[str]) -> Run:
    """One process to its end; a check may find something, which is an exit code of 1."""
    with Path(os.devnull).open("wb") as nowhere:
        actions = [(os.POSIX_SPAWN_DUP2, nowhere.fileno(), number) for number in (1, 2)]
        started = time.monotonic()
        child = os.posix_spawn(argv[0], list(argv), os.environ, file_actions=actions)
        _, status, used = os.wait4(child, 0)
        wall = time.monotonic() - started
    if os.waitstatus_to_exitcode(status) not in {0, 1}:
        raise RuntimeError(f"{' '.join(argv)} failed with {os.waitstatus_to_exitcode(status)}")
    return Run(used.ru_utime + used.ru_stime, wall, used.ru_maxrss / 1024)


def inflate(wheel: Path, module: str) -> None:
    """Inflate every member of a wheel, and keep nothing."""
    engine = importlib.import_module(module)
    with zipfile.ZipFile(wheel) as archive, wheel.open("rb") as file:
        for member in archive.infolist():
            file.seek(member.header_offset)
            header = file.read(LOCAL_HEADER)
            names = [int.from_bytes(header[place : place + 2], "little") for place in (26, 28)]
            file.seek(sum(names), os.SEEK_CUR)
            stream, left = engine.decompressobj(-15), member.compress_size
            while left and member.compress_type == zipfile.ZIP_DEFLATED:
                packed = file.read(min(left, WINDOW))
                left -= len(packed)
                while packed:
                    stream.decompress(packed, WINDOW)
                    packed = stream.unconsumed_tail


def measure(case: str, times: int) -> Result:
    """All sides of one case, taking turns."""
    wheel = str(wheels.fetch(CASES[case]))
    check: list[Run] = []
    others: dict[str, list[Run]] = {name: [] for name in ENGINES}
    for _ in range(times):
        check.append(run((sys.executable, "-m", "smoke", wheel)))
        for name, runs in others.items():
            runs.append(run((sys.executable, __file__, "--inflate", wheel, "--by", name)))
    inflating = {name: _median(runs) for name, runs in others.items()}
    return Result(case, times, _median(check), inflating)


def page(results: Sequence[Result]) -> Iterator[str]:
    """The page, line by line."""
    yield "# Benchmarks of check\n"
    yield "Written by `python benchmarks/checking.py`: whole processes on published wheels, all sides"
    yield "taking turns in one run, medians. `python -m smoke WHEEL` inflates a wheel, compares CRC and"
    yield "sha256 of every member, reads every binary, looks for secrets, and runs every check that"
    yield "needs nothing but the file. The others inflate it two times and do nothing else. The machine"
    yield "is small and shared, so processor seconds are compared; one that is busy makes all of them"
    yield "longer.\n"
    yield f"{os.cpu_count()} cores, {platform.machine()}, CPython {platform.python_version()}.\n"
    names = ["wheel", "runs", "check, processor s", "on the clock, s", "memory, MiB"]
    names += [f"twice by {name}, processor s" for name in ENGINES]
    names += [f"of {name}" for name in ENGINES]
    yield f"| {' | '.join(names)} |"
    yield f"|{'---|' * len(names)}"
    for one in results:
        check, others = one.check, one.inflating.values()
        cells = [one.case, f"{one.times}", f"{check.work:.2f}", f"{check.wall:.2f}"]
        cells += [f"{check.peak:.0f}", *(f"{other.work:.2f}" for other in others)]
        cells += [f"**{check.work / other.work:.2f}**" for other in others]
        yield f"| {' | '.join(cells)} |"


def main() -> None:
    """Measure the cases that were asked for, and write the page when these are all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="parts of names, separated by commas")
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--inflate", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--by", default="zlib", help=argparse.SUPPRESS)
    words = parser.parse_args()
    if words.inflate:
        for _ in range(TWICE):
            inflate(words.inflate, ENGINES[words.by])
        return
    parts = [part for part in words.only.split(",") if part]
    for name in COMPILED:
        compileall.compile_dir(ROOT / name, quiet=1)  # as an installer does it
    os.chdir(ROOT)
    results: list[Result] = []
    for case in CASES:
        if parts and not any(part in case for part in parts):
            continue
        one = measure(case, words.times)
        results.append(one)
        told = [f"{other.work:.2f} s by {name}" for name, other in one.inflating.items()]
        print(
            f"{one.case}: {one.check.work:.2f} s of processors, {one.check.wall:.2f} s, "
            f"{one.check.peak:.0f} MiB; inflating twice {', '.join(told)}",
            flush=True,
        )
    if not parts:
        PAGE.write_text("\n".join([*page(results), ""]), "utf-8")


def _median(runs: Sequence[Run]) -> Run:
    return Run(*(statistics.median(getattr(one, name) for one in runs) for name in Run.__slots__))


if __name__ == "__main__":
    main()
