"""Checks against limits and the release before: what grew, and what users would miss."""

from __future__ import annotations

import posixpath
from fnmatch import fnmatchcase
from typing import Final

from builder.archive.content import role_of
from smoke.catalogue import Check, Outcome, Skip, some
from smoke.release import offers, snapshot
from smoke.subject import ARTIFACTS, Kind, Release, Subject, content_of

__all__ = ["CHECKS"]

_ALONE: Final = Skip("no release was given to compare with (`--expect`)")
_FILES: Final[tuple[Kind, ...]] = ("wheel", "conda", "archive", "binary")
_USUAL_GROWTH: Final = 10.0
_SHOWN: Final = 3


def _budget(subject: Subject) -> Outcome | Skip:
    name = subject.path.name
    limits = {g: b for g, b in subject.checks.size.budget.items() if fnmatchcase(name, g)}
    if not limits:
        return Skip("the recipe has no budget for it (`check.size.budget`)")
    size = subject.path.stat().st_size
    return Outcome(
        tuple(
            f"{name}: has {size} bytes, {size - most} more than `{glob}` may have"
            for glob, most in limits.items()
            if size > most
        )
    )


def _growth(subject: Subject) -> Outcome | Skip:
    before = subject.expectations.previous
    if before is None:
        return _ALONE
    if not before.size:
        return Skip(f"`{before.name}` has no file that could have grown")
    now, allowed = snapshot(subject), subject.checks.size.growth
    percent = 100 * (now.size - before.size) / before.size
    if percent <= (_USUAL_GROWTH if allowed is None else allowed):
        return Outcome()
    text = (
        f"{subject.path.name}: {percent:.1f} percent bigger than `{before.name}`: "
        f"{now.size} bytes unpacked, {before.size} before ({_most_grown(now, before)})"
    )
    return Outcome((text,)) if allowed is not None else Outcome(warnings=(text,))


def _most_grown(now: Release, before: Release) -> str:
    """The files that have most to do with it."""
    grown = {name: (size or 0) - (before.files.get(name) or 0) for name, size in now.files.items()}
    most = sorted(grown.items(), key=lambda pair: (-pair[1], pair[0]))[:_SHOWN]
    return ", ".join(f"`{name}` by {size}" for name, size in most if size > 0)


def _files(subject: Subject) -> Outcome | Skip:
    before = subject.expectations.previous
    if before is None:
        return _ALONE
    now = snapshot(subject)
    gone = [f"{name}: is gone ({role_of(name)})" for name in before.files if name not in now.files]
    changed = [
        f"{name}: became {'a link' if now.files[name] is None else 'a file'}"
        for name, size in before.files.items()
        if name in now.files and (now.files[name] is None) != (size is None)
    ]
    return Outcome((*sorted(gone), *sorted(changed)))


def _symbols(subject: Subject) -> Outcome | Skip:
    before = subject.expectations.previous
    if before is None:
        return _ALONE
    problems = []
    for name, symbols in offers(subject):
        had = before.offered.get(name, 0)
        if isinstance(had, int):
            if len(symbols) < had:
                problems.append(
                    f"{name}: exports {len(symbols)} symbols, {had - len(symbols)} fewer"
                )
            continue
        lost = sorted(had - symbols)
        if lost:
            problems.append(f"{name}: no longer offers {some(lost)}")
    return Outcome(tuple(sorted(problems)))


def _needed(subject: Subject) -> Outcome | Skip:
    before = subject.expectations.previous
    if before is None:
        return _ALONE
    now, problems = snapshot(subject), []
    if before.outside is not None and now.outside is not None:
        for name in sorted(now.outside - before.outside):
            users = [
                member.name
                for member, binary in content_of(subject).binaries
                if name in map(posixpath.basename, binary.needed)
            ]
            problems.append(f"{users[0]}: needs `{name}`, which `{before.name}` did without")
    if before.host is not None:
        expected = now.host or frozenset[str]()
        problems += [
            f"{name}: is now expected on the host" for name in sorted(expected - before.host)
        ]
    return Outcome(tuple(problems))


CHECKS = (
    Check(
        "size.budget",
        "The package is not bigger than the recipe allows.",
        _FILES,
        "artifact",
        "look with `size.growth` what grew; leave it out, or ask the index for more and raise the budget",
        _budget,
    ),
    Check(
        "size.growth",
        "The package did not grow by more than the recipe allows since the release before.",
        ARTIFACTS,
        "artifact",
        "leave out what is new and not wanted, or allow more in `check.size.growth`",
        _growth,
    ),
    Check(
        "diff.files",
        "Every file of the release before is still there; grafted libraries and caches do not count.",
        ARTIFACTS,
        "artifact",
        "bring it back, or say in the release notes that it is gone",
        _files,
    ),
    Check(
        "diff.symbols",
        "Every library still offers the symbols that it offered in the release before.",
        ARTIFACTS,
        "artifact",
        "bring them back, or give the library a new soname",
        _symbols,
    ),
    Check(
        "diff.needed",
        "Nothing is needed from outside that the release before did without.",
        ARTIFACTS,
        "artifact",
        "graft the library, declare it under `[bundle]`, or tell users that they need it now",
        _needed,
    ),
)
