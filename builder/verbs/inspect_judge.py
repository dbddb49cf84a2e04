"""The verdict on one subject: where everything it needs comes from, and which tag it deserves."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from builder.binary.model import Binary
from builder.errors import UsageError
from builder.relink.case import CONDA, Case
from builder.relink.closure import Need, Rules, libc_of
from builder.relink.look import Looked
from builder.relink.policy import Policy, policies
from builder.relink.system import Verdict
from builder.verbs.inspection import External, Found, Platform, Subject, Unread, printable

__all__ = ["judged"]

_NAMES: Final = {"elf": "Linux", "macho": "macOS", "macos": "macOS", "pe": "Windows"}
_GRAFTED: Final = (".libs", ".dylibs")


def judged(shown: str, looked: Looked) -> Subject:
    """Where everything the binaries of a subject need comes from, and what they deserve.

    Raises `UsageError` when none of its binaries can be read.
    """
    facts = looked.facts
    names = {name: printable(name) for name in (*facts.binaries, *facts.broken)}
    found = tuple(Found(names[name], _brief(one)) for name, one in facts.binaries.items())
    unread = tuple(Unread(names[name], why) for name, why in facts.broken.items())
    if unread and not found:
        raise UsageError(
            f"`{shown}` holds {len(unread)} binar{'y' if len(unread) == 1 else 'ies'}, "
            "none of which can be read",
            faults=[f"{row.path}: {row.reason}" for row in unread],
            hint="a damaged file has to be made again",
        )
    loaded = {names[name]: one for name, one in facts.binaries.items() if one.is_loaded}
    found_case = Case.of(loaded, facts.links, looked.claimed, looked.registered)
    if found_case is None:
        tag = "any" if looked.kind == "wheel" and not found else ""
        platform = Platform(tag, looked.claimed)
        return Subject(shown, looked.kind, found, unread, (), platform, facts.notes)
    case = _Judged(looked, found_case)
    external = tuple(case.external())
    siblings = tuple(_escaped(row.name) for row in external if row.resolution == "sibling")
    platform, notes = case.platform(siblings)
    missing = tuple(row.name for row in external if row.resolution == "missing")
    notes = (
        *facts.notes,
        *case.strangers(loaded),
        *notes,
        *case.unreached(missing),
        *case.without(missing, siblings, platform),
    )
    return Subject(shown, looked.kind, found, unread, external, platform, notes)


@dataclass(frozen=True, slots=True)
class _Judged:
    """The binaries of one system in a subject, while they are judged."""

    looked: Looked
    case: Case

    def external(self) -> Iterator[External]:
        """Every needed library by name, found as a loader would in the installed subject."""
        host = self.case.system.libraries(())
        members = self.case.everywhere
        closure = self.case.system.resolve(members, Rules(), host, only_inside=True)
        by_name: dict[str, list[Need]] = {}
        for need in closure.needs:
            if need.requirer in self.case.own:
                by_name.setdefault(need.name, []).append(need)
        for name, needs in sorted(by_name.items()):
            missing = [need for need in needs if need.outcome == "missing"]
            searched = dict.fromkeys(folder for need in missing for folder in need.searched)
            resolution = self._resolution((missing or needs)[0])
            if missing and all(self._leads_out(need) for need in missing):
                resolution = "sibling"
            requirers = tuple(sorted({need.requirer for need in missing or needs}))
            yield External(name, requirers, resolution, tuple(searched))

    def platform(self, siblings: tuple[str, ...]) -> tuple[Platform, tuple[str, ...]]:
        """The verdict: the lowest tag, and why not a lower one, and not what is claimed."""
        claimed = self.looked.claimed if self.looked.kind == "wheel" else ()
        lowest = self.case.system.judge(self.case.own, (), siblings)
        asked = self.case.system.judge(self.case.own, claimed, siblings) if claimed else lowest
        honest = set(asked.platforms)
        refused = tuple(one for one in asked.blockers if one.tag in self._lies(asked, claimed))
        tag = lowest.tag
        if asked.tag.startswith("musllinux") and honest & set(claimed):
            tag = asked.tag  # nothing in a binary tells the versions of musl apart
        if not tag and self.case.format == "elf":
            tag = f"linux_{self._machine}"
        blockers = tuple(dict.fromkeys((*refused, *lowest.blockers)))
        notes = dict.fromkeys((*asked.notes, *lowest.notes, *self._misfits()))
        return Platform(tag, self.looked.claimed, blockers), tuple(notes)

    def strangers(self, loaded: Mapping[str, Binary]) -> Iterator[str]:
        """Notes on what was not judged: code for other machines, devices and systems."""
        by_kind: dict[str, list[str]] = {}
        for path, binary in loaded.items():
            if path not in self.case.own:
                machines = " and ".join(binary.machines)
                kind = f"{_NAMES.get(binary.platform or binary.format, binary.platform)} {machines}"
                by_kind.setdefault(kind, []).append(path)
        for kind, (first, *others) in by_kind.items():
            more = f" and {len(others)} more are" if others else " is"
            yield f"{first}{more} for {kind}, and not judged"

    def unreached(self, missing: Collection[str]) -> Iterator[str]:
        """A note on missing libraries that the subject has, where their requirers do not look.

        `auditwheel` lets these forbid every tag; what a system has to bring is what tags are about.
        """
        inside = {path.rsplit("/", 1)[-1]: path for path in self.case.own}
        inside |= {binary.soname: path for path, binary in self.case.own.items() if binary.soname}
        places = sorted(inside[name] for name in missing if name in inside)
        if places and self.case.format == "elf":
            more = f" and {len(places) - 1} more are" if places[1:] else " is"
            yield f"{places[0]}{more} needed by files that look elsewhere; the tag does not count that"

    def without(
        self, missing: Sequence[str], siblings: tuple[str, ...], platform: Platform
    ) -> Iterator[str]:
        """A note on the tag that only missing libraries forbid: the symbols alone would allow it."""
        if self.case.format == "elf" and missing and platform.tag.startswith("linux_"):
            names = (*siblings, *map(_escaped, missing))
            tag = self.case.system.judge(self.case.own, (), names).tag
            if tag and not tag.startswith("linux_"):
                yield f"with all that is missing it would deserve {tag}"

    @property
    def _machine(self) -> str:
        return next(iter(self.case.own.values())).machine

    @staticmethod
    def _lies(asked: Verdict, claimed: Iterable[str]) -> Collection[str]:
        """The names under which blockers speak of claims that do not hold."""
        return {one.tag for one in asked.blockers} - set(asked.platforms) if claimed else ()

    def _misfits(self) -> Iterator[str]:
        """What a conda package says of itself and what is in it."""
        for subdir in self.looked.claimed if self.looked.kind == "conda" else ():
            machine = CONDA.get(subdir, subdir.rpartition("-")[2])
            if subdir != "noarch" and not any(
                machine in one.machines for one in self.case.own.values()
            ):
                yield f"{subdir} is claimed, but the binaries are for {self._machine}"

    def _leads_out(self, need: Need) -> bool:
        """Whether a requirer looks where other packages put their files.

        These are, for a wheel, the other folders of site-packages, and the whole environment for a
        conda package.
        """
        if self.looked.kind == "conda":
            return not need.searched or any(_is_inside(folder) for folder in need.searched)
        tops = self.looked.facts.tops
        if self.looked.kind != "wheel" or not tops:
            return False
        own = {*tops, "", ".", ".."}
        return any(
            _is_inside(folder) and folder.split("/", 1)[0] not in own for folder in need.searched
        )

    def _resolution(self, need: Need) -> str:
        match need.outcome:
            case "inside":
                folders = need.place.split("/")[:-1]
                return "grafted" if any(one.endswith(_GRAFTED) for one in folders) else "inside"
            case "system" if self.case.format == "elf":
                return self._promise(need.name)
            case "excluded":
                return "driver"
            case other:
                return other

    def _promise(self, name: str) -> str:
        promised = [policy.name for policy in self._policies() if name in policy.libraries]
        return f"whitelisted by {promised[0] if promised else 'every policy'}"

    def _policies(self) -> Sequence[Policy]:
        is_musl = any(libc_of(binary) == "musl" for binary in self.case.own.values())
        return policies(self._machine, "musl" if is_musl else "glibc")


def _is_inside(folder: str) -> bool:
    return not folder.startswith(("/", "../")) and folder != ".."


def _escaped(name: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", name)


def _brief(binary: Binary) -> Binary:
    """A binary without the names it takes from others: large packages have a hundred thousand."""
    return replace(
        binary,
        undefined=(),
        versions_needed=tuple(replace(need, symbols=()) for need in binary.versions_needed),
        slices=tuple(map(_brief, binary.slices)),
    )
