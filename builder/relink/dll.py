"""The closure of a Windows wheel: where every DLL that its binaries import comes from.

The search is that of `LoadLibraryEx` as CPython calls it: the folder of the module that is loaded,
folders that were handed to `os.add_dll_directory`, the system. Names are compared without case.
"""

from __future__ import annotations

import posixpath
import tomllib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from builder.binary import Binary
from builder.relink.closure import (
    Closure,
    Libraries,
    Need,
    Outcome,
    Rules,
    included,
    installed,
    unlike,
)
from builder.relink.policy import matches

__all__ = ["Microsoft", "microsoft", "resolve_windows"]

_POOR: tuple[Outcome, ...] = ("loose", "missing", "optional")
_DATA = Path(__file__).parent.parent / "data" / "windows_system.toml"


@dataclass(frozen=True, slots=True)
class Microsoft:
    """What every Windows and every Python has: `data/windows_system.toml` as a value."""

    names: frozenset[str]
    globs: tuple[str, ...]
    python: tuple[str, ...]
    python_64: tuple[str, ...]
    keep_name: tuple[str, ...]
    registered: Mapping[str, tuple[str, ...]]

    def rule(self, name: str, bits: int) -> Outcome | None:
        """`system` or `python` for a DLL, in lower case, that a wheel never carries."""
        if name in self.names or matches(self.globs, name):
            return "system"
        return "python" if matches(self.python, name) or self._is_python_64(name, bits) else None

    def _is_python_64(self, name: str, bits: int) -> bool:
        return bits == 64 and matches(self.python_64, name)  # noqa: PLR2004  # bits


@cache
def microsoft() -> Microsoft:
    """The table, read once."""
    table = tomllib.loads(_DATA.read_text("utf-8"))
    return Microsoft(
        names=frozenset(f"{table['since_7']} {table['since_10']}".split()),
        globs=tuple(table["globs"]),
        python=tuple(table["python"]),
        python_64=tuple(table["python_64"]),
        keep_name=tuple(table["keep_name"]),
        registered={name: tuple(folders) for name, folders in table["registered"].items()},
    )


def resolve_windows(
    members: Mapping[str, Binary],
    rules: Rules,
    host: Libraries,
    registered: Iterable[str] = (),
    *,
    only_inside: bool = False,
) -> Closure:
    """Find everything the binaries of a wheel import; the values mean what they mean on Linux.

    A `name` is spelled as in the import table. `registered` are folders below site-packages that
    the wheel hands to the loader. With `only_inside` nothing of this machine is looked at.
    """
    walk = _Walk(members, rules, host, tuple(registered), only_inside)
    needed = {name.lower() for binary in members.values() for name in binary.needed}
    roots = [path for path in sorted(members) if posixpath.basename(path).lower() not in needed]
    # Of a circle, what lies in a folder for DLLs is hardly what is loaded first.
    others = sorted(members, key=lambda path: (_folder(path) in walk.registered, path))
    for path in (*roots, *others):
        if path not in walk.reached:
            walk.load(path)
    for path in () if only_inside else rules.include:
        walk.include(path)
    return Closure(tuple(sorted(walk.needs.values())), dict(sorted(walk.grafts.items())))


@dataclass(frozen=True, slots=True)
class _Module:
    """A DLL in the walk; `folders` are where its imports are looked for inside of the wheel."""

    path: str
    inside: bool
    binary: Binary
    chain: tuple[str, ...]
    folders: tuple[str, ...]


class _Walk:
    """The state of one resolution: what was reached, found and not found."""

    def __init__(
        self,
        members: Mapping[str, Binary],
        rules: Rules,
        host: Libraries,
        registered: tuple[str, ...],
        only_inside: bool,
    ) -> None:
        self._rules = rules
        self._exclude = tuple(glob.lower() for glob in rules.exclude)
        self._siblings = tuple(glob.lower() for glob in rules.siblings)
        self._host = host
        self.registered = registered
        self._only_inside = only_inside
        self._members = members
        self._places = {installed(path).lower(): path for path in members}
        self._by_name: dict[str, list[str]] = {}
        for path in sorted(members):
            self._by_name.setdefault(posixpath.basename(path).lower(), []).append(path)
        self.reached: set[str] = set()
        self.needs: dict[tuple[str, str], Need] = {}
        self.grafts: dict[str, Binary] = {}

    def load(self, root: str) -> None:
        """Load one binary breadth first; a DLL with a name that is loaded is not looked for."""
        folders = tuple(dict.fromkeys((_folder(root), *self.registered)))
        self._load(_Module(root, True, self._members[root], (root,), folders))  # inside

    def include(self, path: str) -> None:
        """Graft a library of this machine, and all that it needs. Raises `UsageError`."""
        real, binary = included(path, self._host)
        if binary.machine not in {member.machine for member in self._members.values()}:
            raise unlike(path, binary)
        name = posixpath.basename(path)
        self.needs["", name] = Need("", name, "graft", real)
        if real not in self.grafts:
            self.grafts[real] = binary
            self._load(_Module(real, False, binary, (real,), self.registered))  # outside

    def _load(self, root: _Module) -> None:
        queue = deque([root])
        loaded: dict[str, Need] = {}
        while queue:
            here = queue.popleft()
            self.reached.add(here.path)
            for name in here.binary.needed:
                before = loaded.get(name.lower())
                if before is not None and before.outcome not in _POOR:
                    self._note(replace(before, requirer=here.path, name=name, chain=here.chain))
                    continue
                need = loaded[name.lower()] = self._find(name, here)
                self._note(need)
                is_new = before is None or before.place != need.place
                if is_new and need.outcome in {"inside", "loose", "graft"}:
                    queue.append(self._child(here, need))

    def _child(self, here: _Module, need: Need) -> _Module:
        inside = need.outcome != "graft"
        binary = self._members[need.place] if inside else self.grafts[need.place]
        # Windows looks into the folder of what was loaded first, and not of each that follows.
        return _Module(need.place, inside, binary, (*here.chain, need.place), here.folders)

    def _note(self, need: Need) -> None:
        """Remember the worst of what the ways to a requirer lead to: any may be the first taken."""
        key = (need.requirer, need.name)
        self.needs[key] = max(self.needs.get(key, need), need, key=_cost)

    def _find(self, name: str, here: _Module) -> Need:
        outcome, place = self._place(name, here)
        searched = tuple(self._searched(here)) if outcome == "missing" else ()
        return Need(here.path, name, outcome, place, here.chain, searched)

    def _place(self, name: str, here: _Module) -> tuple[Outcome, str]:
        """What the rules say, and only when they are silent the search of this machine."""
        lower = name.lower()
        found = self._ruled(lower, here) or (
            None if self._only_inside else self._beyond(lower, here)
        )
        return found or ("optional" if name in here.binary.delayed else "missing", "")

    def _ruled(self, name: str, here: _Module) -> tuple[Outcome, str] | None:
        if matches(self._exclude, name):
            return "excluded", ""
        for folder in here.folders:
            path = self._places.get(_joined(folder.lower(), name))
            if path is not None and self._fits(self._members[path], here):
                return "inside", path
        if not self._only_inside and (wished := self._included(name, here)):
            return "graft", wished
        if matches(self._siblings, name):
            return "sibling", ""
        ruled = microsoft().rule(name, here.binary.bits)
        return (ruled, "") if ruled else None

    def _included(self, name: str, here: _Module) -> str:
        """What was asked for by that name: it takes the place of what the system has."""
        for path in self._rules.include:
            found = self._host.look(path)
            is_it = found is not None and posixpath.basename(path).lower() == name
            if found is not None and is_it and self._fits(found[1], here):
                self.grafts[found[0]] = found[1]
                return found[0]
        return ""

    def _beyond(self, name: str, here: _Module) -> tuple[Outcome, str] | None:
        """Where else it is: elsewhere in the wheel, or on this machine."""
        for path in self._by_name.get(name, ()):
            if self._fits(self._members[path], here):
                return "loose", path
        for folder in self._outside(here):
            found = self._host.look(f"{folder}/{name}")
            if found is None or not self._fits(found[1], here):
                continue
            if matches(self._exclude, found[0].lower()):
                return "excluded", ""
            self.grafts[found[0]] = found[1]
            return "graft", found[0]
        return None

    @staticmethod
    def _fits(binary: Binary, here: _Module) -> bool:
        return binary.machine == here.binary.machine

    def _outside(self, here: _Module) -> Iterator[str]:
        """The folders of this machine; what is grafted may find others beside itself."""
        beside = () if here.inside else (posixpath.dirname(here.path),)
        yield from dict.fromkeys((*self._host.search, *beside, *self._host.system))

    def _searched(self, here: _Module) -> Iterator[str]:
        yield from (folder or "." for folder in here.folders)
        yield from () if self._only_inside else self._outside(here)


def _cost(need: Need) -> int:
    """How much there is to do about a need: nothing, something, or something that is not known."""
    if need.outcome in {"missing", "optional"}:
        return 2
    return 1 if need.outcome in {"graft", "loose"} else 0


def _folder(path: str) -> str:
    return posixpath.dirname(installed(path))


def _joined(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder not in {"", "."} else name
