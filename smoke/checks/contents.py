"""Checks on the package as a whole: what it bears, and what is in it twice."""

from __future__ import annotations

import re
from collections import defaultdict
from datetime import date

from smoke.catalogue import NO_BINARIES, Check, Outcome, Skip
from smoke.claims import version_of
from smoke.runtimes import PEACEFUL, family
from smoke.subject import ARTIFACTS, Subject, content_of
from smoke.waiving import expired

__all__ = ["CHECKS"]

_NIGHTLY = re.compile(r"\.dev(\d{4})(\d\d)(\d\d)(?!\d)")


def _waivers(subject: Subject) -> Outcome | Skip:
    if not subject.checks.waivers:
        return Skip("the recipe bears no problems")
    return Outcome(expired(subject.checks.waivers, subject.expectations.today))


def _age(subject: Subject) -> Outcome | Skip:
    most, version = subject.checks.nightly_age, version_of(content_of(subject))
    if most is None:
        return Skip("the recipe does not say how old a nightly may be (`check.nightly-age`)")
    if (match := _NIGHTLY.search(version)) is None:
        return Skip(f"`{version}` is no nightly" if version else "it says no version")
    try:
        day = date(int(match[1]), int(match[2]), int(match[3]))
    except ValueError:
        return Outcome((f"{subject.path.name}: `{version}` names no day of the calendar",))
    days = (subject.expectations.today - day).days
    if 0 <= days <= most:
        return Outcome()
    told = f"is {days} days old, {most} are allowed" if days > 0 else "is of a day to come"
    return Outcome((f"{subject.path.name}: `{version}` {told}",))


def _runtimes(subject: Subject) -> Outcome | Skip:
    content = content_of(subject)
    if not content.binaries:
        return NO_BINARIES
    copies: dict[str, list[str]] = defaultdict(list)
    for member, binary in content.binaries:
        name = family(binary.soname) or family(member.name)
        if name:
            copies[name].append(member.name)
    texts = {
        name: f"{names[0]}: {len(names)} copies of {name}: {', '.join(names)}"
        for name, names in sorted(copies.items())
        if len(names) > 1
    }
    return Outcome(
        tuple(text for name, text in texts.items() if name not in PEACEFUL),
        tuple(text for name, text in texts.items() if name in PEACEFUL),
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
        "version.age",
        "A nightly is as young as the recipe wants it.",
        ("wheel", "conda", "archive"),
        "artifact",
        "find out why the nights since then gave nothing; until then users get this one again",
        _age,
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
