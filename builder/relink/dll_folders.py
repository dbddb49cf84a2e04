"""Folders with DLLs: those of this machine, and those that a wheel itself hands to the loader."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from builder.binary import Binary
from builder.relink.closure import installed
from builder.relink.dll import microsoft
from builder.relink.host import Host

__all__ = ["DllHost", "Registered", "registered_folders"]

_CALL = b"add_dll_directory"
_TEXT = re.compile(r"'([^'\r\n]*)'|\"([^\"\r\n]*)\"")
_LONGEST = 1 << 20


class DllHost:
    """The DLLs of this machine, found without regard to case on any file system."""

    def __init__(self, search: Iterable[Path], system: Iterable[Path] = ()) -> None:
        self._host = Host(search, system)
        self._folders: dict[str, Mapping[str, str]] = {}

    @property
    def search(self) -> tuple[str, ...]:
        """Folders that come before the loader's own."""
        return self._host.search

    @property
    def system(self) -> tuple[str, ...]:
        """Folders the loader knows."""
        return self._host.system

    def look(self, path: str) -> tuple[str, Binary] | None:
        """The real path and content of the DLL at a path, in whatever case its name is written."""
        folder, _, name = path.rpartition("/")
        if folder not in self._folders:
            self._folders[folder] = _listed(folder)
        real = self._folders[folder].get(name.lower())
        return self._host.look(f"{folder}/{real}") if real else None


@dataclass(frozen=True, slots=True)
class Registered:
    """Folders below site-packages that a wheel hands to `os.add_dll_directory`, and how we know."""

    folders: tuple[str, ...]
    notes: tuple[str, ...] = ()


def registered_folders(
    project: str, paths: Iterable[str], names: Iterable[str], read: Callable[[str], bytes]
) -> Registered:
    """The registered folders of a wheel. `paths` are its binaries, `names` all its members.

    Known ones are data; others are guessed: a folder with DLLs counts when a module of its package
    calls `os.add_dll_directory` and has every part of the way to the folder among its texts.
    """
    places = [installed(path) for path in paths]
    folders = sorted({posixpath.dirname(path) for path in places if path.lower().endswith(".dll")})
    if not folders:
        return Registered(())
    known = microsoft().registered.get(project, ())
    told = {folder: "" for folder in folders if folder in known}
    open_ones = [folder for folder in folders if folder not in told]
    for name in _speakers(names, places if open_ones else ()):
        content = read(name)
        if _CALL in content:
            for folder in _named(installed(name), content, open_ones):
                told.setdefault(folder, name)
    return Registered(
        tuple(sorted(told)),
        tuple(
            f"{folder}: taken for a folder of DLLs, as `{name}` seems to call os.{_CALL.decode()} on it"
            for folder, name in sorted(told.items())
            if name
        ),
    )


def _speakers(names: Iterable[str], places: Iterable[str]) -> Iterator[str]:
    """The modules that may register a folder: those at the top, and packages on the way to binaries."""
    ways: set[str] = set()
    for folder in {posixpath.dirname(place) for place in places}:
        parts = folder.split("/")
        ways.update("/".join(parts[:depth]) for depth in range(1, len(parts) + 1))
    for name in sorted(names):
        folder, _, file = installed(name).rpartition("/")
        is_first = "/" not in folder
        if file.endswith(".py") and (is_first or (file == "__init__.py" and folder in ways)):
            yield name


def _named(path: str, content: bytes, folders: Iterable[str]) -> Iterator[str]:
    text = content[:_LONGEST].decode("utf-8", "replace")
    texts = (one or other for one, other in _TEXT.findall(text))
    parts = {part for literal in texts for part in re.split(r"[/\\]+", literal)}
    for folder in folders:
        way = posixpath.relpath(folder or ".", posixpath.dirname(path) or ".").split("/")
        names = [part for part in way if part not in {"..", "."}]
        if parts.issuperset(names) and (names or "__file__" in text):
            yield folder


def _listed(folder: str) -> Mapping[str, str]:
    try:
        names = sorted(path.name for path in Path(folder).iterdir())
    except OSError:
        return {}
    return {name.lower(): name for name in reversed(names)}
