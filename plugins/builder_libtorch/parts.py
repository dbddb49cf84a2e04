"""The files of a C++ archive before they are packed: from an install tree, or out of a wheel."""

from __future__ import annotations

import hashlib
import os
import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from builder.archive.content import role_of
from builder.archive.zip_read import Entry, Zip
from builder.binary import looks_like
from builder.config.recipe import CppArchive
from builder.errors import BuilderError
from builder.stage.tree import Tree
from builder_libtorch.layout import chosen

__all__ = ["Part", "from_tree", "from_wheel", "linked_copies", "outside_of_wheel", "without_links"]

_HEAD = 8
_WINDOW = 1 << 20
_SMALL = 64 << 10


@dataclass(frozen=True, slots=True)
class Part:
    """One member of the archive; `path` is below its top folder.

    Its bytes are in `content`, or in the file that `content` names. `link` is what a symbolic link
    says, relative to its own folder. `entry` is the member of the wheel it came from, while it still
    has the same bytes. `sha256` is known where reading it was for free.
    """

    path: str
    content: bytes | Path = b""
    executable: bool = False
    link: str = ""
    entry: Entry | None = None
    sha256: str = ""

    @property
    def end(self) -> str:
        """The path that a link leads to; that of the part itself when it is none."""
        if not self.link:
            return self.path
        return posixpath.normpath(posixpath.join(posixpath.dirname(self.path), self.link))

    def with_content(self, content: bytes | Path) -> Part:
        """The same member with other bytes."""
        return replace(self, content=content, entry=None, sha256="")


def from_tree(tree: Tree, archive: CppArchive) -> tuple[Part, ...]:
    """The chosen files of a core tree where they lie, links as links; sorted by path.

    A link to something that was not chosen becomes that file. Raises `BuilderError` when nothing is
    C++, or a link leads nowhere.
    """
    entries = {entry.path: entry for entry in tree.entries if entry.kind != "directory"}
    at_root = replace(archive, wheel="")
    wanted = chosen(sorted(entries), at_root)
    parts: dict[str, Part] = {}
    for path in wanted:
        entry, file = entries[path], tree.root / path
        if entry.kind == "file":
            parts[path] = Part(path, file, entry.executable, sha256=entry.content)
        elif (link := Part(path, link=entry.content)).end in wanted:
            parts[path] = link
        elif file.is_file():
            parts[path] = Part(path, Path(os.path.realpath(file)), os.access(file, os.X_OK))
        elif not file.is_dir():
            raise BuilderError(
                f"`{path}` of the core tree is a link to `{entry.content}`, which is not there",
                hint="leave it out with `archive.leave` of the recipe",
            )
    return tuple(parts[path] for path in sorted(parts))


def from_wheel(wheel: Zip, archive: CppArchive, folder: Path) -> tuple[Part, ...]:
    """The chosen members of a wheel, written below `folder`; sorted by path. Same errors."""
    entries = {entry.name: entry for entry in wheel.entries if entry.kind == "file"}
    wanted = chosen(sorted(entries), archive, f"`{wheel.path.name}`")
    parts = [_unpacked(wheel, entries[name], path, folder / path) for name, path in wanted.items()]
    return tuple(sorted(parts, key=lambda part: part.path))


def outside_of_wheel(wheel: Zip, archive: CppArchive, folder: Path) -> tuple[Path, ...]:
    """Folders with the shared libraries of a wheel that are no part of the archive.

    They are what an earlier repair grafted beside the package; written below `folder`.
    """
    entries = {entry.name: entry for entry in wheel.entries if entry.kind == "file"}
    inside = chosen(sorted(entries), archive)
    found: dict[Path, None] = {}
    for name, entry in entries.items():
        is_graft = posixpath.dirname(name).endswith((".libs", ".dylibs", "/libs"))
        if name not in inside and is_graft and looks_like(wheel.head(entry, _HEAD)):
            _unpacked(wheel, entry, name, folder / name)
            found[(folder / name).parent] = None
    return tuple(found)


def linked_copies(parts: Iterable[Part]) -> tuple[Part, ...]:
    """The parts with equal libraries or tools of one folder as links to that of the longest name."""
    together = tuple(parts)
    groups: dict[tuple[str, str], list[Part]] = {}
    for part in together:
        if not part.link and part.sha256 and role_of(part.path) in {"library", "tool"}:
            groups.setdefault((posixpath.dirname(part.path), part.sha256), []).append(part)
    links: dict[str, Part] = {}
    for group in groups.values():
        real = max(group, key=lambda part: (len(part.path), part.path))
        for part in group:
            if part is not real:
                links[part.path] = Part(part.path, link=posixpath.basename(real.path))
    return tuple(links.get(part.path, part) for part in together)


def without_links(parts: Iterable[Part]) -> tuple[Part, ...]:
    """The parts with files in the place of links: what a system needs that has none."""
    together = {part.path: part for part in parts}
    return tuple(_followed(part, together) for part in together.values())


def _followed(part: Part, parts: Mapping[str, Part]) -> Part:
    found, seen = part, {part.path}
    while found.link:
        found = parts[found.end]
        if found.path in seen:
            raise BuilderError(
                f"`{part.path}` is a link to itself", hint="leave it out with `archive.leave`"
            )
        seen.add(found.path)
    return replace(found, path=part.path)


def _unpacked(wheel: Zip, entry: Entry, path: str, file: Path) -> Part:
    """A member: small texts in memory, all else in a file."""
    digest = hashlib.sha256()
    may_run = bool(entry.mode & 0o111)
    content: bytes | Path = file
    if entry.size <= _SMALL and looks_like((raw := wheel.read(entry))[:_HEAD]) is None:
        digest.update(raw)
        content = raw
    else:
        wheel.save(entry, file, digest.update)
    return Part(path, content, may_run, entry=entry, sha256=digest.hexdigest())
