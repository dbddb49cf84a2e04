"""The platform tags of macOS wheels: which one a set of binaries deserves, and what forbids others.

A tag says `macosx_MAJOR_MINOR_ARCHITECTURE`; from macOS 11 on the minor version is always 0, and
there is no arm64 machine with less than 11.0.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from builder.binary import Binary
from builder.relink.dyld import apple
from builder.relink.policy import Blocker
from builder.relink.system import Verdict

__all__ = ["judge_macos", "macos_tag"]

_TAG = re.compile(r"macosx_(\d{1,4})_(\d{1,4})_(\w+)")
_ELEVEN = 11


@dataclass(frozen=True, slots=True)
class _Promise:
    """A tag: the machines it speaks for and the version it promises to run on."""

    architecture: str
    machines: tuple[str, ...]
    version: tuple[int, int]

    @property
    def tag(self) -> str:
        """The spelling in a file name."""
        return f"macosx_{self.version[0]}_{self.version[1]}_{self.architecture}"

    @property
    def is_asked_for(self) -> bool:
        """Whether there is an installer that ever looks for this tag."""
        is_new = self.version >= (_ELEVEN, 0)
        return not self.version[1] if is_new else self.machines != ("arm64",)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What one slice of one file asks for; the version is empty for no demand."""

    path: str
    machine: str
    version: tuple[int, ...]
    text: str


def macos_tag(version: str, architecture: str) -> str:
    """The tag for a deployment target: `11.3` and `arm64` give `macosx_11_0_arm64`."""
    major, minor = _rounded(_numbers(version))
    return f"macosx_{major}_{minor}_{architecture}"


def judge_macos(binaries: Mapping[str, Binary], claimed: Iterable[str]) -> Verdict:
    """The claimed tags that hold for every binary, or the lowest that does when none of them holds.

    The blockers name what forbids a claimed tag, or else what the tag is not lower for.
    """
    asked = tuple(
        _Asked(path, one.machine, _numbers(one.min_os), one.min_os)
        for path, binary in sorted(binaries.items())
        for one in binary.each
    )
    claims = tuple(claimed)
    promises = tuple(promise for tag in claims if (promise := _parse(tag)))
    found = {promise.tag: _blockers(promise, binaries, asked) for promise in promises}
    honest = tuple(one.tag for one in promises if one.is_asked_for and not found[one.tag])
    refused = tuple(blocker for blockers in found.values() for blocker in blockers)
    deserved = _deserved(binaries, asked, {promise.architecture for promise in promises})
    notes = [*_unsaid(asked)]
    notes += [f"no installer asks for {one.tag}" for one in promises if not one.is_asked_for]
    if honest:
        notes += [f"the tag {tag} is not true and is dropped" for tag in claims if found.get(tag)]
        return Verdict(honest, honest[0], refused or _limits(deserved, asked), tuple(notes))
    if deserved is None:
        return Verdict((), "", refused or _strangers(binaries), tuple(notes))
    notes += [f"the tag {tag} is not true: it is {deserved.tag}" for tag in claims]
    return Verdict((deserved.tag,), deserved.tag, refused or _limits(deserved, asked), tuple(notes))


def _deserved(
    binaries: Mapping[str, Binary], asked: tuple[_Asked, ...], claimed: AbstractSet[str]
) -> _Promise | None:
    """The lowest version for the widest architecture that every file has, or one that is claimed."""
    sets = [frozenset(binary.machines) for binary in binaries.values()]
    common = frozenset.intersection(*sets) if sets else frozenset[str]()
    table = apple().tags
    known = [name for name, machines in table.items() if common.issuperset(machines)]
    if not known:
        return None
    known = [name for name in known if name in claimed] or known
    name = max(known, key=lambda name: (len(table[name]), name == "universal2"))
    machines = table[name]
    floors = [_numbers(apple().lowest.get(machine, "10.4")) for machine in machines]
    # An arm64 machine has 11.0 at least, so a universal tag need not say so.
    versions = [
        one.version
        for one in asked
        if one.machine in machines and not (len(machines) > 1 and _is_given(one))
    ]
    return _Promise(name, machines, _rounded(max((min(floors), *versions))))


def _blockers(
    promise: _Promise, binaries: Mapping[str, Binary], asked: tuple[_Asked, ...]
) -> tuple[Blocker, ...]:
    """Every slice that is missing or asks for a newer macOS than a tag promises."""
    missing = [
        Blocker(promise.tag, path, "", f"code for {machine}, which it has not")
        for path, binary in sorted(binaries.items())
        for machine in promise.machines
        if machine not in binary.machines
    ]
    newer = [
        Blocker(promise.tag, one.path, "", _demand(one, promise))
        for one in asked
        if one.machine in promise.machines
        and _rounded(one.version) > promise.version
        and not _is_given(one)
    ]
    return tuple(dict.fromkeys((*missing, *newer)))


def _limits(deserved: _Promise | None, asked: tuple[_Asked, ...]) -> tuple[Blocker, ...]:
    """The slices that ask for just the version of the deserved tag: without them it were lower."""
    if deserved is None:
        return ()
    floor = min(_numbers(apple().lowest.get(machine, "10.4")) for machine in deserved.machines)
    if deserved.version <= _rounded(floor):
        return ()
    return tuple(
        dict.fromkeys(
            Blocker(deserved.tag, one.path, "", _demand(one, deserved))
            for one in asked
            if one.machine in deserved.machines and _rounded(one.version) == deserved.version
        )
    )


def _strangers(binaries: Mapping[str, Binary]) -> tuple[Blocker, ...]:
    """Files that have no machine in common."""
    return tuple(
        Blocker("macosx", path, "", f"a {' or '.join(binary.machines)} machine, unlike others")
        for path, binary in sorted(binaries.items())
    )


def _unsaid(asked: tuple[_Asked, ...]) -> tuple[str, ...]:
    """Demands that no tag can express."""
    highest = max((one for one in asked), key=lambda one: one.version, default=None)
    if highest is None or highest.version <= _rounded(highest.version):
        return ()
    major, minor = _rounded(highest.version)
    return (f"{highest.path}: asks for macOS {highest.text}, of which a tag says {major}.{minor}",)


def _demand(one: _Asked, promise: _Promise) -> str:
    on = f" on {one.machine}" if len(promise.machines) > 1 else ""
    return f"macOS {one.text}{on}"


def _is_given(one: _Asked) -> bool:
    """Whether every machine of its kind has what a slice asks for."""
    floor = apple().lowest.get(one.machine)
    return floor is not None and one.version <= _numbers(floor)


def _parse(tag: str) -> _Promise | None:
    match = _TAG.fullmatch(tag)
    machines = apple().tags.get(match[3]) if match else None
    if match is None or machines is None:
        return None
    return _Promise(match[3], machines, (int(match[1]), int(match[2])))


def _rounded(version: tuple[int, ...]) -> tuple[int, int]:
    major, minor = (*version, 0, 0)[:2]
    return (major, 0) if major >= _ELEVEN else (major, minor)


def _numbers(version: str) -> tuple[int, ...]:
    """The parts of a version, without zeros at its end; nothing for none."""
    parts = tuple(int(part) for part in version.split(".") if part.isdecimal())
    while parts and not parts[-1]:
        parts = parts[:-1]
    return parts
