"""Repair one wheel: open, look, plan, write, prove, hand over.

The backend of `builder build` and the verb `builder repair` both end here. Nothing is unpacked: what
does not change is copied as it lies in the archive.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from builder.archive import record
from builder.archive.deflate import codecs
from builder.archive.deliver import hand_over, is_same_file
from builder.archive.file import file_digest
from builder.archive.record import Row
from builder.archive.tally import Tally
from builder.archive.wheel import Wheel, WheelError, WheelName, judge, read_wheel
from builder.archive.zip_entry import ZipError
from builder.archive.zip_read import Zip
from builder.binary import looks_like
from builder.errors import BuilderError, UsageError
from builder.relink.apply import Strip, write
from builder.relink.cache import FactCache
from builder.relink.contents import Members, Sources
from builder.relink.facts import Facts, scan
from builder.relink.plan import Plan, Subject, Wanted
from builder.relink.plan_repair import needs_of, plan_relabel, plan_repair
from builder.relink.policy import Blocker
from builder.relink.system import Grafted, System
from builder.relink.systems import Name, own_binaries, refuse_strangers, system_for, system_of
from builder.relink.verify import Proof, refuse_if_unsound

if TYPE_CHECKING:
    from builder.config.machine import Machine
    from builder.relink.engine import Engine

__all__ = ["Bench", "RepairedWheel", "Wanted", "grafts_of", "identity", "repair_wheel"]

_FORMAT = "1"
"""Another number whenever the same input may give other bytes than before."""

_SHOWN = 15


@dataclass(frozen=True, slots=True)
class Bench:
    """What the work is done with.

    This machine, a folder to fill, maybe remembered facts, and maybe an engine of others. `strip`
    takes the debug symbols out of a file; only who wants that needs it.
    """

    machine: Machine
    work: Path
    cache: FactCache | None = None
    engine: Engine | None = None
    strip: Strip | None = None

    @property
    def threads(self) -> int:
        """How many files are looked into or packed at once."""
        return max(1, self.machine.cores)


@dataclass(frozen=True, slots=True)
class RepairedWheel:
    """A finished wheel.

    `tag` is its platform tag, `blockers` what keeps it from the next better one. `edited` are
    members of the given wheel that have other bytes now. `is_pure` means that it holds no binaries
    of a system. `work` is what it took.
    """

    path: Path
    tag: str
    grafts: tuple[Grafted, ...] = ()
    edited: tuple[str, ...] = ()
    blockers: tuple[Blocker, ...] = ()
    is_pure: bool = False
    notes: tuple[str, ...] = ()
    work: Tally = field(default_factory=Tally)

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


def repair_wheel(wanted: Wanted, out: Path, bench: Bench) -> RepairedWheel:
    """Write a self-contained wheel with honest tags into `out`; the given one is never touched.

    The same input gives the same bytes, and a wheel that needs nothing passes as it is. Raises
    `BuilderError`: for libraries that cannot be found, a tag that cannot be given, or a result that
    does not hold its promise; then nothing is written.
    """
    if bench.engine is not None:
        return _by_engine(bench.engine, wanted, out, bench)
    return _natively(wanted, out, bench, Tally())


def grafts_of(wanted: Wanted, bench: Bench) -> Mapping[str, str]:
    """The sha256 of every library that a repair would graft, by its real path; nothing stays behind.

    Raises `BuilderError` for libraries that cannot be found or read.
    """
    with _opened(wanted, bench, Tally(), keep=False) as case:
        subject = _subject(case)
        sources = needs_of(subject, wanted)[1].grafts if subject.own else ()
        return {source: _digest(source) for source in sources}


def identity() -> Mapping[str, str]:
    """Everything that changes the bytes of a repaired wheel beside the wheel and what is grafted."""
    from importlib.metadata import version  # noqa: PLC0415  # slow to load

    return {"native": _FORMAT, "policies": version("auditwheel"), **codecs()}


def _by_engine(engine: Engine, wanted: Wanted, out: Path, bench: Bench) -> RepairedWheel:
    """Let a program of others graft, and treat what it made as any wheel: judged and proven."""
    from builder.relink.engine import RepairJob  # noqa: PLC0415  # brings processes along

    if wanted.include or wanted.placement != "libs":
        raise UsageError(
            f"{engine.name} can neither include libraries nor choose their place",
            hint="leave the choice of the engine to us, or the wish",
        )
    wheel = read_wheel(wanted.wheel)
    if system_of((), wheel.name.platforms) not in {engine.system, None}:
        raise UsageError(
            f"{engine.name} repairs no wheels for {', '.join(wheel.name.platforms)}",
            hint="leave the choice of the engine to us",
        )
    epoch = wheel.newest if wanted.epoch is None else wanted.epoch
    work = bench.work / engine.name
    globs = tuple(glob for owner in wanted.siblings for glob in owner.libraries)
    job = RepairJob(
        wanted.wheel, work / "out", wanted.search, (*wanted.exclude, *globs), epoch,
        work, bench.work.with_name(f"{bench.work.name}.log"), wanted.library_suffix, wanted.strip,
    )  # fmt: skip
    made = engine.repair(job)
    job.log.unlink(missing_ok=True)
    tally = Tally()
    tally.add(processes=1)
    wishes = replace(wanted, wheel=made, search=(), include=(), strip=False)
    done = _natively(wishes, out, replace(bench, cache=None), tally)
    if done.grafts:
        done.path.unlink()
        raise BuilderError(
            f"{engine.name} left libraries outside of `{wheel.path.name}`",
            faults=[f"{graft.name}: found as {graft.source}" for graft in done.grafts],
            hint="the native engine may do better",
        )
    return replace(done, grafts=_grafted(wanted.wheel, done.path))


def _natively(wanted: Wanted, out: Path, bench: Bench, tally: Tally) -> RepairedWheel:
    with _opened(wanted, bench, tally) as case:
        subject, todo = _planned(case)
        path = _finished(case, subject, todo, out)
        return RepairedWheel(
            path, todo.verdict.tag, todo.relinked.grafts, _edited(case, todo),
            todo.verdict.blockers[:_SHOWN], not subject.own, todo.notes, tally,
        )  # fmt: skip


def _digest(library: str) -> str:
    try:
        return file_digest(Path(library))
    except OSError as error:
        raise BuilderError(
            f"`{library}` cannot be read: {error.strerror}", hint="check its permissions"
        ) from error


@contextmanager
def _opened(wanted: Wanted, bench: Bench, tally: Tally, *, keep: bool = True) -> Iterator[_Case]:
    """The wheel, looked into; with `keep`, big members stay at hand to be changed."""
    WheelName.parse(wanted.wheel.name)
    try:
        with Zip(wanted.wheel, tally) as archive:
            wheel = judge(archive)
            facts = scan(
                archive, folder=bench.work, threads=bench.threads, cache=bench.cache, keep=keep
            )
            members = Members(archive, bench.work, facts.held)
            try:
                yield _Case(wanted, bench, wheel, archive, members, facts, tally)
            finally:
                members.close()
    except ZipError as error:
        raise WheelError(wanted.wheel.name, (error.fault,)) from error


@dataclass(frozen=True, slots=True)
class _Case:
    """One open wheel."""

    wanted: Wanted
    bench: Bench
    wheel: Wheel
    archive: Zip
    members: Members
    facts: Facts
    tally: Tally

    @property
    def epoch(self) -> int:
        """The time stamp of every member that is new."""
        return self.wheel.newest if self.wanted.epoch is None else self.wanted.epoch

    def system(self, name: Name, archive: Zip, paths: Iterable[str], tags: Iterable[str]) -> System:
        """The system as it is with the binaries of one archive."""
        return system_for(
            name, self.bench.machine, tags, self.wheel.name.project, paths,
            Members(archive, self.bench.work, {}),
            any_instructions=self.wanted.any_instructions,
        )  # fmt: skip


def _planned(case: _Case) -> tuple[Subject, Plan]:
    """What is to be done. A wheel without binaries of a system may only get another version."""
    subject = _subject(case)
    decide = plan_repair if subject.own else plan_relabel
    return subject, decide(subject, case.wanted)


def _subject(case: _Case) -> Subject:
    """The wheel, the binaries that its system's loader has to do with, and where it looks here."""
    tags = case.wheel.name.platforms
    name = system_of(case.facts.binaries.values(), tags)
    own = own_binaries(name, case.facts.binaries, tags) if name is not None else {}
    if name is not None and not own:
        refuse_strangers(case.wheel.path.name, case.facts.binaries, tags)
    system = case.system(name or "linux", case.archive, own, tags)
    host = system.libraries(tuple(path.absolute() for path in case.wanted.search))
    sources = Sources(case.bench.work, case.tally)
    return Subject(case.wheel, case.facts, case.members, sources, system, host, own)


def _finished(case: _Case, subject: Subject, todo: Plan, out: Path) -> Path:
    """The repaired wheel under its name: written and proven, or the given one when nothing is to do."""
    given = case.wheel.path
    target = out.absolute() / (given.name if todo.name == case.wheel.name else str(todo.name))
    if todo.is_empty:
        return hand_over(given, target)
    if is_same_file(given, target):
        raise UsageError(
            f"the repaired wheel would take the place of `{given}`",
            hint="give another folder with `--wheel-dir`",
        )
    strip = case.bench.strip if case.wanted.strip else None
    write(
        case.archive, subject, todo, target, folder=case.bench.work, epoch=case.epoch,
        level=case.wanted.level, threads=case.bench.threads, tally=case.tally, strip=strip,
        check=partial(_prove, case, subject, todo),
    )  # fmt: skip
    return target


def _prove(
    case: _Case, subject: Subject, todo: Plan, archive: Zip, rows: Mapping[str, Row]
) -> None:
    """Raise `BuilderError` unless the wheel that was written is what was planned."""
    if case.archive.has_changed():
        raise BuilderError(
            f"`{case.wheel.path}` changed while it was read",
            hint="run the same command again when nothing writes to it",
        )
    system = case.system(subject.system.name, archive, todo.binaries, todo.name.platforms)
    wheel, entries = judge(archive), case.members.entries
    refuse_if_unsound(Proof(archive, wheel, system, todo, rows, entries))


def _grafted(given: Path, made: Path) -> tuple[Grafted, ...]:
    """The binaries that an engine added; where it had them from, it does not say."""
    from builder.relink.bill import hex_of  # noqa: PLC0415  # only engines need it

    rows = {row.path: row.digest for row in record.parse(read_wheel(made).record)}
    with Zip(given) as before, Zip(made) as after:
        names = {entry.name for entry in before.entries}
        new = [entry for entry in after.entries if entry.name not in names]
        return tuple(
            Grafted(posixpath.basename(entry.name), "", entry.name, hex_of(rows[entry.name]))
            for entry in sorted(new)
            if entry.kind == "file" and looks_like(after.head(entry, 8)) and entry.name in rows
        )


def _edited(case: _Case, todo: Plan) -> tuple[str, ...]:
    """The members of the given wheel, RECORD left out, that are still there with other bytes."""
    paths = {path: todo.paths.get(path, path) for path in case.members.entries}
    changed = {paths[path] for path in todo.relinked.edits}
    there = {*paths.values(), *paths}
    return tuple(sorted(changed | (todo.files.keys() & there)))
