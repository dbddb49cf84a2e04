"""Which of the binaries in a subject one loader has to do with, and the rules of that loader."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from builder.binary.model import Binary, Format
from builder.relink.system import of_one_machine

if TYPE_CHECKING:
    from builder.relink.dll_folders import Registered
    from builder.relink.system import System

__all__ = ["CONDA", "Case"]

_LINUX: Final = re.compile(r"(?:linux|manylinux\d+|manylinux_\d+_\d+|musllinux_\d+_\d+)_(.+)")
_TAGS: Final[tuple[tuple[str, Format], ...]] = (
    ("linux", "elf"), ("manylinux", "elf"), ("musllinux", "elf"),
    ("macosx", "macho"), ("osx-", "macho"), ("win", "pe"),
)  # fmt: skip
CONDA: Final = {
    "linux-32": "i686",
    "linux-64": "x86_64",
    "linux-armv7l": "armv7l",
    "osx-64": "x86_64",
    "win-32": "win32",
    "win-64": "amd64",
}
"""The machines of those conda platforms whose name ends with something else."""


@dataclass(frozen=True, slots=True)
class Case:
    """The binaries of one system and, for Linux, of one machine.

    `aliases` are other paths that symbolic links give to them, each with the path it leads to.
    """

    format: Format
    system: System
    own: Mapping[str, Binary]
    aliases: Mapping[str, str]

    @classmethod
    def of(
        cls,
        binaries: Mapping[str, Binary],
        links: Mapping[str, str],
        claimed: Iterable[str],
        registered: Registered | None = None,
    ) -> Case | None:
        """The case of the claimed system, or of most binaries; None when there are none.

        `links` are symbolic links with the path they lead to in the end, `registered` the folders
        that a wheel for Windows hands to the loader.
        """
        by_format: dict[Format, dict[str, Binary]] = {}
        for path, binary in binaries.items():
            if binary.is_loaded and _is_for_computers(binary):
                by_format.setdefault(binary.format, {})[path] = binary
        if not by_format:
            return None
        tags = tuple(claimed)
        said = _said(tags)
        most = max(by_format, key=lambda name: (len(by_format[name]), name))
        format_ = said if said in by_format else most
        own: Mapping[str, Binary] = by_format[format_]
        if format_ == "elf":
            own = of_one_machine(own, _claimed_arch(own, tags))[1]
        system = _system(format_, registered, next(iter(own.values())).machine)
        return cls(format_, system, own, _aliases(own, links))

    @property
    def everywhere(self) -> Mapping[str, Binary]:
        """The binaries by every path that leads to them."""
        return {**self.own, **{alias: self.own[path] for alias, path in self.aliases.items()}}


def _system(format_: Format, registered: Registered | None, machine: str) -> System:
    """The rules of one system; only those that are asked for are loaded."""
    match format_:
        case "elf":
            from builder.relink.linux import Linux  # noqa: PLC0415  # as said above

            return Linux(machine, is_native=False)
        case "macho":
            from builder.relink.macos import MacOS  # noqa: PLC0415  # as above

            return MacOS()
        case "pe":
            from builder.relink.windows import Windows  # noqa: PLC0415  # as above

            return Windows() if registered is None else Windows(registered)


def _is_for_computers(binary: Binary) -> bool:
    """Whether a system of desktops and servers may load a file: not so what is for a telephone."""
    return binary.platform in {"", "macos", "maccatalyst"}


def _said(claimed: Iterable[str]) -> Format | Literal[""]:
    """The format of binaries for the platforms that are named."""
    for tag in claimed:
        for start, format_ in _TAGS:
            if tag.startswith(start):
                return format_
    return ""


def _claimed_arch(own: Mapping[str, Binary], claimed: Iterable[str]) -> str:
    """The claimed machine, if any binary is for it."""
    machines = {binary.machine for binary in own.values()}
    for tag in claimed:
        match = _LINUX.fullmatch(tag)
        said = match[1] if match else CONDA.get(tag, tag.rpartition("-")[2])
        if said in machines:
            return said
    return ""


def _aliases(own: Mapping[str, Binary], links: Mapping[str, str]) -> Mapping[str, str]:
    """The paths that symbolic links, also of folders, give to binaries."""
    aliases: dict[str, str] = {}
    for link, target in links.items():
        if target in own:
            aliases[link] = target
        else:
            inner = f"{target}/"
            for path in own:
                if path.startswith(inner):
                    aliases[f"{link}/{path.removeprefix(inner)}"] = path
    return {alias: path for alias, path in aliases.items() if alias not in own}
