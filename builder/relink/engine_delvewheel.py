"""The engine that calls `delvewheel repair`: wheels for Windows, on any system."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from os import pathsep
from pathlib import Path
from typing import Literal

from builder.errors import BuilderError
from builder.process import Command, Processes
from builder.relink.engine import LIMIT, RepairJob, run_engine

__all__ = ["Delvewheel"]

_WILD = re.compile(r"\?|\[[^\]]*\]")
_HINTS = {"Unable to find library": "name the folder of the DLL with `--add-path`, or exclude it"}


class Delvewheel:
    """`delvewheel`, run by the interpreter that has it."""

    name: Literal["delvewheel"] = "delvewheel"
    system: Literal["windows"] = "windows"

    def __init__(self, python: Path, path: tuple[Path, ...], processes: Processes) -> None:
        self._python = python
        self._path = path
        self._processes = processes

    def identity(self) -> Mapping[str, str]:
        """The version of delvewheel. Raises `BuilderError` when it is not installed."""
        try:
            return {"delvewheel": version("delvewheel")}
        except PackageNotFoundError as error:
            raise BuilderError(
                "the engine delvewheel is not installed",
                hint="install it with `pip install delvewheel`",
            ) from error

    def repair(self, job: RepairJob) -> Path:
        """Run `delvewheel repair`. Raises `BuilderError` with what it said."""
        self.identity()
        words = [str(self._python), "-s", "-P", "-m", "delvewheel", "repair", "-w", str(job.out)]
        words += ["--add-path", pathsep.join(map(str, job.search))] if job.search else []
        # It knows `*` alone; what it leaves out beyond a glob is found when the result is proven.
        names = [_WILD.sub("*", glob) for glob in job.exclude]
        words += ["--exclude", pathsep.join(names)] if names else []
        words += ["-L", job.library_suffix] if job.library_suffix else []
        words += ["--strip"] if job.strip else []
        environment = {
            "PATH": pathsep.join(map(str, self._path)),
            "HOME": str(job.work),
            "TMPDIR": str(job.work),
            "LC_ALL": "C.UTF-8",
            "PYTHONHASHSEED": "0",
            "SOURCE_DATE_EPOCH": str(job.epoch),
        }
        job.work.mkdir(parents=True, exist_ok=True)
        command = Command(
            (*words, str(job.wheel)), job.work, environment, "delvewheel", timeout=LIMIT
        )
        return run_engine(self.name, command, job, self._processes, _HINTS)
