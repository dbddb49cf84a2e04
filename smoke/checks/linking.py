"""Checks on how binaries link: what the loader finds, where it looks, what a host must have."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping

from builder.binary import Binary
from builder.relink.closure import Need, expand
from builder.relink.dyld import apple, expand_entry
from builder.relink.policy import Blocker
from builder.relink.sibling import owner_of
from smoke.catalogue import NO_BINARIES, Check, Outcome, Skip, some
from smoke.content import SITE
from smoke.linking import Linked, linked
from smoke.subject import ARTIFACTS, Content, Member, Subject, content_of

__all__ = ["CHECKS"]

_BLOCKERS = 20
_LOCAL = "linux_"


def _needed(subject: Subject) -> Outcome | Skip:
    content = content_of(subject)
    found = linked(content, subject.expectations)
    if found is None:
        return NO_BINARIES
    problems = tuple(_missing_text(need, found) for need in found.missing)
    unreached = tuple(
        text
        for path, binary in found.case.own.items()
        for text in _unreached_siblings(path, binary, found, subject)
    )
    if _promises(content):
        return Outcome((*problems, *unreached))
    return Outcome(unreached, problems)


def _promises(content: Content) -> bool:
    """Whether the artifact says that it runs with what is in it, and nothing else but a host's."""
    if any(not tag.startswith(_LOCAL) and tag != "any" for tag in content.claimed):
        return not any("-" in tag for tag in content.claimed)  # conda brings the rest
    return bool(content.host)


def _missing_text(need: Need, found: Linked) -> str:
    """The whole chain of requirers, and every place that was searched."""
    chain = " -> ".join((*(found.names.get(path, path) for path in need.chain), need.name))
    searched = ", ".join(f"`{folder}`" for folder in need.searched) or "no search path at all"
    requirer = found.names.get(need.requirer, need.requirer)
    return f"{requirer}: needs `{need.name}`, found nowhere ({chain}; searched {searched})"


def _unreached_siblings(
    path: str, binary: Binary, found: Linked, subject: Subject
) -> Iterator[str]:
    """The sibling folders that hold what a binary needs, and that its search path does not reach."""
    if binary.format == "pe":
        return  # its folders are handed to the loader by Python code
    folders = {_place(entry, path, binary) for entry in (*binary.rpath, *binary.runpath)}
    for name in binary.needed:
        sibling = owner_of(name, subject.expectations.bundle.siblings)
        wanted = posixpath.normpath(f"{SITE}/{sibling.directory}") if sibling else ""
        if sibling and wanted not in folders:
            yield (
                f"{found.names[path]}: needs `{name}` of `{sibling.package}`, "
                f"and no rpath reaches `{sibling.directory}`"
            )


def _place(entry: str, path: str, binary: Binary) -> str:
    """One rpath entry as a folder of the installed layout; begins with `../` when it leaves it."""
    folder = posixpath.dirname(path)
    if binary.format == "macho":
        return expand_entry(entry, folder)
    return expand(entry, folder, binary)


def _search(subject: Subject) -> Outcome | Skip:
    content = content_of(subject)
    searching = [
        (member, binary, dict.fromkeys((*binary.rpath, *binary.runpath)))
        for member, binary in content.binaries
        if binary.format != "pe"
    ]
    if not searching:
        return Skip("there is no binary in it that has search paths")
    tops = {_top(member.installed) for member in content.members}
    siblings = tuple(s.directory.strip("/") for s in subject.expectations.bundle.siblings)
    problems: list[str] = []
    warnings: list[str] = []
    for member, binary, entries in searching:
        faults = {entry: _entry_problem(member, binary, entry, subject) for entry in entries}
        problems += _faulty(member, faults)
        for entry in (entry for entry, fault in faults.items() if not fault):
            below = _place(entry, member.installed, binary).removeprefix(f"{SITE}/")
            stranger = below.split("/", 1)[0] not in {*tops, SITE.split("/", 1)[0], ".", ""}
            if subject.kind == "wheel" and stranger and below not in siblings:
                warnings.append(
                    f"{member.name}: rpath entry `{entry}` leads to `{below}`, no declared sibling"
                )
    return Outcome(tuple(problems), tuple(warnings))


def _faulty(member: Member, faults: Mapping[str, str]) -> Iterator[str]:
    """One line for all entries of a file that have the same fault."""
    for fault in dict.fromkeys(filter(None, faults.values())):
        entries = [f"`{entry}`" for entry in faults if faults[entry] == fault]
        if entries[1:]:
            yield f"{member.name}: rpath entries {', '.join(entries)}: each {fault}"
        else:
            yield f"{member.name}: rpath entry {entries[0]} {fault}"


def _top(installed: str) -> str:
    return installed.removeprefix(f"{SITE}/").split("/", 1)[0]


def _entry_problem(member: Member, binary: Binary, entry: str, subject: Subject) -> str:
    """What is wrong with one rpath entry, or nothing."""
    build_paths = subject.expectations.build_paths
    if not entry:
        return "is empty: the loader would search the current folder"
    if any(f"{entry}/".startswith(path.rstrip("/") + "/") for path in build_paths):
        return "is a folder of the building machine"
    if entry.startswith("/"):
        is_apples = binary.format == "macho" and apple().has(f"{entry.rstrip('/')}/")
        return "" if is_apples else "is absolute"
    known = ("@loader_path", "@executable_path") if binary.format == "macho" else ("$",)
    if not entry.startswith(known):
        return "depends on the current folder"
    return _leaves(member, _place(entry, member.installed, binary), subject)


def _leaves(member: Member, place: str, subject: Subject) -> str:
    """How a folder is outside of what the artifact may search, or nothing."""
    if f"{place}/".startswith("../"):
        return (
            "leaves the environment" if subject.kind in {"wheel", "conda"} else "leaves the folder"
        )
    if subject.kind == "wheel" and place and member.installed.startswith(f"{SITE}/"):
        return "" if f"{place}/".startswith(f"{SITE}/") else "leaves site-packages"
    return ""


def _baseline(subject: Subject) -> Outcome | Skip:
    content = content_of(subject)
    tags = tuple(tag for tag in content.claimed if not tag.startswith(_LOCAL) and tag != "any")
    if not tags:
        return Skip("the wheel claims no platform that promises anything")
    found = linked(content, subject.expectations)
    if found is None:
        return NO_BINARIES
    bundle = subject.expectations.bundle
    outside = (
        *bundle.exclude,
        *(glob for sibling in bundle.siblings for glob in sibling.libraries),
    )
    verdict = found.case.system.judge(dict(found.members), tags, outside)
    missing = {need.name for need in found.missing}  # `link.needed` tells of these
    refused = [
        one
        for one in verdict.blockers
        if one.tag in tags and one.tag not in verdict.platforms
        if one.symbol or one.library not in missing
    ]
    if refused:
        return Outcome(tuple(_told(refused)))
    if missing or set(tags) <= set(verdict.platforms):
        return Outcome()
    deserved = f"it deserves {verdict.tag}" if verdict.tag else "it deserves none"
    return Outcome((f"{subject.path.name}: its tag is not true: {deserved}",))


def _told(blockers: list[Blocker]) -> Iterator[str]:
    """One line for each file and library of the lowest tag that is claimed."""
    lines: dict[tuple[str, str, str], list[str]] = {}
    for one in blockers:
        lines.setdefault((one.binary, one.library, one.tag), []).append(one.symbol)
    for (file, library, tag), symbols in list(lines.items())[:_BLOCKERS]:
        named = [symbol for symbol in symbols if symbol]
        if not named:
            yield f"{file}: needs `{library}`, which `{tag}` does not promise"
            continue
        yield f"{file}: takes {some(named)} from `{library}`, which `{tag}` does not promise"
    if len(lines) > _BLOCKERS:
        yield f"and {len(lines) - _BLOCKERS} more: `builder inspect` names them all"


CHECKS = (
    Check(
        "link.needed",
        "Every needed library is found inside by the loader, or is a host's, a sibling's or excluded.",
        ARTIFACTS,
        "artifact",
        "graft the library (`builder repair`), or declare it under `[bundle]`",
        _needed,
    ),
    Check(
        "link.search",
        "Search paths stay inside: none is absolute, empty, or leaves site-packages.",
        ARTIFACTS,
        "artifact",
        "`builder repair` rewrites search paths; a link line should only use `$ORIGIN` or `@loader_path`",
        _search,
    ),
    Check(
        "link.baseline",
        "The platform tag is true: no symbol version, system or machine is above what it claims.",
        ("wheel",),
        "artifact",
        "build on an older system or claim the tag that `builder inspect` says it deserves",
        _baseline,
    ),
)
