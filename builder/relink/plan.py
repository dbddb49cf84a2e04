"""What is wanted of a wheel, and what a repair changes in it, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from builder.archive.record import Row
from builder.archive.wheel import Wheel, WheelName
from builder.binary import Binary
from builder.relink.closure import Closure, Libraries, Rules
from builder.relink.contents import Members, Sources
from builder.relink.facts import Facts
from builder.relink.system import Placement, Relinked, System, Verdict

if TYPE_CHECKING:
    from builder.config.recipe import Sibling

__all__ = ["Plan", "Subject", "Wanted"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is wanted of one wheel.

    `search` are folders with libraries that come before the system's, `exclude` globs over names of
    libraries that stay outside. `include` are libraries to graft though nobody needs them: paths of
    this machine, or globs over names in the folders of libraries. `version` is a full version to
    relabel to, or empty. `baseline` is a platform tag the wheel may not exceed, `platform` the one
    it is to have; `auto` for both. `epoch` is the time stamp of what is new, None for the newest one
    in the wheel. `level` is 0 to 9. With `check_record` every digest in RECORD is compared with the
    bytes, with `any_instructions` code for newer processors forbids no tag.
    """

    wheel: Path
    search: tuple[Path, ...] = ()
    exclude: tuple[str, ...] = ()
    siblings: tuple[Sibling, ...] = ()
    version: str = ""
    baseline: str = "auto"
    platform: str = "auto"
    epoch: int | None = None
    level: int = 6
    library_suffix: str = ""
    strip: bool = False
    include: tuple[str, ...] = ()
    placement: Placement = "libs"
    check_record: bool = False
    any_instructions: bool = False


@dataclass(frozen=True, slots=True)
class Subject:
    """A wheel that was read: itself, its binaries, its content, and the system it is for.

    `own` are the binaries that its loader has to do with, by path.
    """

    wheel: Wheel
    facts: Facts
    members: Members
    sources: Sources
    system: System
    host: Libraries
    own: Mapping[str, Binary]


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that changes. Paths are those in the repaired wheel, unless said otherwise.

    `paths` are the members that go to another path, by their old one, `dropped` old paths that are
    left out, `files` small files with other or new content. `rows` are those of RECORD for what
    keeps its bytes. `binaries` are as they will be read from the result, `dist_info` its folder.
    """

    name: WheelName
    dist_info: str
    verdict: Verdict
    closure: Closure
    rules: Rules
    relinked: Relinked = field(default_factory=Relinked)
    paths: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    dropped: frozenset[str] = frozenset()
    rows: Mapping[str, Row] = field(default_factory=dict)
    binaries: Mapping[str, Binary] = field(default_factory=dict)
    record_is_wrong: bool = False
    notes: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether the wheel is to stay as it is."""
        done = self.relinked
        changes = (done.grafts, done.edits, self.files, self.paths, self.dropped)
        return not any(changes) and not self.record_is_wrong

    @property
    def outside(self) -> tuple[str, ...]:
        """Globs over libraries that stay outside of the wheel by intention."""
        return (*self.rules.exclude, *self.rules.siblings)
