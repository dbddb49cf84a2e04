"""How ELF binaries are pointed at grafts: names, places, rpaths; decided as values.

A graft is called `libz-4fd3bc35.so.1.2.13`, after the digest of what was found, and lies in
`NAME.libs`, as `auditwheel` does it.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from builder.binary import Binary, Edit
from builder.errors import BuilderError
from builder.relink.closure import Need, expand, installed
from builder.relink.linux_script import shim
from builder.relink.policy import matches
from builder.relink.sibling import leaving, leaving_for_anywhere, owner_of, way
from builder.relink.system import Grafted, Relinked, Relinking

__all__ = ["grafted_name", "relink"]

_SUFFIX = ".libs"
_LENGTH = 8
_SCRIPT = re.compile(r"[^/]+\.data/scripts/([^/]+)")
_ELSEWHERE = re.compile(r"[^/]+\.data/(?!platlib/|purelib/|scripts/)")


def grafted_name(name: str, sha256: str) -> str:
    """`libgomp.so.1.0.0` becomes `libgomp-ba7816bf.so.1.0.0`; once is enough."""
    base, dot, rest = name.partition(".")
    mark = f"-{sha256[:_LENGTH]}"
    return name if base.endswith(mark) else f"{base}{mark}{dot}{rest}"


def relink(case: Relinking, keep_name: Sequence[str], promised: Collection[str] = ()) -> Relinked:
    """Every graft and every edit; `case` has binaries of one machine only.

    `promised` are the names of libraries that every machine has: a graft never has one of them.
    Raises `BuilderError` for a file that nothing can lead from to its grafts.
    """
    return _Relink(case, tuple(keep_name), promised).result()


@dataclass(frozen=True, slots=True)
class _Place:
    """A graft in the wheel: its path, and whether it is there already."""

    path: str
    is_there: bool = False

    @property
    def name(self) -> str:
        """The name by which it is needed."""
        return posixpath.basename(self.path)


class _Relink:
    """One wheel whose needs are known; decides places first, then edits."""

    def __init__(
        self, case: Relinking, keep_name: tuple[str, ...], promised: Collection[str]
    ) -> None:
        self._case = case
        self._keep_name = keep_name
        self._promised = promised
        self._notes: list[str] = []
        self._folder = f"{case.project}{case.library_suffix or _SUFFIX}"
        self._needs: dict[str, list[Need]] = {}
        self._users: dict[str, list[Need]] = {}
        for need in case.closure.needs:
            self._needs.setdefault(need.requirer, []).append(need)
            if need.outcome == "graft":
                self._users.setdefault(need.place, []).append(need)
        self._places = self._placed()
        self._moves: Mapping[str, str] = {}
        self._moves = self._moved()

    def result(self) -> Relinked:
        """The whole decision."""
        case = self._case
        edits = {
            path: edit
            for path, binary in sorted(case.members.items())
            if not (edit := self._member(path, binary)).is_empty
        }
        grafts: dict[str, Grafted] = {}
        for source, binary in case.closure.grafts.items():
            place = self._places[source]
            if not place.is_there:
                name = self._users[source][0].name
                edit = self._graft(source, binary)
                digest = case.digests[source]
                grafts.setdefault(place.path, Grafted(name, source, place.path, digest, edit))
        shims = {old: shim(new) for old, new in self._moves.items()}
        notes = tuple(dict.fromkeys(self._notes))
        return Relinked(tuple(grafts.values()), edits, shims, notes, self._moves)

    def _placed(self) -> Mapping[str, _Place]:
        """The place of every graft, by real path; equal files share one."""
        by_digest: dict[str, _Place] = {}
        places: dict[str, _Place] = {}
        for source in self._by_nearness():
            digest = self._case.digests[source]
            if digest not in by_digest:
                by_digest[digest] = self._place(source, places)
            places[source] = by_digest[digest]
        return places

    def _by_nearness(self) -> list[str]:
        """The grafts, what members need before what only grafts need."""
        members = self._case.members
        own = {
            source
            for source, needs in self._users.items()
            if any(need.requirer in members for need in needs)
        }
        return sorted(self._case.closure.grafts, key=lambda source: (source not in own, source))

    def _place(self, source: str, known: Mapping[str, _Place]) -> _Place:
        soname = self._users[source][0].name
        if self._case.placement == "beside":
            folder = self._common_folder(source, known)
            if folder is not None:
                return _Place(posixpath.join(folder, soname))
            self._notes.append(
                f"{soname}: no folder is looked into by all that need it, so it has one of its own"
            )
        if self._keeps_name(source):
            path = posixpath.join(self._folder, soname)
            if path not in self._case.names:
                return _Place(path)
        name = grafted_name(posixpath.basename(source), self._case.digests[source])
        path = posixpath.join(self._folder, name)
        there = self._case.members.get(path)
        if path in self._case.names and (
            there is None or there.soname not in {"", posixpath.basename(path)}
        ):
            raise BuilderError(
                f"`{path}` is in the wheel already, and is not the graft it seems to be",
                hint="give another folder with `--lib-sdir`",
            )
        return _Place(path, is_there=there is not None)

    def _keeps_name(self, source: str) -> bool:
        """Whether others know a graft by its name, and would not find it under another."""
        names = {need.name for need in self._users[source]}
        names |= {posixpath.basename(source), self._case.closure.grafts[source].soname}
        if self._case.placement == "beside":
            return True
        for name in sorted(names & self._case.spoken.keys()):
            speakers = ", ".join(self._case.spoken[name])
            self._notes.append(f"{name}: keeps its name, by which {speakers} may open it")
            return True
        if source in self._case.included:
            return not any(name in self._promised for name in names)
        return matches(self._keep_name, *names)

    def _common_folder(self, source: str, known: Mapping[str, _Place]) -> str | None:
        """A folder of the wheel where all that need a graft look for it, under one name."""
        needs = self._users[source]
        folders: list[list[str]] = []
        for need in needs:
            binary = self._case.members.get(need.requirer)
            if binary is not None:
                folders.append(list(_looked_into(need.requirer, binary)))
            elif need.requirer in known:
                folders.append([posixpath.dirname(known[need.requirer].path)])
            elif need.requirer:
                return None
        names = {need.name for need in needs}
        taken = {installed(name) for name in self._case.names}
        for folder in folders[0] if folders and len(names) == 1 else ():
            is_common = all(folder in others for others in folders)
            if is_common and posixpath.join(folder, needs[0].name) not in taken:
                return folder
        return None

    def _moved(self) -> Mapping[str, str]:
        """Programs among the scripts that need a way to a graft: nothing leads there from `bin`."""
        moves: dict[str, str] = {}
        for path in self._case.members:
            match = _SCRIPT.fullmatch(path)
            is_affected = any(True for _ in self._ways(path, path))
            if is_affected and _ELSEWHERE.match(path):
                raise BuilderError(
                    f"`{path}` is installed outside of site-packages, so that no rpath can lead "
                    "to the libraries it needs",
                    hint="install it into the package, or exclude the libraries",
                )
            if match and is_affected:
                moves[path] = f"{self._case.project}.scripts/{match[1]}"
                if moves[path] in self._case.names:
                    raise BuilderError(
                        f"`{path}` and `{moves[path]}` would be one file", hint="rename one of them"
                    )
        return moves

    def _member(self, path: str, binary: Binary) -> Edit:
        """What changes in a file of the wheel; entries that leave the wheel lead nowhere."""
        here = self._moves.get(path, path)
        dropped = leaving(path, binary)
        old = binary.runpath or binary.rpath
        kept = [entry for entry in old if entry not in dropped] if here == path else []
        ways, names = tuple(self._ways(path, here)), tuple(self._names(path, binary))
        if not (ways or names or leaving_for_anywhere(path, binary)):
            return Edit()
        wanted = tuple(dict.fromkeys((*kept, *ways)))
        is_same = wanted == old and not dropped
        return Edit(needed=names, search=None if is_same else wanted)

    def _graft(self, source: str, binary: Binary) -> Edit:
        """What changes in a graft; where it looked on this machine says nothing about the wheel."""
        place = self._places[source]
        wanted = tuple(dict.fromkeys(self._ways(source, place.path)))
        is_same = wanted == (binary.runpath or binary.rpath)
        return Edit(
            soname=place.name if binary.soname not in {"", place.name} else None,
            needed=tuple(self._names(source, binary)),
            search=None if is_same and not (binary.rpath and binary.runpath) else wanted,
        )

    def _names(self, requirer: str, binary: Binary) -> Iterator[tuple[str, str]]:
        """The libraries that are needed under another name, or not any more."""
        for need in self._needs.get(requirer, ()):
            match need.outcome:
                case "graft":
                    new = self._places[need.place].name
                case "loose":
                    new = posixpath.basename(need.place)
                case "python" if binary.kind == "shared":
                    new = ""  # the interpreter has it, whether in itself or in a library
                case _:
                    continue
            if new != need.name:
                yield need.name, new

    def _ways(self, requirer: str, here: str) -> Iterator[str]:
        """The rpath entries that lead from a file to what it needs, where none did."""
        binary = self._case.members.get(requirer)
        seen = set[str]()
        if binary is not None and requirer not in self._moves:
            seen.update(_looked_into(requirer, binary))
        for need in self._needs.get(requirer, ()):
            folder: str | None = None
            match need.outcome:
                case "graft":
                    folder = posixpath.dirname(self._places[need.place].path)
                case "loose":
                    folder = posixpath.dirname(installed(need.place))
                case "sibling":
                    owner = owner_of(need.name, self._case.siblings)
                    folder = owner.directory if owner else None
                case _:
                    continue
            if folder is not None and folder not in seen:
                yield way(here, folder)
        yield from self._ways_to_spoken(requirer, here, seen)

    def _ways_to_spoken(self, requirer: str, here: str, seen: set[str]) -> Iterator[str]:
        """The same to grafts that it may open by name."""
        for source, place in self._places.items():
            names = {need.name for need in self._users[source]} | {place.name}
            is_speaker = any(requirer in self._case.spoken.get(name, ()) for name in names)
            folder = posixpath.dirname(place.path)
            if is_speaker and place.name in names and folder not in seen:
                yield way(here, folder)


def _looked_into(path: str, binary: Binary) -> Iterator[str]:
    """The folders of the wheel that a member's own rpath names and that stay."""
    folder = posixpath.dirname(installed(path))
    dropped = leaving(path, binary)
    for entry in binary.runpath or binary.rpath:
        if entry not in dropped:
            place = expand(entry, folder, binary)
            yield "" if place == "." else place
