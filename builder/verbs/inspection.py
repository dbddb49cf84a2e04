"""What `inspect` found, as values, and their form in the document of `builder inspect --json`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from builder.binary import Binary
from builder.relink.policy import Blocker

__all__ = [
    "External",
    "Failure",
    "Found",
    "Inspection",
    "Kind",
    "Platform",
    "Subject",
    "Unread",
    "highest_versions",
]

Kind = Literal["wheel", "folder", "binary"]

_NUMBERED = re.compile(r"(.+)_(\d+(?:\.\d+)*)")


@dataclass(frozen=True, slots=True)
class Found:
    """One binary and where it is in its subject."""

    path: str
    binary: Binary

    def to_json(self) -> Mapping[str, object]:
        """One entry of `binaries`; `min_os` and `signature` are not known of ELF files."""
        return {
            "path": self.path,
            "format": self.binary.format,
            "machine": [self.binary.machine],
            "soname": self.binary.soname or None,
            "needed": list(self.binary.needed),
            "rpath": list(self.binary.rpath),
            "runpath": list(self.binary.runpath),
            "symbol_versions": dict(highest_versions(self.binary)),
            "min_os": None,
            "signature": None,
            "cuda_archs": list(self.binary.cuda_architectures),
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

    `resolution` is `grafted` (in a `*.libs` folder of the subject), `inside` (elsewhere in it),
    `whitelisted by POLICY` (the oldest that promises it on every machine), `python` (the
    interpreter brings it), `sibling` (not in this wheel, but all who need it have an rpath to what
    another one puts into site-packages) or `missing`. `searched` are the folders, relative to
    site-packages or the subject, that a `sibling` or `missing` one is looked for in.
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
    """The lowest platform tag that the binaries deserve, and the tags that the file name claims.

    `tag` is `any` for a wheel without binaries, `linux_ARCH` where no policy fits, and empty where
    nothing could be judged; libraries of siblings do not count. `blockers` say why not the next
    lower policy, and why not each claimed one that is not deserved.
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
    """One wheel, folder or single binary, looked into. `path` is as it was given."""

    path: str
    kind: Kind
    binaries: tuple[Found, ...]
    unread: tuple[Unread, ...]
    external: tuple[External, ...]
    platform: Platform

    def to_json(self) -> Mapping[str, object]:
        """One entry of `subjects`."""
        return {
            "path": self.path,
            "kind": self.kind,
            "binaries": [found.to_json() for found in self.binaries],
            "unread": [unread.to_json() for unread in self.unread],
            "external": [external.to_json() for external in self.external],
            "platform": self.platform.to_json(),
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
    """Everything that was looked into, and what could not be, each in the order given."""

    subjects: tuple[Subject, ...]
    failures: tuple[Failure, ...]

    def to_json(self) -> Mapping[str, object]:
        """The whole document of `builder inspect --json`."""
        return {
            "schema": 1,
            "subjects": [subject.to_json() for subject in self.subjects],
            "failures": [failure.to_json() for failure in self.failures],
        }


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
