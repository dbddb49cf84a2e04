"""Checks on what the bytes hold: traces of the build, and twins."""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict

from smoke.catalogue import Check, Outcome, Skip
from smoke.grafts import unhashed
from smoke.subject import ARTIFACTS, Subject, content_of
from smoke.waiving import expired

__all__ = ["CHECKS", "PEACEFUL", "family"]

_RUNTIMES = (
    "libgomp",
    "libomp",
    "libiomp5",
    "libstdc++",
    "libgcc_s",
    "libgfortran",
    "libquadmath",
    "libcudart",
)
PEACEFUL = frozenset(("libgcc_s", "libgfortran", "libquadmath"))
"""Runtimes of which two copies cost their bytes and no more: callers of one never meet the other's
state. Whoever links OpenBLAS from its wheel has them twice."""
_NAME = re.compile(r"^(lib[A-Za-z0-9_+]+?)\.so(?:\.|$)")
_NO_BINARIES = Skip("there is no binary in it")


def family(file: str) -> str:
    """The runtime that a file is a copy of (`libgomp`), under its grafted name too, or nothing."""
    match = _NAME.match(unhashed(posixpath.basename(file)))
    return match[1] if match and match[1] in _RUNTIMES else ""


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
