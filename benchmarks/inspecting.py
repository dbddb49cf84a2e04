"""Measure `builder inspect` against `auditwheel show`, and write `docs/benchmarks-inspect.md`.

Run `python benchmarks/inspecting.py`; `--only torch,scipy` for some, `--times 3` for fewer runs. Both
sides are whole processes that take turns; seconds and ratios are medians. It takes half an hour,
nearly all of it auditwheel's. (A module called `inspect` would hide that of the standard library.)
"""

from __future__ import annotations

import argparse
import compileall
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import wheels  # noqa: E402  # found from the line above

PAGE = ROOT / "docs" / "benchmarks-inspect.md"
BUILDER = (sys.executable, "-m", "builder", "inspect", "-q")
AUDITWHEEL = (str(Path(sys.executable).parent / "auditwheel"), "show")
CASES: Mapping[str, tuple[str, float]] = {
    "torch CPU": ("torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl", 40),
    "scipy": ("scipy-1.17.1-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl", 40),
    "pyarrow": ("pyarrow-26.0.1-cp311-cp311-manylinux_2_28_x86_64.whl", 25),
    "Qt (PySide6)": ("pyside6_essentials-6.9.3-cp39-abi3-manylinux_2_28_x86_64.whl", 40),
}
"""The wheel of each case, and how many times faster than auditwheel we want to be."""


@dataclass(frozen=True, slots=True)
class Run:
    """One whole process: its seconds, and the most MiB it held."""

    wall: float
    peak: float


@dataclass(frozen=True, slots=True)
class Result:
    """The medians of one case: our first look, our second one, and theirs."""

    case: str
    goal: float
    times: int
    first: Run
    second: Run
    theirs: Run
    ratio: float


def run(argv: Sequence[str], cache: Path) -> Run:
    """One process to its end, which must be good."""
    environment = {**os.environ, "BUILDER_CACHE": str(cache)}
    with Path(os.devnull).open("wb") as nowhere:
        actions = [(os.POSIX_SPAWN_DUP2, nowhere.fileno(), number) for number in (1, 2)]
        started = time.monotonic()
        child = os.posix_spawn(argv[0], list(argv), environment, file_actions=actions)
        _, status, used = os.wait4(child, 0)
        wall = time.monotonic() - started
    if status:
        raise RuntimeError(f"{' '.join(argv)} failed with {os.waitstatus_to_exitcode(status)}")
    return Run(wall, used.ru_maxrss / 1024)


def measure(case: str, times: int, folder: Path) -> Result:
    """Both sides of one case, taking turns."""
    name, goal = CASES[case]
    wheel, cache = str(wheels.fetch(name)), folder / "cache"
    first, second, theirs = list[Run](), list[Run](), list[Run]()
    for _ in range(times):
        shutil.rmtree(cache, ignore_errors=True)
        first.append(run((*BUILDER, wheel), cache))
        second.append(run((*BUILDER, wheel), cache))
        theirs.append(run((*AUDITWHEEL, wheel), cache))
    pairs = zip(first, theirs, strict=True)
    ratio = statistics.median(other.wall / own.wall for own, other in pairs)
    return Result(case, goal, times, _median(first), _median(second), _median(theirs), ratio)


def page(results: Sequence[Result]) -> Iterator[str]:
    """The page, line by line."""
    yield "# Benchmarks of inspect\n"
    yield "Written by `python benchmarks/inspecting.py`: whole processes on published wheels, both"
    yield "sides taking turns in one run, medians. The machine is small and shared, so the ratios"
    yield "count and the seconds do not.\n"
    yield f"{os.cpu_count()} cores, {platform.machine()}, CPython {platform.python_version()}.\n"
    names = ["wheel", "runs", "first look, s", "`auditwheel show`, s", "faster", "goal"]
    names += ["second look, s", "memory, MiB", "theirs"]
    yield f"| {' | '.join(names)} |"
    yield f"|{'---|' * len(names)}"
    for one in results:
        yield (
            f"| {one.case} | {one.times} | {one.first.wall:.2f} | {one.theirs.wall:.1f} "
            f"| **{one.ratio:.1f}x** | {one.goal:g}x | {one.second.wall:.2f} "
            f"| {one.first.peak:.0f} | {one.theirs.peak:.0f} |"
        )
    yield "\nA second look reads what the first one wrote into the fact cache.\n"


def main() -> None:
    """Measure the cases that were asked for, and write the page when these are all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="parts of names, separated by commas")
    parser.add_argument("--times", type=int, default=5)
    words = parser.parse_args()
    parts = [part for part in words.only.split(",") if part]
    compileall.compile_dir(ROOT / "builder", quiet=1)  # as an installer does it
    results: list[Result] = []
    for case in CASES:
        if parts and not any(part in case for part in parts):
            continue
        with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
            one = measure(case, words.times, Path(folder))
        results.append(one)
        print(
            f"{one.case}: {one.ratio:.1f}x (goal {one.goal:g}x), {one.first.wall:.2f} s and "
            f"{one.first.peak:.0f} MiB, again {one.second.wall:.2f} s, "
            f"theirs {one.theirs.wall:.1f} s and {one.theirs.peak:.0f} MiB",
            flush=True,
        )
    if not parts:
        PAGE.write_text("\n".join(page(results)), "utf-8")


def _median(runs: Sequence[Run]) -> Run:
    return Run(*(statistics.median(getattr(one, name) for one in runs) for name in Run.__slots__))


if __name__ == "__main__":
    main()
