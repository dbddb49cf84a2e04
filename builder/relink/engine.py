"""The seam of repair engines that are programs of others: what one is given and gives back.

Our own way (`relink.repair`) is none of them: it reads what an engine made, as any wheel, and proves it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from os import pathsep
from pathlib import Path
from typing import Literal, Protocol

from builder.errors import BuilderError
from builder.process import Command, ProcessError, Processes

__all__ = ["Engine", "EngineName", "Program", "RepairJob"]

EngineName = Literal["native", "auditwheel", "delocate", "delvewheel"]
_LIMIT = 60 * 60.0
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


@dataclass(frozen=True, slots=True)
class Program:
    """The program of an engine: a module of the interpreter `python`, with others in `path`.

    `hints` are by words that it may say when it fails.
    """

    name: EngineName
    python: Path
    path: tuple[Path, ...]
    processes: Processes
    hints: Mapping[str, str]

    def identity(self) -> Mapping[str, str]:
        """The version of the installed package. Raises `BuilderError` when it is not installed."""
        from importlib.metadata import (  # noqa: PLC0415  # slow to load
            PackageNotFoundError,
            version,
        )

        try:
            return {self.name: version(self.name)}
        except PackageNotFoundError as error:
            raise BuilderError(
                f"the engine {self.name} is not installed",
                hint=f"install it with `pip install {self.name}`",
            ) from error

    def run(
        self, job: RepairJob, words: Iterable[str], environment: Mapping[str, str] | None = None
    ) -> Path:
        """Run the module and its arguments in `words`, behind them the wheel; what it made.

        `environment` is added to what every engine gets. Raises `BuilderError` with what it said.
        """
        usual = {
            "PATH": pathsep.join(map(str, self.path)),
            "HOME": str(job.work),
            "TMPDIR": str(job.work),
            "LC_ALL": "C.UTF-8",
            "PYTHONHASHSEED": "0",  # auditwheel walks sets; their order reaches the bytes
            "SOURCE_DATE_EPOCH": str(job.epoch),
        }
        command = Command(
            (str(self.python), "-s", "-P", "-m", *words, str(job.wheel)),
            job.work, {**usual, **(environment or {})}, self.name, timeout=_LIMIT,
        )  # fmt: skip
        for folder in (job.work, job.out):
            folder.mkdir(parents=True, exist_ok=True)
        try:
            self.processes.run(command, log=job.log)
        except ProcessError as error:
            text = "\n".join(error.last_lines)
            hint = next((hint for words, hint in self.hints.items() if words in text), "")
            raise BuilderError(
                f"{self.name} cannot repair `{job.wheel.name}`",
                faults=error.last_lines[-_LAST:],
                hint=hint or f"the log has all that {self.name} said",
                log=str(job.log),
            ) from error
        return self._made(job)

    def _made(self, job: RepairJob) -> Path:
        """The one wheel that it left."""
        made = sorted(job.out.glob("*.whl"))
        if len(made) != 1:
            raise BuilderError(
                f"{self.name} made {len(made)} wheels of `{job.wheel.name}`, not 1",
                faults=[path.name for path in made],
                hint="look at its log",
                log=str(job.log),
            )
        return made[0]
