"""The engine that calls `delocate-wheel`: for macOS, where Apple's programs are."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from os import pathsep
from pathlib import Path
from typing import Literal

from builder.errors import BuilderError, UsageError
from builder.process import Processes
from builder.relink.engine import Program, RepairJob

__all__ = ["Delocate"]

_NEEDED = ("otool", "install_name_tool", "lipo", "codesign")
_WILD = re.compile(r"[*?]|\[[^\]]*\]")
_HINTS = {"Could not find all dependencies": "name the folder of the library with `--add-path`"}


class Delocate:
    """`delocate`, run by the interpreter that has it."""

    name: Literal["delocate"] = "delocate"
    system: Literal["macos"] = "macos"

    def __init__(self, python: Path, path: tuple[Path, ...], processes: Processes) -> None:
        self._program = Program(self.name, python, path, processes, _HINTS)

    def identity(self) -> Mapping[str, str]:
        """The version of delocate. Raises `BuilderError` when it is not installed."""
        return self._program.identity()

    def repair(self, job: RepairJob) -> Path:
        """Run `delocate-wheel`. Raises `BuilderError` with what it said, or what it lacks."""
        self.identity()
        if job.strip:
            raise UsageError("delocate cannot strip", hint="use the native engine for that")
        path = pathsep.join(map(str, self._program.path))
        absent = [name for name in _NEEDED if shutil.which(name, path=path) is None]
        if absent:
            raise BuilderError(
                f"delocate needs {', '.join(absent)}, which are not here",
                hint="run it on a Mac with its command line tools; the native engine needs neither",
            )
        words = ["delocate.cmd.delocate_wheel", "-w", str(job.out)]
        words += ["-L", job.library_suffix] if job.library_suffix else []
        words += [word for glob in job.exclude for word in ("-e", _part(glob))]
        search = pathsep.join(map(str, job.search))
        return self._program.run(job, words, {"DYLD_LIBRARY_PATH": search})


def _part(glob: str) -> str:
    """The text that delocate looks for in paths to leave libraries out: the longest plain one.

    That may leave out more than the glob does, which is found when the result is proven. Raises
    `UsageError` for a glob without any.
    """
    part = max(_WILD.split(glob), key=len)
    if not part:
        raise UsageError(
            f"delocate cannot exclude `{glob}`: it only knows parts of paths",
            hint="name the library, or use the native engine",
        )
    return part
