"""What a check looks at: the content of an artifact, a ready environment, a core tree."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from builder.binary import Binary
from builder.config.recipe import Bundle, Checks
from builder.process import Processes

__all__ = [
    "HOST_LIBRARIES",
    "Content",
    "Core",
    "Distribution",
    "EnvironmentFacts",
    "Expectations",
    "Installed",
    "Kind",
    "Leak",
    "Member",
    "Subject",
    "content_of",
    "installed_of",
]

Kind = Literal["wheel", "folder", "environment"]

HOST_LIBRARIES = (
    "libc.so.6",
    "libdl.so.2",
    "libm.so.6",
    "libmvec.so.1",
    "libnsl.so.1",
    "libpthread.so.0",
    "libresolv.so.2",
    "librt.so.1",
    "libutil.so.1",
    "ld-linux*.so.*",
    "ld64.so.*",
    "libgcc_s.so.1",
    "libstdc++.so.6",
    "libatomic.so.1",
    "libanl.so.1",
    "libz.so.1",
    "libexpat.so.1",
    "libX11.so.6",
    "libXext.so.6",
    "libXrender.so.1",
    "libICE.so.6",
    "libSM.so.6",
    "libGL.so.1",
    "libgobject-2.0.so.0",
    "libgthread-2.0.so.0",
    "libglib-2.0.so.0",
)
"""What every manylinux host has (PEP 599 and PEP 600), for callers without policy data."""


@dataclass(frozen=True, slots=True)
class Leak:
    """One place where a path of the building machine is written into a file."""

    offset: int
    text: str


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an artifact.

    `installed` is where it ends up below a prefix (`lib/python3/site-packages/...`). `digest` is
    the sha256 as RECORD spells it (`sha256=...`). `link` names the member that a symbolic link
    points at.
    """

    name: str
    installed: str
    size: int
    digest: str
    binary: Binary | None = None
    leaks: tuple[Leak, ...] = ()
    link: str = ""


@dataclass(frozen=True, slots=True)
class Content:
    """Everything in an artifact, read once. `faults` make it unfit to be unpacked at all.

    `texts` holds METADATA, WHEEL and RECORD of `*.dist-info` by path.
    `damaged` names binaries that do not parse, with the reason.
    """

    members: tuple[Member, ...]
    faults: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()
    texts: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

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
    """A core tree for a C++ consumer. `recipe` is the folder that the consumer's source is in."""

    prefix: Path
    recipe: Path
    path: tuple[Path, ...]
    scratch: Path
    processes: Processes


@dataclass(frozen=True, slots=True)
class Expectations:
    """What the caller knows and the bytes do not say.

    `host_libraries` are globs over sonames. `symbol_versions` maps a platform tag
    (`manylinux_2_28_x86_64`) to the symbol versions that its hosts have, by family (`GLIBCXX` ->
    `3.4.24`, ...); for a tag without an entry only GLIBC is judged, by the tag itself.
    `build_paths` are folders that may not be named in the bytes. `architectures` are CUDA
    architectures as CMake spells them.
    """

    host_libraries: tuple[str, ...] = HOST_LIBRARIES
    symbol_versions: Mapping[str, Mapping[str, Collection[str]]] = field(
        default_factory=lambda: MappingProxyType({})
    )
    bundle: Bundle = field(default_factory=Bundle)
    build_paths: tuple[str, ...] = ()
    architectures: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Subject:
    """One thing under test. Absent parts are None; the checks that need them do not run.

    `checks` is what the recipe asks for; words of its commands have no placeholders left.
    """

    path: Path
    kind: Kind
    content: Content | None = None
    installed: Installed | None = None
    core: Core | None = None
    checks: Checks = field(default_factory=Checks)
    expectations: Expectations = field(default_factory=Expectations)


def content_of(subject: Subject) -> Content:
    """The content that the runner gives to every artifact check."""
    assert subject.content is not None, "artifact checks run on content"  # invariant
    return subject.content


def installed_of(subject: Subject) -> Installed:
    """The environment that the runner gives to every environment check."""
    assert subject.installed is not None, "these checks have an environment"  # invariant
    return subject.installed
