"""A place to try an archive out: unpacked in a neutral folder, with a clean environment."""

from __future__ import annotations

import os
import posixpath
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from builder.archive.content import Content, Item
from builder.archive.tar_source import open_source
from builder.archive.unpack import Limits, unpack
from builder.backend import Tools
from builder.config.target import Target
from builder.process import Command, Completed, ProcessError, toolchain_environment
from builder.relink.policy import is_loader, policies, whitelist
from builder_libtorch.interface import declares
from builder_libtorch.layout import is_static

__all__ = ["Desk", "unpacked"]

_SHOWN: Final = 4
_WINDOW: Final = 1 << 20
_LARGEST: Final = 64 << 30
_TELLS: Final = re.compile(r"error\b|undefined reference", re.IGNORECASE)
_ALWAYS: Final = ("linux-vdso.so.1", "linux-gate.so.1")


@dataclass(frozen=True, slots=True)
class Desk:
    """One unpacked archive, and where to work on it."""

    root: Path
    scratch: Path
    content: Content
    tools: Tools
    timeout: float

    @property
    def target(self) -> Target:
        """What the archive is for."""
        return Target.parse(self.content.target)

    @property
    def search(self) -> str:
        """The search path for programs."""
        return os.pathsep.join(map(str, self.tools.machine.path))

    def program(self, *names: str) -> str:
        """The first of these programs that is installed, or nothing."""
        found = (shutil.which(name, path=self.search) for name in names)
        return next(filter(None, found), "")

    def run(self, *argv: str, path: tuple[Path, ...] = (), **variables: str) -> tuple[str, str]:
        """How a program ended badly, or nothing; and what it wrote to its output.

        Folders of `path` are searched before those of the machine.
        """
        system = "nt" if self.tools.machine.os == "windows" else "posix"
        clean = toolchain_environment(self.scratch, (*path, *self.tools.machine.path), system)
        environment = {**clean, "LD_LIBRARY_PATH": "", **variables}
        title = Path(argv[0]).name
        command = Command(argv, self.scratch, environment, title=title, timeout=self.timeout)
        try:
            done = self.tools.processes.run(command, log=self.tools.log, capture=True, check=False)
        except ProcessError as error:
            return error.message, ""
        return _ending(done), done.stdout

    def libraries(self, *ends: str) -> tuple[Item, ...]:
        """The libraries of the archive with such a name; links are left out."""
        return tuple(
            item
            for item in self.content.items
            if item.role == "library"
            and not item.link
            and any(fnmatchcase(item.path, e) for e in ends)
        )

    def strange(self, loaded: Iterable[str]) -> tuple[str, ...]:
        """Which of these loaded files are neither in the archive nor expected on the host."""
        outside = [path for path in loaded if not Path(path).is_relative_to(self.scratch.parent)]
        promised = whitelist(policies(self.target.arch)) | {*self.content.host, *_ALWAYS}
        linked = self.content.host if is_static(self.target) else ()
        return tuple(
            path
            for path in outside
            if (name := posixpath.basename(path)) not in promised
            and not is_loader(name)
            and not any(declares(host, name) for host in linked)
        )


def unpacked(path: Path, folder: Path) -> Path:
    """The top folder of an archive that is unpacked in a new folder."""
    root = folder / "unpacked"
    limits = Limits(total=_LARGEST)
    if path.name.endswith(".zip"):
        return unpack(path, root, limits=limits)
    plain = folder / "plain.tar"
    with open_source(path) as source, plain.open("wb") as out:
        while window := source.read(_WINDOW):
            out.write(window)
    unpack(plain, root, limits=limits)
    plain.unlink()
    return root


def _ending(done: Completed) -> str:
    """How a program ended badly with what it said from its first error on, or nothing."""
    if not done.returncode:
        return ""
    lines = [
        line.strip()
        for line in (*done.last_lines, *done.stdout.splitlines()[-_SHOWN:])
        if line.strip()
    ]
    first = next((at for at, line in enumerate(lines) if _TELLS.search(line)), -_SHOWN)
    how = (
        f"not within {done.command.timeout:g} s"
        if done.timed_out
        else f"exit code {done.returncode}"
    )
    return " | ".join((how, *lines[first:][:_SHOWN]))
