"""The seam of operating systems: how a loader finds libraries, what is grafted where, which tag fits.

One implementation for each: `relink.linux`, `relink.macos`, `relink.windows`. All of it is pure but
`libraries`, which looks into folders of this machine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from builder.binary import Binary, Edit, Format
from builder.relink.closure import Closure, Libraries, Rules
from builder.relink.policy import Blocker

if TYPE_CHECKING:
    from builder.config.recipe import Sibling

__all__ = [
    "Grafted",
    "Placement",
    "Relinked",
    "Relinking",
    "System",
    "Verdict",
    "loaded",
    "of_one_machine",
]

Placement = Literal["libs", "beside"]
"""Into a folder of their own, or where those who need them look anyway, under their own names."""


@dataclass(frozen=True, slots=True)
class Relinking:
    """One wheel whose needs are known.

    `members` are its binaries by path and `names` all its files; `texts` reads a small one.
    `digests` are the sha256 of the libraries to graft, by real path. `library_suffix` ends the name
    of the folder they go into, empty for the system's own way. `spoken` are names of grafts that
    are in the strings of binaries which open libraries by name, each with the paths of those
    binaries. `included` are the real paths of grafts that were asked for.
    """

    project: str
    members: Mapping[str, Binary]
    closure: Closure
    rules: Rules
    siblings: tuple[Sibling, ...]
    digests: Mapping[str, str]
    names: frozenset[str]
    texts: Callable[[str], bytes]
    library_suffix: str = ""
    placement: Placement = "libs"
    spoken: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    included: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Grafted:
    """A library that goes into the wheel.

    `name` is the one it is needed by, `source` its real path on this machine, `path` its place in
    the wheel, `sha256` that of the library as it was found, `edit` what changes in the copy.
    """

    name: str
    source: str
    path: str
    sha256: str
    edit: Edit = field(default_factory=Edit)

    def to_json(self) -> Mapping[str, str]:
        """The JSON form of the command line."""
        return {"name": self.name, "from": self.source, "as": self.path, "sha256": self.sha256}


@dataclass(frozen=True, slots=True)
class Relinked:
    """What is to be done: copies, edits of members by path, and files with other or new content.

    `moves` are members that go to another path; their edits are still named by the old one.
    """

    grafts: tuple[Grafted, ...] = ()
    edits: Mapping[str, Edit] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    moves: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The platform tags that binaries deserve, and what keeps them from the next better one.

    `platforms` are empty where they deserve none; then `blockers` say why. `tag` is the one to show.
    """

    platforms: tuple[str, ...]
    tag: str
    blockers: tuple[Blocker, ...] = ()
    notes: tuple[str, ...] = ()


class System(Protocol):
    """One operating system."""

    @property
    def name(self) -> Literal["linux", "macos", "windows"]:
        """What targets call it."""
        ...

    def resolve(
        self,
        members: Mapping[str, Binary],
        rules: Rules,
        host: Libraries,
        *,
        only_inside: bool = False,
    ) -> Closure:
        """Where everything the binaries need comes from, as this system's loader would find it.

        With `only_inside` nothing of this machine is looked at: the view of the machine the wheel
        is installed on.
        """
        ...

    def relink(self, case: Relinking) -> Relinked:
        """Where each graft goes, and every change in members and grafts."""
        ...

    def judge(
        self, binaries: Mapping[str, Binary], claimed: tuple[str, ...], outside: tuple[str, ...]
    ) -> Verdict:
        """The tags that binaries deserve: those that are claimed when they are honest.

        `outside` are globs over libraries that are expected to be there.
        """
        ...

    def libraries(self, search: tuple[Path, ...]) -> Libraries:
        """Where this system's loader looks on this machine; only `search` for a foreign system."""
        ...


def loaded(binaries: Mapping[str, Binary], format_: Format) -> Mapping[str, Binary]:
    """The binaries of one format that a loader has to do with, by path."""
    return {path: one for path, one in binaries.items() if one.format == format_ and one.is_loaded}


def of_one_machine(
    binaries: Mapping[str, Binary], arch: str = ""
) -> tuple[str, Mapping[str, Binary]]:
    """The architecture that is given, or the most common one, and the binaries for it."""
    machines = [binary.machine for binary in binaries.values()]
    arch = arch or max(sorted(set(machines)), key=machines.count, default="")
    return arch, {path: binary for path, binary in binaries.items() if binary.machine == arch}
