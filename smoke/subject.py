"""What a check looks at: the content of an artifact, a ready environment, a core tree."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from builder.binary import Binary, Flaw
from builder.config.recipe import Bundle, Checks
from builder.process import Processes
from builder.relink.dll_folders import Registered

__all__ = [
    "ARTIFACTS",
    "Content",
    "Core",
    "Distribution",
    "EnvironmentFacts",
    "Expectations",
    "Installed",
    "Kind",
    "Member",
    "Release",
    "Subject",
    "Trace",
    "content_of",
    "installed_of",
]

Kind = Literal["wheel", "conda", "archive", "binary", "folder", "environment"]
"""An archive is any other zip or tar; a binary is a single library or program."""

ARTIFACTS: tuple[Kind, ...] = ("wheel", "conda", "archive", "binary", "folder")
"""Everything that is looked at without being installed."""


@dataclass(frozen=True, slots=True)
class Trace:
    """One place where a file says what it should not: a path of the building machine, or a secret."""

    offset: int
    text: str
    kind: Literal["path", "secret"] = "path"


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an artifact.

    `installed` is where it ends up below a prefix (`lib/python3/site-packages/...`). `digest` is
    the sha256 as RECORD spells it (`sha256=...`). `link` is the path that a symbolic link leads to
    in the end, as a name of this artifact. `flaws` are of a binary; one that cannot be read may have
    some, too.
    """

    name: str
    installed: str
    size: int
    digest: str
    binary: Binary | None = None
    traces: tuple[Trace, ...] = ()
    link: str = ""
    flaws: tuple[Flaw, ...] = ()


@dataclass(frozen=True, slots=True)
class Content:
    """Everything in an artifact, read once. `faults` make it unfit to be unpacked at all.

    `texts` holds metadata by path: that of wheels and conda packages, CMake and pkg-config files,
    lists of contents. `damaged` names binaries that do not parse, with the reason. `claimed` are
    the platforms that the artifact is said to be for, `registered` the folders that a wheel for
    Windows hands to the loader, `host` the libraries that an archive says it expects, if it says so.
    """

    members: tuple[Member, ...]
    faults: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()
    texts: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    claimed: tuple[str, ...] = ()
    registered: Registered | None = None
    host: tuple[str, ...] | None = None

    @property
    def binaries(self) -> tuple[tuple[Member, Binary], ...]:
        """The members that a linker can read, links left out."""
        return tuple(
            (member, member.binary)
            for member in self.members
            if member.binary is not None and not member.link
        )


@dataclass(frozen=True, slots=True)
class Distribution:
    """One installed distribution. `folder` is its site-packages."""

    name: str
    version: str
    folder: Path
    requires: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EnvironmentFacts:
    """What the interpreter under test says about itself. `markers` is its PEP 508 environment."""

    version: tuple[int, int]
    prefix: Path
    base_prefix: Path
    site: Path
    markers: Mapping[str, str]
    distributions: tuple[Distribution, ...]


@dataclass(frozen=True, slots=True)
class Installed:
    """A ready environment. `facts` is None when its interpreter does not answer; `fault` says why.

    `path` is the search path for programs besides the environment's own, `scratch` a folder that
    is empty and neutral, `processes` what starts everything.
    """

    python: Path
    path: tuple[Path, ...]
    scratch: Path
    processes: Processes
    facts: EnvironmentFacts | None
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Core:
    """A core tree for a C++ consumer. `recipe` is the folder that the consumer's source is in.

    `os` is the machine's, as `Machine` says it.
    """

    os: str
    prefix: Path
    recipe: Path
    path: tuple[Path, ...]
    scratch: Path
    processes: Processes


@dataclass(frozen=True, slots=True)
class Release:
    """What users have of one release, by names that stay the same in the next one.

    `files` are sizes by path (None for a link), `offered` the symbols of each library, or only
    their number when a list of contents told it. `outside` are the libraries that are needed and
    not inside, `host` those that a list of contents expects; None when nothing tells.
    """

    name: str
    files: Mapping[str, int | None]
    offered: Mapping[str, frozenset[str] | int]
    outside: frozenset[str] | None = None
    host: frozenset[str] | None = None

    @property
    def size(self) -> int:
        """All files together, unpacked."""
        return sum(size for size in self.files.values() if size is not None)


@dataclass(frozen=True, slots=True)
class Expectations:
    """What the caller knows and the bytes do not say.

    `build_paths` are folders that may not be named in the bytes. `architectures` are CUDA
    architectures as CMake spells them. `today` decides on waivers. `previous` is the release to
    compare with.
    """

    bundle: Bundle = field(default_factory=Bundle)
    build_paths: tuple[str, ...] = ()
    architectures: tuple[str, ...] = ()
    today: date = field(default_factory=lambda: datetime.now(tz=UTC).date())
    previous: Release | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """One thing under test. Absent parts are None; the checks that need them do not run.

    `checks` is what the recipe asks for; words of its commands have no placeholders left. `beside`
    are the other wheels of one call, for the checks that look at all of them. `upgrade` makes a second
    environment like the installed one, with what `checks.upgrades` asks for, and the subject in it.
    """

    path: Path
    kind: Kind
    content: Content | None = None
    installed: Installed | None = None
    core: Core | None = None
    checks: Checks = field(default_factory=Checks)
    expectations: Expectations = field(default_factory=Expectations)
    beside: tuple[Subject, ...] = ()
    upgrade: Callable[[], Subject] | None = None


def content_of(subject: Subject) -> Content:
    """The content that the runner gives to every artifact check."""
    assert subject.content is not None, "artifact checks run on content"  # invariant
    return subject.content


def installed_of(subject: Subject) -> Installed:
    """The environment that the runner gives to every environment check."""
    assert subject.installed is not None, "these checks have an environment"  # invariant
    return subject.installed
