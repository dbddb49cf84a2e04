"""Make the binaries of an archive find each other, and graft what they need, or say what they need.

The same rules as for wheels: what a system promises stays outside, drivers and exceptions are data.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from builder.archive.tally import Tally
from builder.binary import Binary, BinaryError, Edit, looks_like, read
from builder.config.machine import Machine
from builder.config.recipe import Bundle
from builder.config.target import Target
from builder.errors import BuilderError
from builder.relink.closure import Closure, Libraries, MissingLibrariesError, Rules
from builder.relink.contents import Sources
from builder.relink.copies import changed_copy
from builder.relink.dll_folders import Registered
from builder.relink.linux import Linux
from builder.relink.macos import MacOS
from builder.relink.system import Grafted, Relinking, System
from builder.relink.windows import Windows
from builder_libtorch.parts import Part

__all__ = [
    "Bundled",
    "Wants",
    "binaries_of",
    "bundled",
    "grafts_of",
    "literal",
    "outside_of",
    "system_for",
    "with_aliases",
]

_FOLDER = "lib"
_HEAD = 8
_DOORS = "no package can register a folder"
"""A note for wheels, whose modules can; in an archive, DLLs lie beside DLLs anyway."""


@dataclass(frozen=True, slots=True)
class Wants:
    """How an archive is to be bundled: with `grafts` or not, `outside` globs stay on the host.

    `search` are folders with libraries that come before the system's. `work` is for files.
    """

    name: str
    system: System
    grafts: bool
    outside: tuple[str, ...]
    search: tuple[Path, ...]
    work: Path


@dataclass(frozen=True, slots=True)
class Bundled:
    """The parts as they are packed; `host` are the libraries they expect, by name."""

    parts: tuple[Part, ...]
    grafts: tuple[Grafted, ...] = ()
    host: tuple[str, ...] = ()
    edits: Mapping[str, Edit] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def system_for(target: Target, machine: Machine | None = None) -> System:
    """How binaries of a target are loaded; without a machine, none of its libraries is grafted."""
    match target.os:
        case "linux":
            is_own = machine is not None and (machine.os, machine.arch) == ("linux", target.arch)
            return Linux(target.arch, is_native=is_own)
        case "macos":
            return MacOS()
        case "windows":
            return Windows(Registered(()))


def outside_of(bundle: Bundle) -> tuple[str, ...]:
    """Globs over libraries that a recipe leaves on the host; those of sibling wheels among them."""
    return (*bundle.exclude, *(glob for row in bundle.siblings for glob in row.libraries))


def bundled(parts: Iterable[Part], wants: Wants) -> Bundled:
    """The parts with everything that the variant promises. Raises `BuilderError`."""
    given = {part.path: part for part in parts}
    real = binaries_of(given.values())
    members, closure, rules = _resolved(given, real, wants)
    sources = Sources(wants.work / "grafts", Tally())
    case = Relinking(
        project="",
        members=members,
        closure=closure,
        rules=rules,
        siblings=(),
        digests={source: sources.digest(source) for source in closure.grafts},
        names=frozenset(given),
        texts=lambda path: _text(given[path]),
        library_suffix=_FOLDER,
    )
    done = wants.system.relink(case)
    edits = {path: edit for path, edit in done.edits.items() if path in real}
    changed = {path: _changed(given[path], real[path], edits[path], wants.work) for path in edits}
    grafts = [_grafted(graft, closure, sources) for graft in done.grafts]
    everything = sorted((*({**given, **changed}).values(), *grafts), key=lambda part: part.path)
    names = {need.name for need in closure.of("excluded")}
    notes = tuple(note for note in done.notes if _DOORS not in note)
    return Bundled(tuple(everything), done.grafts, tuple(sorted(names)), edits, notes)


def grafts_of(parts: Iterable[Part], wants: Wants) -> tuple[Path, ...]:
    """The libraries of this machine that would be grafted. Raises `BuilderError`."""
    given = {part.path: part for part in parts}
    _, closure, _ = _resolved(given, binaries_of(given.values()), wants)
    return tuple(map(Path, closure.grafts))


def binaries_of(parts: Iterable[Part]) -> Mapping[str, Binary]:
    """What a loader has to do with, by path. Raises `BuilderError` for what is damaged."""
    found: dict[str, Binary] = {}
    faults: list[str] = []
    for part in parts:
        if part.link or looks_like(_head(part)) is None:
            continue
        try:
            binary = read(part.content)
        except BinaryError as error:
            faults.append(f"{part.path}: {error.message.removeprefix(f'`{part.content!s}`: ')}")
            continue
        if binary.is_loaded:
            found[part.path] = binary
    if faults:
        raise BuilderError(
            f"{len(faults)} of the archive's binaries cannot be read",
            faults=faults,
            hint="leave them out with `archive.leave` of the recipe, or build them again",
        )
    return found


def with_aliases(real: Mapping[str, Binary], ends: Mapping[str, str]) -> Mapping[str, Binary]:
    """The binaries, and those links to them by whose name another one needs them."""
    wanted = {posixpath.basename(name) for binary in real.values() for name in binary.needed}
    aliases = {
        path: real[end]
        for path in ends
        if posixpath.basename(path) in wanted and (end := _end(path, ends)) in real
    }
    return {**real, **aliases}


def literal(name: str) -> str:
    """A glob that only the name itself matches."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def _end(path: str, ends: Mapping[str, str]) -> str:
    for _ in range(len(ends)):
        if path not in ends:
            break
        path = ends[path]
    return path


def _resolved(
    given: Mapping[str, Part], real: Mapping[str, Binary], wants: Wants
) -> tuple[Mapping[str, Binary], Closure, Rules]:
    """The binaries with their aliases, and where everything that they need comes from."""
    members = with_aliases(real, {path: one.end for path, one in given.items() if one.link})
    closure, rules = _closure(members, wants, wants.system.libraries(wants.search))
    return members, closure, rules


def _closure(members: Mapping[str, Binary], wants: Wants, host: Libraries) -> tuple[Closure, Rules]:
    """Where everything comes from; without grafts, all that is not inside is the host's."""
    rules = Rules(exclude=wants.outside)
    closure = wants.system.resolve(members, rules, host)
    # What a Python would bring along, nobody does here.
    if wants.grafts:
        if missing := closure.of("missing", "python"):
            raise MissingLibrariesError(wants.name, missing)
        return closure, rules
    left = closure.of("graft", "missing", "python")
    own = {need.name for need in left if need.requirer in members}
    rules = replace(rules, exclude=(*rules.exclude, *map(literal, sorted(own))))
    return wants.system.resolve(members, rules, host), rules


def _changed(part: Part, before: Binary, edit: Edit, work: Path) -> Part:
    """A part with an edit made on a copy of its bytes, and read back."""
    copy = work / "edited" / part.path
    return part.with_content(_copied(part.path, part.content, before, edit, copy))


def _grafted(graft: Grafted, closure: Closure, sources: Sources) -> Part:
    content = sources.content(graft.source)
    copy = content.with_name(f"{content.name}.edited") if isinstance(content, Path) else Path()
    before = closure.grafts[graft.source]
    made = _copied(graft.path, content, before, graft.edit, copy)
    return Part(graft.path, made, executable=True)


def _copied(
    path: str, content: bytes | Path, before: Binary, edit: Edit, copy: Path
) -> bytes | Path:
    return changed_copy(path, content, before, edit, copy, leave_out="bundle.exclude")


def _head(part: Part) -> bytes:
    if isinstance(part.content, bytes):
        return part.content[:_HEAD]
    try:
        with part.content.open("rb") as file:
            return file.read(_HEAD)
    except OSError as error:
        raise BuilderError(
            f"`{part.content}` cannot be read: {error.strerror}", hint="build the tree again"
        ) from error


def _text(part: Part) -> bytes:
    return part.content if isinstance(part.content, bytes) else part.content.read_bytes()
