"""Facts about files that are slow to find out, remembered until the file changes."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

__all__ = ["Remembered"]


class Remembered:
    """A small JSON file in the machine's cache: facts by path, valid until the file changes.

    `version` names what found the facts out; another version forgets them. Losing the file, or what
    another process wrote at the same moment, only costs time.
    """

    def __init__(self, cache: Path, name: str, version: str) -> None:
        self._file = cache / f"{name}.json"
        self._version = version
        self._facts = _read(self._file, version)
        self._changed = False

    def get(self, path: Path) -> dict[str, object] | None:
        """What is known of this file as it is now."""
        entry = self._facts.get(str(path))
        if not isinstance(entry, dict) or entry.get("stamp") != _stamp(path):
            return None
        facts = entry.get("facts")
        return facts if isinstance(facts, dict) else None

    def put(self, path: Path, facts: Mapping[str, object]) -> None:
        """Remember facts about this file as it is now."""
        self._facts[str(path)] = {"stamp": _stamp(path), "facts": dict(facts)}
        self._changed = True

    def save(self) -> None:
        """Write what was added. A cache that cannot be written is no error."""
        if not self._changed:
            return
        facts = {**_read(self._file, self._version), **self._facts}
        text = json.dumps({"version": self._version, "facts": facts}, sort_keys=True)
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            descriptor, partial = tempfile.mkstemp(
                dir=self._file.parent, prefix=f".{self._file.name}."
            )
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                stream.write(text)
            Path(partial).replace(self._file)
        self._changed = False


def _read(file: Path, version: str) -> dict[str, object]:
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(data, dict) or data.get("version") != version:
        return {}
    facts = data.get("facts")
    return facts if isinstance(facts, dict) else {}


def _stamp(path: Path) -> list[int]:
    try:
        status = path.stat()
    except OSError:
        return []
    return [status.st_mtime_ns, status.st_size, status.st_ino]
