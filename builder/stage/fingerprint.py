"""What tools are, never where: one digest over what they say and the bytes they consist of."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from builder.archive.file import file_digest
from builder.stage.key import canonical
from builder.stage.remembered import Remembered

__all__ = ["fingerprint"]


def fingerprint(parts: Iterable[str | Path], memory: Remembered) -> str:
    """One sha256 over texts and the contents of files, in the order given.

    Contents are remembered as long as a file does not change, because compilers are large.
    """
    rows = [part if isinstance(part, str) else _content(part, memory) for part in parts]
    return hashlib.sha256(canonical(rows)).hexdigest()


def _content(path: Path, memory: Remembered) -> str:
    known = memory.get(path) or {}
    if isinstance(digest := known.get("sha256"), str):
        return digest
    digest = file_digest(path)
    memory.put(path, {**known, "sha256": digest})
    return digest
