"""Checks on what C++ users link against: one layout of `std::string`, said the same everywhere."""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from fnmatch import fnmatchcase
from typing import Final

from builder.config.recipe import CxxAbi
from smoke.again import offered
from smoke.catalogue import Check, Outcome, Skip
from smoke.mangled import layouts_of
from smoke.subject import ARTIFACTS, Member, Subject, content_of

__all__ = ["CHECKS"]

_UNSAID: Final = Skip("the recipe promises no layout of `std::string` (`check.abi`)")
_NAMED: Final = 3
_FLAG: Final = re.compile(r"(?:\b|(?<=\bD))_GLIBCXX_USE_CXX11_ABI\s*=\s*([01])\b")
_NAMES: Final = {True: "the layout of GCC 5 and later", False: "the layout before GCC 5"}


def _by_symbols(subject: Subject) -> Outcome | Skip:
    abi = subject.checks.abi
    if abi is None:
        return _UNSAID
    held = [member for member, _ in content_of(subject).binaries if _is_meant(member, abi)]
    if not held:
        return Skip(f"no library for Linux matches {', '.join(abi.libraries)}")
    count, wrong = 0, Counter[str]()
    examples: dict[str, list[str]] = {}
    for member, names in offered(subject, lambda one: _is_meant(one, abi)):
        for name in names:
            layouts = layouts_of(name, abi.namespaces)
            count += ("cxx11" if abi.cxx11 else "old") in layouts
            if ("old" if abi.cxx11 else "cxx11") in layouts:
                wrong[member.name] += 1
                examples.setdefault(member.name, []).append(name)
    problems = [
        f"{name}: {number} symbols have {_NAMES[not abi.cxx11]}: "
        f"{', '.join(examples[name][:_NAMED])}"
        for name, number in sorted(wrong.items())
    ]
    if count < abi.at_least:
        problems.append(
            f"{held[0].name}: {count} symbols have {_NAMES[abi.cxx11]}, not {abi.at_least}"
        )
    return Outcome(tuple(problems))


def _is_meant(member: Member, abi: CxxAbi) -> bool:
    """Whether this is a library that the recipe speaks of; only on Linux there are two layouts."""
    binary, name = member.binary, posixpath.basename(member.name)
    return (
        binary is not None
        and binary.format == "elf"
        and any(fnmatchcase(name, glob) for glob in abi.libraries)
    )


def _by_flag(subject: Subject) -> Outcome | Skip:
    found = [
        (name, match[1] == "1")
        for name, text in content_of(subject).texts.items()
        if name.endswith((".cmake", ".pc"))
        for match in _FLAG.finditer(text)
    ]
    if not found:
        return Skip("no CMake or pkg-config file speaks of `_GLIBCXX_USE_CXX11_ABI`")
    abi = subject.checks.abi
    wanted = found[0][1] if abi is None else abi.cxx11
    source = f"`{found[0][0]}` says" if abi is None else "the recipe promises"
    return Outcome(
        tuple(
            f"{name}: says `_GLIBCXX_USE_CXX11_ABI={said:d}`, {source} {wanted:d}"
            for name, said in dict.fromkeys(found)
            if said != wanted
        )
    )


CHECKS = (
    Check(
        "abi.cxx11",
        "What libraries offer has the promised layout of `std::string` and `std::list`, and no other.",
        ARTIFACTS,
        "artifact",
        "compile everything with one `_GLIBCXX_USE_CXX11_ABI`, dependencies too; or change `check.abi`",
        _by_symbols,
    ),
    Check(
        "cmake.abi",
        "The flag for the layout in CMake and pkg-config files is one, and the one that is promised.",
        ARTIFACTS,
        "artifact",
        "let the project's configure step write the flag that the libraries were compiled with",
        _by_flag,
    ),
)
