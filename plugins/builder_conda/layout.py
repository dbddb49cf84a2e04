"""Where the files of a wheel go: the install schemes of Python, as conda lays them out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self

from builder.config.python import Python
from builder.errors import UsageError

__all__ = ["Kind", "Layout"]

Kind = Literal["noarch", "unix", "windows"]


@dataclass(frozen=True, slots=True)
class Layout:
    """The folders of one package, below the prefix; those of `noarch` are names for the installer.

    `subdir` is that of its channel.
    """

    kind: Kind
    subdir: str
    site: str
    scripts: str
    headers: str

    @classmethod
    def of(cls, subdir: str, python: Python | None) -> Self:
        """The layout of a package for one Python, or of one that the installer fits to any."""
        if python is None:
            return cls("noarch", subdir, "site-packages", "python-scripts", "include")
        if subdir.startswith("win-"):
            return cls("windows", subdir, "Lib/site-packages", "Scripts", "Include")
        version = f"{python.version}{'t' if python.free_threaded else ''}"
        include = f"python{version}{'m' if 'm' in python.abiflags else ''}"
        return cls(
            "unix", subdir, f"lib/python{version}/site-packages", "bin", f"include/{include}"
        )

    def place(self, name: str, data: str, project: str) -> str:
        """Where a member goes; `data` is the wheel's folder for other schemes. Raises `UsageError`."""
        top, _, rest = name.partition("/")
        if top != data:
            return f"{self.site}/{name}"
        scheme, _, inner = rest.partition("/")
        folders = {
            "purelib": self.site,
            "platlib": self.site,
            "scripts": self.scripts,
            "headers": f"{self.headers}/{project}",
            "data": "",
        }
        if scheme not in folders or not inner:
            raise UsageError(f"{name!r} belongs to no install scheme", hint="build the wheel again")
        folder = folders[scheme]
        return f"{folder}/{inner}" if folder else inner

    def is_script(self, name: str, data: str) -> bool:
        """Whether a member is something people run."""
        return name.startswith(f"{data}/scripts/")
