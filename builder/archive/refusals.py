"""Which members of an archive may be written: pure rules, applied before anything is written.

Every rule has a name, so that a refusal says which one was broken (CVE-2007-4559, Zip Slip).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final, Literal, get_args

from builder.errors import UsageError

__all__ = [
    "RULES",
    "Kind",
    "Limits",
    "Member",
    "Refusal",
    "Rule",
    "UnpackError",
    "harm",
    "refuse",
    "strip_top",
]

Kind = Literal["file", "directory", "link", "hardlink", "special"]

Rule = Literal[
    "absolute",
    "bomb",
    "case",
    "conflict",
    "damaged",
    "duplicate",
    "encrypted",
    "link",
    "name",
    "special",
    "traversal",
]
RULES: Final[tuple[str, ...]] = get_args(Rule)

_DRIVE = re.compile(r"[A-Za-z]:")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_LONGEST_NAME: Final = 255
_LONGEST_PATH: Final = 4096
_MANY_FOLDERS: Final = 1000
_MOST_HOPS: Final = 40
_MOST_STEPS: Final = 2048
"""Parts of paths that are walked over to see where a link leads."""
_MOST_PLACES: Final = 1 << 18
"""Folders in which there are links, and the links themselves."""

_Places = dict[tuple[int, str], int]
"""A path as a chain of numbers, by the one before and the next part: each part is held once."""
_ROOT, _NOWHERE = -1, -2


@dataclass(frozen=True, slots=True)
class Limits:
    """How much an archive may unfold to: bytes in total, members, and bytes per packed byte.

    The ratio counts once there are more than `floor` bytes.
    """

    total: int = 16 << 30
    ratio: int = 250
    floor: int = 64 << 20
    members: int = 1_000_000


@dataclass(frozen=True, slots=True)
class Member:
    """One entry of an archive. `name` is as written, and so is `target` of a link or hard link."""

    name: str
    kind: Kind
    size: int = 0
    executable: bool = False
    target: str = ""
    encrypted: bool = False

    @property
    def path(self) -> str:
        """The name without `.` and empty components; empty for the root itself."""
        return _path(self.name)


@dataclass(frozen=True, slots=True)
class Refusal:
    """One member that is not written, the rule it breaks, and how."""

    member: str
    rule: Rule
    why: str

    def __str__(self) -> str:
        return f"{self.member!r}: {self.rule}: {self.why}"


class UnpackError(UsageError):
    """An archive that is damaged, or not safe to unpack; `refusals` say which members and why."""

    def __init__(self, archive: str, refusals: Sequence[Refusal]) -> None:
        super().__init__(
            f"`{archive}` is not safe to unpack",
            faults=[str(refusal) for refusal in refusals],
            hint="check where it comes from; if you trust it, unpack it and give the folder",
        )
        self.refusals = tuple(refusals)


def refuse(members: Sequence[Member], packed: int, limits: Limits) -> tuple[Refusal, ...]:
    """Every reason not to unpack these members of an archive of `packed` bytes; none: it is safe.

    Link targets are judged against the root that names are relative to: strip the top before.
    """
    if _are_plain(members):
        return tuple(_bad_size(members, packed, limits))
    named = [refusal for member in members for refusal in _bad_name(member)]
    bad = {refusal.member for refusal in named}
    sound = [member for member in members if member.name not in bad]
    return (
        *named,
        *_bad_size(members, packed, limits),
        *_collisions(sound),
        *_bad_links(sound),
    )


def harm(members: Sequence[Member], packed: int) -> tuple[Refusal, ...]:
    """The same for an archive that is only looked into: a clash of case is legal on Linux."""
    return tuple(one for one in refuse(members, packed, Limits()) if one.rule != "case")


def _are_plain(members: Sequence[Member]) -> bool:
    """Whether all are files with plain names, no two alike: quick to see, and nearly always so."""
    folders: set[str] = set()
    names: set[str] = set()
    for member in members:
        name = member.name
        inside = f"/{name}/"
        if (
            member.kind != "file"
            or member.encrypted
            or member.size < 0
            or not (name.isascii() and name.isprintable() and len(name) <= _LONGEST_NAME)
            or "\\" in name
            or ":" in name
            or "//" in inside
            or "/../" in inside
            or "/./" in inside
        ):
            return False
        names.add(name.lower())
        folder = name.rpartition("/")[0]
        while folder and folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
        if len(folders) > _MANY_FOLDERS + 4 * len(members):
            return False
    small = {folder.lower() for folder in folders}
    return len(names) == len(members) and len(small) == len(folders) and small.isdisjoint(names)


def strip_top(members: Sequence[Member]) -> tuple[Member, ...]:
    """The same members without their one common top folder, if they have one."""
    if any(member.name.startswith("/") or ".." in member.name.split("/") for member in members):
        return tuple(members)
    tops = {member.path.split("/", 1)[0] for member in members if member.path}
    top = next(iter(tops), "")
    if len(tops) != 1 or any(m.path == top and m.kind != "directory" for m in members):
        return tuple(members)

    def below(name: str) -> str:
        path = _path(name)
        return path.removeprefix(top).removeprefix("/") if path.split("/", 1)[0] == top else name

    return tuple(
        replace(
            member,
            name=below(member.name) or ".",
            target=below(member.target) if member.kind == "hardlink" else member.target,
        )
        for member in members
    )


def _path(name: str) -> str:
    return "/".join(part for part in name.split("/") if part not in {"", "."})


def _bad_name(member: Member) -> Iterable[Refusal]:
    def no(rule: Rule, why: str) -> Refusal:
        return Refusal(member.name, rule, why)

    if len(member.name) > _LONGEST_PATH:
        yield no("name", "it is too long")
        return
    parts = member.name.split("/")
    if member.name.startswith("/") or _DRIVE.match(member.name):
        yield no("absolute", "the path is absolute")
    if ".." in parts:
        yield no("traversal", "the path has a `..`")
    if not member.path and member.kind != "directory":
        yield no("name", "there is no name")
    if _CONTROL.search(member.name) or "\\" in member.name:
        yield no("name", "there is a control character or a backslash in it")
    try:
        encoded = [part.encode() for part in parts]
    except UnicodeEncodeError:
        yield no("name", "it is not UTF-8")
    else:
        if max(map(len, encoded)) > _LONGEST_NAME or sum(map(len, encoded)) > _LONGEST_PATH:
            yield no("name", "it is too long")
    if member.kind == "special":
        yield no(
            "special", "only files, folders and links are unpacked, no devices, pipes, sparse files"
        )
    if member.encrypted:
        yield no("encrypted", "it needs a password")


def _bad_size(members: Sequence[Member], packed: int, limits: Limits) -> Iterable[Refusal]:
    sizes: Mapping[str, int] = {}
    if any(member.kind == "hardlink" for member in members):
        sizes = {member.path: member.size for member in members}
    total = 0
    for member in members:
        if member.size < 0:
            yield Refusal(member.name, "damaged", "its size is negative")
        # A hard link is written as a copy.
        size = sizes.get(_path(member.target), 0) if member.kind == "hardlink" else member.size
        total += max(size, 0)
    if len(members) > limits.members:
        yield Refusal("*", "bomb", f"it has {len(members)} members, more than {limits.members}")
    if total > limits.total:
        yield Refusal("*", "bomb", f"it unfolds to {total} bytes, more than {limits.total}")
    elif total > limits.floor and total > packed * limits.ratio:
        yield Refusal(
            "*", "bomb", f"{packed} bytes unfold to {total}, more than {limits.ratio} times"
        )


def _collisions(members: Sequence[Member]) -> Iterable[Refusal]:
    """Paths that would be written twice, on this file system or on one that ignores case."""
    found: dict[str, Member] = {}
    for member in members:
        path = member.path
        before = found.setdefault(path, member) if path else member
        if before is not member and not before.kind == member.kind == "directory":
            yield Refusal(member.name, "duplicate", "it is there twice")
            found[path] = before if member.kind == "directory" else member
    yield from _alike(found)
    yield from _below_files(found)


def _alike(found: Mapping[str, Member]) -> Iterable[Refusal]:
    """Names that only differ in case or accents: sorted without them, they are neighbours."""
    rows = sorted((_sortable(_fold(path)), at, path) for at, path in enumerate(found))
    for pair in pairwise(rows):
        (_, _, twin), (_, _, path) = sorted(pair, key=lambda row: row[1])
        parts = twin.split("/")
        for count, (one, other) in enumerate(zip(parts, path.split("/"), strict=False), 1):
            if one != other and _fold(one) == _fold(other):
                twin = "/".join(parts[:count])
                why = f"it differs from {twin!r} only in case or accents"
                yield Refusal(found[path].name, "case", why)
            if one != other:
                break


def _below_files(found: Mapping[str, Member]) -> Iterable[Refusal]:
    """What has a file for a folder, behind which it comes when they are sorted."""
    files: list[str] = []
    for path in sorted(found, key=_sortable):
        while files and not path.startswith(f"{files[-1]}/"):
            files.pop()
        if files:
            yield Refusal(found[path].name, "conflict", f"{files[-1]!r} is not a folder")
        if found[path].kind != "directory":
            files.append(path)


def _sortable(path: str) -> str:
    """A text by which a folder comes right before what is in it."""
    return path.replace("/", "\0")


def _fold(path: str) -> str:
    return unicodedata.normalize("NFC", path).casefold()


def _bad_links(members: Sequence[Member]) -> Iterable[Refusal]:
    links = _Links({}, {})
    for member in members:
        if member.kind == "link" and len(member.target) <= _LONGEST_PATH:
            links.add(member)
        if len(links.places) > _MOST_PLACES:
            yield Refusal("*", "bomb", "its links are in more folders than there can be")
            return
    files: set[str] = set()
    for member in members:
        if member.kind == "file":
            files.add(member.path)
        if member.kind == "link" and (why := _leaves(member, links)):
            yield Refusal(member.name, "link", why)
        if member.kind == "hardlink" and _path(member.target) not in files:
            yield Refusal(member.name, "link", f"{member.target!r} is no file that comes before it")


@dataclass(frozen=True, slots=True)
class _Links:
    """The links of an archive: the parts of their paths, and the target of the last part."""

    places: _Places
    targets: dict[int, str]

    def add(self, member: Member) -> None:
        here = _ROOT
        for part in member.path.split("/"):
            here = self.places.setdefault((here, part), len(self.places))
        self.targets[here] = member.target


def _leaves(member: Member, links: _Links) -> str:
    """Why following this link could end outside of the root; empty when it cannot.

    Walks as the kernel does, through every other link of the archive (path_resolution(7)).
    """
    if len(member.target) > _LONGEST_PATH:
        return "its target is too long"
    here = [_ROOT]
    ahead = member.path.split("/")[::-1]
    hops = steps = 0
    while ahead:
        part = ahead.pop()
        steps += 1
        if part in {"", "."}:
            continue
        if part == "..":
            if len(here) == 1:
                return f"its target {member.target!r} is outside of the archive"
            here.pop()
            continue
        here.append(links.places.get((here[-1], part), _NOWHERE))
        target = links.targets.get(here[-1])
        if target is None:
            continue
        hops += 1
        if hops > _MOST_HOPS or steps + len(ahead) > _MOST_STEPS:
            return f"its target {member.target!r} goes round in circles"
        if (
            not target
            or target.startswith("/")
            or _DRIVE.match(target)
            or "\\" in target
            or "\0" in target
        ):
            return f"its target {target!r} is not a relative path"
        here.pop()
        ahead.extend(target.split("/")[::-1])
    return ""
