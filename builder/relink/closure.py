"""The closure of a wheel: where everything its binaries need comes from.

The search is that of ld.so(8): the requirer's `DT_RPATH` and those of its loaders (unless it has a
`DT_RUNPATH`), the search folders, its `DT_RUNPATH`, the system's folders; a library that is already
loaded under its soname is not looked for again. A library of another machine, or made for another C
library, is passed by.
"""

from __future__ import annotations

import posixpath
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, Protocol

from builder.binary import Binary
from builder.errors import BuilderError, UsageError
from builder.relink.policy import is_loader, matches

__all__ = [
    "Closure",
    "Libraries",
    "MissingLibrariesError",
    "Need",
    "Rules",
    "expand",
    "expansions",
    "included",
    "installed",
    "libc_of",
    "resolve",
    "unlike",
]

Outcome = Literal[
    "inside", "loose", "graft", "excluded", "sibling", "system", "python", "optional", "missing"
]
"""`optional` is a library that was found nowhere and that its requirer can run without."""

_LIBPYTHON = re.compile(r"libpython\d+\.\d+m?\.so(\.\d)*")
_PLATLIB = re.compile(r"[^/]+\.data/(?:plat|pure)lib/")
_TOKEN = re.compile(r"\$(?:\{(ORIGIN|LIB|PLATFORM)\}|(ORIGIN|LIB|PLATFORM)(?![A-Za-z0-9_]))")
_LIBRARY_FOLDERS = {64: ("lib64", "lib"), 32: ("lib", "lib32")}


class Libraries(Protocol):
    """The libraries of a machine: `relink.host.Host`, or a table in a test."""

    @property
    def search(self) -> tuple[str, ...]:
        """Folders that come before the loader's own."""
        ...

    @property
    def system(self) -> tuple[str, ...]:
        """Folders the loader knows."""
        ...

    def look(self, path: str) -> tuple[str, Binary] | None:
        """The real path and content of the binary at a path."""
        ...


@dataclass(frozen=True, slots=True)
class Rules:
    """What is never grafted: globs of excluded and sibling sonames, and a policy's sonames.

    `include` are paths of libraries of this machine that are grafted though nobody needs them.
    """

    exclude: tuple[str, ...] = ()
    siblings: tuple[str, ...] = ()
    system: frozenset[str] = frozenset()
    include: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, order=True)
class Need:
    """One soname that one file needs, and where it comes from.

    `requirer` is a path in the wheel, or of this machine for what a graft needs. `place` is the
    path in the wheel for `inside` and `loose` (there, but no rpath leads to it), the real path for
    `graft`. `chain` leads from a binary of the wheel to the requirer. `searched` is only filled for
    `missing`. What was asked for has no requirer.
    """

    requirer: str
    name: str
    outcome: Outcome
    place: str = ""
    chain: tuple[str, ...] = ()
    searched: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Closure:
    """Every need of every binary that was reached, and the libraries to graft by real path."""

    needs: tuple[Need, ...]
    grafts: Mapping[str, Binary]

    def of(self, *outcomes: Outcome) -> tuple[Need, ...]:
        """The needs with one of these outcomes."""
        return tuple(need for need in self.needs if need.outcome in outcomes)


class MissingLibrariesError(BuilderError):
    """Libraries that were found nowhere, with the chain of requirers and the places searched."""

    def __init__(self, wheel: str, missing: Iterable[Need]) -> None:
        self.missing = tuple(missing)
        names = dict.fromkeys(need.name for need in self.missing)
        places = dict.fromkeys(place for need in self.missing for place in need.searched)
        faults = [f"{need.name}: required by {_arrows(need)}" for need in self.missing]
        faults.append(f"searched: {', '.join(places) or 'nowhere'}")
        super().__init__(
            f"`{wheel}` needs {len(names)} librar{'y' if len(names) == 1 else 'ies'} "
            "that cannot be found",
            faults=faults,
            hint="install the library, name its folder (`-L` of the linker does not count at run "
            "time; `--add-path` of `builder repair` does), exclude it, or declare the sibling "
            "wheel that owns it",
        )


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A binary in the walk. `handed` are the folders that its loaders' `DT_RPATH` give to it."""

    path: str
    inside: bool
    binary: Binary
    chain: tuple[str, ...]
    handed: tuple[str, ...]


def installed(path: str) -> str:
    """Where a path of the wheel lands below site-packages; other schemes keep their own folder."""
    return _PLATLIB.sub("", path, count=1) if _PLATLIB.match(path) else path


def expand(entry: str, folder: str, binary: Binary | None = None) -> str:
    """One rpath entry as a folder; `../` leaves the wheel, `/` is of this machine.

    Of several that `$LIB` may stand for, the first. Empty for what depends on the process.
    """
    return next(iter(expansions(entry, folder, binary)), "")


def expansions(entry: str, folder: str, binary: Binary | None = None) -> tuple[str, ...]:
    """Every folder that an rpath entry may stand for, by the tokens of ld.so(8).

    What `$LIB` and `$PLATFORM` are is up to the machine that loads the binary.
    """
    machine, bits = ("", 64) if binary is None else (binary.machine, binary.bits)
    return _expansions(entry, folder, machine, bits)


@lru_cache(maxsize=4096)
def _expansions(entry: str, folder: str, machine: str, bits: int) -> tuple[str, ...]:
    """The same; binaries that lie together have the same entries, and are asked for every need."""
    words = {"ORIGIN": (folder or ".",), "LIB": ("lib64", "lib"), "PLATFORM": ("",)}
    if machine:
        multiarch = f"lib/{machine}-linux-gnu"
        words |= {"LIB": (*_LIBRARY_FOLDERS[bits], multiarch), "PLATFORM": (machine,)}
    texts = [entry]
    while any(_TOKEN.search(text) for text in texts):
        texts = [
            text[: match.start()] + word + text[match.end() :]
            for text in texts
            for match in [_TOKEN.search(text)]
            if match is not None
            for word in words[match[1] or match[2]]
        ]
    is_known = entry.startswith(("/", "$ORIGIN", "${ORIGIN}"))
    if not is_known or any("$" in text for text in texts):
        return ()
    return tuple(dict.fromkeys(map(posixpath.normpath, texts)))


def libc_of(binary: Binary) -> Literal["", "glibc", "musl"]:
    """The C library that a binary says it is made for; nothing when it names none."""
    for name in binary.needed:
        if name.startswith(("libc.musl-", "ld-musl-")):
            return "musl"
        if name == "libc.so.6" or name.startswith(("ld-linux", "ld64.so.")):
            return "glibc"
    return (
        "glibc" if any(one.version.startswith("GLIBC_") for one in binary.versions_needed) else ""
    )


def resolve(
    members: Mapping[str, Binary], rules: Rules, host: Libraries, *, only_inside: bool = False
) -> Closure:
    """Find everything the binaries of a wheel need. `members` are its binaries by path.

    With `only_inside` nothing of this machine is looked at, and a library that is in the wheel but
    beyond every rpath counts as missing: the view of the machine the wheel is installed on.
    """
    walk = _Walk(members, rules, host, only_inside)
    needed = {name for binary in members.values() for name in binary.needed}
    roots = [
        path
        for path, binary in sorted(members.items())
        if posixpath.basename(path) not in needed and binary.soname not in needed
    ]
    for path in (*roots, *sorted(members)):
        if path not in walk.reached:
            walk.load(path)
    if not only_inside:
        for path in rules.include:
            walk.include(path)
    return Closure(tuple(sorted(walk.needs.values())), dict(sorted(walk.grafts.items())))


def included(path: str, host: Libraries) -> tuple[str, Binary]:
    """A library of this machine that is grafted though nobody needs it. Raises `UsageError`."""
    found = host.look(path)
    if found is None:
        raise UsageError(f"`{path}` cannot be included: it is no library", hint="check the path")
    return found


def unlike(path: str, binary: Binary) -> UsageError:
    """The error about a library to include that the wheel cannot use."""
    machines = " and ".join(binary.machines)
    return UsageError(f"`{path}` is for {machines}, unlike the wheel", hint="give another library")


class _Walk:
    """The state of one resolution: what was reached, found and not found."""

    def __init__(
        self, members: Mapping[str, Binary], rules: Rules, host: Libraries, only_inside: bool
    ) -> None:
        self._rules = rules
        self._host = host
        self._only_inside = only_inside
        self._members = members
        self._places = {installed(path): path for path in members}
        self._by_name: dict[str, list[str]] = {}
        for path, binary in sorted(members.items()):
            for name in dict.fromkeys((posixpath.basename(path), binary.soname)):
                self._by_name.setdefault(name, []).append(path)
        self.reached: set[str] = set()
        self.needs: dict[tuple[str, str], Need] = {}
        self.grafts: dict[str, Binary] = {}

    def load(self, root: str) -> None:
        """Load one binary breadth first, as the loader would."""
        self._load(_Loaded(root, True, self._members[root], (root,), ()), "inside")  # inside

    def include(self, path: str) -> None:
        """Graft a library of this machine, and all that it needs. Raises `UsageError`."""
        real, binary = included(path, self._host)
        machines = {member.machine for member in self._members.values()}
        if machines and binary.machine not in machines:
            raise unlike(path, binary)
        name = posixpath.basename(path)
        self.needs["", name] = Need("", name, "graft", real)
        if real not in self.grafts:
            self.grafts[real] = binary
            self._load(_Loaded(real, False, binary, (real,), ()), "graft")  # outside

    def _load(self, root: _Loaded, how: Outcome) -> None:
        queue = deque([root])
        loaded: dict[str, tuple[Outcome, str]] = {
            name: (how, root.path)
            for name in (posixpath.basename(root.path), root.binary.soname)
            if name
        }
        while queue:
            here = queue.popleft()
            self.reached.add(here.path)
            own = self._own(here)
            for name in here.binary.needed:
                is_new = name not in loaded
                outcome, place = loaded[name] = loaded.get(name) or self._find(name, here, own)
                self._note(here, name, outcome, place)
                if is_new and (child := self._child(here, outcome, place)) is not None:
                    loaded.setdefault(child.binary.soname, (outcome, place))
                    queue.append(child)

    def _child(self, here: _Loaded, outcome: Outcome, place: str) -> _Loaded | None:
        chain = (*here.chain, place)
        handed = here.handed if here.binary.runpath else self._rpath(here)
        if outcome in {"inside", "loose"}:
            return _Loaded(place, True, self._members[place], chain, handed)  # inside
        if outcome == "graft":
            return _Loaded(place, False, self.grafts[place], chain, handed)  # outside
        return None

    def _note(self, here: _Loaded, name: str, outcome: Outcome, place: str) -> None:
        searched = tuple(self._folders(here)) if outcome == "missing" else ()
        need = Need(here.path, name, outcome, place, here.chain, searched)
        self.needs.setdefault((here.path, name), need)

    def _find(self, name: str, here: _Loaded, own: Iterable[str]) -> tuple[Outcome, str]:
        """What the rules say, and only when they are silent the search of this machine."""
        if matches(self._rules.exclude, name):
            return "excluded", ""
        if here.inside and (place := self._find_inside(name, here, own)):
            return "inside", place
        if not self._only_inside and (wished := self._find_included(name, here)):
            return "graft", wished
        if (ruled := self._ruled(name)) is not None:
            return ruled, ""
        if self._only_inside:
            return "missing", ""
        loose = [path for path in self._by_name.get(name, ()) if self._fits(path, here.binary)]
        return ("loose", loose[0]) if loose else self._find_outside(name, here)

    def _ruled(self, name: str) -> Outcome | None:
        if matches(self._rules.siblings, name):
            return "sibling"
        if name in self._rules.system or is_loader(name):
            return "system"
        return "python" if _LIBPYTHON.fullmatch(name) else None

    def _find_inside(self, name: str, here: _Loaded, own: Iterable[str]) -> str:
        for folder in own:
            path = self._places.get(_below(folder, name))
            if path is not None and self._fits(path, here.binary):
                return path
        return ""

    def _find_included(self, name: str, here: _Loaded) -> str:
        """What was asked for by that name: it takes the place of what a policy promises."""
        for path in self._rules.include:
            found = self._host.look(path)
            if found is None or not _is_kin(found[1], here.binary):
                continue
            if name in {posixpath.basename(path), found[1].soname}:
                self.grafts[found[0]] = found[1]
                return found[0]
        return ""

    def _find_outside(self, name: str, here: _Loaded) -> tuple[Outcome, str]:
        for folder in self._folders(here):
            found = self._host.look(f"{folder}/{name}") if folder.startswith("/") else None
            if found is None or not _is_kin(found[1], here.binary):
                continue
            real, binary = found
            if matches(self._rules.exclude, real):
                return "excluded", ""
            self.grafts[real] = binary
            return "graft", real
        return "missing", ""

    def _fits(self, path: str, binary: Binary) -> bool:
        return self._members[path].machine == binary.machine

    def _folders(self, here: _Loaded) -> Iterator[str]:
        """Every folder searched for what a binary needs, in order, each once."""
        order = (*self._rpath(here), *self._host.search, *self._runpath(here), *self._host.system)
        yield from dict.fromkeys(self._own(here) if self._only_inside else order)

    def _own(self, here: _Loaded) -> tuple[str, ...]:
        return (*self._rpath(here), *self._runpath(here))

    def _rpath(self, here: _Loaded) -> tuple[str, ...]:
        if here.binary.runpath:
            return ()
        return (*_expanded(here, here.binary.rpath), *here.handed)

    def _runpath(self, here: _Loaded) -> tuple[str, ...]:
        return _expanded(here, here.binary.runpath)


def _expanded(here: _Loaded, entries: Iterable[str]) -> tuple[str, ...]:
    folder = posixpath.dirname(installed(here.path) if here.inside else here.path)
    return tuple(
        place
        for entry in entries
        for place in expansions(entry, folder, here.binary)
        if here.inside or place.startswith("/")
    )


@lru_cache(maxsize=4096)
def _below(folder: str, name: str) -> str:
    """The path of a name in a folder; every binary beside another one asks for the same."""
    return posixpath.normpath(posixpath.join(folder, name))


def _is_kin(binary: Binary, other: Binary) -> bool:
    """Whether one process can hold both: the same machine, and the same C library if they say."""
    return (
        binary.format == other.format
        and binary.machine == other.machine
        and len({libc_of(binary), libc_of(other)} - {""}) < 2  # noqa: PLR2004  # two of them
    )


def _arrows(need: Need) -> str:
    return " <- ".join(reversed(need.chain))
