"""The engine that calls `auditwheel repair` as a program; it has no library interface."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from builder.process import Command, Processes
from builder.relink.engine import LIMIT, RepairJob, run_engine
from builder.relink.patchelf import patchelf_program, patchelf_version

__all__ = ["Auditwheel"]

_HINTS = {
    "unsupported ISA extensions": "the compiler was told to use instructions beyond the "
    "baseline of the architecture (`-march`, `-mavx2`); remove the flag",
    "black-listed symbols": "link zlib as a whole instead of its inner functions",
    "UCS2": "build with a wide-unicode Python",
    "in purelib folder": "the project declares itself pure: make its build mark the wheel as "
    "platform-specific",
    "could not be located": "install the library, or name its folder with `--add-path`",
}


class Auditwheel:
    """`auditwheel`, run by the interpreter that has it, in an environment of its own."""

    name: Literal["auditwheel"] = "auditwheel"
    system: Literal["linux"] = "linux"

    def __init__(self, python: Path, path: tuple[Path, ...], processes: Processes) -> None:
        self._python = python
        self._path = path
        self._processes = processes

    def identity(self) -> Mapping[str, str]:
        """The versions of auditwheel and patchelf."""
        return {"auditwheel": version("auditwheel"), "patchelf": patchelf_version()}

    def repair(self, job: RepairJob) -> Path:
        """Run `auditwheel repair --plat auto`. Raises `BuilderError` with what it said."""
        return run_engine(self.name, self._command(job), job, self._processes, _HINTS)

    def _command(self, job: RepairJob) -> Command:
        """The whole call; the search folders go to auditwheel, not to its Python's loader."""
        home, scratch, programs = job.work / "home", job.work / "tmp", job.work / "programs"
        for folder in (home, scratch, programs):
            folder.mkdir(parents=True, exist_ok=True)
        # A link of our own: the folder of the installed program holds many others.
        (programs / "patchelf").unlink(missing_ok=True)
        (programs / "patchelf").symlink_to(patchelf_program())
        words = [str(self._python), "-s", "-P", "-m", "auditwheel", "repair"]
        words += ["--plat", "auto", "--wheel-dir", str(job.out)]
        words += ["--lib-sdir", job.library_suffix or ".libs", "--zip-compression-level", "0"]
        words += ["--strip"] if job.strip else []
        words += [word for glob in job.exclude for word in ("--exclude", glob)]
        environment = {
            "PATH": ":".join(map(str, (programs, *self._path))),
            "HOME": str(home),
            "TMPDIR": str(scratch),
            "LC_ALL": "C.UTF-8",
            "PYTHONHASHSEED": "0",  # auditwheel walks sets; their order reaches the bytes
            "PYTHONDONTWRITEBYTECODE": "1",
            "SOURCE_DATE_EPOCH": str(job.epoch),
            "AUDITWHEEL_LD_LIBRARY_PATH": ":".join(map(str, job.search)),
        }
        return Command((*words, str(job.wheel)), job.work, environment, "auditwheel", timeout=LIMIT)
