"""Checks on what the bytes hold: unsafe binaries, traces of the build, twins, device code."""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict

from smoke.catalogue import Check, Outcome, Skip
from smoke.subject import ARTIFACTS, Subject, content_of
from smoke.waiving import expired

__all__ = ["CHECKS", "family"]

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
_NAME = re.compile(r"^(lib[A-Za-z0-9_+]+?)(?:-[0-9a-f]{8,})?\.so(?:\.|$)")
_NO_BINARIES = Skip("there is no binary in it")


def family(file: str) -> str:
    """The runtime that a file is a copy of (`libgomp`), under its grafted name too, or nothing."""
    match = _NAME.match(posixpath.basename(file))
    return match[1] if match and match[1] in _RUNTIMES else ""


def _readable(subject: Subject) -> Outcome:
    return Outcome(warnings=content_of(subject).damaged)


def _waivers(subject: Subject) -> Outcome | Skip:
    if not subject.checks.waivers:
        return Skip("the recipe bears no problems")
    return Outcome(expired(subject.checks.waivers, subject.expectations.today))


def _execstack(subject: Subject) -> Outcome | Skip:
    binaries = content_of(subject).binaries
    if not binaries:
        return _NO_BINARIES
    return Outcome(
        tuple(
            f"{member.name}: asks for an executable stack"
            for member, b in binaries
            if b.executable_stack
        )
    )


def _textrel(subject: Subject) -> Outcome | Skip:
    binaries = content_of(subject).binaries
    if not binaries:
        return _NO_BINARIES
    return Outcome(
        tuple(
            f"{member.name}: relocates its code (TEXTREL)"
            for member, b in binaries
            if b.text_relocations
        )
    )


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


def _architectures(subject: Subject) -> Outcome | Skip:
    wanted = {code for text in subject.expectations.architectures for code in _device_code(text)}
    if not wanted:
        return Skip("no CUDA architectures were asked for")
    holders = [
        (member.name, binary.cuda_architectures)
        for member, binary in content_of(subject).binaries
        if binary.cuda_architectures
    ]
    if not holders:
        return Outcome((f"{subject.path.name}: has no device code, wanted {_list(wanted)}",))
    found = {code for _, codes in holders for code in codes if not code.startswith("lto_")}
    missing, more = wanted - found, found - wanted
    first = holders[0][0]
    return Outcome(
        (f"{first}: lacks device code for {_list(missing)}",) if missing else (),
        (f"{first}: also has device code for {_list(more)}",) if more else (),
    )


def _device_code(architecture: str) -> set[str]:
    """What CMake compiles for one entry of its list: `80-real`, `90-virtual`, or both for `90`."""
    number, _, kind = architecture.partition("-")
    found = {"real": {f"sm_{number}"}, "virtual": {f"compute_{number}"}}
    return found.get(kind, found["real"] | found["virtual"])


def _list(names: set[str]) -> str:
    return ", ".join(sorted(names))


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
        "binary.readable",
        "Every file that begins like a binary is one.",
        ARTIFACTS,
        "artifact",
        "build or copy the named file again: it is truncated or was edited by a broken tool",
        _readable,
        "warning",
    ),
    Check(
        "binary.execstack",
        "No binary asks for an executable stack, which hardened hosts refuse to load.",
        ARTIFACTS,
        "artifact",
        "add `.note.GNU-stack` to the assembly sources, or link with `-z noexecstack`",
        _execstack,
    ),
    Check(
        "binary.textrel",
        "No binary relocates its own code at load time.",
        ARTIFACTS,
        "artifact",
        "compile everything that goes into the library with `-fPIC`",
        _textrel,
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
    Check(
        "cuda.architectures",
        "The device code is for the CUDA architectures that were asked for.",
        ARTIFACTS,
        "artifact",
        "let the project take `CMAKE_CUDA_ARCHITECTURES` instead of choosing its own list",
        _architectures,
    ),
)
