"""What the dynamic loader would do in the installed layout: ld.so(8), without running anything.

`DT_RUNPATH` serves the object that has it; `DT_RPATH` also serves what that object loads, unless
the loaded object has a `DT_RUNPATH`. A soname that is already loaded is not looked for again.
"""

from __future__ import annotations

import posixpath
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from builder.binary import Binary
from smoke.subject import Content, Member

__all__ = ["Missing", "expand", "search_path", "unresolved"]


@dataclass(frozen=True, slots=True)
class Missing:
    """A library that nothing provides. `chain` leads from an entry point to the requirer."""

    name: str
    chain: tuple[str, ...]
    searched: tuple[str, ...]


def expand(entry: str, member: Member) -> str:
    """One rpath entry as a folder of the installed layout; begins with `../` when it leaves it."""
    origin = posixpath.dirname(member.installed) or "."
    text = entry.replace("${ORIGIN}", "$ORIGIN").replace("$ORIGIN", origin)
    return posixpath.normpath(text) if text else ""


def search_path(member: Member, binary: Binary, inherited: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The folders that are searched for what `binary` needs, in order."""
    if binary.runpath:
        return tuple(expand(entry, member) for entry in binary.runpath)
    return (*(expand(entry, member) for entry in binary.rpath), *inherited)


def unresolved(content: Content, outside: Callable[[str], bool]) -> tuple[Missing, ...]:
    """Every library that is needed, not found inside, and not granted by `outside`.

    Each is told once for each requirer, by the first way that leads to it.
    """
    places = _places(content)
    needed = {name for _, binary in content.binaries for name in binary.needed}
    entries = [
        (member, binary)
        for member, binary in content.binaries
        if not needed & {posixpath.basename(member.name), binary.soname}
    ]
    found: dict[tuple[str, str], Missing] = {}
    reached: set[str] = set()
    for member, binary in (*entries, *content.binaries):
        if member.name not in reached:
            for missing in _load(member, binary, places, outside, reached):
                found.setdefault((missing.chain[-1], missing.name), missing)
    return tuple(found.values())


def _places(content: Content) -> Mapping[str, tuple[Member, Binary]]:
    """Every installed path that holds a binary, links included."""
    by_name = {member.name: (member, binary) for member, binary in content.binaries}
    return {
        member.installed: by_name[member.link or member.name]
        for member in content.members
        if (member.link or member.name) in by_name
    }


def _load(
    root: Member,
    binary: Binary,
    places: Mapping[str, tuple[Member, Binary]],
    outside: Callable[[str], bool],
    reached: set[str],
) -> list[Missing]:
    """Load one entry point breadth first; what could not be found."""
    queue: deque[tuple[Member, Binary, tuple[str, ...], tuple[str, ...]]]
    queue = deque([(root, binary, (root.name,), ())])
    loaded = {posixpath.basename(root.name), binary.soname}
    missing: list[Missing] = []
    while queue:
        member, binary, chain, inherited = queue.popleft()
        reached.add(member.name)
        folders = search_path(member, binary, inherited)
        for name in binary.needed:
            if name in loaded:
                continue
            candidates = (posixpath.normpath(f"{at}/{name}") for at in folders if at)
            place = next((path for path in candidates if path in places), None)
            if place is not None:
                child, child_binary = places[place]
                loaded |= {name, child_binary.soname}
                handed = inherited if binary.runpath else folders
                queue.append((child, child_binary, (*chain, child.name), handed))
            elif outside(name):
                loaded.add(name)
            else:
                missing.append(Missing(name, chain, folders))
    return missing
