"""The verdict on one subject: where everything it needs comes from, and which tag it deserves."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from builder.binary.model import Binary, Format
from builder.errors import UsageError
from builder.relink.closure import Need, Rules, libc_of
from builder.relink.look import Looked
from builder.relink.policy import Policy, policies
from builder.relink.system import System, Verdict
from builder.verbs.inspection import External, Found, Platform, Subject, Unread, printable

__all__ = ["judged"]

_LINUX: Final = re.compile(r"(?:linux|manylinux\d+|manylinux_\d+_\d+|musllinux_\d+_\d+)_(.+)")
_TAGS: Final[tuple[tuple[str, Format], ...]] = (
    ("linux", "elf"), ("manylinux", "elf"), ("musllinux", "elf"),
    ("macosx", "macho"), ("osx-", "macho"), ("win", "pe"),
)  # fmt: skip
_CONDA: Final = {
    "linux-32": "i686",
    "linux-64": "x86_64",
    "linux-armv7l": "armv7l",
    "osx-64": "x86_64",
    "win-32": "win32",
    "win-64": "amd64",
}
"""The machines of those whose name ends with something else."""
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
    case = _Case.of(looked, loaded)
    if case is None:
        tag = "any" if looked.kind == "wheel" and not found else ""
        platform = Platform(tag, looked.claimed)
        return Subject(shown, looked.kind, found, unread, (), platform, facts.notes)
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
class _Case:
    """The binaries of one system in a subject, and under which other paths they are found."""

    looked: Looked
    format: Format
    system: System
    own: Mapping[str, Binary]
    aliases: Mapping[str, Binary]

    @classmethod
    def of(cls, looked: Looked, loaded: Mapping[str, Binary]) -> _Case | None:
        """The case of the claimed system, or of most binaries; None when there are none."""
        by_format: dict[Format, dict[str, Binary]] = {}
        for path, binary in loaded.items():
            if _is_for_computers(binary):
                by_format.setdefault(binary.format, {})[path] = binary
        if not by_format:
            return None
        said = _said(looked.claimed)
        most = max(by_format, key=lambda name: (len(by_format[name]), name))
        format_ = said if said in by_format else most
        own = by_format[format_]
        if format_ == "elf":
            arch = _arch(own, looked.claimed)
            own = {path: binary for path, binary in own.items() if binary.machine == arch}
        system = _system(format_, looked, next(iter(own.values())).machine)
        return cls(looked, format_, system, own, _aliases(own, looked.facts.links))

    def external(self) -> Iterator[External]:
        """Every needed library by name, found as a loader would in the installed subject."""
        host = self.system.libraries(())
        members = {**self.own, **self.aliases}
        closure = self.system.resolve(members, Rules(), host, only_inside=True)
        by_name: dict[str, list[Need]] = {}
        for need in closure.needs:
            if need.requirer in self.own:
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
        lowest = self.system.judge(self.own, (), siblings)
        asked = self.system.judge(self.own, claimed, siblings) if claimed else lowest
        honest = set(asked.platforms)
        refused = tuple(one for one in asked.blockers if one.tag in self._lies(asked, claimed))
        tag = lowest.tag
        if asked.tag.startswith("musllinux") and honest & set(claimed):
            tag = asked.tag  # nothing in a binary tells the versions of musl apart
        if not tag and self.format == "elf":
            tag = f"linux_{self._machine}"
        blockers = tuple(dict.fromkeys((*refused, *lowest.blockers)))
        notes = dict.fromkeys((*asked.notes, *lowest.notes, *self._misfits()))
        return Platform(tag, self.looked.claimed, blockers), tuple(notes)

    def strangers(self, loaded: Mapping[str, Binary]) -> Iterator[str]:
        """Notes on what was not judged: code for other machines, devices and systems."""
        by_kind: dict[str, list[str]] = {}
        for path, binary in loaded.items():
            if path not in self.own:
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
        inside = {path.rsplit("/", 1)[-1]: path for path in self.own}
        inside |= {binary.soname: path for path, binary in self.own.items() if binary.soname}
        places = sorted(inside[name] for name in missing if name in inside)
        if places and self.format == "elf":
            more = f" and {len(places) - 1} more are" if places[1:] else " is"
            yield f"{places[0]}{more} needed by files that look elsewhere; the tag does not count that"

    def without(
        self, missing: Sequence[str], siblings: tuple[str, ...], platform: Platform
    ) -> Iterator[str]:
        """A note on the tag that only missing libraries forbid: the symbols alone would allow it."""
        if self.format == "elf" and missing and platform.tag.startswith("linux_"):
            names = (*siblings, *map(_escaped, missing))
            tag = self.system.judge(self.own, (), names).tag
            if tag and not tag.startswith("linux_"):
                yield f"with all that is missing it would deserve {tag}"

    @property
    def _machine(self) -> str:
        return next(iter(self.own.values())).machine

    @staticmethod
    def _lies(asked: Verdict, claimed: Iterable[str]) -> Collection[str]:
        """The names under which blockers speak of claims that do not hold."""
        return {one.tag for one in asked.blockers} - set(asked.platforms) if claimed else ()

    def _misfits(self) -> Iterator[str]:
        """What a conda package says of itself and what is in it."""
        for subdir in self.looked.claimed if self.looked.kind == "conda" else ():
            machine = _CONDA.get(subdir, subdir.rpartition("-")[2])
            if subdir != "noarch" and not any(machine in one.machines for one in self.own.values()):
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
            case "system" if self.format == "elf":
                return self._promise(need.name)
            case "excluded":
                return "driver"
            case other:
                return other

    def _promise(self, name: str) -> str:
        promised = [policy.name for policy in self._policies() if name in policy.libraries]
        return f"whitelisted by {promised[0] if promised else 'every policy'}"

    def _policies(self) -> Sequence[Policy]:
        is_musl = any(libc_of(binary) == "musl" for binary in self.own.values())
        return policies(self._machine, "musl" if is_musl else "glibc")


def _system(format_: Format, looked: Looked, machine: str) -> System:
    """The rules of one system; only those that are asked for are loaded."""
    match format_:
        case "elf":
            from builder.relink.linux import Linux  # noqa: PLC0415  # as said above

            return Linux(machine, is_native=False)
        case "macho":
            from builder.relink.macos import MacOS  # noqa: PLC0415  # as above

            return MacOS()
        case "pe":
            from builder.relink.windows import Windows  # noqa: PLC0415  # as above

            return Windows() if looked.registered is None else Windows(looked.registered)


def _is_for_computers(binary: Binary) -> bool:
    """Whether a system of desktops and servers may load a file: not so what is for a telephone."""
    return binary.platform in {"", "macos", "maccatalyst"}


def _said(claimed: Iterable[str]) -> Format | Literal[""]:
    """The format of binaries for the platforms that are named."""
    for tag in claimed:
        for start, format_ in _TAGS:
            if tag.startswith(start):
                return format_
    return ""


def _arch(own: Mapping[str, Binary], claimed: Iterable[str]) -> str:
    """The machine that is judged: the claimed one if any binary is for it, else the most common."""
    machines = [binary.machine for binary in own.values()]
    for tag in claimed:
        match = _LINUX.fullmatch(tag)
        said = match[1] if match else _CONDA.get(tag, tag.rpartition("-")[2])
        if said in machines:
            return said
    return max(sorted(set(machines)), key=machines.count)


def _aliases(own: Mapping[str, Binary], links: Mapping[str, str]) -> Mapping[str, Binary]:
    """The same binaries by the paths that symbolic links, also of folders, give to them."""
    aliases: dict[str, Binary] = {}
    for link, target in links.items():
        if target in own:
            aliases[link] = own[target]
        else:
            inner = f"{target}/"
            for path in own:
                if path.startswith(inner):
                    aliases[f"{link}/{path.removeprefix(inner)}"] = own[path]
    return {path: binary for path, binary in aliases.items() if path not in own}


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
