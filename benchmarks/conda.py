"""Measure conda packages and channels against the tools that do only this; write `docs/benchmarks-conda.md`.

Run `python benchmarks/conda.py`; `--only render,index` for some groups, `--times 3` for fewer runs,
`--results FILE` to keep what was measured, so that several calls make one page. All sides of a case
are whole processes that take turns in one run. conda-index imports `conda`, which no index has:
`--conda FOLDER` names its source, and without it the page keeps no line for conda-index.
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
from importlib.metadata import version
from pathlib import Path
from typing import Final

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import conda_made  # noqa: E402  # found from the line above
from benchmarks.conda_cases import Case, build_cases, render_cases  # noqa: E402  # as above
from benchmarks.whole import Run, median_of, run  # noqa: E402  # as above

PAGE = ROOT / "docs" / "benchmarks-conda.md"
TITLES: Final[Mapping[str, str]] = {
    "render": "Rendering a recipe",
    "build": "Building a recipe",
    "index": "Indexing a channel",
    "convert": "Converting pure wheels",
}
NOTES: Final[Mapping[str, str]] = {
    "render": """
Theirs is one interpreter that loads the bindings and renders. Ours is the command: two more interpreters (the
command line, and the supervisor that ends what a worker started) and the plugins. That is the same quarter of a
second of the processor for any number of variants. Beyond rendering, it refuses a key that a script reads but that
does not enter the hash, and two variants of one name.
""",
    "build": """
Theirs is one process that builds all outputs one after the other. **Ours takes three to six times the processor: a
quarter of a second for the command, and for each package 0.15 s more than theirs, 0.25 s with its tests.** That is
a worker for each output, another for its tests (to start one and load the bindings takes 0.1 s), and what
rattler-build does not do: the package is read back, its prefix made neutral and searched for in pieces, its links
judged, written again with a time and an order that do not change, read back with every digest, and indexed, each
file flushed to the disk. Both pack at level 9. The bindings hold the interpreter's lock and name folders after the
second: one process could neither build side by side nor be stopped. The workers of several outputs share the cores,
so the clock shows less of it. These recipes do next to nothing, so that they show nothing else; what a compiler
takes is the same on both sides.
""",
    "index": """
All write `repodata.json` and its compressed form; ours and conda-index also `run_exports.json`, rattler none. Ours
judges names, versions and types besides, as a stranger's. A file of known size and time is not read again. rattler
is compiled: for each package it takes about as long as ours or less, but its process takes longer to start.
conda-index runs with one thread: with more, its processes lock each other out of its database on a busy machine.
""",
    "convert": """
whl2conda packs with zstandard at level 19, which is our `release`; ours is 9 by default. Both hold every member
against the RECORD of the wheel. It unpacks the wheel to the disk, changes it there, then hashes and packs that;
ours unpacks nothing, and reads the package back, every digest compared. Only `release` compares
like with like: at level 19 nearly all time is zstandard's on both sides (sympy, once: 18 s of the processor on
either), and what the default gains is the price of that level.
Of a wheel with binaries whl2conda says that it `{said}`; ours makes a package of it.
""",
}
REASONS: Final[Mapping[str, str]] = {
    "info/recipe/": "the recipe as it was rendered names the machine; we leave it out",
    "info/files": "`paths.json` says what `files` does, and only conda-build reads the other two; `REQUESTED` says "
    "that a user asked for the project, which a package cannot know",
    "libanswer.so.1": "the build-id: the linker takes it over the prefix, which is another folder on each side",
    "answer.pc": "the prefix: theirs is the folder that it was built in, ours names nobody",
    "charset-normalizer": "names as conda-forge has them; `<4` does not mean a pre-release of 4 in a wheel, but would "
    "in conda, so that ours is `<4a0`",
    "charset_normalizer": "the names and bounds as they are in the wheel",
    "of `depends` only in ours": "as above: bounds without pre-releases",
    "of `depends` only in theirs": "as above",
    "INSTALLER": "`conda` in ours",
    "METADATA": "theirs moves all requirements to an extra; ours is that of the wheel",
    "/RECORD": "ours lists what is installed where; theirs lists what it changed",
}
"""Why outputs differ, by a part of the line that says so."""


@dataclass(frozen=True, slots=True)
class Result:
    """The medians of one pair; `ratio` is theirs by ours in processor seconds, the median of the turns."""

    group: str
    case: str
    way: str
    rival: str
    ours: Run
    theirs: Run
    ratio: float
    wall_ratio: float
    times: int
    differences: tuple[str, ...] = ()


def cases(group: str, folder: Path, checkout: str) -> Iterator[Case]:
    """The cases of a group, made ready one by one."""
    match group:
        case "render":
            yield from render_cases(folder)
        case "build":
            yield from build_cases(folder)
        case "index":
            yield from conda_made.index_cases(folder, checkout)
        case _:
            yield from conda_made.convert_cases(folder)


def measure(case: Case, times: int, folder: Path) -> Iterator[Result]:
    """All sides of one case, taking turns."""
    log, nothing = folder / "log", folder / "nothing"
    runs: dict[str, list[Run]] = {side.name: [] for side in (*case.ours, *case.theirs)}
    for _ in range(times):
        for side in (*case.ours, *case.theirs):
            side.before()
            runs[side.name].append(run(side.argv, side.environment, nothing, log))
    differences = tuple(case.differences())
    for own in case.ours:
        for other in case.theirs:
            pairs = list(zip(runs[own.name], runs[other.name], strict=True))
            yield Result(
                case.group,
                case.name,
                own.name,
                other.name,
                median_of(runs[own.name]),
                median_of(runs[other.name]),
                statistics.median(theirs.cpu / ours.cpu for ours, theirs in pairs),
                statistics.median(theirs.wall / ours.wall for ours, theirs in pairs),
                times,
                differences,
            )


def table(results: Sequence[Result]) -> Iterator[str]:
    """One group, line by line."""
    names = ["work", "ours", "s", "CPU s", "against", "s", "CPU s", "CPU, theirs / ours", "clock"]
    yield f"| {' | '.join([*names, 'MiB', 'theirs'])} |"
    yield f"|{'---|' * (len(names) + 2)}"
    for one in results:
        yield (
            f"| {one.case} | {one.way} | {one.ours.wall:.2f} | {one.ours.cpu:.2f} | {one.rival} "
            f"| {one.theirs.wall:.2f} | {one.theirs.cpu:.2f} | **{one.ratio:.2f}** "
            f"| {one.wall_ratio:.2f} | {one.ours.peak:.0f} | {one.theirs.peak:.0f} |"
        )


def differences(results: Sequence[Result]) -> Iterator[str]:
    """What the outputs of both sides do not have in common, each with its cases and the reason."""
    found: dict[str, list[str]] = {}
    for one in results:
        for line in one.differences:
            found.setdefault(line, []).append(one.case)
    for line, names in found.items():
        why = next((reason for part, reason in REASONS.items() if part in line), "not explained")
        yield f"- {'; '.join(dict.fromkeys(names))}: {line}: {why}"


def page(results: Sequence[Result], said: str) -> Iterator[str]:
    """The page, line by line."""
    yield "# Benchmarks of conda packages\n"
    yield "Written by `python benchmarks/conda.py`: whole processes, all sides of a case taking turns in one run,"
    yield "medians. The machine is small and shared: processor seconds (of a process and everything it"
    yield "started) and their ratio count, seconds of the clock do not. A ratio above 1 means that ours"
    times = sorted({one.times for one in results})
    yield f"is faster. Every case ran {' or '.join(map(str, times))} times.\n"
    rivals = [f"{name} {version(name)}" for name in ("py-rattler-build", "py-rattler")]
    rivals += [name.replace("==", " ") for name in conda_made.OTHERS[:2]]
    yield f"{os.cpu_count()} cores, {platform.machine()}, CPython {platform.python_version()},"
    yield f"{', '.join(rivals)}.\n"
    for group, title in TITLES.items():
        rows = [one for one in results if one.group == group]
        yield f"## {title}\n"
        yield from table(rows)
        yield ""
        yield f"{NOTES[group].strip().replace('{said}', said)}\n"
        lines = list(differences(rows))
        yield f"What the outputs of both do not have in common:{'' if lines else ' nothing.'}\n"
        yield from (*lines, "") if lines else ()


def main() -> None:
    """Measure what was asked for, and write the page when there is something of every group."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--only", default="", help="groups, or the beginnings of `GROUP CASE`, separated by commas"
    )
    parser.add_argument("--times", type=int, default=5, help="runs of each side")
    parser.add_argument("--results", type=Path, help="keep results here")
    parser.add_argument("--conda", default="", metavar="FOLDER", help="the source of `conda`")
    words = parser.parse_args()
    parts = [part for part in words.only.split(",") if part]
    for folder in ("builder", "plugins"):
        compileall.compile_dir(ROOT / folder, quiet=1)  # as an installer does it
    results = _kept(words.results)
    for group in TITLES:
        if parts and not any(part.startswith(group) for part in parts):
            continue
        with tempfile.TemporaryDirectory(prefix="benchmark-") as place:
            for case in cases(group, Path(place), words.conda):
                name = f"{group} {case.name}"
                if parts and not name.startswith(tuple(parts)):
                    continue
                for one in measure(case, words.times, Path(place)):
                    results[one.group, one.case, one.way, one.rival] = one
                    print("\n".join(list(table([one]))[2:]), *one.differences, sep="\n", flush=True)
                if words.results:
                    rows = [asdict(one) for one in results.values()]
                    words.results.write_text(json.dumps(rows, indent=2), "utf-8")
    if {one.group for one in results.values()} == TITLES.keys():
        PAGE.write_text("\n".join(page(list(results.values()), conda_made.refusal())), "utf-8")


def _kept(file: Path | None) -> dict[tuple[str, str, str, str], Result]:
    """What earlier calls measured."""
    if file is None or not file.exists():
        return {}
    rows = [
        Result(
            **{
                **row,
                "ours": Run(**row["ours"]),
                "theirs": Run(**row["theirs"]),
                "differences": tuple(row["differences"]),
            }
        )
        for row in json.loads(file.read_text("utf-8"))
    ]
    return {(row.group, row.case, row.way, row.rival): row for row in rows}


if __name__ == "__main__":
    main()
