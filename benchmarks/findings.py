"""What the check suite finds on published wheels, each finding shown with another tool; `docs/findings.md`.

Run `python benchmarks/findings.py`; `--only "numpy-*"` for some of the wheels, `--wheels FOLDER` for
another place to keep them (1 GB). `findings.toml` says which wheels there are and, for each group of
findings, with which command of whose tool it is seen to be true. The commands are run. The call fails
when a finding has no entry, an entry no finding, or a command does not show what it is said to show.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import wheels  # noqa: E402  # found from the line above
from smoke.report import Report  # noqa: E402
from smoke.runner import Request, check_artifact, subject_of  # noqa: E402

TABLE = Path(__file__).parent / "findings.toml"
PAGE = ROOT / "docs" / "findings.md"
PAPERS = re.compile(
    r"[^/]+\.dist-info/(?:licenses/|sboms/|LICEN[CS]E|COPYING|NOTICE|AUTHORS).*[^/]"
)
_LONGEST = 170
_PLATFORMS = (
    (r"manylinux_?\d+(?:_\d+)?_(\w+)", "manylinux {}"),
    (r"musllinux_\d+_\d+_(\w+)", "musllinux {}"),
    (r"macosx_(\d+)_(\d+)_(\w+)", "macOS {2} ({0}.{1})"),
    (r"win_(\w+)", "Windows {}"),
    (r"win32", "Windows x86"),
)


@dataclass(frozen=True, slots=True)
class Proof:
    """A command of somebody else's tool, and patterns that its output must have and must not have.

    It runs in a folder with the files that the findings name, and those that a glob of `files`
    matches. `{files}` and `{more}` become their names, `{papers}` those of licences and bills of
    materials, `{package}` the package. With `quoted`, all that the findings quote must be in the output.
    """

    command: str
    files: tuple[str, ...] = ()
    shows: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class Evidence:
    """Why a group of findings is true: those of a check on some packages that `says` matches."""

    packages: tuple[str, ...]
    check: str
    says: str
    note: str
    proofs: tuple[Proof, ...]

    def covers(self, finding: Finding) -> bool:
        """Whether it is about this finding."""
        return (
            finding.check == self.check
            and fnmatchcase(finding.text, self.says)
            and any(fnmatchcase(finding.package.name, glob) for glob in self.packages)
        )


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of one check on one package."""

    package: Path
    check: str
    text: str

    def __str__(self) -> str:
        return f"{self.package.name}: {self.check}: {self.text}"


@dataclass(frozen=True, slots=True)
class Table:
    """What is looked at, what is known of it, and what was wrong with the suite."""

    wheels: tuple[str, ...]
    archives: Mapping[str, tuple[str, ...]]
    evidence: tuple[Evidence, ...]
    mended: tuple[Mapping[str, str], ...] = field(default=())

    @classmethod
    def read(cls, path: Path = TABLE) -> Table:
        """The table in a file."""
        rows: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
        names = sorted(wheels.checked())
        return cls(
            tuple(name for glob in rows["wheels"] for name in names if fnmatchcase(name, glob)),
            {name: tuple(words) for name, words in rows["archives"].items()},
            tuple(_evidence(row) for row in rows["finding"]),
            tuple(rows["mended"]),
        )


def _evidence(row: Mapping[str, Any]) -> Evidence:
    proofs = tuple(
        Proof(
            proof["command"],
            tuple(proof.get("files", ())),
            tuple(proof.get("shows", ())),
            tuple(proof.get("lacks", ())),
            proof.get("quoted", False),
        )
        for proof in row["proof"]
    )
    return Evidence(tuple(row["packages"]), row["check"], row["says"], row["note"], proofs)


def look(package: Path) -> tuple[Finding, ...]:
    """Everything the suite has against a package by its bytes; raises when a check crashed."""
    return found_in(package, check_artifact(subject_of(Request(package))))


def found_in(package: Path, report: Report) -> tuple[Finding, ...]:
    """The findings of one report."""
    crashed = [one.id for one in report.results if one.status == "crash"]
    if crashed:
        raise RuntimeError(f"{package.name}: {', '.join(crashed)} crashed")
    return tuple(Finding(package, one.id, text) for one in report.results for text in one.problems)


def look_at_archive(package: Path) -> tuple[Finding, ...]:
    """What `builder check` has against a C++ archive, its libraries loaded where this machine can.

    Whether a program compiles against it is for `tests/e2e/test_libtorch.py`: it takes minutes.
    """
    words = (sys.executable, "-m", "builder", "check", "--json")
    done = subprocess.run((*words, str(package)), capture_output=True, text=True, check=False)
    if done.returncode not in {0, 1}:
        raise RuntimeError(done.stderr)
    results = json.loads(done.stdout)["results"]
    return tuple(Finding(package, row["id"], text) for row in results for text in row["problems"])


def archive_of(wheel: Path, words: Sequence[str], folder: Path) -> Path:
    """The libtorch archive that `builder build` makes of a published wheel."""
    out = folder / wheel.stem
    command = [
        sys.executable,
        "-m",
        "builder",
        "build",
        "pytorch",
        "--type",
        "libtorch",
        "--no-check",
    ]
    command += ["--variant", "shared-with-deps", "--source", str(wheel), "-o", str(out), *words]
    subprocess.run(command, check=True, capture_output=True)
    (archive,) = out.glob("*.zip")
    return archive


def unexplained(findings: Iterable[Finding], table: Table) -> tuple[Finding, ...]:
    """The findings that no entry covers."""
    return tuple(one for one in findings if not any(e.covers(one) for e in table.evidence))


def faults(evidence: Evidence, findings: Sequence[Finding]) -> Iterator[str]:
    """Where the commands of an entry do not show that its findings on one package are true."""
    package = findings[0].package
    for proof in evidence.proofs:
        said = _output(proof, findings)
        wanted = [*proof.shows, *(map(re.escape, _quoted(findings)) if proof.quoted else ())]
        for pattern in wanted:
            if not re.search(pattern, said):
                yield f"{package.name}: `{proof.command}` does not show `{pattern}`"
        for pattern in proof.lacks:
            if found := re.search(pattern, said):
                yield f"{package.name}: `{proof.command}` shows `{found[0]}`"


def _output(proof: Proof, findings: Sequence[Finding]) -> str:
    """What the command of a proof prints, in a folder with the files it is about."""
    package = findings[0].package.absolute()
    named = {finding.text.partition(": ")[0] for finding in findings}
    with zipfile.ZipFile(package) as archive, tempfile.TemporaryDirectory() as folder:
        names = [name for name in archive.namelist() if not name.endswith("/")]
        more = [n for n in names if any(fnmatchcase(n, glob) for glob in proof.files)]
        papers = [name for name in names if PAPERS.fullmatch(name)]
        for name in {*named, *more, *papers}:
            archive.extract(name, folder)
        words = {"files": sorted(named), "more": more, "papers": papers, "package": [str(package)]}
        argv = [
            w for word in shlex.split(proof.command) for w in words.get(word.strip("{}"), [word])
        ]
        if argv[0] == "python":
            argv[0] = sys.executable
        done = subprocess.run(
            argv,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    if done.stderr and not done.stdout and done.returncode > 1:
        raise RuntimeError(f"`{proof.command}` on {package.name}: {done.stderr}")
    return done.stdout


def _quoted(findings: Iterable[Finding]) -> tuple[str, ...]:
    """What findings have between backticks."""
    return tuple(dict.fromkeys(w for one in findings for w in re.findall(r"`([^`]+)`", one.text)))


def grouped(findings: Iterable[Finding], evidence: Evidence) -> Mapping[Path, tuple[Finding, ...]]:
    """The findings that an entry covers, by package."""
    groups: dict[Path, list[Finding]] = {}
    for finding in findings:
        if evidence.covers(finding):
            groups.setdefault(finding.package, []).append(finding)
    return {package: tuple(group) for package, group in groups.items()}


def page(table: Table, looked: Mapping[Path, tuple[Finding, ...]]) -> Iterator[str]:
    """The page, line by line."""
    findings = [finding for found in looked.values() for finding in found]
    clean = sum(not found for found in looked.values())
    yield "# Findings on published packages\n"
    yield "Written by `python benchmarks/findings.py` from its runs of the check suite on published"
    yield "wheels, held by their digests, and on the libtorch archives that `builder build` makes of"
    yield "three of them. Every finding was held against somebody else's tool: the commands of the last"
    yield "column are run each time, in a folder with the unpacked files, and a finding that none of them"
    yield "shows ends the call with its name.\n"
    yield f"{len(looked)} packages, {clean} of them without a finding; {len(findings)} findings, all true.\n"
    yield "| package | platforms | check | what is said | verdict | shown by |"
    yield "|---|---|---|---|---|---|"
    for one in table.evidence:
        groups = grouped(findings, one)
        if groups:
            yield _row(one, groups)
    yield "\n## What was looked at\n"
    yield "| package | platforms | without a finding |"
    yield "|---|---|---|"
    for project, packages in _by_project(looked).items():
        without = [package for package in packages if not looked[package]]
        yield f"| {project} | {_platforms(packages)} | {_platforms(without) or 'none'} |"
    yield "\n## What was not true, and was mended\n"
    yield "| package | check | what was said | what is so | shown by |"
    yield "|---|---|---|---|---|"
    for row in table.mended:
        cells = [row["package"], f"`{row['check']}`", row["said"], row["is"], row["shown"]]
        yield f"| {' | '.join(map(_cell, cells))} |"


def _row(evidence: Evidence, groups: Mapping[Path, tuple[Finding, ...]]) -> str:
    first = next(iter(groups.values()))
    said = first[0].text
    if len(said) > _LONGEST:
        said = f"{said[: _LONGEST - 4].rstrip()} ..."
    more = f" (and {len(first) - 1} more)" if first[1:] else ""
    shown = "; ".join(f"`{_shortened(proof.command)}`" for proof in evidence.proofs)
    cells = [
        ", ".join(_by_project(groups)), _platforms(groups), f"`{evidence.check}`",
        f"{said}{more}", f"true: {evidence.note}", shown,
    ]  # fmt: skip
    return f"| {' | '.join(map(_cell, cells))} |"


def _shortened(command: str) -> str:
    """A command without the words of a program that is written in it."""
    return re.sub(
        r"python -c '.*?import (\w+).*'", r"python -c '... \1 ...'", command, flags=re.DOTALL
    )


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def _by_project(packages: Iterable[Path]) -> Mapping[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for package in packages:
        name, version = _project(package)
        found.setdefault(f"{name} {version}", []).append(package)
    return found


def _project(package: Path) -> tuple[str, str]:
    if package.suffix == ".whl":
        name, version = package.name.split("-")[:2]
        return name, version
    return "libtorch", package.stem.rpartition("-")[2]


def _platforms(packages: Iterable[Path]) -> str:
    return ", ".join(dict.fromkeys(_platform(package) for package in packages))


def _platform(package: Path) -> str:
    """What a package is for, in words."""
    if package.suffix != ".whl":
        system = {"macos": "macOS arm64", "win": "Windows amd64"}
        return system.get(package.stem.split("-")[1], "Linux x86_64")
    tag = package.stem.rpartition("-")[2].rpartition(".")[2]
    for pattern, words in _PLATFORMS:
        if match := re.fullmatch(pattern, tag):
            return words.format(*match.groups())
    return tag


def main() -> int:
    """Look at all packages, hold every finding against its proof, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wheels", type=Path, help="the folder that wheels are kept in")
    parser.add_argument(
        "--only", default="*", metavar="GLOB", help="only wheels of such names; writes no page"
    )
    words = parser.parse_args()
    table = Table.read()
    looked: dict[Path, tuple[Finding, ...]] = {}
    with tempfile.TemporaryDirectory(prefix="findings-") as folder:
        for name in table.wheels:
            if fnmatchcase(name, words.only):
                wheel = wheels.fetch(name, words.wheels)
                looked[wheel] = look(wheel)
                print(f"{name}: {len(looked[wheel])}", flush=True)
                if name in table.archives:
                    archive = archive_of(wheel, table.archives[name], Path(folder))
                    looked[archive] = look_at_archive(archive)
                    print(f"{archive.name}: {len(looked[archive])}", flush=True)
        wrong = list(_wrong(table, looked, is_all=words.only == "*"))
    for line in wrong:
        print(line, file=sys.stderr)
    if not wrong and words.only == "*":
        PAGE.write_text("\n".join(page(table, looked)) + "\n", "utf-8")
    return 1 if wrong else 0


def _wrong(
    table: Table, looked: Mapping[Path, tuple[Finding, ...]], *, is_all: bool
) -> Iterator[str]:
    findings = [finding for found in looked.values() for finding in found]
    for finding in unexplained(findings, table):
        yield f"no entry of {TABLE.name} shows that this is true: {finding}"
    for evidence in table.evidence:
        groups = grouped(findings, evidence)
        if not groups and is_all:
            yield f"nothing is found any more: {evidence.check}: {evidence.says}"
        for group in groups.values():
            yield from faults(evidence, group)


if __name__ == "__main__":
    raise SystemExit(main())
