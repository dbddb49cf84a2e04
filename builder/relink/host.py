"""Where the loader of this machine looks for libraries, after ld.so(8) and ld.so.conf(5)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from builder.binary import Binary, BinaryError, read

__all__ = ["Host", "configured_folders"]

_DEFAULTS = ("lib", "lib64", "usr/lib", "usr/lib64")
_DEEPEST = 8


class Host:
    """The libraries of this machine, read once each.

    `search` are folders that come before the loader's own (a core tree's `lib`), `system` those the
    loader knows. Nothing of it is read before it is asked for.
    """

    def __init__(self, search: Iterable[Path] = (), system: Iterable[Path] | None = None) -> None:
        self.search = tuple(str(folder) for folder in search)
        folders = configured_folders() if system is None else tuple(system)
        self.system = tuple(str(folder) for folder in folders)
        self._known: dict[str, tuple[str, Binary] | None] = {}

    def look(self, path: str) -> tuple[str, Binary] | None:
        """The real path and content of the binary at a path, or None when there is none."""
        if path not in self._known:
            self._known[path] = self._read(path)
        return self._known[path]

    def _read(self, path: str) -> tuple[str, Binary] | None:
        real = Path(path).resolve()
        try:
            if not real.is_file():
                return None
            return str(real), read(real)
        except (OSError, BinaryError):
            return None  # a linker script or a file of another format: the loader passes it by


def configured_folders(root: Path = Path("/")) -> tuple[Path, ...]:
    """The folders of `etc/ld.so.conf` below `root` with its includes, then the loader's own."""
    found = _read_config(root, root / "etc/ld.so.conf", _DEEPEST)
    return tuple(dict.fromkeys((*found, *(root / folder for folder in _DEFAULTS))))


def _read_config(root: Path, file: Path, depth: int) -> list[Path]:
    try:
        text = file.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return []
    folders: list[Path] = []
    for raw in text.splitlines():
        line = raw.split("#", 1)[0].strip()
        words = line.split()
        if not words or words[0] == "hwcap":
            continue
        if words[0] == "include":
            for pattern in words[1:] if depth else ():
                base = root if pattern.startswith("/") else file.parent
                for included in sorted(base.glob(pattern.lstrip("/"))):
                    folders += _read_config(root, included, depth - 1)
        else:
            folders.append(root / line.lstrip("/"))
    return folders
