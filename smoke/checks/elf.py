"""Checks on how binaries link: what the loader finds, where it looks, what a host must have."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterator, Mapping
from fnmatch import fnmatchcase

from builder.binary import Binary
from builder.config.recipe import Sibling
from smoke.catalogue import Check, Outcome, Skip
from smoke.claims import manylinux_versions, name_of
from smoke.content import SITE
from smoke.loader import Missing, expand, search_path, unresolved
from smoke.subject import Expectations, Kind, Member, Subject, content_of

__all__ = ["CHECKS"]

_NAMED = 5
_PROMISES = ("manylinux", "musllinux")
_NO_BINARIES = Skip("there is no binary in it")


def _needed(subject: Subject) -> Outcome | Skip:
    content = content_of(subject)
    if not content.binaries:
        return _NO_BINARIES
    claims = subject.kind == "wheel" and bool(_platforms(subject))
    expectations = subject.expectations
    siblings = expectations.bundle.siblings

    def outside(name: str) -> bool:
        globs = (*expectations.host_libraries, *expectations.bundle.exclude)
        return any(fnmatchcase(name, glob) for glob in globs) or _owner(name, siblings) is not None

    problems = [_missing_text(missing) for missing in unresolved(content, outside)]
    unreached = [
        text
        for member, binary in content.binaries
        for text in _unreached_siblings(member, binary, expectations)
    ]
    if not claims:
        return Outcome(tuple(unreached), tuple(problems))
    return Outcome((*problems, *unreached))


def _missing_text(missing: Missing) -> str:
    """The whole chain of requirers, and every place that was searched."""
    chain = " -> ".join((*missing.chain, missing.name))
    searched = ", ".join(f"`{folder}`" for folder in missing.searched) or "no rpath at all"
    return (
        f"{missing.chain[-1]}: needs `{missing.name}`, found nowhere ({chain}; searched {searched})"
    )


def _owner(name: str, siblings: tuple[Sibling, ...]) -> Sibling | None:
    for sibling in siblings:
        if any(fnmatchcase(name, glob) for glob in sibling.libraries):
            return sibling
    return None


def _unreached_siblings(
    member: Member, binary: Binary, expectations: Expectations
) -> Iterator[str]:
    """The sibling folders that hold what `binary` needs, and that its rpath does not reach."""
    folders = search_path(member, binary)
    for name in binary.needed:
        sibling = _owner(name, expectations.bundle.siblings)
        wanted = posixpath.normpath(f"{SITE}/{sibling.directory}") if sibling else ""
        if sibling and wanted not in folders:
            yield (
                f"{member.name}: needs `{name}` of `{sibling.package}`, "
                f"and no rpath reaches `{sibling.directory}`"
            )


def _rpath(subject: Subject) -> Outcome | Skip:
    content = content_of(subject)
    if not content.binaries:
        return _NO_BINARIES
    roots = {
        member.installed.removeprefix(f"{SITE}/").split("/", 1)[0] for member in content.members
    }
    siblings = tuple(s.directory.strip("/") for s in subject.expectations.bundle.siblings)
    problems: list[str] = []
    warnings: list[str] = []
    for member, binary in content.binaries:
        for entry in (*binary.rpath, *binary.runpath):
            text = _rpath_problem(member, entry, subject)
            if text:
                problems.append(f"{member.name}: rpath entry `{entry}` {text}")
                continue
            below = expand(entry, member).removeprefix(f"{SITE}/")
            stranger = below.split("/", 1)[0] not in {*roots, SITE.split("/", 1)[0]}
            if subject.kind == "wheel" and stranger and below not in siblings:
                warnings.append(
                    f"{member.name}: rpath entry `{entry}` leads to `{below}`, no declared sibling"
                )
    return Outcome(tuple(problems), tuple(warnings))


def _rpath_problem(member: Member, entry: str, subject: Subject) -> str:
    """What is wrong with one rpath entry, or nothing."""
    build_paths = subject.expectations.build_paths
    if not entry:
        return "is empty: the loader would search the current folder"
    if any(f"{entry}/".startswith(path.rstrip("/") + "/") for path in build_paths):
        return "is a folder of the building machine"
    if entry.startswith("/"):
        return "is absolute"
    if not entry.startswith(("$ORIGIN", "${ORIGIN}")):
        return "depends on the current folder"
    return _leaves(member, expand(entry, member), subject.kind)


def _leaves(member: Member, place: str, kind: Kind) -> str:
    """How a folder is outside of what the artifact may search, or nothing."""
    if f"{place}/".startswith("../"):
        return "leaves the folder" if kind == "folder" else "leaves the environment"
    if kind == "wheel" and member.installed.startswith(f"{SITE}/"):
        return "" if f"{place}/".startswith(f"{SITE}/") else "leaves site-packages"
    return ""


def _baseline(subject: Subject) -> Outcome | Skip:
    content = content_of(subject)
    tags = {versions: tag for tag in _platforms(subject) for versions in manylinux_versions((tag,))}
    if not tags:
        return Skip("the wheel claims no manylinux baseline")
    claimed = min(tags)
    offered = subject.expectations.symbol_versions.get(tags[claimed], {})
    inside = {posixpath.basename(member.name) for member in content.members}
    inside |= {binary.soname for _, binary in content.binaries}
    problems = []
    for member, binary in content.binaries:
        for need in binary.versions_needed:
            if need.library not in inside and _too_new(need.version, claimed, offered):
                symbols = ", ".join(need.symbols[:_NAMED]) or "a symbol"
                more = f" and {len(need.symbols) - _NAMED} more" if need.symbols[_NAMED:] else ""
                problems.append(
                    f"{member.name}: takes {symbols}{more} from {need.library} in version "
                    f"{need.version}, which `{tags[claimed]}` does not promise"
                )
    return Outcome(tuple(problems))


def _too_new(
    version: str, claimed: tuple[int, int], offered: Mapping[str, Collection[str]]
) -> bool:
    """Whether a host of the claimed baseline may lack a symbol version such as `GLIBC_2.34`."""
    prefix, _, number = version.partition("_")
    if prefix in offered:
        return number not in offered[prefix]
    if prefix != "GLIBC":
        return False
    if number == "ABI_DT_RELR":  # glibc 2.36 invented it for `ld -z pack-relative-relocs`
        return claimed < (2, 36)
    match = re.match(r"(\d+)\.(\d+)", number)
    return match is None or (int(match[1]), int(match[2])) > claimed


def _platforms(subject: Subject) -> tuple[str, ...]:
    """The platform tags that promise a baseline."""
    name = name_of(subject.path.name)
    return tuple(tag for tag in (name.platforms if name else ()) if tag.startswith(_PROMISES))


CHECKS = (
    Check(
        "elf.needed",
        "Every needed library is found inside by rpath, or is a host's, a sibling's or excluded.",
        ("wheel", "folder"),
        "artifact",
        "graft the library (`builder repair`), or declare it under `[bundle]`",
        _needed,
    ),
    Check(
        "elf.rpath",
        "Search paths stay inside: none is absolute, empty, or leaves site-packages.",
        ("wheel", "folder"),
        "artifact",
        "`builder repair` rewrites search paths; a link line should only use `$ORIGIN`",
        _rpath,
    ),
    Check(
        "elf.baseline",
        "No symbol version is above the manylinux tag that the file name claims.",
        ("wheel",),
        "artifact",
        "build on an older system or claim the tag that `builder inspect` says it deserves",
        _baseline,
    ),
)
