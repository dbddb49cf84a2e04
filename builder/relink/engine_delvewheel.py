"""The engine that calls `delvewheel repair`: wheels for Windows, on any system."""

from __future__ import annotations

import re
from collections.abc import Mapping
from os import pathsep
from pathlib import Path
from typing import Literal

from builder.process import Processes
from builder.relink.engine import Program, RepairJob

__all__ = ["Delvewheel"]

_WILD = re.compile(r"\?|\[[^\]]*\]")
_HINTS = {"Unable to find library": "name the folder of the DLL with `--add-path`, or exclude it"}


class Delvewheel:
    """`delvewheel`, run by the interpreter that has it."""

    name: Literal["delvewheel"] = "delvewheel"
    system: Literal["windows"] = "windows"

    def __init__(self, python: Path, path: tuple[Path, ...], processes: Processes) -> None:
        self._program = Program(self.name, python, path, processes, _HINTS)

    def identity(self) -> Mapping[str, str]:
        """The version of delvewheel. Raises `BuilderError` when it is not installed."""
        return self._program.identity()

    def repair(self, job: RepairJob) -> Path:
        """Run `delvewheel repair`. Raises `BuilderError` with what it said."""
        self.identity()
        words = ["delvewheel", "repair", "-w", str(job.out)]
        words += ["--add-path", pathsep.join(map(str, job.search))] if job.search else []
        # It knows `*` alone; what it leaves out beyond a glob is found when the result is proven.
        names = [_WILD.sub("*", glob) for glob in job.exclude]
        words += ["--exclude", pathsep.join(names)] if names else []
        words += ["-L", job.library_suffix] if job.library_suffix else []
        words += ["--strip"] if job.strip else []
        return self._program.run(job, words)
