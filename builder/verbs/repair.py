"""`builder repair`: graft, relink, retag and prove wheels that someone else built."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from builder.config.machine import Machine
from builder.config.recipe import Sibling
from builder.errors import BuilderError, UsageError
from builder.events import Event, Events, ignore
from builder.process import Processes
from builder.relink.auditwheel import Auditwheel
from builder.relink.repair import Bench, Wanted, repair_wheel
from builder.relink.survey import Graft

__all__ = ["Repaired", "repair", "to_json"]


@dataclass(frozen=True, slots=True)
class Repaired:
    """One repaired wheel: its platform tag, and the members that have other bytes now."""

    input: Path
    output: Path
    tag: str
    grafted: tuple[Graft, ...]
    edited: tuple[str, ...]
    seconds: float
    notes: tuple[str, ...] = ()

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
    platform: str = "auto",
    search: Sequence[Path] = (),
    library_suffix: str = ".libs",
    level: int = 6,
    strip: bool = False,
    epoch: int | None = None,
    processes: Processes | None = None,
    events: Events = ignore,
) -> tuple[Repaired, ...]:
    """Make each wheel self-contained and write it into `wheel_dir` with its lowest honest tag.

    `exclude` are globs over sonames that stay outside, `siblings` wheels that own some, `search`
    folders with libraries that come before the system's, `platform` the platform tag that may not
    be exceeded. The same wheel gives the same bytes; `epoch` is the time stamp inside, by default
    the newest of the given wheel. Raises `UsageError` for what is no wheel, and `BuilderError` when
    a wheel failed, after all the others were done.
    """
    _refuse_bad_input(wheels, level)
    runner = processes or Processes(events)
    engine = Auditwheel(machine.python, machine.path, runner)
    done: list[Repaired] = []
    failed: list[BuilderError] = []
    for wheel in wheels:
        job, started = f"repair {wheel.name}", time.monotonic()
        events(Event("started", job))
        wanted = Wanted(
            wheel.absolute(), tuple(path.absolute() for path in search), tuple(exclude),
            tuple(siblings), "", platform, epoch, level, library_suffix, strip,
        )  # fmt: skip
        work = Path(tempfile.mkdtemp(prefix="builder-repair-"))
        log = work.with_name(f"{work.name}.log")
        try:
            made = repair_wheel(wanted, wheel_dir, Bench(engine, runner, machine.cores, work, log))
        except BuilderError as error:
            if error.exit_code > 2:  # noqa: PLR2004  # an interrupt ends everything
                raise
            events(Event("failed", job, error.message, time.monotonic() - started))
            failed.append(error)
            continue
        finally:
            shutil.rmtree(work, ignore_errors=True)
        log.unlink(missing_ok=True)
        seconds = round(time.monotonic() - started, 3)
        events(Event("finished", job, made.path.name, seconds))
        done.append(
            Repaired(wheel, made.path, made.tag, made.grafts, made.edited, seconds, made.notes)
        )
    if failed:
        raise _summed_up(failed, len(wheels))
    return tuple(done)


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
