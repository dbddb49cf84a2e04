"""The macOS programs that delocate calls, as thin scripts over LLVM's, so that it runs on Linux."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

__all__ = ["write"]

_SUFFIXES = ("-19", "-18", "-17", "-16", "-15", "-14", "")


def write(folder: Path) -> Path:
    """Write `otool`, `install_name_tool`, `lipo` and `codesign` into a folder, which comes back.

    `codesign` does nothing: the cost of signing is left out, in delocate's favour.
    """
    folder.mkdir(parents=True)
    # llvm-otool does not know `-m`, which only says that parentheses are part of a name.
    otool = f'a=""\nfor w; do [ "$w" = -m ] || a="$a \'$w\'"; done\neval exec {_llvm("otool")} $a\n'
    scripts = {
        "otool": otool,
        "install_name_tool": f'exec {_llvm("install-name-tool")} "$@"\n',
        "lipo": f'exec {_llvm("lipo")} "$@"\n',
        "codesign": "exit 0\n",
    }
    for name, text in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}", "utf-8")
        (folder / name).chmod(0o755)
    return folder


def _llvm(name: str) -> str:
    for suffix in _SUFFIXES:
        if found := shutil.which(f"llvm-{name}{suffix}"):
            return found
    sys.stderr.write(f"note: llvm-{name} is not here; `apt-get install llvm`\n")
    return f"llvm-{name}"
