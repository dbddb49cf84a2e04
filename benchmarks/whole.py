"""Whole processes, measured: seconds of clock and processor, the most memory, and what they wrote."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Run", "copy_seconds", "median_of", "run"]


@dataclass(frozen=True, slots=True)
class Run:
    """One finished process: seconds of clock and of processor, peak MiB, bytes of its wheel."""

    wall: float
    cpu: float
    peak: float
    size: float


_LAUNCHER = """
import json, os, sys, time
started = time.monotonic()
child = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(child, 0)
wall = time.monotonic() - started
row = [os.waitstatus_to_exitcode(status), wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss]
open(sys.argv[1], "w").write(json.dumps(row))
"""
"""A process begins with the peak of the one that starts it, which therefore has to be small."""


def run(argv: Sequence[str], environment: Mapping[str, str], out: Path, log: Path) -> Run:
    """A whole process that must succeed, with everything it started."""
    shutil.rmtree(out, ignore_errors=True)
    report = log.with_name("report")
    names = {**os.environ, **environment}
    names.pop("PYTHONDONTWRITEBYTECODE", None)
    with log.open("ab") as said:
        subprocess.run(
            [sys.executable, "-S", "-c", _LAUNCHER, str(report), *argv],
            env=names, stdout=said, stderr=said, check=True,
        )  # fmt: skip
    code, wall, cpu, peak = json.loads(report.read_text("utf-8"))
    if code:
        tail = log.read_text("utf-8", "replace")[-3000:]
        raise SystemExit(f"{' '.join(argv)} failed with {code}:\n{tail}")
    size = sum(path.stat().st_size for path in out.glob("*.whl"))
    return Run(wall, cpu, peak / 1024, size)


def median_of(runs: Sequence[Run]) -> Run:
    """The median of every figure by itself."""
    return Run(*(statistics.median(getattr(one, name) for one in runs) for name in Run.__slots__))


def copy_seconds(source: Path, target: Path) -> float:
    """How long a plain `cp` takes."""
    started = time.monotonic()
    subprocess.run(["cp", str(source), str(target)], check=True)
    seconds = time.monotonic() - started
    target.unlink()
    return seconds
