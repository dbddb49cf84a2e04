"""The whole environment of a process that shall see nothing of the caller's shell."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path, PureWindowsPath
from types import MappingProxyType
from typing import Final

__all__ = ["clean_environment", "toolchain_environment"]

_BELOW_DRIVE: Final = {
    "SYSTEMDRIVE": "",
    "ProgramFiles": r"\Program Files",
    "ProgramFiles(x86)": r"\Program Files (x86)",
    "ProgramData": r"\ProgramData",
}


def clean_environment(
    scratch: Path, path: tuple[Path, ...], system: str = os.name
) -> Mapping[str, str]:
    """What a process cannot do without: where programs are, a home, a place for temporary files.

    `system` is what `os.name` says.
    """
    words = tuple(map(str, path))
    if system != "nt":
        return MappingProxyType(
            {
                "PATH": ":".join(words),
                "HOME": str(scratch),
                "TMPDIR": str(scratch),
                "LANG": "C.UTF-8",
                "LC_ALL": "C.UTF-8",
            }
        )
    # Without it neither sockets nor the source of random numbers work.
    root = _windows(path)
    return MappingProxyType(
        {
            "PATH": ";".join(words),
            **dict.fromkeys(("USERPROFILE", "TEMP", "TMP"), str(scratch)),
            **({"SYSTEMROOT": str(root)} if root else {}),
        }
    )


def toolchain_environment(
    scratch: Path, path: tuple[Path, ...], system: str = os.name
) -> Mapping[str, str]:
    """The same for what compiles: on Windows, CMake and MSBuild find Visual Studio by places.

    The places are those that Windows gives to every process, told from its own folder on `path`.
    """
    clean = clean_environment(scratch, path, system)
    root = _windows(path) if system == "nt" else None
    if root is None:
        return clean
    places = {name: f"{root.drive}{below}" for name, below in _BELOW_DRIVE.items()}
    shell = {"WINDIR": str(root), "COMSPEC": str(root / "System32" / "cmd.exe")}
    return MappingProxyType({**clean, **places, **shell, "PATHEXT": ".COM;.EXE;.BAT;.CMD"})


def _windows(path: tuple[Path, ...]) -> PureWindowsPath | None:
    folders = (PureWindowsPath(str(folder)) for folder in path)
    return next((one.parent for one in folders if one.name.lower() == "system32"), None)
