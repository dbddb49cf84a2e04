"""The name of the distribution below a root, after os-release(5)."""

from __future__ import annotations

import shlex
from functools import cache
from pathlib import Path

__all__ = ["distribution"]


@cache
def distribution(root: Path) -> str:
    """`ID-VERSION_ID`, for example `debian-12`; only the first where there is no second."""
    for place in ("etc/os-release", "usr/lib/os-release"):
        try:
            text = (root / place).read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        found = dict(
            line.split("=", 1) for line in text.splitlines() if "=" in line and line[0] != "#"
        )
        words = [_plain(found.get(name, "")) for name in ("ID", "VERSION_ID")]
        return "-".join(word for word in words if word)
    return ""


def _plain(value: str) -> str:
    try:
        return "".join(shlex.split(value))
    except ValueError:
        return ""
