"""Which operating system a wheel is for, and what its platform tags may be called for short."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Literal

from builder.binary import Binary, Format
from builder.errors import UsageError
from builder.relink.contents import Members
from builder.relink.policy import arch_of, policies
from builder.relink.system import System, loaded, of_one_machine

if TYPE_CHECKING:
    from builder.config.machine import Machine

__all__ = ["asked_tags", "own_binaries", "refuse_strangers", "system_for", "system_of"]

Name = Literal["linux", "macos", "windows"]

_FORMATS: Mapping[Name, Format] = {"linux": "elf", "macos": "macho", "windows": "pe"}
_TAGS = re.compile(r"(macosx|win)(?:\d+$|_.*)")
_SHOWN = 15


def system_of(binaries: Iterable[Binary], claimed: Iterable[str]) -> Name | None:
    """The system that the tags name, or that of all binaries when they name none.

    None when there is nothing to do: for a wheel of every platform that holds programs alone, or
    libraries of several systems. Raises `UsageError` for a system that we do not know.
    """
    tags = [tag for tag in claimed if tag != "any"]
    for tag in tags:
        if match := _TAGS.match(tag):
            return "macos" if match[1] == "macosx" else "windows"
        if arch_of((tag,)):
            return "linux"
    if tags:
        raise UsageError(
            f"no wheel for {', '.join(tags)} can be repaired",
            hint="wheels for Linux, macOS and Windows can",
        )
    found = [binary for binary in binaries if binary.is_loaded]
    names = [
        name for name, one in _FORMATS.items() if any(binary.format == one for binary in found)
    ]
    if len(names) != 1 or all(binary.kind == "executable" for binary in found):
        return None
    return names[0]


def system_for(
    name: Name,
    machine: Machine,
    claimed: Iterable[str],
    project: str,
    binaries: Iterable[str],
    members: Members,
    *,
    any_instructions: bool = False,
) -> System:
    """The system of that name, for one wheel with `binaries` at these paths.

    Its own libraries are those of this machine, where this is one of its kind.
    """
    match name:
        case "linux":
            from builder.relink.linux import Linux  # noqa: PLC0415  # one of three is used

            arch = arch_of(claimed)
            is_native = sys.platform == "linux" and arch in {"", machine.arch}
            return Linux(arch, is_native=is_native, any_instructions=any_instructions)
        case "macos":
            from builder.relink.macos import MacOS  # noqa: PLC0415  # as above

            return MacOS()
        case "windows":
            from builder.relink.windows import Windows  # noqa: PLC0415  # as above

            return Windows.of(project, binaries, members.entries, members.text)


def own_binaries(
    name: Name, binaries: Mapping[str, Binary], claimed: Iterable[str]
) -> Mapping[str, Binary]:
    """The binaries that a loader of the system has to do with; for Linux, of one machine."""
    own = loaded(binaries, _FORMATS[name])
    return own if name != "linux" else of_one_machine(own, arch_of(claimed))[1]


def refuse_strangers(wheel: str, binaries: Mapping[str, Binary], claimed: Iterable[str]) -> None:
    """Raise `UsageError` for a wheel that has libraries, and none for the platform it claims."""
    lines = [
        f"{path}: is {binary.format} for {' and '.join(binary.machines)}"
        for path, binary in binaries.items()
        if binary.is_loaded
    ]
    if lines:
        raise UsageError(
            f"`{wheel}` is for {', '.join(claimed)} by its name, but none of its binaries is",
            faults=lines[:_SHOWN],
            hint="give it the name of the platform that it was built for",
        )


def asked_tags(name: Name, platform: str, arch: str) -> tuple[str, ...]:
    """The platform tags that a user's word stands for, aliases included; with or without `arch`.

    Raises `UsageError` for a word that is none of the system.
    """
    if name != "linux":
        match = _TAGS.fullmatch(platform)
        if match and (match[1] == "macosx") == (name == "macos"):
            return (platform,)
        raise UsageError(
            f"`{platform}` is no platform tag for {name}",
            hint="write it as in a file name: macosx_11_0_arm64, win_amd64",
        )
    full = platform if platform.endswith(f"_{arch}") else f"{platform}_{arch}"
    known = (*policies(arch), *policies(arch, "musl"))
    for policy in known:
        if full in policy.tags:
            return policy.tags
    raise UsageError(
        f"`{platform}` is no platform tag for {arch}",
        hint=f"known tags: auto, {', '.join(policy.name for policy in known)}",
    )
