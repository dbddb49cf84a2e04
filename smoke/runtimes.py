"""Runtimes of languages, of which a process should have one copy: known by the names of their files."""

from __future__ import annotations

import posixpath
import re
from typing import Final

__all__ = ["family"]

_RUNTIMES: Final = frozenset(
    {
        "libgomp",
        "libomp",
        "libiomp5",
        "libstdc++",
        "libc++",
        "libc++abi",
        "libgcc_s",
        "libgfortran",
        "libquadmath",
        "libcudart",
    }
)
_NAME: Final = re.compile(
    r"^(lib[A-Za-z0-9_+]+?)(?:-[0-9a-f]{8,})?(?:\.so(?:\.|$)|(?:\.\d+)*\.dylib$)"
)


def family(file: str) -> str:
    """The runtime that a file is a copy of (`libgomp`), under its grafted name too, or nothing."""
    match = _NAME.match(posixpath.basename(file))
    return match[1] if match and match[1] in _RUNTIMES else ""
