"""`builder repair`: graft, relink, retag and prove wheels that someone else built."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from builder.archive.tally import Tally
from builder.errors import BuilderError, UsageError
from builder.events import Event, Events, ignore
from builder.relink.cache import FactCache
from builder.relink.repair import Bench, RepairedWheel, Wanted, repair_wheel
from builder.relink.system import Grafted, Placement

if TYPE_CHECKING:
    from builder.config.machine import Machine
    from builder.config.recipe import Sibling
    from builder.process import Processes
    from builder.relink.engine import Engine, EngineName

__all__ = ["Repaired", "repair", "to_json"]


@dataclass(frozen=True, slots=True)
class Repaired:
    """One repaired wheel: its platform tag, and the members that have other bytes now."""

    input: Path
    output: Path
    tag: str
    grafted: tuple[Grafted, ...]
    edited: tuple[str, ...]
    seconds: float
    notes: tuple[str, ...] = ()
    work: Tally = field(default_factory=Tally)

    def to_json(self) -> Mapping[str, object]:
        """One entry of the document of `builder repair --json`."""
        return {
            "input": str(self.input),
            "output": str(self.output),
            "tag": self.tag,
            "grafted": [dict(graft.to_json()) for graft in self.grafted],
            "edited": list(self.edited),
            "seconds": self.seconds,
            "notes": list(self.notes),
            "work": dict(self.work.to_json()),
        }


def to_json(repaired: Iterable[Repaired]) -> Mapping[str, object]:
    """The whole document of `builder repair --json`."""
    return {"schema": 1, "repaired": [row.to_json() for row in repaired]}


def repair(
    wheels: Sequence[Path],
    *,
    machine: Machine,
    wheel_dir: Path = Path("wheelhouse"),
    exclude: Sequence[str] = (),
    siblings: Sequence[Sibling] = (),
    include: Sequence[str] = (),
    platform: str = "auto",
    search: Sequence[Path] = (),
    library_suffix: str = "",
    placement: Placement = "libs",
    level: int = 6,
    strip: bool = False,
    epoch: int | None = None,
    check_record: bool = False,
    any_instructions: bool = False,
    engine: EngineName = "native",
    processes: Processes | None = None,
    events: Events = ignore,
) -> tuple[Repaired, ...]:
    """Make each wheel self-contained and write it into `wheel_dir` with honest platform tags.

    `exclude` are globs over libraries that stay outside, `siblings` wheels that own some, `include`
    libraries that are grafted in any case, `search` folders with libraries that come before the
    system's, `platform` the platform tag that it must get. With the placement `beside`, grafts go
    where those who need them look already. The same wheel gives the same bytes; `epoch` is the time
    stamp of what is new, by default the newest of the given wheel. With `check_record` every byte
    is compared with RECORD, with `any_instructions` code for newer processors forbids no tag.
    `engine` is a program of others that does the grafting instead.
    Raises `UsageError` for what is no wheel, and `BuilderError` when a wheel failed, after all the
    others were done.
    """
    _refuse_bad_input(wheels, level)
    wishes = Wanted(
        Path(), tuple(path.absolute() for path in search), tuple(exclude), tuple(siblings),
        platform=platform, epoch=epoch, level=level, library_suffix=library_suffix, strip=strip,
        include=tuple(include), placement=placement, check_record=check_record,
        any_instructions=any_instructions,
    )  # fmt: skip
    programs = _Programs(machine, processes, events)
    other = None if engine == "native" else programs.engine(engine)
    cache = FactCache(machine.cache / "facts") if machine.cache != Path() else None
    done: list[Repaired] = []
    failed: list[BuilderError] = []
    for wheel in wheels:
        job, started = f"repair {wheel.name}", time.monotonic()
        events(Event("started", job))
        try:
            made = _repaired(
                replace(wishes, wheel=wheel.absolute()), wheel_dir, machine, cache, other, programs
            )
        except BuilderError as error:
            if error.exit_code > 2:  # noqa: PLR2004  # an interrupt ends everything
                raise
            events(Event("failed", job, error.message, time.monotonic() - started))
            failed.append(error)
            continue
        seconds = round(time.monotonic() - started, 3)
        events(Event("finished", job, made.path.name, seconds))
        done.append(
            Repaired(
                wheel, made.path, made.tag, made.grafts, made.edited, seconds, made.notes, made.work
            )
        )
    if failed:
        raise _summed_up(failed, len(wheels))
    return tuple(done)


def _repaired(
    wanted: Wanted,
    wheel_dir: Path,
    machine: Machine,
    cache: FactCache | None,
    engine: Engine | None,
    programs: _Programs,
) -> RepairedWheel:
    """One wheel, with a folder of its own for what is on the way."""
    work = Path(tempfile.mkdtemp(prefix="builder-repair-"))
    try:
        bench = Bench(machine, work, cache, engine, partial(programs.strip, work))
        return repair_wheel(wanted, wheel_dir, bench)
    finally:
        shutil.rmtree(work, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class _Programs:
    """Programs of others, which most repairs need none of; imported when they are asked for."""

    machine: Machine
    processes: Processes | None
    events: Events

    def run(self) -> Processes:
        """What starts them."""
        from builder.process import Processes  # noqa: PLC0415  # as said above

        return self.processes or Processes(self.events)

    def strip(self, folder: Path, file: Path) -> None:
        """Take the debug symbols out of a file. Raises `BuilderError`."""
        from builder.process import Command  # noqa: PLC0415  # as above

        path = os.pathsep.join(map(str, self.machine.path))
        argv = ("strip", "-s", str(file))
        command = Command(argv, folder, {"PATH": path, "LC_ALL": "C.UTF-8"}, "strip")
        self.run().run(command, log=folder / "log")

    def engine(self, name: EngineName) -> Engine:
        """The engine of that name, which is not our own way."""
        python, path, processes = self.machine.python, self.machine.path, self.run()
        match name:
            case "delocate":
                from builder.relink.engine_delocate import Delocate  # noqa: PLC0415  # as above

                return Delocate(python, path, processes)
            case "delvewheel":
                from builder.relink.engine_delvewheel import Delvewheel  # noqa: PLC0415  # as above

                return Delvewheel(python, path, processes)
            case _:
                from builder.relink.auditwheel import Auditwheel  # noqa: PLC0415  # as above

                return Auditwheel(python, path, processes)


def _refuse_bad_input(wheels: Sequence[Path], level: int) -> None:
    faults = [f"`{wheel}` is no file" for wheel in wheels if not wheel.is_file()]
    if not wheels:
        faults.append("no wheel was given")
    if not 0 <= level <= 9:  # noqa: PLR2004  # zlib's levels
        faults.append(f"the compression level is {level}, not 0 to 9")
    if faults:
        raise UsageError("`repair` cannot start", faults=faults, hint="see `builder repair --help`")


def _summed_up(failed: Sequence[BuilderError], count: int) -> BuilderError:
    """The one failure as it is, or all of them in one."""
    if len(failed) == 1:
        return failed[0]
    return BuilderError(
        f"{len(failed)} of {count} wheels could not be repaired",
        faults=[line for error in failed for line in str(error).splitlines()],
    )
