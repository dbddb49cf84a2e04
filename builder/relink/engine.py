"""The seam of repair engines: what an engine is given and gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

__all__ = ["Engine", "RepairJob", "Repaired"]


@dataclass(frozen=True, slots=True)
class RepairJob:
    """One wheel to graft and relink.

    `wheel` is sound, and everything it needs is known to be found. The result goes into the empty
    folder `out`. `search` are folders that come before those of the system, `exclude` globs over
    sonames that stay outside. `epoch` is the time stamp of what the engine writes. Grafted
    libraries go into the folder `<project><library_suffix>`. `work` is the engine's to fill,
    `log` receives what its processes print.
    """

    wheel: Path
    out: Path
    search: tuple[Path, ...]
    exclude: tuple[str, ...]
    epoch: int
    work: Path
    log: Path
    library_suffix: str = ".libs"
    strip: bool = False


@dataclass(frozen=True, slots=True)
class Repaired:
    """What an engine made of a wheel, and the platform tags it says the wheel deserves."""

    wheel: Path
    platforms: tuple[str, ...]


class Engine(Protocol):
    """One way to graft libraries into a wheel and to point its binaries at them."""

    @property
    def name(self) -> str:
        """What `--engine` calls it."""
        ...

    def identity(self) -> Mapping[str, str]:
        """Everything about the engine that changes the bytes it writes (versions of its parts)."""
        ...

    def grafted_name(self, library: Path, sha256: str) -> str:
        """The file name a library gets inside of the wheel."""
        ...

    def repair(self, job: RepairJob) -> Repaired:
        """Write the repaired wheel into `job.out`. Raises `BuilderError`."""
        ...
