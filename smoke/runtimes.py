"""Runtimes of languages, of which a process should have one copy: known by the names of their files."""

from __future__ import annotations

import posixpath
import re
from typing import Final

from smoke.grafts import unhashed

__all__ = ["PEACEFUL", "family"]

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
PEACEFUL: Final = frozenset({"libgcc_s", "libgfortran", "libquadmath"})
"""Those of which two copies cost their bytes and no more: callers of one never meet the other's
state. Whoever links OpenBLAS from its wheel has them twice."""
_NAME: Final = re.compile(r"^(lib[A-Za-z0-9_+]+?)(?:\.so(?:\.|$)|(?:\.\d+)*\.dylib$)")


def family(file: str) -> str:
    """The runtime that a file is a copy of (`libgomp`), under its grafted name too, or nothing."""
    match = _NAME.match(unhashed(posixpath.basename(file)))
    return match[1] if match and match[1] in _RUNTIMES else ""
