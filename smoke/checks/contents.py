"""Checks on what the bytes hold: traces of the build, and twins."""

from __future__ import annotations

from collections import defaultdict

from smoke.catalogue import Check, Outcome, Skip
from smoke.runtimes import family
from smoke.subject import ARTIFACTS, Subject, content_of
from smoke.waiving import expired

__all__ = ["CHECKS"]

_NO_BINARIES = Skip("there is no binary in it")


def _waivers(subject: Subject) -> Outcome | Skip:
    if not subject.checks.waivers:
        return Skip("the recipe bears no problems")
    return Outcome(expired(subject.checks.waivers, subject.expectations.today))


def _leaks(subject: Subject) -> Outcome | Skip:
    if not subject.expectations.build_paths:
        return Skip("the folders of the build are not known here")
    return Outcome(
        tuple(
            f"{member.name}: byte {leak.offset:#x} names the building machine: `{leak.text}`"
            for member in content_of(subject).members
            for leak in member.traces
            if leak.kind == "path"
        )
    )


def _runtimes(subject: Subject) -> Outcome | Skip:
    content = content_of(subject)
    if not content.binaries:
        return _NO_BINARIES
    copies: dict[str, list[str]] = defaultdict(list)
    for member, binary in content.binaries:
        name = family(binary.soname) or family(member.name)
        if name:
            copies[name].append(member.name)
    return Outcome(
        tuple(
            f"{names[0]}: {len(names)} copies of {name}: {', '.join(names)}"
            for name, names in sorted(copies.items())
            if len(names) > 1
        )
    )


CHECKS = (
    Check(
        "recipe.waivers",
        "No waiver of the recipe is beyond its day.",
        ARTIFACTS,
        "artifact",
        "mend what was borne, or find out who can, and give the waiver another day",
        _waivers,
    ),
    Check(
        "leak.paths",
        "No file names a folder of the building machine.",
        ARTIFACTS,
        "artifact",
        "compile with `-ffile-prefix-map`, and keep configure output out of what is installed",
        _leaks,
    ),
    Check(
        "duplicate.runtime",
        "No language runtime (OpenMP, C++, Fortran, CUDA) is in it twice.",
        ARTIFACTS,
        "artifact",
        "link everything against one copy; two of them disagree about threads and exceptions",
        _runtimes,
    ),
)
