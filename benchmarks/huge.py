"""A wheel of more than 4 GiB, made for the purpose: what a repair costs when little or much changes.

It is a published wheel that was unbundled, with members beside it that nobody touches, stored as
they are; what changes is one library to graft, which is made longer.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import random
import shutil
import statistics
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.whole import copy_seconds, median_of, run

__all__ = ["HEAD", "Huge", "measure"]

HEAD = "wheel, GB | changed, MB | runs | seconds | `cp`, s | beyond `cp`, s | memory, MiB"
SIZES = ((1, 0), (5, 0), (5, 100), (5, 200), (5, 400))
"""GB that nobody touches, and MB that the library to graft has more than it had."""

_MEMBER = 512 << 20
_WINDOW = 1 << 20


@dataclass(frozen=True, slots=True)
class Huge:
    """One row: medians of `times` runs. `changed` are the bytes of what is grafted, in MB."""

    total: float
    changed: float
    times: int
    wall: float
    copy: float
    peak: float

    def __str__(self) -> str:
        return (
            f"{self.total:.1f} | {self.changed:.0f} | {self.times} | {self.wall:.2f} "
            f"| {self.copy:.2f} | {self.wall - self.copy:.2f} | {self.peak:.0f}"
        )


def measure(small: Path, libraries: Path, times: int, folder: Path) -> Iterator[Huge]:
    """What a repair of a wheel of 5 GB costs, by what changes in it."""
    shared, grown = folder / "shared", 0
    for total, more in SIZES:
        wheel = shared / f"{total}" / small.name
        if not wheel.exists():
            shutil.rmtree(shared, ignore_errors=True)
            make_huge(small, wheel.parent, total)
        largest = max(libraries.iterdir(), key=lambda path: path.stat().st_size)
        made_longer(largest, more - grown)
        grown = more
        begin = (sys.executable, "-m", "builder", "repair", "-q", "-w", str(folder / "out"))
        words = (*begin, "--add-path", str(libraries), str(wheel))
        runs = []
        for turn in range(times):
            caches = {"BUILDER_CACHE": str(folder / f"cold-{total}-{more}-{turn}")}
            runs.append(run(words, caches, folder / "out", folder / "log"))
        copy = statistics.median(copy_seconds(wheel, folder / "copy") for _ in range(times))
        one = median_of(runs)
        changed = sum(path.stat().st_size for path in libraries.iterdir()) / 1e6
        yield Huge(wheel.stat().st_size / 1e9, changed, times, one.wall, copy, one.peak)


def make_huge(small: Path, target: Path, gigabytes: int) -> Path:
    """The small wheel with that much beside its package, and a RECORD that says so."""
    file = target / small.name
    target.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(small) as old, zipfile.ZipFile(file, "w", allowZip64=True) as new:
        record = next(name for name in old.namelist() if name.endswith(".dist-info/RECORD"))
        rows = list(csv.reader(io.StringIO(old.read(record).decode())))
        for info in old.infolist():
            if info.filename != record:
                new.writestr(info, old.read(info), zipfile.ZIP_DEFLATED)
        top = record.split("-", 1)[0]
        for number in range(gigabytes * 2):
            name = f"{top}/huge-{number:02}.bin"
            rows.insert(0, [name, *_stored(new, name, number)])
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        new.writestr(record, text.getvalue(), zipfile.ZIP_DEFLATED)
    return file


def made_longer(library: Path, megabytes: int) -> None:
    """The same library with bytes behind its end, which can hardly be packed."""
    with library.open("ab") as file:
        for window in _noise(megabytes << 20, seed=1000):
            file.write(window)


def _stored(archive: zipfile.ZipFile, name: str, seed: int) -> tuple[str, str]:
    digest = hashlib.sha256()
    info = zipfile.ZipInfo(name)
    with archive.open(info, "w", force_zip64=True) as member:
        for window in _noise(_MEMBER, seed):
            digest.update(window)
            member.write(window)
    encoded = base64.urlsafe_b64encode(digest.digest()).decode().rstrip("=")
    return f"sha256={encoded}", str(_MEMBER)


def _noise(size: int, seed: int) -> Iterator[bytes]:
    block = random.Random(seed).randbytes(_WINDOW)  # noqa: S311  # bytes that cannot be packed
    for number in range(size // _WINDOW):
        yield number.to_bytes(8, "little") + block[8:]
