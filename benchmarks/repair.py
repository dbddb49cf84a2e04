"""Measure repair against the tools a user would pick instead, and write `docs/benchmarks-repair.md`.

Run `python benchmarks/repair.py`; `--only shapely,scipy` for some, `--times 3` for fewer runs. All
sides of a case are whole processes that take turns in one run; seconds and ratios are medians. The
wheels are published ones, unbundled first: fetched by digest (`wheels.toml`), 1.5 GB in all.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import huge, shims, wheels  # noqa: E402  # found from the line above
from benchmarks.whole import Run, copy_seconds, median_of, run  # noqa: E402  # as above
from tests.e2e import unbundle  # noqa: E402  # the harness of the tests

PAGE = ROOT / "docs" / "benchmarks-repair.md"
BIN = Path(sys.executable).parent
BUILDER = (sys.executable, "-m", "builder")

Tool = Literal["auditwheel", "delocate", "repairwheel"]


@dataclass(frozen=True, slots=True)
class Ours:
    """One way to call us: what it is called, the words it adds, and the goal against each tool.

    `warm` keeps our caches between the runs, as on a machine that has seen the wheel before.
    """

    name: str
    goals: Mapping[Tool, float]
    words: tuple[str, ...] = ()
    warm: bool = False


@dataclass(frozen=True, slots=True)
class Case:
    """One wheel, our ways to repair it, and what the other tools are to leave out.

    It is unbundled, or loses what matches `drop`, or stays `as_it_is`.
    `limit` says what most of our time goes into, from a profile.
    """

    name: str
    wheel: str
    ours: tuple[Ours, ...]
    drop: str = ""
    as_it_is: bool = False
    exclude: tuple[str, ...] = ()
    limit: str = ""


_KEEP = ("libtorch*", "libc10*", "libshm*")
_CUDA = (*_KEEP, "libcu*", "libnv*", "libnccl*")
_MAC: Mapping[Tool, float] = {"delocate": 20, "repairwheel": 10}

CASES: tuple[Case, ...] = (
    Case(
        "shapely",
        "shapely-2.2.0-cp311-cp311-manylinux_2_24_x86_64.manylinux_2_28_x86_64.whl",
        (Ours("tiny, start-up counts", {"auditwheel": 4}),),
        limit="a third starts Python and loads our modules, a third packs 6.5 MB of grafts at level 6",
    ),
    Case(
        "h5py",
        "h5py-3.16.0-cp311-cp311-manylinux_2_28_x86_64.whl",
        (Ours("many small libraries", {"auditwheel": 10}),),
        limit="start-up and packing the grafts, as for shapely; then 20 edits, each read back",
    ),
    Case(
        "scipy",
        "scipy-1.17.1-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl",
        (Ours("many small ELF files", {"auditwheel": 16}),),
        limit="every module is inflated and parsed once, every edited one is read back and hashed",
    ),
    Case(
        "opencv",
        "opencv_python_headless-5.0.0.93-cp37-abi3-manylinux_2_28_x86_64.whl",
        (Ours("98 MB of new libraries", {"auditwheel": 6}),),
        limit="packing 98 MB of new libraries at level 6 on every core",
    ),
    Case(
        "pyarrow as published",
        "pyarrow-26.0.1-cp311-cp311-manylinux_2_28_x86_64.whl",
        (
            Ours("needs nothing", {"auditwheel": 100}),
            Ours("needs nothing, seen before", {"auditwheel": 100}, warm=True),
        ),
        as_it_is=True,
        limit="inflating three big libraries to see what they need; the second time only start-up",
    ),
    Case(
        "torch CPU",
        "torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl",
        (
            Ours("434 MB library edited", {"auditwheel": 40, "repairwheel": 80}),
            Ours("nothing huge to edit (placement)", {"auditwheel": 150}, ("--place", "beside")),
            Ours("placement, seen before", {"auditwheel": 150}, ("--place", "beside"), warm=True),
        ),
        "torch/lib/libgomp*.so.1",
        exclude=_KEEP,
        limit="inflating 140 binaries once, one of 434 MB (0.7 s), then its sha256 (0.3 s); seen before, "
        "the directory of 12 000 members, read before and after",
    ),
    Case(
        "torch CUDA, 900 MB",
        "torch-2.9.0-cp311-cp311-manylinux_2_28_x86_64.whl",
        (
            Ours(
                "437 MB library edited",
                {"auditwheel": 20},
                tuple(word for glob in _CUDA[3:] for word in ("--exclude", glob)),
            ),
        ),
        "torch/lib/libgomp*.so.1",
        exclude=_CUDA,
        limit="inflating the ELF files of 1.5 GB once, then the sha256 of what is edited",
    ),
    Case(
        "macOS arm64 scipy",
        "scipy-1.17.1-cp311-cp311-macosx_14_0_arm64.whl",
        (Ours("unbundled", _MAC),),
        limit="inflating and hashing what is signed anew",
    ),
    Case(
        "macOS arm64 opencv",
        "opencv_python_headless-5.0.0.93-cp37-abi3-macosx_13_0_arm64.whl",
        (Ours("unbundled", _MAC),),
        limit="packing new libraries at level 6, and hashing their pages for the signatures",
    ),
    Case(
        "macOS arm64 torch",
        "torch-2.13.0-cp311-cp311-macosx_14_0_arm64.whl",
        (Ours("libomp taken out", _MAC),),
        "torch/lib/libomp.dylib",
        limit="inflating the big library, hashing its pages for the signature, and its sha256",
    ),
)


@dataclass(frozen=True, slots=True)
class Result:
    """Medians of both sides, and of the ratios turn by turn. `copy` is seconds of a plain `cp`."""

    case: str
    way: str
    tool: Tool
    goal: float
    ours: Run
    theirs: Run
    ratio: float
    copy: float
    times: int


def make_ready(case: Case, folder: Path) -> tuple[Path, Path]:
    """The wheel as a build would leave it, and a folder with the libraries it needs."""
    given = wheels.fetch(case.wheel)
    libraries = folder / "libraries"
    libraries.mkdir(parents=True)
    if case.as_it_is:
        return given, libraries
    if case.drop:
        return unbundle.drop(given, folder / "wheel", libraries, case.drop), libraries
    return unbundle.unbundle(given, folder / "wheel", libraries), libraries


def their_command(
    tool: Tool, case: Case, wheel: Path, libraries: Path, out: Path, tools: Path
) -> tuple[tuple[str, ...], Mapping[str, str]]:
    """Another tool's command and its environment."""
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    globs = tuple(word for glob in case.exclude for word in ("--exclude", glob))
    match tool:
        case "auditwheel":
            words = ("auditwheel", "repair", "-w", str(out), *globs, str(wheel))
            return words, {"PATH": path, "LD_LIBRARY_PATH": str(libraries)}
        case "repairwheel":
            words = ("repairwheel", "-o", str(out), "-l", str(libraries), *globs, str(wheel))
            return words, {"PATH": path}
        case "delocate":
            words = ("delocate-wheel", "-w", str(out), str(wheel))
            found = {"DYLD_LIBRARY_PATH": str(libraries)}
            return words, {"PATH": f"{tools}{os.pathsep}{path}", **found}


def measure(case: Case, times: int, folder: Path) -> Iterator[Result]:
    """Every way of ours and every tool of one case, taking turns."""
    wheel, libraries = make_ready(case, folder)
    log, out, tools = folder / "log", folder / "out", shims.write(folder / "shims")
    rivals = tuple(dict.fromkeys(tool for way in case.ours for tool in way.goals))
    ours: dict[str, list[Run]] = {way.name: [] for way in case.ours}
    theirs: dict[Tool, list[Run]] = {tool: [] for tool in rivals}
    for turn in range(times):
        for way in case.ours:
            words = (*BUILDER, "repair", "-q", "-w", str(out), "--add-path", str(libraries))
            cache = folder / ("warm" if way.warm else f"cold-{turn}-{way.name}")
            caches = {"BUILDER_CACHE": str(cache)}
            if way.warm and not turn:
                run((*words, *way.words, str(wheel)), caches, out, log)
            ours[way.name].append(run((*words, *way.words, str(wheel)), caches, out, log))
        for tool in rivals:
            argv, environment = their_command(tool, case, wheel, libraries, out, tools)
            theirs[tool].append(run(argv, environment, out, log))
    copy = statistics.median(copy_seconds(wheel, folder / "copy") for _ in range(times))
    for way in case.ours:
        for tool, goal in way.goals.items():
            pairs = zip(ours[way.name], theirs[tool], strict=True)
            ratio = statistics.median(other.wall / own.wall for own, other in pairs)
            both = median_of(ours[way.name]), median_of(theirs[tool])
            yield Result(case.name, way.name, tool, goal, *both, ratio, copy, times)


def page(results: Sequence[Result], rows: Sequence[huge.Huge]) -> Iterator[str]:
    """The page, line by line."""
    yield "# Benchmarks of repair\n"
    yield "Written by `python benchmarks/repair.py`: whole processes on published wheels that were"
    yield "unbundled first, both sides taking turns in one run, medians. The machine is small and"
    yield "shared, so the ratios count and the seconds do not.\n"
    yield f"{os.cpu_count()} cores, {platform.machine()}, CPython {platform.python_version()}.\n"
    names = ["wheel", "work", "against", "runs", "ours, s", "theirs, s", "faster", "goal"]
    names += ["memory, MiB", "theirs", "`cp`, s", "of `cp`", "size"]
    yield f"| {' | '.join(names)} |"
    yield f"|{'---|' * len(names)}"
    for one in results:
        size = f"{100 * (one.ours.size / one.theirs.size - 1):+.1f} %" if one.theirs.size else "-"
        yield (
            f"| {one.case} | {one.way} | {one.tool} | {one.times} | {one.ours.wall:.2f} "
            f"| {one.theirs.wall:.1f} | **{one.ratio:.1f}x** | {one.goal:g}x "
            f"| {one.ours.peak:.0f} | {one.theirs.peak:.0f} | {one.copy:.2f} "
            f"| {100 * one.copy / one.ours.wall:.0f} % | {size} |"
        )
    yield "\nMemory is the highest of a single process. `of cp` is our share of the speed of copying"
    yield "the wheel; size is that of our wheel against theirs. `seen before` is with our fact cache"
    yield "filled by an earlier look at the same file.\n"
    yield "## A wheel of 5 GB\n"
    yield "Made for the purpose (ZIP64): the unbundled shapely beside members that nobody touches. The"
    yield "time beyond copying the file is linear in the bytes that change, which are what is grafted.\n"
    yield f"| {huge.HEAD} |"
    yield f"|{'---|' * (huge.HEAD.count('|') + 1)}"
    yield from (f"| {row} |" for row in rows)
    yield ""
    yield "## What limits each wheel now\n"
    yield "From profiles of our side.\n"
    for case in CASES:
        yield f"- **{case.name}**: {case.limit}."
    yield ""


def main() -> None:
    """Measure the cases that were asked for, and write the page when these are all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="parts of names, separated by commas")
    parser.add_argument("--times", type=int, default=5, help="runs of each side")
    parser.add_argument(
        "--results", type=Path, help="keep results here, so that several calls make one page"
    )
    words = parser.parse_args()
    parts = [part for part in words.only.split(",") if part]
    compileall.compile_dir(ROOT / "builder", quiet=1)  # as an installer does it
    results = _kept(words.results)
    for case in CASES:
        if parts and not any(part in case.name for part in parts):
            continue
        with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
            for one in measure(case, words.times, Path(folder)):
                results[one.case, one.way, one.tool] = one
                print(
                    f"{one.case}, {one.way}: {one.ratio:.1f}x {one.tool} (goal {one.goal:g}x), "
                    f"{one.ours.wall:.2f} s and {one.ours.peak:.0f} MiB, "
                    f"theirs {one.theirs.wall:.1f} s and {one.theirs.peak:.0f} MiB",
                    flush=True,
                )
        if words.results:
            rows = [asdict(one) for one in results.values()]
            words.results.write_text(json.dumps(rows, indent=2), "utf-8")
    found = _of_huge(words.times, words.results, asked=not parts or "huge" in parts)
    order = [
        (case.name, way.name, tool) for case in CASES for way in case.ours for tool in way.goals
    ]
    if found and all(place in results for place in order):
        PAGE.write_text("\n".join(page([results[place] for place in order], found)), "utf-8")


def _of_huge(times: int, results: Path | None, *, asked: bool) -> list[huge.Huge]:
    """The rows of the huge wheel: measured, or what an earlier call kept beside its results."""
    kept = results.with_suffix(".huge") if results else None
    if not asked:
        if kept is None or not kept.exists():
            return []
        return [huge.Huge(**row) for row in json.loads(kept.read_text("utf-8"))]
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        found = list(huge.measure(*make_ready(CASES[0], Path(folder)), times, Path(folder)))
    print("\n".join(map(str, found)), flush=True)
    if kept is not None:
        kept.write_text(json.dumps(list(map(asdict, found))), "utf-8")
    return found


def _kept(file: Path | None) -> dict[tuple[str, str, str], Result]:
    """What earlier calls measured."""
    if file is None or not file.exists():
        return {}
    rows = [
        Result(**{**row, "ours": Run(**row["ours"]), "theirs": Run(**row["theirs"])})
        for row in json.loads(file.read_text("utf-8"))
    ]
    return {(row.case, row.way, row.tool): row for row in rows}


if __name__ == "__main__":
    main()
