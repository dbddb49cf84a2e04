"""A repair of one wheel in memory: the decisions of a system, applied to bytes by our editors."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from builder.archive.file import file_digest
from builder.binary import Binary, Edit, edited, looks_like, plan, read
from builder.relink.closure import Closure, Rules
from builder.relink.host import Host
from builder.relink.macos import MacOS
from builder.relink.system import Placement, Relinked, Relinking, Verdict
from builder.relink.windows import Windows

__all__ = ["Repaired", "repair"]


@dataclass(frozen=True, slots=True)
class Repaired:
    """The outcome: what was decided, the bytes of every member, and how they look afterwards."""

    closure: Closure
    relinked: Relinked
    verdict: Verdict
    contents: Mapping[str, bytes]
    seen: Closure
    again: Relinked

    @property
    def grafted(self) -> set[str]:
        """The names of the libraries that were grafted, as they were found."""
        return {Path(graft.source).name for graft in self.relinked.grafts}

    @property
    def changed(self) -> dict[str, bytes]:
        """The bytes of every binary that was edited or grafted."""
        grafted = [graft.path for graft in self.relinked.grafts]
        return {path: self.contents[path] for path in (*self.relinked.edits, *grafted)}

    @property
    def binaries(self) -> dict[str, bytes]:
        """The bytes of every binary."""
        return {path: content for path, content in self.contents.items() if looks_like(content[:8])}


def repair(wheel: Path, libraries: Path, placement: Placement = "libs") -> Repaired:
    """Decide, edit, and look at the result as the machine that installs it does."""
    with zipfile.ZipFile(wheel) as archive:
        given = {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}
    project, *_, platforms = wheel.name.removesuffix(".whl").split("-")
    members = _binaries(given)
    system = _system(project, members, given)
    closure = system.resolve(members, Rules(), system.libraries((libraries,)))
    digests = {path: file_digest(Path(path)) for path in closure.grafts}
    relinked = system.relink(_case(project, members, closure, given, digests, placement))
    contents = dict(given) | dict(relinked.files)
    for path, edit in relinked.edits.items():
        contents[path] = _edited(given[path], edit)
    for graft in relinked.grafts:
        contents[graft.path] = _edited(Path(graft.source).read_bytes(), graft.edit)
    after = _binaries(contents)
    system = _system(project, after, contents)
    seen = system.resolve(after, Rules(), Host(), only_inside=True)
    verdict = system.judge(after, tuple(platforms.split(".")), ())
    later = system.resolve(after, Rules(), system.libraries((libraries,)))
    again = system.relink(_case(project, after, later, contents, {}, placement))
    return Repaired(closure, relinked, verdict, contents, seen, again)


def _system(
    project: str, members: Mapping[str, Binary], contents: Mapping[str, bytes]
) -> MacOS | Windows:
    if any(binary.format == "macho" for binary in members.values()):
        return MacOS()
    return Windows.of(project, members, contents, contents.__getitem__)


def _case(
    project: str,
    members: Mapping[str, Binary],
    closure: Closure,
    contents: Mapping[str, bytes],
    digests: Mapping[str, str],
    placement: Placement,
) -> Relinking:
    return Relinking(
        project, members, closure, Rules(), (), digests, frozenset(contents), contents.__getitem__,
        placement=placement,
    )  # fmt: skip


def _binaries(contents: Mapping[str, bytes]) -> dict[str, Binary]:
    return {path: read(content) for path, content in contents.items() if looks_like(content[:8])}


def _edited(content: bytes, edit: Edit) -> bytes:
    """The new bytes, read back and compared with the plan."""
    new = plan(content, edit).apply(content)
    assert edited(read(content), read(new), edit) == ()
    return new
