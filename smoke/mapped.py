"""What a process of the environment under test has mapped: strays, and runtimes that are there twice."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from builder.binary import BinaryError, read
from smoke.content import SITE
from smoke.runtimes import PEACEFUL, family
from smoke.subject import Content, EnvironmentFacts, Member

__all__ = ["copies", "doubles", "strays", "told"]


def strays(content: Content, mapped: tuple[Path, ...], facts: EnvironmentFacts) -> Iterator[str]:
    """The libraries that the wheel brings and that were taken from somewhere else all the same."""
    brought: dict[str, Member] = {}
    needed: dict[str, str] = {}
    for member, binary in content.binaries:
        brought.setdefault(posixpath.basename(member.name), member)
        brought.setdefault(binary.soname, member)
        needed |= dict.fromkeys(binary.needed, member.name)
    for file in mapped:
        name = _soname(file)
        if name in brought and name in needed and not _inside(file, facts):
            yield (
                f"{needed[name]}: loads `{name}` from {file}, "
                f"although the wheel brings {brought[name].name}"
            )


def _inside(file: Path, facts: EnvironmentFacts) -> bool:
    """Whether a file belongs to the environment; a system interpreter's prefix is the host's."""
    isolated = facts.prefix != facts.base_prefix
    return file.is_relative_to(facts.prefix if isolated else facts.site)


def _shown(file: Path, facts: EnvironmentFacts) -> str:
    """A path for a reader: the folder of a throwaway environment is of no interest."""
    prefix = facts.prefix.resolve()
    return f"<environment>/{file.relative_to(prefix)}" if file.is_relative_to(prefix) else str(file)


def _soname(file: Path) -> str:
    try:
        return read(file).soname or file.name
    except (BinaryError, OSError):
        return file.name


def copies(mapped: tuple[Path, ...]) -> Mapping[str, frozenset[Path]]:
    """The runtimes that are mapped more than once, with their files."""
    found: dict[str, set[Path]] = defaultdict(set)
    for file in mapped:
        if family(file.name):
            found[family(file.name)].add(file.resolve())
    return {name: frozenset(files) for name, files in sorted(found.items()) if len(files) > 1}


def told(name: str, files: frozenset[Path], facts: EnvironmentFacts) -> str:
    """One runtime that is there more than once, in words."""
    places = sorted(_shown(file, facts) for file in files)
    return f"{name}: is loaded {len(files)} times: {', '.join(places)}"


def doubles(
    content: Content | None, mapped: tuple[Path, ...], facts: EnvironmentFacts
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Runtimes that are loaded more than once: through this wheel's doing, and through others'."""
    ours = {
        (facts.site / member.installed.removeprefix(f"{SITE}/")).resolve()
        for member in (content.members if content else ())
    }
    own: list[str] = []
    others: list[str] = []
    for name, files in copies(mapped).items():
        mine = files & ours
        host = [file for file in files if not _inside(file, facts)]
        blamed = name not in PEACEFUL and mine and (len(mine) > 1 or host)
        (own if blamed else others).append(told(name, files, facts))
    return tuple(own), tuple(others)
