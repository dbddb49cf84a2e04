"""Windows: what is grafted where and under which name, how it is found, which tag is deserved."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal, Self

from builder.binary import Binary, Edit
from builder.errors import BuilderError
from builder.relink.closure import Closure, Libraries, Need, Outcome, Rules, installed
from builder.relink.dll import microsoft, resolve_windows
from builder.relink.dll_folders import DllHost, Registered, registered_folders
from builder.relink.init_patch import is_namespace, patched
from builder.relink.policy import matches
from builder.relink.system import Grafted, Relinked, Relinking, Verdict, loaded
from builder.relink.windows_tag import judge_windows

__all__ = ["Windows"]

_SUFFIX = ".libs"
_LENGTH = 32
_NOTHING = Registered(())


class Windows:
    """The `System` of PE binaries; `registered` are the folders that a wheel hands to the loader."""

    name: Literal["windows"] = "windows"

    def __init__(self, registered: Registered = _NOTHING) -> None:
        self._registered = registered

    @classmethod
    def of(
        cls,
        project: str,
        paths: Iterable[str],
        names: Iterable[str],
        texts: Callable[[str], bytes],
    ) -> Self:
        """The loader as it is for one wheel: with its own folders of DLLs.

        `paths` are its binaries, `names` all its files; `texts` reads a small one.
        """
        return cls(registered_folders(project, paths, names, texts))

    def resolve(
        self,
        members: Mapping[str, Binary],
        rules: Rules,
        host: Libraries,
        *,
        only_inside: bool = False,
    ) -> Closure:
        """Where everything the binaries import comes from."""
        own = loaded(members, "pe")
        return resolve_windows(own, rules, host, self._registered.folders, only_inside=only_inside)

    def relink(self, case: Relinking) -> Relinked:
        """Where each graft goes, and every change in members, grafts and packages."""
        return _Relink(case, self._registered).result()

    def judge(
        self, binaries: Mapping[str, Binary], claimed: tuple[str, ...], outside: tuple[str, ...]
    ) -> Verdict:
        """The tags that the binaries deserve; those that are claimed when they are honest."""
        del outside  # a tag says nothing about libraries that are not in the wheel
        return judge_windows(loaded(binaries, "pe"), claimed)

    def libraries(self, search: tuple[Path, ...]) -> Libraries:
        """Folders to look into without regard to case."""
        return DllHost(search)


class _Relink:
    """One wheel whose needs are known; decides who is affected, then names, places and edits."""

    def __init__(self, case: Relinking, registered: Registered) -> None:
        self._case = case
        self._registered = registered.folders
        self._members = loaded(case.members, "pe")
        self._notes = list(registered.notes)
        self._needs: dict[str, list[Need]] = {}
        for need in case.closure.needs:
            self._needs.setdefault(need.requirer, []).append(need)
        self._libs = f"{case.project}{case.library_suffix or _SUFFIX}"
        self._beside = self._one_folder() if case.placement == "beside" else None
        self._names = self._named()

    def result(self) -> Relinked:
        """The whole decision."""
        case = self._case
        edits = {
            path: edit for path in sorted(self._members) if not (edit := self._edit(path)).is_empty
        }
        doors, lying = self._doors()
        grafts = tuple(self._grafts(lying))
        folders = self._folders()
        files = {
            path: new
            for path in sorted(doors)
            if (new := patched(case.texts(path), installed(path), folders)) != case.texts(path)
        }
        return Relinked(grafts, edits, files, tuple(dict.fromkeys(self._notes)))

    def _edit(self, requirer: str) -> Edit:
        names = (
            (need.name, self._names[need.place])
            for need in self._needs.get(requirer, ())
            if need.outcome == "graft"
        )
        return Edit(needed=tuple((old, new) for old, new in names if old.lower() != new.lower()))

    def _named(self) -> Mapping[str, str]:
        """The file name of every graft by real path, with a digest over it and all it takes along.

        So a name stands for the very same bytes in every wheel, and two wheels can share a module.
        """
        closure = self._case.closure
        names = {need.place: posixpath.basename(need.place) for need in closure.of("graft")}
        kept = microsoft().keep_name
        changed = {
            place
            for place, name in names.items()
            if self._beside is None
            and place not in self._case.included
            and not matches(kept, name.lower())
        }
        digests = _digests({place: self._grafts_of(place) for place in names}, self._case.digests)
        for place in changed:
            stem, suffix = posixpath.splitext(names[place])
            names[place] = f"{stem}-{digests[place]}{suffix}"
        return names

    def _grafts_of(self, requirer: str) -> list[str]:
        """The grafts that a file needs by itself, in the order of their names."""
        needs = self._needs.get(requirer, ())
        return [need.place for need in needs if need.outcome == "graft"]

    def _reaching(self, *outcomes: Outcome) -> frozenset[str]:
        """The members that have needs with one of these outcomes, maybe through others."""
        users: dict[str, set[str]] = {}
        found: set[str] = set()
        for need in self._case.closure.needs:
            if need.outcome in {"inside", "loose", "graft"}:
                users.setdefault(need.place, set()).add(need.requirer)
            if need.outcome in outcomes:
                found.add(need.requirer)
        waiting = list(found)
        while waiting:
            for user in users.get(waiting.pop(), ()):
                if user not in found:
                    found.add(user)
                    waiting.append(user)
        return frozenset(found & self._members.keys())

    def _doors(self) -> tuple[set[str], Mapping[str, set[str]]]:
        """The modules that are to register folders, and the grafts that go into each folder.

        A program runs in a process of its own, so that no module can speak for it.
        """
        places = {installed(name): name for name in self._case.names}
        grafts, loose = self._reaching("graft"), self._reaching("loose")
        lying: dict[str, set[str]] = {}
        if self._beside is not None:
            lying, grafts = {self._beside: {*self._case.closure.grafts}}, frozenset()
        doors: set[str] = set()
        hidden: list[str] = []
        if self._case.included and self._beside is None:
            # Any module may open what nobody names.
            doors |= {
                door for path in self._members if (door := self._door(installed(path), places))
            }
            lying[self._libs] = self._taken_by("")
        for path in sorted(grafts | loose | self._reaching("sibling")):
            door = None if self._is_program(path) else self._door(installed(path), places)
            if door is not None:
                doors.add(door)
            elif path in loose:
                hidden.append(path)
            if path in grafts:
                folder = posixpath.dirname(installed(path)) if door is None else self._libs
                lying.setdefault(folder, set()).update(self._taken_by(path))
        # Who starts a program may hand it the folders that a module registers, where one does.
        self._refuse([path for path in hidden if not (doors and self._is_program(path))])
        return doors, lying

    def _is_program(self, path: str) -> bool:
        return self._members[path].kind == "executable"

    def _taken_by(self, member: str) -> set[str]:
        """The grafts that a member needs, maybe through others."""
        waiting, seen = [member], {member}
        while waiting:
            for need in self._needs.get(waiting.pop(), ()):
                if need.outcome in {"inside", "loose", "graft"} and need.place not in seen:
                    seen.add(need.place)
                    waiting.append(need.place)
        return seen.intersection(self._case.closure.grafts)

    def _refuse(self, hidden: Iterable[str]) -> None:
        """Nobody can lead these to DLLs of the wheel that lie in other folders."""
        faults = [f"{path}: no package can register a folder for it" for path in hidden]
        if faults:
            loose = self._case.closure.of("loose")
            places = dict.fromkeys(need.place for need in loose)
            raise BuilderError(
                f"{len(faults)} need DLLs of the wheel that they cannot find",
                faults=[*faults, f"the DLLs: {', '.join(places)}"],
                hint="put the DLLs beside them, give their package an `__init__.py`, or `--exclude` them",
            )

    def _door(self, path: str, places: Mapping[str, str]) -> str | None:
        """The first module that is imported on the way to a path."""
        parts = path.split("/")[:-1]
        for depth in range(1, len(parts) + 1):
            first = places.get("/".join((*parts[:depth], "__init__.py")))
            if first is not None and not is_namespace(self._case.texts(first)):
                return first
        return None

    def _folders(self) -> tuple[str, ...]:
        """What is to be registered: the grafts, DLLs that nothing leads to, and siblings."""
        closure = self._case.closure
        loose = {posixpath.dirname(installed(need.place)) for need in closure.of("loose")}
        names = {need.name.lower() for need in closure.of("sibling")}
        siblings = {
            sibling.directory
            for sibling in self._case.siblings
            if matches(map(str.lower, sibling.libraries), *names)
        }
        own = (self._libs,) if closure.grafts and self._beside is None else ()
        return (*own, *sorted(loose), *sorted(siblings))

    def _grafts(self, lying: Mapping[str, set[str]]) -> Iterator[Grafted]:
        """Every graft in its folder, and again beside the binaries that no module speaks for."""
        closure = self._case.closure
        first = {need.place: need.name for need in reversed(closure.of("graft"))}
        there = {installed(name) for name in self._case.names}
        for folder in sorted(lying.keys() - {self._libs, self._beside}):
            self._notes.append(
                f"{folder or 'the top of the wheel'}: no package can register a folder for the "
                "binaries there, so the grafts lie beside them"
            )
        for folder in sorted(lying, key=lambda one: (one != self._libs, one)):
            for source in sorted(lying[folder]):
                # A name with a digest that is there already stands for this very file.
                path = f"{folder}/{self._names[source]}" if folder else self._names[source]
                digest = self._case.digests[source]
                if path not in there:
                    yield Grafted(first[source], source, path, digest, self._edit(source))

    def _one_folder(self) -> str | None:
        """Where all who need a graft find it under its own name, if there is such a folder."""
        users = {need.requirer for need in self._case.closure.of("graft")} & self._members.keys()
        folders = {posixpath.dirname(installed(path)) for path in users}
        known = sorted(folders.intersection(self._registered)) or sorted(folders)
        if not known or len(folders) == 1 or known[0] in self._registered:
            return known[0] if known else None
        self._notes.append("no folder suits all that need grafts: they have one of their own")
        return None


def _digests(needs: Mapping[str, list[str]], own: Mapping[str, str]) -> Mapping[str, str]:
    """A digest for each library over itself and everything it needs; those in a circle share it."""
    found: dict[str, str] = {}
    for circle in _circles(needs):
        inner = sorted(own[place] for place in circle)
        outer = dict.fromkeys(
            found[need] for place in sorted(circle) for need in needs[place] if need not in circle
        )
        if len(inner) == 1 and not outer:
            found[next(iter(circle))] = inner[0][:_LENGTH]
            continue
        total = hashlib.sha256("\0".join((*sorted(outer), *inner)).encode()).hexdigest()
        for place in circle:
            found[place] = total[:_LENGTH]
    return found


def _circles(needs: Mapping[str, list[str]]) -> Iterator[frozenset[str]]:
    """The strongly connected parts, those that are needed first (Tarjan, without recursion)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    for root in sorted(needs):
        work = [(root, iter(needs[root]))] if root not in order else []
        while work:
            place, rest = work[-1]
            if place not in order:
                order[place] = low[place] = len(order)
                stack.append(place)
            step = next((need for need in rest if need in needs), None)
            if step is not None:
                if step not in order:
                    work.append((step, iter(needs[step])))
                elif step in stack:
                    low[place] = min(low[place], order[step])
                continue
            work.pop()
            if work:
                above = work[-1][0]
                low[above] = min(low[above], low[place])
            if low[place] == order[place]:
                at = stack.index(place)
                yield frozenset(stack[at:])
                del stack[at:]
