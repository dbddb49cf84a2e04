"""macOS: what is grafted where, how binaries are pointed at it, and which tag they deserve."""

from __future__ import annotations

import posixpath
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from builder.binary import Binary, Edit
from builder.errors import BuilderError
from builder.relink.closure import Closure, Libraries, Need, Rules, installed
from builder.relink.dyld import apple, candidates, expand_entry, leaf, resolve_macos
from builder.relink.host import Host
from builder.relink.macos_tag import judge_macos
from builder.relink.sibling import owner_of
from builder.relink.system import Grafted, Relinked, Relinking, Verdict, loaded

__all__ = ["MacOS"]

_SUFFIX = ".dylibs"
_ELSEWHERE = re.compile(r"[^/]+\.data/(?!platlib/|purelib/)")


class MacOS:
    """The `System` of Mach-O binaries."""

    name: Literal["macos"] = "macos"

    def resolve(
        self,
        members: Mapping[str, Binary],
        rules: Rules,
        host: Libraries,
        *,
        only_inside: bool = False,
    ) -> Closure:
        """Where everything the binaries need comes from."""
        return resolve_macos(_own(members), rules, host, only_inside=only_inside)

    def relink(self, case: Relinking) -> Relinked:
        """Where each graft goes, and every change in members and grafts."""
        return _Relink(case).result()

    def judge(
        self, binaries: Mapping[str, Binary], claimed: tuple[str, ...], outside: tuple[str, ...]
    ) -> Verdict:
        """The tags that the binaries deserve; those that are claimed when they are honest."""
        del outside  # a tag says nothing about libraries that are not in the wheel
        return judge_macos(_own(binaries), claimed)

    def libraries(self, search: tuple[Path, ...]) -> Libraries:
        """Folders to look into by name, and what a Mac looks into last when this is one."""
        is_mac = sys.platform == "darwin"
        return Host(search, map(Path, apple().fallback) if is_mac else ())


def _own(members: Mapping[str, Binary]) -> Mapping[str, Binary]:
    """The binaries that the loader of macOS has to do with; those of iOS and objects are not."""
    return {
        path: binary
        for path, binary in loaded(members, "macho").items()
        if binary.platform in {"", "macos"}
    }


class _Relink:
    """One wheel whose needs are known; decides names first, then edits."""

    def __init__(self, case: Relinking) -> None:
        self._case = case
        self._members = _own(case.members)
        self._notes: list[str] = []
        self._folder = _folder(case)
        self._needs: dict[str, list[Need]] = {}
        for need in case.closure.needs:
            self._needs.setdefault(need.requirer, []).append(need)
        self._places = self._placed()

    def result(self) -> Relinked:
        """The whole decision."""
        case = self._case
        self._refuse_far_ones()
        edits = {
            path: edit
            for path, binary in sorted(self._members.items())
            if not (edit := self._member(path, binary)).is_empty
        }
        named = {need.place: leaf(need.name) for need in reversed(case.closure.of("graft"))}
        there = {installed(name) for name in case.names}
        grafts: dict[str, Grafted] = {}
        for source, binary in case.closure.grafts.items():
            place = self._places[source]
            graft = Grafted(
                named[source], source, place, case.digests[source], self._graft(source, binary)
            )
            if place not in there:
                grafts.setdefault(place, graft)
        for path in edits:
            if any(one.signature == "identity" for one in self._members[path].each):
                self._notes.append(
                    f"{path}: the signature of its developer gives way to an ad hoc one"
                )
        return Relinked(tuple(grafts.values()), edits, {}, tuple(dict.fromkeys(self._notes)))

    def _refuse_far_ones(self) -> None:
        """Nobody knows the way to the packages from where scripts and data are installed."""
        far = [
            f"{need.requirer}: needs {need.name}"
            for need in self._case.closure.of("graft", "loose")
            if _ELSEWHERE.match(need.requirer)
        ]
        if far:
            raise BuilderError(
                f"{len(far)} needed by files that are not installed into site-packages",
                faults=far,
                hint="link these programs statically, or let the package itself contain them",
            )

    def _placed(self) -> Mapping[str, str]:
        """The path in the wheel of every graft, by real path: equal files share one."""
        taken = {installed(name).lower() for name in self._case.names}
        by_digest: dict[str, str] = {}
        places: dict[str, str] = {}
        for source in self._case.closure.grafts:
            digest = self._case.digests[source]
            if digest not in by_digest:
                place = self._beside(source, taken) if self._case.placement == "beside" else ""
                place = place or f"{self._folder}/{posixpath.basename(source)}"
                if place.lower() in taken:
                    place = _hashed(place, digest)  # where it is that too, it is this very file
                taken.add(place.lower())
                by_digest[digest] = place
            places[source] = by_digest[digest]
            if ".framework/" in source:
                self._notes.append(f"{source}: its library is grafted, its resources are not")
        return places

    def _beside(self, source: str, taken: set[str]) -> str:
        """The place in the wheel where most of those that need a library look for it anyway."""
        found = Counter(
            place
            for need in self._case.closure.of("graft")
            if need.place == source and need.requirer in self._members
            for place in self._looked(need.requirer, need.name)
            if place.lower() not in taken
        )
        best = sorted(found.items(), key=lambda item: (-item[1], item[0]))
        return best[0][0] if best else ""

    def _looked(self, requirer: str, name: str) -> Iterator[str]:
        """The places in the wheel where a member looks by itself, on all machines it needs it on."""
        folder = posixpath.dirname(installed(requirer)) or "."
        found = [
            tuple(dict.fromkeys(candidates(name, folder, _folders(one, folder))))
            for one in self._members[requirer].each
            if name in one.needed
        ]
        for place in found[0] if found else ():
            if not place.startswith(("/", "../")) and all(place in places for places in found):
                yield place

    def _member(self, path: str, binary: Binary) -> Edit:
        here = installed(path)
        kept = [entry for entry in binary.rpath if not _leaves(here, entry, binary)]
        wanted = tuple(dict.fromkeys((*kept, *self._ways(path, here))))
        names = self._names(path, here)
        return Edit(needed=names, search=None if wanted == binary.rpath else wanted)

    def _graft(self, source: str, binary: Binary) -> Edit:
        """A graft reaches others by their place beside it, and is linked to by its name."""
        here = self._places[source]
        system = [entry for entry in binary.rpath if apple().has(entry)]
        wanted = tuple(dict.fromkeys((*system, *self._ways(source, here))))
        identity = f"@rpath/{posixpath.basename(here)}"
        return Edit(
            soname=identity if binary.soname not in {"", identity} else None,
            needed=self._names(source, here),
            search=None if wanted == binary.rpath else wanted,
        )

    def _names(self, requirer: str, here: str) -> tuple[tuple[str, str], ...]:
        """The libraries that are needed under another name, each with the new one."""
        names = [(need.name, self._new_name(need, here)) for need in self._needs.get(requirer, ())]
        return tuple((old, new) for old, new in names if new not in {"", old})

    def _new_name(self, need: Need, here: str) -> str:
        """The install name that leads from a file to what it needs; empty to keep the old one."""
        match need.outcome:
            case "graft":
                place = self._places[need.place]
                looked = need.requirer in self._members and self._looked(need.requirer, need.name)
                return "" if looked and place in looked else _way(here, place)
            case "loose":
                return _way(here, installed(need.place))
            case "system":
                if need.place:
                    self._notes.append(f"{here}: takes {leaf(need.name)} from {need.place}")
                return need.place
            case "sibling":
                return f"@rpath/{leaf(need.name)}"
            case _:
                return ""

    def _ways(self, requirer: str, here: str) -> Iterator[str]:
        """The rpath entries that lead to the siblings a file needs."""
        siblings = self._case.siblings
        for need in self._needs.get(requirer, ()):
            if need.outcome == "sibling" and (owner := owner_of(leaf(need.name), siblings)):
                yield _way(here, owner.directory)


def _folder(case: Relinking) -> str:
    """Where `delocate` puts grafts: in the package of the project's name, the first, or beside."""
    tops = sorted(
        {
            parts[0]
            for name in case.names
            if len(parts := installed(name).split("/")) == 2 and parts[1] == "__init__.py"  # noqa: PLR2004  # a package of the wheel and its first file
        }
    )
    suffix = case.library_suffix or _SUFFIX
    if not tops:
        return f"{case.project}{suffix}"
    return f"{case.project if case.project in tops else tops[0]}/{suffix}"


def _folders(binary: Binary, folder: str) -> list[str]:
    """The folders that rpath entries of a file in `folder` lead to."""
    places = (expand_entry(entry, folder) for entry in binary.rpath)
    return [place for place in places if place]


def _leaves(path: str, entry: str, binary: Binary) -> bool:
    """Whether an rpath entry leads to another place than the wheel or the system."""
    folder = posixpath.dirname(path) or "."
    place = expand_entry(entry, folder, folder if binary.kind == "executable" else "")
    if place.startswith("/"):
        return not apple().has(place)
    return place.startswith("../") or place in {"", ".."}


def _way(here: str, place: str) -> str:
    way = posixpath.relpath(place, posixpath.dirname(here) or ".")
    return "@loader_path" if way == "." else f"@loader_path/{way}"


def _hashed(place: str, digest: str) -> str:
    folder, name = posixpath.split(place)
    stem, dot, suffix = name.partition(".")
    return posixpath.join(folder, f"{stem}-{digest[:8]}{dot}{suffix}")
