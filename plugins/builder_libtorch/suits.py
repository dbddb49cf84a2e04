"""Refuse what is not for the target: another system, another machine, the other runtime of Visual C++.

Microsoft's runtimes come in two configurations that cannot be mixed; the libraries of the debug one
end with `d` and lie only where Visual Studio is installed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from builder.binary import Binary
from builder.config.target import DEBUG, Target
from builder.errors import BuilderError

__all__ = ["debug_runtime", "refuse_other_machines", "refuse_other_runtime", "strangers"]

_FORMATS: Final = {"linux": "elf", "macos": "macho", "windows": "pe"}
_MACHINES: Final[Mapping[str, Mapping[str, str]]] = {
    "linux": {},
    "macos": {"universal2": "universal2"},
    "windows": {"x86_64": "amd64", "i686": "win32"},
}
_DEBUG_RUNTIME: Final = re.compile(
    r"ucrtbased\.dll|(msvcp|msvcr|vcruntime|concrt|vccorlib|vcomp|mfc)[0-9]+(_\w+)?d\.dll",
    re.IGNORECASE,
)


def strangers(binaries: Mapping[str, Binary], target: Target) -> tuple[str, ...]:
    """The binaries that are not for the target's system and machine, a line each."""
    machine = _MACHINES[target.os].get(target.arch, target.arch)
    return tuple(
        f"{path}: is {binary.format} for {', '.join(binary.machines)}"
        for path, binary in binaries.items()
        if binary.format != _FORMATS[target.os] or machine not in {binary.machine, *binary.machines}
    )


def refuse_other_machines(binaries: Mapping[str, Binary], target: Target) -> None:
    """Raise `BuilderError` for binaries that are not for the target's system and machine."""
    if strange := strangers(binaries, target):
        raise BuilderError(
            f"{len(strange)} binaries are not for `{target}`",
            faults=strange,
            hint="choose the platform that the source was built for, with --os and --arch",
        )


def debug_runtime(binaries: Mapping[str, Binary]) -> tuple[str, ...]:
    """The libraries of the debug runtime that the binaries need, as they spell them."""
    needed = {name for binary in binaries.values() for name in binary.needed}
    return tuple(sorted(filter(_DEBUG_RUNTIME.fullmatch, needed)))


def refuse_other_runtime(binaries: Mapping[str, Binary], target: Target) -> None:
    """Raise `BuilderError` where a Windows variant is said to be debug, or not, and is otherwise."""
    if target.os != "windows" or not binaries:
        return
    users = [
        f"{path}: needs {', '.join(names)}"
        for path, binary in binaries.items()
        if (names := debug_runtime({path: binary}))
    ]
    if users and not target.variant.endswith(DEBUG):
        raise BuilderError(
            f"{len(users)} binaries of `{target}` need the debug runtime of Visual C++",
            faults=users,
            hint=f"package them with `--variant {target.variant}{DEBUG}`",
        )
    if target.variant.endswith(DEBUG) and not users:
        raise BuilderError(
            f"`{target}` asks for a debug build, and nothing in it needs the debug runtime",
            hint=f"package it with `--variant {target.variant.removesuffix(DEBUG)}`",
        )
