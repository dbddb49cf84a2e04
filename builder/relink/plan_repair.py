"""Decide what a repair changes in a wheel, before one byte is written."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

from builder.archive.metadata import new_stem
from builder.archive.wheel import Wheel
from builder.binary import Binary
from builder.binary.expect import expected
from builder.errors import UsageError
from builder.relink.closure import Closure, Libraries, MissingLibrariesError, Rules
from builder.relink.linux_strings import opens_by_name, spoken
from builder.relink.plan import Plan, Subject, Wanted
from builder.relink.plan_files import dropped, labels, moved, recorded
from builder.relink.plan_tags import named, refuse_if_too_new, verdict_on
from builder.relink.sibling import requirements, used_siblings
from builder.relink.system import Grafted, Relinked, Relinking, Verdict

__all__ = ["needs_of", "plan_relabel", "plan_repair"]


def plan_repair(subject: Subject, wanted: Wanted) -> Plan:
    """Decide everything.

    Raises `MissingLibrariesError` with all that is missing, `BuilderError` when a tag cannot be
    given or a file cannot be changed as it should, and `UsageError` for a senseless wish.
    """
    wheel, facts = subject.wheel, subject.facts
    rules, closure = needs_of(subject, wanted)
    found = (subject.host.look(path) for path in rules.include)
    asked = frozenset(real[0] for real in found if real is not None)
    rules = _with_real_names(rules, closure)
    outside = (*rules.exclude, *rules.siblings)
    relinked = subject.system.relink(_relinking(subject, wanted, rules, closure, asked))
    members, grafts = _made(facts.binaries, closure, relinked)
    refuse_if_too_new(subject, wanted, _as_found(members, closure, grafts), outside)
    paths = moved(subject, wanted, relinked)
    binaries = {paths.get(path, path): binary for path, binary in members.items()}
    binaries |= {graft.path: binary for graft, binary in grafts}
    verdict = verdict_on(subject, wanted, binaries, outside)
    name = named(wheel.name, wanted.version, verdict)
    dist_info = _dist_info(wheel, wanted.version)
    requires = requirements(used_siblings(closure, wanted.siblings))
    rows, faults = recorded(subject, check=wanted.check_record)
    files = {
        **labels(subject, wanted.version, requires, name.tags, dist_info),
        **{  # where a member moved away, another file takes its place
            path if path in relinked.moves else paths.get(path, path): content
            for path, content in relinked.files.items()
        },
    }
    notes = (*_strange(subject), *_copies(subject), *relinked.notes, *verdict.notes, *faults)
    return Plan(
        name, dist_info, verdict, closure, rules, relinked, paths, files, dropped(subject, paths),
        rows, binaries, bool(faults), tuple(dict.fromkeys(notes)),
    )  # fmt: skip


def needs_of(subject: Subject, wanted: Wanted) -> tuple[Rules, Closure]:
    """Where everything the wheel needs comes from, and by which rules. Raises as `plan_repair`."""
    rules = Rules(
        wanted.exclude,
        tuple(glob for owner in wanted.siblings for glob in owner.libraries),
        include=_included(wanted.include, subject.host),
    )
    closure = subject.system.resolve(subject.facts.binaries, rules, subject.host)
    if missing := closure.of("missing"):
        raise MissingLibrariesError(subject.wheel.path.name, missing)
    return rules, closure


def plan_relabel(subject: Subject, wanted: Wanted) -> Plan:
    """Decide about a wheel without binaries of its system: it may get another version.

    Raises `UsageError` when it is to get a library.
    """
    wheel = subject.wheel
    if wanted.include:
        raise UsageError(
            f"`{wheel.name}` has no binary that could open `{wanted.include[0]}`",
            hint="leave `--include` out, or give a wheel with binaries of one system",
        )
    platforms = wheel.name.platforms
    verdict = Verdict(platforms, platforms[0])
    name = named(wheel.name, wanted.version, verdict)
    dist_info = _dist_info(wheel, wanted.version)
    paths = moved(subject, wanted, Relinked())
    rows, faults = recorded(subject, check=wanted.check_record)
    files = labels(subject, wanted.version, (), name.tags, dist_info)
    return Plan(
        name, dist_info, verdict, Closure((), {}), Rules(), Relinked(), paths, files,
        dropped(subject, paths), rows, {}, bool(faults), (*_strange(subject), *faults),
    )  # fmt: skip


def _dist_info(wheel: Wheel, version: str) -> str:
    return f"{new_stem(wheel.dist_info, version)}.dist-info" if version else wheel.dist_info


def _included(wishes: tuple[str, ...], host: Libraries) -> tuple[str, ...]:
    """The path of every library that was asked for. Raises `UsageError` for a wish without one."""
    found: dict[str, str] = {}
    for wish in wishes:
        paths = [str(Path(wish).absolute())] if "/" in wish else _named_like(wish, host)
        known = [path for path in paths if host.look(path) is not None]
        if not known:
            raise UsageError(
                f"no library is `{wish}`, so it cannot be included",
                hint="give a path, or a glob over names in the folders of `--add-path`",
            )
        for path in known:  # of two with one name, the loader takes the first
            found.setdefault(posixpath.basename(path), path)
    return tuple(found.values())


def _named_like(glob: str, host: Libraries) -> list[str]:
    folders = [Path(folder) for folder in (*host.search, *host.system)]
    return [
        str(path)
        for folder in folders
        if folder.is_dir()
        for path in sorted(folder.iterdir())
        if fnmatchcase(path.name, glob)
    ]


def _relinking(
    subject: Subject, wanted: Wanted, rules: Rules, closure: Closure, asked: frozenset[str]
) -> Relinking:
    case = Relinking(
        project=subject.wheel.name.project,
        members=subject.facts.binaries,
        closure=closure,
        rules=rules,
        siblings=wanted.siblings,
        digests={source: subject.sources.digest(source) for source in closure.grafts},
        names=frozenset(subject.members.entries),
        texts=subject.members.text,
        library_suffix=wanted.library_suffix,
        placement=wanted.placement,
        included=asked,
    )
    if not closure.grafts or case.placement == "beside":
        return case  # no name changes, so it does not matter who knows one
    return replace(case, spoken=_spoken(subject, closure))


def _spoken(subject: Subject, closure: Closure) -> Mapping[str, tuple[str, ...]]:
    """The names of grafts in the strings of binaries that open libraries by name."""
    names = {posixpath.basename(source) for source in closure.grafts}
    names |= {need.name for need in closure.of("graft")}
    names |= {binary.soname for binary in closure.grafts.values()} - {""}
    found: dict[str, list[str]] = {}
    for path, binary in subject.facts.binaries.items():
        if opens_by_name(binary):
            raw = subject.members.of(path)
            for name in spoken(raw.view, raw.read, names):
                found.setdefault(name, []).append(path)
    for source, binary in closure.grafts.items():
        if opens_by_name(binary):
            for name in subject.sources.spoken(source, names):
                found.setdefault(name, []).append(source)
    return {name: tuple(paths) for name, paths in sorted(found.items())}


def _with_real_names(rules: Rules, closure: Closure) -> Rules:
    """The rules with the names of what was excluded by the file that it was found as."""
    names = dict.fromkeys(need.name for need in closure.of("excluded"))
    known = (re.sub(r"([*?[])", r"[\1]", name) for name in names)
    return replace(rules, exclude=tuple(dict.fromkeys((*rules.exclude, *known))))


def _made(
    before: Mapping[str, Binary], closure: Closure, relinked: Relinked
) -> tuple[Mapping[str, Binary], Sequence[tuple[Grafted, Binary]]]:
    """Every member, by the path it has now, and every graft as they will be."""
    members = {
        path: expected(binary, relinked.edits[path]) if path in relinked.edits else binary
        for path, binary in before.items()
    }
    return members, [
        (graft, expected(closure.grafts[graft.source], graft.edit)) for graft in relinked.grafts
    ]


def _as_found(
    members: Mapping[str, Binary], closure: Closure, grafts: Iterable[tuple[Grafted, Binary]]
) -> Mapping[str, Binary]:
    """Every binary as it will be, by the path it has now."""
    made = {
        graft.source: replace(
            binary,
            soname=posixpath.basename(graft.path),  # also of one that did not say its name
        )
        for graft, binary in grafts
    }
    return {**members, **closure.grafts, **made}


def _copies(subject: Subject) -> Iterator[str]:
    """What is in the wheel more than once: mostly what was a symbolic link before it was packed."""
    first: dict[tuple[int, int, int], str] = {}
    for path in sorted(subject.own):
        entry = subject.members.entries[path]
        other = first.setdefault((entry.crc, entry.size, entry.packed), path)
        if other != path:
            yield f"{path}: has the same {entry.size} bytes as {other}"


def _strange(subject: Subject) -> tuple[str, ...]:
    """What a user should know about binaries that were not looked at."""
    own = {binary.machine for path, binary in subject.own.items()}
    return (
        *(
            f"{path}: is for another machine and was not looked at"
            for path, binary in subject.facts.binaries.items()
            if binary.format == "elf"
            and binary.is_loaded
            and path not in subject.own
            and binary.machine not in own
        ),
        *(f"{path}: is no sound binary and was not looked at: {reason}"
          for path, reason in subject.facts.broken.items()),
        *subject.facts.notes,
    )  # fmt: skip
