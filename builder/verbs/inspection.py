"""What `inspect` found, as values, and their form in the document of `builder inspect --json`."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from builder.archive.tally import Tally
from builder.binary.model import Binary

if TYPE_CHECKING:
    from builder.relink.look import Kind
    from builder.relink.policy import Blocker

__all__ = [
    "External",
    "Failure",
    "Found",
    "Inspection",
    "Platform",
    "Subject",
    "Unread",
    "highest_versions",
    "min_os_of",
    "printable",
]

_NUMBERED = re.compile(r"(.+)_(\d+(?:\.\d+)*)")


@dataclass(frozen=True, slots=True)
class Found:
    """One binary and where it is in its subject.

    Without its undefined names: large packages have a hundred thousand, and those that matter are
    told by the blockers of their platform.
    """

    path: str
    binary: Binary

    def to_json(self) -> Mapping[str, object]:
        """One entry of `binaries`. `slices` has one for each machine of a universal file."""
        return {
            "path": self.path,
            **_facts(self.binary),
            "slices": list(map(_facts, self.binary.slices)),
        }


@dataclass(frozen=True, slots=True)
class Unread:
    """A file that is a binary by its first bytes and could not be read, and why."""

    path: str
    reason: str

    def to_json(self) -> Mapping[str, object]:
        """One entry of `unread`."""
        return {"path": self.path, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class External:
    """A library that binaries of the subject need, and where the loader will find it.

    `resolution` is `grafted` (in the folder for libraries that were put into the subject),
    `inside` (elsewhere in it), `whitelisted by POLICY` (the oldest that promises it on every
    machine), `system` (macOS or Windows brings it), `driver` (that of a device brings it), `python`
    (the interpreter brings it), `sibling` (not in this package, but all who need it look where
    others put theirs), `optional` (its requirer runs without) or `missing`. `searched` are the
    folders, relative to site-packages or the subject, that a `sibling` or `missing` one is looked
    for in.
    """

    name: str
    required_by: tuple[str, ...]
    resolution: str
    searched: tuple[str, ...] = ()

    def to_json(self) -> Mapping[str, object]:
        """One entry of `external`."""
        return {
            "name": self.name,
            "required_by": list(self.required_by),
            "resolution": self.resolution,
            "searched": list(self.searched),
        }


@dataclass(frozen=True, slots=True)
class Platform:
    """The lowest platform tag that the binaries deserve, and what the subject claims to be for.

    `tag` is `any` for a wheel without binaries, `linux_ARCH` where no policy fits, and empty where
    nothing could be judged; libraries of siblings do not count. `blockers` say why not the next
    lower tag, and why not each claimed one that is not deserved. A conda package claims what conda
    calls its platform.
    """

    tag: str
    claimed: tuple[str, ...] = ()
    blockers: tuple[Blocker, ...] = ()

    def to_json(self) -> Mapping[str, object]:
        """The entry `platform`."""
        return {
            "tag": self.tag or None,
            "claimed": list(self.claimed),
            "blockers": [
                {
                    "tag": blocker.tag,
                    "binary": blocker.binary,
                    "symbol": blocker.symbol or None,
                    "library": blocker.library,
                }
                for blocker in self.blockers
            ],
        }


@dataclass(frozen=True, slots=True)
class Subject:
    """One thing that was looked into. `path` is as it was given.

    `notes` are what a user should know and what is no fault: foreign code, claims that are vague.
    """

    path: str
    kind: Kind
    binaries: tuple[Found, ...]
    unread: tuple[Unread, ...]
    external: tuple[External, ...]
    platform: Platform
    notes: tuple[str, ...] = ()

    def to_json(self) -> Mapping[str, object]:
        """One entry of `subjects`."""
        return {
            "path": self.path,
            "kind": self.kind,
            "binaries": [found.to_json() for found in self.binaries],
            "unread": [unread.to_json() for unread in self.unread],
            "external": [external.to_json() for external in self.external],
            "platform": self.platform.to_json(),
            "notes": list(self.notes),
        }


@dataclass(frozen=True, slots=True)
class Failure:
    """A path that could not be looked into at all, why, and what to do next."""

    path: str
    error: str
    hint: str

    def to_json(self) -> Mapping[str, object]:
        """One entry of `failures`."""
        return {"path": self.path, "error": self.error, "hint": self.hint}


@dataclass(frozen=True, slots=True)
class Inspection:
    """Everything that was looked into, and what could not be, each in the order given.

    `work` counts what it cost.
    """

    subjects: tuple[Subject, ...]
    failures: tuple[Failure, ...]
    work: Tally = field(default_factory=Tally)

    def to_json(self) -> Mapping[str, object]:
        """The whole document of `builder inspect --json`."""
        return {
            "schema": 1,
            "subjects": [subject.to_json() for subject in self.subjects],
            "failures": [failure.to_json() for failure in self.failures],
            "work": dict(self.work.to_json()),
        }


def min_os_of(binary: Binary) -> str:
    """The oldest system on which all code of a binary runs; empty when it does not say."""
    return max((one.min_os for one in binary.each), key=_number, default="")


def highest_versions(binary: Binary) -> Mapping[str, str]:
    """The highest version of each family that a binary needs: `{"GLIBC": "2.28"}`, sorted.

    A version without a number (`GLIBC_PRIVATE`, `libcudart.so.13`) is a family with an empty one.
    """
    highest: dict[str, tuple[int, ...]] = {}
    for need in binary.versions_needed:
        match = _NUMBERED.fullmatch(need.version)
        family = match[1] if match else need.version
        number = tuple(map(int, match[2].split("."))) if match else ()
        highest[family] = max(highest.get(family, ()), number)
    return {family: ".".join(map(str, number)) for family, number in sorted(highest.items())}


def printable(text: str) -> str:
    """Text that can always be printed, whatever bytes the file system has in it."""
    return os.fsencode(text).decode("utf-8", "backslashreplace") if not text.isascii() else text


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())


def _facts(binary: Binary) -> Mapping[str, object]:
    """What the document says of a binary, or of one slice of it."""
    return {
        "format": binary.format,
        "machine": list(binary.machines),
        "kind": binary.kind,
        "soname": binary.soname or None,
        "needed": list(binary.needed),
        "optional": list(binary.optional),
        "delayed": list(binary.delayed),
        "rpath": list(binary.rpath),
        "runpath": list(binary.runpath),
        "interpreter": binary.interpreter or None,
        "symbol_versions": dict(highest_versions(binary)),
        "os": binary.platform or None,
        "min_os": min_os_of(binary) or None,
        "sdk": binary.sdk or None,
        "signature": binary.signature or None,
        "properties": list(binary.properties),
        "build_id": binary.build_id or None,
        "cuda_archs": list(binary.cuda_architectures),
    }
