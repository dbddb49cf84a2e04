"""The dynamic ELF binaries of a wheel, from its folder or straight from the zip."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from builder.archive.listing import list_files
from builder.archive.refusals import Member
from builder.archive.wheel import Wheel, visit_files
from builder.binary import Binary, BinaryError, read

__all__ = ["Members", "arch_of", "scan_folder", "scan_wheel"]

_MAGIC = b"\x7fELF"
_PLATFORM = re.compile(r"(?:linux|manylinux\d+|manylinux_\d+_\d+|musllinux_\d+_\d+)_(.+)")


@dataclass(frozen=True, slots=True)
class Members:
    """The binaries of one wheel by path: those of its own architecture, and what cannot be judged.

    `foreign` are binaries of other machines (device code), `broken` ELF files that cannot be read.
    """

    arch: str
    own: Mapping[str, Binary]
    foreign: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()

    @property
    def is_musl(self) -> bool:
        """Whether the binaries are made for musl instead of glibc."""
        needed = {name for binary in self.own.values() for name in binary.needed}
        return any(name.startswith(("libc.musl-", "ld-musl-")) for name in needed)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know about the files that were not judged."""
        return (
            *(f"{path}: is for another machine and was not looked at" for path in self.foreign),
            *(f"{path}: is no sound ELF file and was not looked at" for path in self.broken),
        )


def arch_of(platforms: Iterable[str]) -> str:
    """The one architecture that Linux platform tags name, or an empty text."""
    found = {match[1] for tag in platforms if (match := _PLATFORM.fullmatch(tag))}
    return next(iter(found)) if len(found) == 1 else ""


def scan_folder(root: Path, arch: str = "") -> Members:
    """Read every ELF file below a folder; without `arch`, the most common machine is its own."""
    found: dict[str, Binary | None] = {}
    for path in list_files(root):
        with (root / path).open("rb") as file:
            magic = file.read(4)
        if magic == _MAGIC:
            found[path] = _read(root / path)
    return _sorted(found, arch)


def scan_wheel(wheel: Wheel, arch: str = "") -> Members:
    """Read every ELF file of a wheel without unpacking it to the disk."""
    found: dict[str, Binary | None] = {}

    def look(member: Member, file: IO[bytes]) -> None:
        head = file.read(4)
        if head == _MAGIC:
            found[member.path] = _read(head + file.read())

    visit_files(wheel, look)
    return _sorted(found, arch)


def _read(source: Path | bytes) -> Binary | None:
    try:
        return read(source)
    except BinaryError:
        return None


def _sorted(found: Mapping[str, Binary | None], arch: str) -> Members:
    dynamic = {path: binary for path, binary in found.items() if binary and _is_dynamic(binary)}
    machines = [binary.machine for binary in dynamic.values()]
    own_arch = arch or max(sorted(set(machines)), key=machines.count, default="")
    return Members(
        own_arch,
        {path: binary for path, binary in dynamic.items() if binary.machine == own_arch},
        tuple(path for path, binary in dynamic.items() if binary.machine != own_arch),
        tuple(path for path, binary in found.items() if binary is None),
    )


def _is_dynamic(binary: Binary) -> bool:
    """Object files have nothing a loader would look at."""
    return binary.kind in {"shared", "executable"}
