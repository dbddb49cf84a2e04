"""Where a wheel runs, in conda's words: subdirs, virtual packages, and the environments of markers.

Tags are those of the "Platform compatibility tags" specification.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from builder.archive.wheel_name import WheelName
from builder.config.python import Python
from builder.errors import UsageError

__all__ = ["Platform", "environment", "platform_of", "pythons_of"]

_LINUX: Final = {
    "x86_64": "linux-64", "i686": "linux-32", "aarch64": "linux-aarch64", "armv7l": "linux-armv7l",
    "ppc64le": "linux-ppc64le", "riscv64": "linux-riscv64", "s390x": "linux-s390x",
}  # fmt: skip
_MACOS: Final = {
    "x86_64": ("osx-64",), "arm64": ("osx-arm64",), "universal2": ("osx-64", "osx-arm64"),
    "intel": ("osx-64",), "universal": ("osx-64",), "fat64": ("osx-64",),
}  # fmt: skip
_WINDOWS: Final = {"win32": "win-32", "win_amd64": "win-64", "win_arm64": "win-arm64"}
_OLD_GLIBC: Final = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}
_GLIBC: Final = re.compile(r"(manylinux(?:1|2010|2014)|manylinux_(\d+)_(\d+)|linux)_(.+)")
_OSX: Final = re.compile(r"macosx_(\d+)_(\d+)_(.+)")
_MACHINES: Final = {
    "linux-64": "x86_64", "linux-32": "i686", "osx-64": "x86_64", "osx-arm64": "arm64",
    "win-64": "AMD64", "win-32": "x86", "win-arm64": "ARM64",
}  # fmt: skip
_SYSTEMS: Final = {
    "linux": ("linux", "Linux", "posix"),
    "osx": ("darwin", "Darwin", "posix"),
    "win": ("win32", "Windows", "nt"),
}

_FIRST_ARM: Final = (11, 0)
"""There is no older macOS for it, whatever the tag of a wheel for both says."""

Found = tuple[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Platform:
    """One subdir, and the virtual packages that tell where the wheel runs."""

    subdir: str
    requires: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def platform_of(name: WheelName, wanted: str) -> Platform:
    """The subdir of a native wheel; `wanted` chooses where there are several.

    Raises `UsageError` for a platform that conda does not have, or an open choice.
    """
    found = [pair for tag in name.platforms for pair in _subdirs(tag)]
    subdirs = sorted({subdir for subdir, _ in found})
    if not subdirs:
        raise UsageError(
            f"`{name}` is for {', '.join(name.platforms)}, which no conda channel has",
            hint="conda packages are for glibc, macOS and Windows: take another wheel",
        )
    if wanted and wanted not in subdirs:
        raise UsageError(
            f"`{name}` does not run on {wanted}", hint=f"it runs on {', '.join(subdirs)}"
        )
    if not wanted and len(subdirs) > 1:
        raise UsageError(
            f"`{name}` runs on {' and '.join(subdirs)}: a conda package is for one of them",
            hint=f"choose with `--subdir {subdirs[0]}`",
        )
    subdir = wanted or subdirs[0]
    floor = min(version for one, version in found if one == subdir)
    if subdir == "osx-arm64":
        floor = max(floor, _FIRST_ARM)
    notes = []
    if len(subdirs) > 1:
        notes.append(f"the binaries hold the code of {' and '.join(subdirs)}")
    if subdir.startswith("linux-") and not floor:
        notes.append("its tag says no glibc: `builder repair` gives it an honest one")
    return Platform(subdir, _virtual(subdir, floor), tuple(notes))


def pythons_of(name: WheelName) -> tuple[Python, ...]:
    """The Pythons that a wheel is for, one each; none when it serves any that runs it (abi3, `py3`).

    Raises `UsageError` for a wheel of another implementation, or of Python 2 alone.
    """
    if any(tag.startswith("py3") for tag in name.pythons) or "abi3" in name.abis:
        return ()
    found = []
    for tag in name.pythons:
        if not re.fullmatch(r"cp3\d+", tag):
            continue
        ordinary = Python.parse(tag)
        abis = [abi for abi in name.abis if abi == "none" or re.fullmatch(rf"{tag}[a-z]*", abi)]
        found += [ordinary if abi == "none" else Python.parse(f"{tag}-{abi}") for abi in abis]
    if not found:
        raise UsageError(
            f"`{name}` is for {', '.join(name.pythons)}, not for CPython 3",
            hint="take another wheel",
        )
    return tuple(sorted(set(found)))


def environment(python: Python, subdir: str, micro: int) -> Mapping[str, str]:
    """What environment markers are evaluated with; `micro` is the last part of the version."""
    system = subdir.partition("-")[0]
    sys_platform, platform_system, os_name = _SYSTEMS[system]
    return {
        "extra": "",
        "implementation_name": "cpython",
        "implementation_version": f"{python.version}.{micro}",
        "os_name": os_name,
        "platform_machine": _MACHINES.get(subdir, subdir.partition("-")[2]),
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": platform_system,
        "platform_version": "",
        "python_full_version": f"{python.version}.{micro}",
        "python_version": python.version,
        "sys_platform": sys_platform,
    }


def _subdirs(tag: str) -> Iterable[Found]:
    if tag in _WINDOWS:
        return ((_WINDOWS[tag], ()),)
    if (match := _OSX.fullmatch(tag)) is not None:
        version = (int(match[1]), int(match[2]))
        return tuple((subdir, version) for subdir in _MACOS.get(match[3], ()))
    match = _GLIBC.fullmatch(tag)
    if match is None or match[4] not in _LINUX:
        return ()
    floor = (int(match[2]), int(match[3])) if match[2] else _OLD_GLIBC.get(match[1], ())
    return ((_LINUX[match[4]], floor),)


def _virtual(subdir: str, floor: tuple[int, ...]) -> tuple[str, ...]:
    """The virtual packages that stand for a floor."""
    if not floor:
        return ()
    name = "__osx" if subdir.startswith("osx-") else "__glibc"
    return (f"{name} >={'.'.join(map(str, floor))}",)
