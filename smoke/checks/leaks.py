"""Checks on what a package tells of the machine it was built on, and on what nobody may know."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from typing import Final

from smoke.catalogue import Check, Outcome, Skip
from smoke.subject import ARTIFACTS, Content, Subject, content_of

__all__ = ["CHECKS"]

_MOST: Final = 3
"""Places that are told of one file."""
_ROOTS: Final = re.compile(
    r"(?:(?<![\w.@}/~+-])|(?<=-[LIFB])|(?<=path,)|(?<=path=))"
    r"(?:/home/[\w.-]+/|/Users/[\w.-]+/|/ro{2}t/|/io/|/project/|/builds?/|/__w/|/github/workspace\b"
    r"|/(?:private/)?(?:var/)?tmp/|/private/var/folders/|/opt/_internal/|/croot/|/feedstock_root/"
    r"|/(?:[\w.-]+/)*conda-bld/"
    r"|[A-Za-z]:[\\/]+(?:a|bld|b|_?build|actions-runner|Users|jenkins|agent)[\\/])"
)
"""Where the usual build services, containers and people compile; users have none of it."""
_HOLDERS: Final = re.compile(r".+\.(?:cmake|pc)|.+-config")
_PLACEHOLDER: Final = "_placehold"
"""In a conda package, what the installer replaces with the prefix."""


def _paths(subject: Subject) -> Outcome | Skip:
    if not subject.expectations.build_paths:
        return Skip("the folders of the build are not known here")
    return _traces(subject, "path", "names the building machine")


def _secrets(subject: Subject) -> Outcome:
    return _traces(subject, "secret", "holds a secret")


def _traces(subject: Subject, kind: str, what: str) -> Outcome:
    return Outcome(
        tuple(
            f"{member.name}: byte {trace.offset:#x} {what}: `{trace.text}`"
            for member in content_of(subject).members
            for trace in member.traces
            if trace.kind == kind
        )
    )


def _build_paths(subject: Subject) -> Outcome:
    content = content_of(subject)
    return Outcome(warnings=(*_in_search_paths(content), *_in_texts(content)))


def _in_search_paths(content: Content) -> Iterator[str]:
    for member, binary in content.binaries:
        for entry in dict.fromkeys((*binary.rpath, *binary.runpath)):
            if _ROOTS.match(f"{entry}/") and _PLACEHOLDER not in entry:
                yield f"{member.name}: rpath entry `{entry}` is a folder of a building machine"


def _in_texts(content: Content) -> Iterator[str]:
    for name, text in content.texts.items():
        if not _HOLDERS.fullmatch(posixpath.basename(name)):
            continue
        found = 0
        for number, line in enumerate(text.splitlines(), 1):
            match = None if line.lstrip().startswith("#") else _ROOTS.search(line)
            if match is None or _PLACEHOLDER in line:
                continue
            found += 1
            if found <= _MOST:
                shown = line[match.start() :].split(maxsplit=1)[0].strip('";)')
                yield f"{name}: line {number} names a folder of a building machine: `{shown}`"


CHECKS = (
    Check(
        "leak.paths",
        "No file names a folder of the building machine.",
        ARTIFACTS,
        "artifact",
        "compile with `-ffile-prefix-map`, and keep configure output out of what is installed",
        _paths,
    ),
    Check(
        "leak.secrets",
        "No text holds a private key or an access token.",
        ARTIFACTS,
        "artifact",
        "revoke the secret now, it counts as known; then keep the file out of what is packaged",
        _secrets,
    ),
    Check(
        "leak.build-paths",
        "No search path, CMake file, `.pc` file or `*-config` script names a usual place of builds.",
        ARTIFACTS,
        "artifact",
        "say paths relative to the file itself: `$ORIGIN`, `${CMAKE_CURRENT_LIST_DIR}`, `${pcfiledir}`",
        _build_paths,
        "warning",
    ),
)
