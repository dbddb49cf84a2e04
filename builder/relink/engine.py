"""The seam of repair engines that are programs of others: what one is given and gives back.

Our own way (`relink.repair`) is none of them: it reads what an engine made, as any wheel, and proves it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from builder.errors import BuilderError
from builder.process import Command, ProcessError, Processes

__all__ = ["ENGINES", "Engine", "EngineName", "RepairJob", "run_engine"]

EngineName = Literal["native", "auditwheel", "delocate", "delvewheel"]
ENGINES: tuple[EngineName, ...] = ("native", "auditwheel", "delocate", "delvewheel")
LIMIT = 60 * 60.0
"""Seconds after which an engine is given up."""
_LAST = 6


@dataclass(frozen=True, slots=True)
class RepairJob:
    """One wheel to graft and relink.

    The result goes into the empty folder `out`. `search` are folders that come before those of the
    system, `exclude` globs over libraries that stay outside. `epoch` is the time stamp of what the
    engine writes. `library_suffix` ends the name of the folder for grafted libraries, empty for
    that of the engine. `work` is the engine's to fill, `log` receives what its processes print.
    """

    wheel: Path
    out: Path
    search: tuple[Path, ...]
    exclude: tuple[str, ...]
    epoch: int
    work: Path
    log: Path
    library_suffix: str = ""
    strip: bool = False


class Engine(Protocol):
    """One way to graft libraries into a wheel and to point its binaries at them."""

    @property
    def name(self) -> EngineName:
        """What `--engine` calls it."""
        ...

    @property
    def system(self) -> Literal["linux", "macos", "windows"]:
        """The system whose wheels it repairs."""
        ...

    def identity(self) -> Mapping[str, str]:
        """Everything about the engine that changes the bytes it writes (versions of its parts)."""
        ...

    def repair(self, job: RepairJob) -> Path:
        """Write the repaired wheel into `job.out`. Raises `BuilderError`."""
        ...


def run_engine(
    name: EngineName,
    command: Command,
    job: RepairJob,
    processes: Processes,
    hints: Mapping[str, str],
) -> Path:
    """Run a program that leaves one wheel in `job.out`.

    Raises `BuilderError` with what it said; `hints` are by words that it may have said.
    """
    job.out.mkdir(parents=True, exist_ok=True)
    try:
        processes.run(command, log=job.log)
    except ProcessError as error:
        text = "\n".join(error.last_lines)
        hint = next((hint for words, hint in hints.items() if words in text), "")
        raise BuilderError(
            f"{name} cannot repair `{job.wheel.name}`",
            faults=error.last_lines[-_LAST:],
            hint=hint or f"the log has all that {name} said",
            log=str(job.log),
        ) from error
    made = sorted(job.out.glob("*.whl"))
    if len(made) != 1:
        raise BuilderError(
            f"{name} made {len(made)} wheels of `{job.wheel.name}`, not 1",
            faults=[path.name for path in made],
            hint="look at its log",
            log=str(job.log),
        )
    return made[0]
