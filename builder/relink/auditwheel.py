"""The engine that calls `auditwheel repair` as a program; it has no library interface."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from builder.archive.wheel import WheelName
from builder.errors import BuilderError
from builder.process import Command, ProcessError, Processes
from builder.relink.engine import Repaired, RepairJob
from builder.relink.patchelf import patchelf_program, patchelf_version

__all__ = ["Auditwheel"]

_LIMIT = 60 * 60.0
_HINTS = {
    "unsupported ISA extensions": "the compiler was told to use instructions beyond the "
    "baseline of the architecture (`-march`, `-mavx2`); remove the flag",
    "black-listed symbols": "link zlib as a whole instead of its inner functions",
    "UCS2": "build with a wide-unicode Python",
    "in purelib folder": "the project declares itself pure: make its build mark the wheel as "
    "platform-specific",
}


class Auditwheel:
    """`auditwheel`, run by the interpreter that has it, in an environment of its own."""

    def __init__(self, python: Path, path: tuple[Path, ...], processes: Processes) -> None:
        self._python = python
        self._path = path
        self._processes = processes

    @property
    def name(self) -> str:
        """What `--engine` calls it."""
        return "auditwheel"

    def identity(self) -> Mapping[str, str]:
        """The versions of auditwheel and patchelf."""
        return {"auditwheel": version("auditwheel"), "patchelf": patchelf_version()}

    def grafted_name(self, library: Path, sha256: str) -> str:
        """`libgomp.so.1.0.0` becomes `libgomp-ba7816bf.so.1.0.0`."""
        base, _, rest = library.name.partition(".")
        mark = f"-{sha256[:8]}"
        return library.name if base.endswith(mark) else f"{base}{mark}.{rest}"

    def repair(self, job: RepairJob) -> Repaired:
        """Run `auditwheel repair --plat auto`. Raises `BuilderError` with what it said."""
        job.out.mkdir(parents=True, exist_ok=True)
        command = self._command(job)
        try:
            self._processes.run(command, log=job.log)
        except ProcessError as error:
            raise BuilderError(
                f"auditwheel cannot repair `{job.wheel.name}`",
                faults=error.last_lines[-6:],
                hint=_hint(error.last_lines),
                log=str(job.log),
            ) from error
        made = sorted(job.out.glob("*.whl"))
        if len(made) != 1:
            raise BuilderError(
                f"auditwheel made {len(made)} wheels of `{job.wheel.name}`, not 1",
                faults=[path.name for path in made],
                hint="look at its log",
                log=str(job.log),
            )
        return Repaired(made[0], WheelName.parse(made[0].name).platforms)

    def _command(self, job: RepairJob) -> Command:
        """The whole call; the search folders go to auditwheel, not to its Python's loader."""
        home, scratch, programs = job.work / "home", job.work / "tmp", job.work / "programs"
        for folder in (home, scratch, programs):
            folder.mkdir(parents=True, exist_ok=True)
        # A link of our own: the folder of the installed program holds many others.
        (programs / "patchelf").unlink(missing_ok=True)
        (programs / "patchelf").symlink_to(patchelf_program())
        words = [str(self._python), "-s", "-P", "-m", "auditwheel", "repair"]
        words += ["--plat", "auto", "--wheel-dir", str(job.out), "--lib-sdir", job.library_suffix]
        words += ["--zip-compression-level", "0"]
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
        return Command(
            (*words, str(job.wheel)), job.work, environment, "auditwheel", timeout=_LIMIT
        )


def _hint(lines: tuple[str, ...]) -> str:
    text = "\n".join(lines)
    for words, hint in _HINTS.items():
        if words in text:
            return hint
    return "the log has all that auditwheel said"
