"""The engine that calls `auditwheel repair` as a program; it has no library interface."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from builder.process import Processes
from builder.relink.engine import Program, RepairJob
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
        self._program = Program(self.name, python, path, processes, _HINTS)

    def identity(self) -> Mapping[str, str]:
        """The versions of auditwheel and patchelf."""
        return {**self._program.identity(), "patchelf": patchelf_version()}

    def repair(self, job: RepairJob) -> Path:
        """Run `auditwheel repair --plat auto`. Raises `BuilderError` with what it said."""
        home, scratch, programs = job.work / "home", job.work / "tmp", job.work / "programs"
        for folder in (home, scratch, programs):
            folder.mkdir(parents=True, exist_ok=True)
        # A link of our own: the folder of the installed program holds many others.
        (programs / "patchelf").unlink(missing_ok=True)
        (programs / "patchelf").symlink_to(patchelf_program())
        words = ["auditwheel", "repair", "--plat", "auto", "--wheel-dir", str(job.out)]
        words += ["--lib-sdir", job.library_suffix or ".libs", "--zip-compression-level", "0"]
        words += ["--strip"] if job.strip else []
        words += [word for glob in job.exclude for word in ("--exclude", glob)]
        environment = {
            "PATH": ":".join(map(str, (programs, *self._program.path))),
            "HOME": str(home),
            "TMPDIR": str(scratch),
            "PYTHONDONTWRITEBYTECODE": "1",
            # To auditwheel, not to its Python's loader.
            "AUDITWHEEL_LD_LIBRARY_PATH": ":".join(map(str, job.search)),
        }
        return self._program.run(job, words, environment)
