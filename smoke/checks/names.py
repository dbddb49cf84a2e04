"""Checks on names: what binaries may not need, may not offer, and open without needing it."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from fnmatch import fnmatchcase

from builder.relink.linux_strings import opens_by_name, spoken
from builder.relink.policy import matches
from smoke.again import again, offered
from smoke.catalogue import NO_BINARIES, Check, Outcome, Skip, some
from smoke.grafts import unhashed
from smoke.subject import ARTIFACTS, Content, Subject, content_of

__all__ = ["CHECKS"]


def _renamed(subject: Subject) -> Outcome | Skip:
    content = content_of(subject)
    renamed = _original_names(content)
    if not renamed:
        return Skip("no library in it was renamed")
    openers = {m.name for m, binary in content.binaries if opens_by_name(binary)}
    if not openers:
        return Skip("no binary in it opens libraries by name")
    return Outcome(
        warnings=tuple(
            f"{member.name}: may open `{name}` by name, which is here only as `{renamed[name]}`"
            for member, raw in again(subject, lambda one: one.name in openers)
            for name in _longest(spoken(raw.view, raw.read, renamed))
        )
    )


def _longest(names: frozenset[str]) -> list[str]:
    """The names without those that another one begins with: such a part is looked for in paths."""
    return sorted(
        name for name in names if not any(other.startswith(f"{name}.") for other in names)
    )


def _original_names(content: Content) -> dict[str, str]:
    """Names under which a renamed library was known, with its path: of the file, and shorter ones.

    A name that is there again (as a file, a link or a soname) still works and is left out.
    """
    here = {posixpath.basename(member.name) for member in content.members}
    here |= {posixpath.basename(binary.soname) for _, binary in content.binaries}
    found: dict[str, str] = {}
    for member, binary in content.binaries:
        file = posixpath.basename(member.name)
        name = unhashed(file)
        if binary.format != "elf" or name == file:
            continue
        while ".so." in f"{name}.":  # the last part may be a letter: `libcrypto.so.1.1.1k`
            found.setdefault(name, member.name)
            name = name.rpartition(".")[0]
    return {name: path for name, path in found.items() if name not in here}


def _forbidden_libraries(subject: Subject) -> Outcome | Skip:
    globs = subject.checks.forbidden_libraries
    if not globs:
        return Skip("the recipe forbids no library (`check.forbidden-libraries`)")
    binaries = content_of(subject).binaries
    if not binaries:
        return NO_BINARIES
    return Outcome(
        tuple(
            f"{member.name}: needs `{name}`, which the recipe forbids (`{glob}`)"
            for member, binary in binaries
            for name in binary.needed
            for glob in globs
            if matches((glob,), name, posixpath.basename(name))
        )
    )


def _forbidden_symbols(subject: Subject) -> Outcome | Skip:
    globs = subject.checks.forbidden_symbols
    if not globs:
        return Skip("the recipe forbids no symbol (`check.forbidden-symbols`)")
    if not content_of(subject).binaries:
        return NO_BINARIES
    return Outcome(tuple(_offers_forbidden(subject, globs)))


def _offers_forbidden(subject: Subject, globs: tuple[str, ...]) -> Iterator[str]:
    for member, names in offered(subject, lambda _: True):
        for glob in globs:
            found = [name for name in names if fnmatchcase(name, glob)]
            if found:
                yield f"{member.name}: offers {some(found)}, which the recipe forbids (`{glob}`)"


CHECKS = (
    Check(
        "link.renamed",
        "No library that others may open by name is there under another name alone.",
        ARTIFACTS,
        "artifact",
        "keep the name when grafting (`builder repair` does), or let the code open the new one",
        _renamed,
        "warning",
    ),
    Check(
        "link.forbidden",
        "No binary needs a library that the recipe forbids.",
        ARTIFACTS,
        "artifact",
        "find what brought it to the link line; switch that off, or link what is wanted instead",
        _forbidden_libraries,
    ),
    Check(
        "symbol.forbidden",
        "No library offers a symbol that the recipe forbids.",
        ARTIFACTS,
        "artifact",
        "hide it: a version script, `-fvisibility=hidden`, or `-Wl,--exclude-libs`",
        _forbidden_symbols,
    ),
)
