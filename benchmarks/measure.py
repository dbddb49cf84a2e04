"""Measure what a user waits for, and write `docs/benchmarks.md`: ratios of runs side by side, medians.

Run `python benchmarks/measure.py`; it takes about three minutes. No test asserts a time.
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from builder import this_machine
from builder.process import Processes
from builder.stage import interpreters

ROOT = Path(__file__).parent.parent
BUILDER = (sys.executable, "-m", "builder")
PAGE = ROOT / "docs" / "benchmarks.md"


def run(argv: Sequence[str], cache: Path) -> float:
    """Seconds of one whole process that must succeed."""
    environment = {**os.environ, "BUILDER_CACHE": str(cache)}
    started = time.monotonic()
    subprocess.run(argv, cwd=ROOT, env=environment, check=True, capture_output=True)
    return time.monotonic() - started


def median(times: int, measure: Callable[[], float]) -> float:
    """The median of several runs."""
    return statistics.median(measure() for _ in range(times))


def build(out: Path, *words: str) -> tuple[str, ...]:
    """The command that builds the sample for the words given."""
    return (*BUILDER, "build", "sample", "--cuda", "cpu", "-q", "-o", str(out), *words)


def measure(folder: Path) -> list[tuple[str, float, str]]:
    """Rows of name, seconds and what to compare with."""
    cache, out = folder / "cache", folder / "dist"
    this = f"{sys.version_info.major}.{sys.version_info.minor}"
    cold = run(build(out, "--python", this), cache)
    warm = median(5, lambda: run(build(out, "--python", this), cache))
    unchecked = median(5, lambda: run(build(out, "--python", this, "--no-check"), cache))
    dry = median(5, lambda: run(build(out, "--python", this, "--dry-run"), cache))
    help_ = median(9, lambda: run((*BUILDER, "--help"), cache))
    python = median(9, lambda: run((sys.executable, "-c", "pass"), cache))
    rows = [
        ("cold build, one Python (empty store, empty compiler cache)", cold, "1"),
        (
            "warm build, every stage a hit, checks run",
            warm,
            f"{cold / warm:.1f} x faster than cold",
        ),
        ("warm build without checks", unchecked, f"{cold / unchecked:.1f} x faster than cold"),
        ("`--dry-run`", dry, f"{dry / python:.1f} x a bare interpreter"),
        ("`builder --help`", help_, f"{help_ / python:.1f} x a bare interpreter"),
        ("a bare interpreter (`python -c pass`)", python, "1"),
    ]
    second = other_python(this)
    if second:
        seconds = run(build(out, "--python", second), cache)
        rows.insert(
            3,
            (
                f"second Python ({second}), core from the store",
                seconds,
                f"{cold / seconds:.1f} x faster than cold",
            ),
        )
    return rows


def other_python(this: str) -> str:
    """Another Python that this machine can build for, or nothing."""
    found = interpreters.survey(this_machine(), Processes())
    usable = [row for row in found if row.headers and row.release >= (3, 8)]
    versions = [row.interpreter.python.version for row in usable]
    return next((version for version in reversed(versions) if version != this), "")


def page(rows: Sequence[tuple[str, float, str]]) -> str:
    """The benchmark page."""
    lines = [
        "# Benchmarks",
        "",
        "Written by `python benchmarks/measure.py`: whole processes, side by side in one run,",
        "medians. The machine is small and shared, so the ratios count and the seconds do not.",
        "",
        f"{os.cpu_count()} cores, {platform.machine()}, CPython {platform.python_version()}.",
        "",
        "| what | seconds | compared |",
        "|---|---|---|",
        *(f"| {name} | {seconds:.2f} | {compared} |" for name, seconds, compared in rows),
        "",
        "More of them: [repair](benchmarks-repair.md), [inspect](benchmarks-inspect.md),",
        "[packing](benchmarks-packing.md), [conda packages and channels](benchmarks-conda.md).",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure and write the page."""
    with tempfile.TemporaryDirectory(prefix="builder-benchmark-") as folder:
        text = page(measure(Path(folder)))
    PAGE.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
