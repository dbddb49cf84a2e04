"""The closure of a macOS wheel: where everything its binaries need comes from.

The search is that of dyld(1): `@rpath` through the LC_RPATHs of the requirer and of what loaded it,
`@loader_path` and `@executable_path`, then the path as it is. What it finds only counts when it has
code for every machine that the requirer has code for.
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

__all__ = ["Apple", "apple", "candidates", "expand_entry", "leaf", "resolve_macos"]

_DATA = Path(__file__).parent.parent / "data" / "macos_system.toml"
_FRAMEWORK = ".framework/"


@dataclass(frozen=True, slots=True)
class Apple:
    """What every macOS has and knows: `data/macos_system.toml` as a value."""

    prefixes: tuple[str, ...]
    rpaths: Mapping[str, tuple[str, ...]]
    fallback: tuple[str, ...]
    python: tuple[str, ...]
    never: Mapping[str, str]
    tags: Mapping[str, tuple[str, ...]]
    lowest: Mapping[str, str]

    def has(self, path: str) -> bool:
        """Whether an absolute path is of the system itself."""
        return _plain(path).startswith(self.prefixes)


@cache
def apple() -> Apple:
    """The table, read once."""
    table = tomllib.loads(_DATA.read_text("utf-8"))
    return Apple(
        prefixes=tuple(table["prefixes"]),
        rpaths={folder: tuple(globs) for folder, globs in table["rpaths"].items()},
        fallback=tuple(table["fallback"]),
        python=tuple(table["python"]),
        never=table["never"],
        tags={name: tuple(machines) for name, machines in table["tags"].items()},
        lowest=table["lowest"],
    )


def leaf(name: str) -> str:
    """The part of an install name by which a library is known: the file, or `X.framework/…/X`."""
    stem, framework, rest = name.rpartition(_FRAMEWORK)
    if not framework:
        return posixpath.basename(name)
    return f"{posixpath.basename(stem)}{framework}{rest}"


def expand_entry(entry: str, folder: str, program: str = "") -> str:
    """One LC_RPATH as a folder; `../` leaves the wheel, empty when nobody can know.

    `folder` is that of the file which has the entry, `program` that of the main program.
    """
    first, _, rest = entry.partition("/")
    match first:
        case "":
            return _plain(entry) if entry else ""
        case "@loader_path":
            return posixpath.normpath(posixpath.join(folder or ".", rest))
        case "@executable_path":
            return posixpath.normpath(posixpath.join(program, rest)) if program else ""
        case _:
            return ""


def candidates(name: str, folder: str, rpaths: Iterable[str], program: str = "") -> Iterator[str]:
    """Every place an install name may mean, in order; `rpaths` are folders already."""
    first, _, rest = name.partition("/")
    if first == "@rpath":
        yield from (posixpath.normpath(f"{entry}/{rest}") for entry in rpaths)
    elif place := expand_entry(name, folder, program):
        yield place


def resolve_macos(
    members: Mapping[str, Binary], rules: Rules, host: Libraries, *, only_inside: bool = False
) -> Closure:
    """Find everything the binaries of a wheel need; the values mean what they mean on Linux.

    A `name` is an install name as it is written. The `place` of a `system` library is the path it
    has there when the name does not lead to it. With `only_inside` nothing of this machine is
    looked at: the view of the machine the wheel is installed on.
    """
    walk = _Walk(members, rules, host, only_inside)
    for machine in walk.machines():
        walk.load_all(machine)
    for path in () if only_inside else rules.include:
        walk.include(path)
    walk.load_grafts()
    return walk.result()


@dataclass(frozen=True, slots=True)
class _Image:
    """A library in the walk on one machine; `rpaths` are its folders and those of its loaders."""

    path: str
    inside: bool
    binary: Binary
    chain: tuple[str, ...]
    machine: str
    rpaths: tuple[str, ...]
    program: str

    @property
    def installed(self) -> str:
        """Where it is: below site-packages, or of this machine."""
        return installed(self.path) if self.inside else self.path

    @property
    def slice(self) -> Binary:
        """What it has for the machine."""
        return next(one for one in self.binary.each if one.machine == self.machine)


class _Walk:
    """The state of one resolution: what was reached, found and not found."""

    def __init__(
        self, members: Mapping[str, Binary], rules: Rules, host: Libraries, only_inside: bool
    ) -> None:
        self._rules = rules
        self._host = host
        self._only_inside = only_inside
        self._members = members
        self._apple = apple()
        self._machines = frozenset(self.machines())
        self._places = {installed(path): path for path in members}
        self._by_leaf: dict[str, list[str]] = {}
        for path in sorted(members):
            self._by_leaf.setdefault(leaf(path), []).append(path)
        for path, binary in sorted(members.items()):
            self._by_leaf.setdefault(leaf(binary.soname), []).append(path)
        self._loaded: set[tuple[str, str]] = set()
        self._chains: dict[str, tuple[str, ...]] = {}
        self.needs: dict[tuple[str, str], Need] = {}
        self.grafts: dict[str, Binary] = {}

    def result(self) -> Closure:
        """What was decided in the end; grafts that nothing leads to any more are left out."""
        by_requirer: dict[str, list[Need]] = {}
        for need in self.needs.values():
            by_requirer.setdefault(need.requirer, []).append(need)
        waiting, reached = ["", *self._members], {"", *self._members}
        while waiting:
            for need in by_requirer.get(waiting.pop(), ()):
                if need.outcome == "graft" and need.place not in reached:
                    reached.add(need.place)
                    waiting.append(need.place)
        needs = (need for need in self.needs.values() if need.requirer in reached)
        grafts = {path: self.grafts[path] for path in sorted(self.grafts) if path in reached}
        return Closure(tuple(sorted(needs)), grafts)

    def machines(self) -> list[str]:
        """The machines that count: those of all members, or of any when they have none in common.

        A wheel works on no more machines than its narrowest member, so no more are asked for.
        """
        sets = [frozenset(binary.machines) for binary in self._members.values()]
        return sorted(frozenset.intersection(*sets) or frozenset.union(*sets)) if sets else []

    def load_all(self, machine: str) -> None:
        """Load what nothing else loads, and then what only a circle of libraries leads to."""
        here = {path: one for path, one in self._members.items() if machine in one.machines}
        needed = {leaf(name) for binary in here.values() for name in binary.needed}
        for path, binary in sorted(here.items()):
            if needed.isdisjoint((posixpath.basename(path), leaf(binary.soname))):
                self._load(path, binary, machine)
        for path, binary in sorted(here.items()):
            if (path, machine) not in self._loaded:
                self._load(path, binary, machine)

    def include(self, path: str) -> None:
        """Graft a library of this machine, for all machines of the wheel. Raises `UsageError`."""
        real, binary = included(path, self._host)
        if not self._machines.issubset(binary.machines):
            raise unlike(path, binary)
        name = posixpath.basename(path)
        self.needs["", name] = Need("", name, "graft", real)
        self.grafts[real] = binary
        self._chains.setdefault(real, ())

    def load_grafts(self) -> None:
        """Load what is grafted for one machine on all the others too, where it will lie as well."""
        while waiting := list(self._unloaded_grafts()):
            for path, machine in waiting:
                self._load(path, self.grafts[path], machine, self._chains[path])

    def _unloaded_grafts(self) -> Iterator[tuple[str, str]]:
        for path, binary in sorted(self.grafts.items()):
            for machine in sorted(self._machines.intersection(binary.machines)):
                if (path, machine) not in self._loaded:
                    yield path, machine

    def _load(self, root: str, binary: Binary, machine: str, chain: tuple[str, ...] = ()) -> None:
        """Load one binary breadth first, with the folders of each loader handed down."""
        program = (_parent(installed(root))) if binary.kind == "executable" else ""
        bare = _Image("", True, binary, chain, machine, (), program)  # inside
        queue = deque([self._image(bare, root)])
        loaded = {root}
        while queue:
            here = queue.popleft()
            for name in here.slice.needed:
                need = self._find(name, here)
                self._note(need)
                if need.outcome in {"inside", "loose", "graft"} and need.place not in loaded:
                    loaded.add(need.place)
                    queue.append(self._image(here, need.place))
        self._loaded |= {(path, machine) for path in loaded}

    def _image(self, loader: _Image, path: str) -> _Image:
        """What one image loads, from the wheel or from this machine."""
        inside = path in self._members
        binary = self._members[path] if inside else self.grafts[path]
        image = replace(loader, path=path, inside=inside, binary=binary)
        own = _folders(image.slice, _parent(image.installed), loader.program)
        rpaths = tuple(dict.fromkeys((*own, *loader.rpaths)))
        return replace(image, chain=(*loader.chain, path), rpaths=rpaths)

    def _note(self, need: Need) -> None:
        """Remember the worst of what the ways to a requirer lead to: any may be the first taken.

        What one way finds in the wheel, the others are to be pointed at.
        """
        key = (need.requirer, need.name)
        low, high = sorted((self.needs.get(key, need), need), key=_cost)
        if _cost(high) and low.outcome in {"inside", "loose"} and not self._only_inside:
            high = replace(low, outcome="loose")
        self.needs[key] = high

    def _find(self, name: str, here: _Image) -> Need:
        """What the rules say, and only when they are silent the search of this machine."""
        tried: dict[str, None] = {}
        outcome, place = self._ruled(name, here, tried) or self._beyond(name, here, tried)
        searched = tuple(tried) if outcome == "missing" else ()
        return Need(here.path, name, outcome, place, here.chain, searched)

    def _ruled(self, name: str, here: _Image, tried: dict[str, None]) -> tuple[Outcome, str] | None:
        short = leaf(name)
        if matches(self._rules.exclude, name, short, posixpath.basename(name)):
            return "excluded", ""
        if here.inside and (place := self._inside(name, here, tried)):
            return "inside", place
        if not self._only_inside and (wished := self._included(name, here)):
            return "graft", wished
        if matches(self._rules.siblings, short, posixpath.basename(name)):
            return "sibling", ""
        if self._is_system(name, here):
            return "system", ""
        return ("python", "") if matches(self._apple.python, name, short) else None

    def _beyond(self, name: str, here: _Image, tried: dict[str, None]) -> tuple[Outcome, str]:
        """Where else it is: elsewhere in the wheel, in the system, or on this machine."""
        wanted, absent = self._wanted(name, here), _absent(name, here)
        if self._only_inside:
            return absent, ""
        if place := self._apple.never.get(leaf(name)):
            return "system", place
        for path in self._by_leaf.get(leaf(name), ()):
            if self._fits(path, self._members[path], wanted, tried):
                return "loose", path
        for path in self._outside(name, here):
            found = self._host.look(path)
            if found is None:
                tried[path] = None
            elif matches(self._rules.exclude, found[0], posixpath.basename(found[0])):
                return "excluded", ""
            elif self._fits(path, found[1], wanted, tried):
                self.grafts[found[0]] = found[1]
                self._chains.setdefault(found[0], here.chain)
                return "graft", found[0]
        return absent, ""

    def _wanted(self, name: str, here: _Image) -> frozenset[str]:
        """The machines for which a file needs a library: it can only have one place for all."""
        needing = {one.machine for one in here.binary.each if name in one.needed}
        return frozenset(self._machines.intersection(needing))

    def _inside(self, name: str, here: _Image, tried: dict[str, None]) -> str:
        for place in candidates(name, _parent(here.installed), here.rpaths, here.program):
            path = self._places.get(place)
            if path is None:
                tried[place] = None
            elif self._fits(path, self._members[path], self._wanted(name, here), tried):
                return path
        return ""

    def _included(self, name: str, here: _Image) -> str:
        """What was asked for by that name: it takes the place of what the system has."""
        for path in self._rules.include:
            found = self._host.look(path)
            known = () if found is None else (posixpath.basename(path), leaf(found[1].soname))
            if found and leaf(name) in known and self._wanted(name, here) <= {*found[1].machines}:
                self.grafts[found[0]] = found[1]
                self._chains.setdefault(found[0], here.chain)
                return found[0]
        return ""

    def _is_system(self, name: str, here: _Image) -> bool:
        if not name.startswith("@rpath/"):
            return name.startswith("/") and self._apple.has(name)
        known = self._apple.rpaths
        return any(matches(known.get(folder, ()), leaf(name)) for folder in here.rpaths)

    def _outside(self, name: str, here: _Image) -> Iterator[str]:
        """Every place of this machine, in the order of dyld: by name, as it is, and last resorts."""
        short, file = leaf(name), posixpath.basename(name)
        leaves = dict.fromkeys((short, file))
        places = (
            *(f"{folder}/{part}" for folder in self._host.search for part in leaves),
            *candidates(name, _parent(here.installed), here.rpaths, here.program),
            *(f"{folder}/{part}" for folder in self._host.system for part in leaves),
        )
        yield from dict.fromkeys(place for place in places if place.startswith("/"))

    @staticmethod
    def _fits(path: str, binary: Binary, wanted: frozenset[str], tried: dict[str, None]) -> bool:
        lacking = sorted(wanted.difference(binary.machines))
        if lacking:
            tried[f"{path} (has no code for {', '.join(lacking)})"] = None
        return not lacking


def _absent(name: str, here: _Image) -> Outcome:
    return "optional" if name in here.slice.optional else "missing"


def _parent(path: str) -> str:
    return posixpath.dirname(path) or "."


def _cost(need: Need) -> int:
    """How much there is to do about a need: nothing, an edit, or something that is not known."""
    if need.outcome in {"missing", "optional"}:
        return 2
    is_redirected = need.outcome == "system" and need.place
    return 1 if is_redirected or need.outcome in {"graft", "loose"} else 0


def _folders(binary: Binary, folder: str, program: str) -> tuple[str, ...]:
    """The folders of a file's own LC_RPATHs."""
    places = (expand_entry(entry, folder, program) for entry in binary.rpath)
    return tuple(dict.fromkeys(place for place in places if place))


def _plain(path: str) -> str:
    """An absolute path in its shortest form; `normpath` keeps two slashes at the beginning."""
    return f"/{posixpath.normpath(path).lstrip('/')}"
