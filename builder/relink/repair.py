"""Repair one wheel: survey, graft, relink, relabel, pack, prove.

The backend of `builder build` and the verb `builder repair` both end here.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from builder.archive import record
from builder.archive.deliver import deliver
from builder.archive.listing import list_files
from builder.archive.metadata import relabel
from builder.archive.record import Row
from builder.archive.wheel import Wheel, WheelName, extract, read_wheel
from builder.archive.zip import pack
from builder.config.recipe import Sibling
from builder.errors import BuilderError, UsageError
from builder.process import Processes
from builder.relink.closure import installed
from builder.relink.engine import Engine, RepairJob
from builder.relink.host import Host
from builder.relink.policy import Blocker
from builder.relink.scan import Members, arch_of, scan_folder
from builder.relink.sibling import apply_edits, plan_edits, ways_inside, ways_to_siblings
from builder.relink.survey import Graft, Survey, refuse_if_too_new, survey, verdict
from builder.relink.verify import Proof, refuse_if_unsound

__all__ = ["Bench", "RepairedWheel", "Wanted", "repair_wheel"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is wanted of one wheel.

    `search` are folders with libraries that come before the system's, `exclude` globs over sonames
    that stay outside. `version` is a full version to relabel to, or empty. `baseline` is a platform
    tag the wheel may not exceed, or `auto`. `epoch` is the time stamp of every member, None for the
    newest one in the wheel. `level` is zlib's.
    """

    wheel: Path
    search: tuple[Path, ...] = ()
    exclude: tuple[str, ...] = ()
    siblings: tuple[Sibling, ...] = ()
    version: str = ""
    baseline: str = "auto"
    epoch: int | None = None
    level: int = 6
    library_suffix: str = ".libs"
    strip: bool = False


@dataclass(frozen=True, slots=True)
class Bench:
    """What the work is done with: an engine, processes, a folder to fill, and a log."""

    engine: Engine
    processes: Processes
    cores: int
    work: Path
    log: Path


@dataclass(frozen=True, slots=True)
class RepairedWheel:
    """A finished wheel.

    `tag` is its platform tag, `blockers` what keeps it from the next older one. `edited` are
    members of the given wheel that have other bytes now. `is_pure` means that it holds no binaries.
    """

    path: Path
    tag: str
    grafts: tuple[Graft, ...] = ()
    edited: tuple[str, ...] = ()
    blockers: tuple[Blocker, ...] = ()
    is_pure: bool = False
    notes: tuple[str, ...] = ()

    def facts(self) -> Mapping[str, object]:
        """The same as JSON values."""
        facts: dict[str, object] = {
            "tag": self.tag,
            "grafted": [graft.to_json() for graft in self.grafts],
            "edited": list(self.edited),
            "blockers": [blocker.to_json() for blocker in self.blockers],
        }
        if self.is_pure:
            facts["pure"] = True
        if self.notes:
            facts["notes"] = list(self.notes)
        return facts


@dataclass(frozen=True, slots=True)
class _Case:
    """One wheel in the middle of its repair; `given` are the files it came with."""

    wheel: Wheel
    wanted: Wanted
    bench: Bench
    given: Mapping[str, Row]
    members: Members

    @property
    def content(self) -> Path:
        """The unpacked wheel."""
        return self.bench.work / "content"

    @property
    def epoch(self) -> int:
        """The time stamp of every member that is written."""
        return self.wheel.newest if self.wanted.epoch is None else self.wanted.epoch

    @property
    def notes(self) -> tuple[str, ...]:
        """What was strange about the wheel as given; its RECORD is written anew in any case."""
        itself = f"{self.wheel.dist_info}/RECORD"
        found = {path: row for path, row in self.given.items() if path != itself}
        problems = record.compare(self.wheel.record, found, itself)
        return (*self.members.notes, *(f"RECORD was wrong: {problem}" for problem in problems))

    def named(self, platforms: tuple[str, ...]) -> WheelName:
        """The file name with the wanted version and these platform tags."""
        name, version = self.wheel.name, self.wanted.version
        return replace(name.with_version(version) if version else name, platforms=platforms)

    def write(self, folder: Path, name: WheelName) -> Path:
        """Pack a folder under its final file name, not yet where the caller wants it."""
        target = self.bench.work / "packed" / str(name)
        return pack(folder, target, epoch=self.epoch, level=self.wanted.level)


def repair_wheel(wanted: Wanted, out: Path, bench: Bench) -> RepairedWheel:
    """Write a self-contained wheel with the lowest honest tag into `out`.

    The same input gives the same bytes. A wheel without binaries passes as it is. Raises
    `BuilderError`: for libraries that cannot be found, a baseline that is exceeded, or a result
    that does not hold its promise; then nothing is written.
    """
    case = _opened(wanted, bench)
    if not case.members.own:
        return _pass_on(case, out)
    _hoist(case)
    host = Host(wanted.search)
    members = scan_folder(case.content, case.members.arch)
    found = survey(case.wheel.path.name, members, wanted.exclude, wanted.siblings, host)
    refuse_if_too_new(case.wheel.path.name, found, wanted.baseline)
    platforms = _graft(case, found)
    return _finish(case, found, platforms, out)


def _opened(wanted: Wanted, bench: Bench) -> _Case:
    """Unpack and scan the wheel. Raises `UsageError` for one of another operating system."""
    wheel = read_wheel(wanted.wheel)
    others = [tag for tag in wheel.name.platforms if tag != "any" and not arch_of((tag,))]
    if others:
        raise UsageError(
            f"`{wheel.name}` is no wheel for Linux: {', '.join(others)}",
            hint="only wheels with ELF binaries can be repaired so far",
        )
    content = _fresh(bench.work / "content")
    extract(wheel, content)
    given = {path: record.row_of(content, path) for path in list_files(content)}
    return _Case(wheel, wanted, bench, given, scan_folder(content, arch_of(wheel.name.platforms)))


def _graft(case: _Case, found: Survey) -> tuple[str, ...]:
    """Let the engine graft into a wheel with its new version and requirements; unpack the result.

    Gives the platform tags of the engine back.
    """
    bench, content = case.bench, case.content
    edits = plan_edits(found.members.own, ways_inside(found.closure), tidy=False)
    apply_edits(content, edits, bench.processes, bench.log, bench.cores)
    name = case.named((f"linux_{found.members.arch}",))
    label = relabel(content, case.wanted.version or None, found.requires, name.tags)
    record.write(content, label.dist_info)
    if not any(binary.needed for binary in found.members.own.values()):
        # Nothing to graft, and auditwheel refuses a wheel that does not even need a C library.
        shutil.copytree(content, _fresh(bench.work / "final"), symlinks=True, dirs_exist_ok=True)
        return ()
    job = RepairJob(
        wheel=pack(content, bench.work / "staged" / str(name), epoch=case.epoch, level=0),
        out=_fresh(bench.work / "repaired"),
        search=case.wanted.search,
        exclude=found.outside,
        epoch=case.epoch,
        work=_fresh(bench.work / "engine"),
        log=bench.log,
        library_suffix=case.wanted.library_suffix,
        strip=case.wanted.strip,
    )
    repaired = bench.engine.repair(job)
    extract(read_wheel(repaired.wheel), _fresh(bench.work / "final"))
    return repaired.platforms


def _finish(case: _Case, found: Survey, platforms: tuple[str, ...], out: Path) -> RepairedWheel:
    """Siblings and rpaths, tags, RECORD, zip, proof, and only then the name in `out`."""
    bench, final, arch = case.bench, case.bench.work / "final", found.members.arch
    members = scan_folder(final, arch)
    ways = ways_to_siblings(found.view(members), case.wanted.siblings)
    edits = plan_edits(members.own, ways, tidy=True)
    apply_edits(final, edits, bench.processes, bench.log, bench.cores)
    members = scan_folder(final, arch)
    judged = verdict(members, found.outside, platforms)
    name = case.named(judged.platforms)
    label = relabel(final, tags=name.tags)
    rows = record.write(final, label.dist_info)
    folder = case.wheel.name.project + case.wanted.library_suffix
    grafts = found.grafted(bench.engine, folder)
    packed = case.write(final, name)
    refuse_if_unsound(Proof(packed, members, found, judged, grafts, rows, case.given))
    edited = _edited(case, rows, label.dist_info)
    path = deliver(packed, out)
    return RepairedWheel(path, judged.tag, grafts, edited, judged.blockers, notes=case.notes)


def _pass_on(case: _Case, out: Path) -> RepairedWheel:
    """A wheel without binaries: the same bytes, or the same content under another version."""
    wheel, version = case.wheel, case.wanted.version
    tag, edited, path = wheel.name.platforms[0], tuple[str, ...](), wheel.path
    if version and wheel.name.with_version(version) != wheel.name:
        label = relabel(case.content, version)
        record.write(case.content, label.dist_info)
        edited, path = label.edited, case.write(case.content, case.named(wheel.name.platforms))
    return RepairedWheel(deliver(path, out), tag, edited=edited, is_pure=True, notes=case.notes)


def _hoist(case: _Case) -> None:
    """Move `NAME.data/platlib/*` to where it is installed: relative rpaths are only right there."""
    for platlib in sorted(case.content.glob("*.data/platlib")):
        for file in sorted(path for path in platlib.rglob("*") if path.is_file()):
            target = case.content / file.relative_to(platlib)
            if target.exists():
                raise BuilderError(
                    f"`{file.relative_to(case.content)}` and `{target.relative_to(case.content)}` "
                    "are installed in the same place",
                    hint="build the wheel with only one of them",
                )
            target.parent.mkdir(parents=True, exist_ok=True)
            file.rename(target)
        shutil.rmtree(platlib)


def _edited(case: _Case, rows: tuple[Row, ...], dist_info: str) -> tuple[str, ...]:
    """The files of the given wheel, RECORD left out, that are still there with other bytes."""
    digests: dict[str, str] = {}
    for path, row in case.given.items():
        top, _, rest = path.partition("/")
        here = f"{dist_info}/{rest}" if top == case.wheel.dist_info else installed(path)
        digests[here] = row.digest
    return tuple(
        row.path for row in rows if row.digest and digests.get(row.path, row.digest) != row.digest
    )


def _fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
