"""What the binaries of a conda package need, who brings it, and the rpaths that lead there.

All paths are below the prefix. A library comes from the package itself, from its companion with the
core tree, from a package that it requires, or from the machine; anything else is an error here, not
on the machine of a user.
"""

from __future__ import annotations

import posixpath
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

from builder.binary import Binary, Edit
from builder.errors import BuilderError
from builder.relink.closure import expansions
from builder.relink.linux import Linux
from builder.relink.policy import is_loader, matches

__all__ = [
    "Around",
    "Brought",
    "Linked",
    "cuda_floor",
    "glibc_floor",
    "has_device_code",
    "host_libraries",
    "known_libraries",
    "linked",
    "offered",
]

_LIB: Final = "lib"
_TAG: Final = re.compile(r"manylinux_(\d+)_(\d+)_.+")
_GLIBC: Final = re.compile(r"GLIBC_(\d+)\.(\d+)(?:\.\d+)?")
_MINOR_COMPATIBLE: Final = 11
"""Since CUDA 11, machine code runs with the driver of any version of the same major number."""


@dataclass(frozen=True, slots=True)
class Brought:
    """What one required package has: globs over names of libraries, and the folder they are in."""

    package: str
    libraries: tuple[str, ...]
    folder: str = _LIB


@dataclass(frozen=True, slots=True)
class Around:
    """What there is besides the package itself.

    `beside` are the libraries of the companion, by every name that they can be needed by, with their
    folders; `companion` is its name. `brought` are those of required packages, `host` globs over
    those of the machine.
    """

    companion: str = ""
    beside: Mapping[str, str] = field(default_factory=dict)
    brought: tuple[Brought, ...] = ()
    host: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Linked:
    """Edits by path, the packages whose libraries are really needed, and the names of what is outside."""

    edits: Mapping[str, Edit]
    used: frozenset[str]
    outside: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Known:
    host: tuple[str, ...]
    cuda: tuple[str, ...]
    packages: Mapping[str, tuple[str, ...]]


def known_libraries(
    requires: Iterable[str], more: Mapping[str, Iterable[str]]
) -> tuple[Brought, ...]:
    """What the packages of match specifications bring, as far as the data here or `more` knows."""
    names = dict.fromkeys(spec.split(" ", 1)[0] for spec in requires)
    known = _known().packages
    found = ((name, (*more.get(name, ()), *known.get(name, ()))) for name in names)
    return tuple(Brought(name, globs) for name, globs in found if globs)


def linked(
    package: str, binaries: Mapping[str, Binary], links: Mapping[str, str], around: Around
) -> Linked:
    """How the binaries of a package find what they need.

    `links` are its symbolic links by path, with the files that they lead to. Raises `BuilderError`
    naming every library that nobody brings, with the file that needs it.
    """
    case = _Case(binaries, links, around)
    edits = {path: edit for path in sorted(binaries) if not (edit := case.edit(path)).is_empty}
    if case.faults:
        raise BuilderError(
            f"`{package}` needs libraries that neither it nor what it requires has",
            faults=case.faults,
            hint="name the package that brings them in `conda.depends` or `conda.library-depends` (and "
            "in `conda.libraries` what it brings), or, if every machine has them, in `conda.host`",
        )
    return Linked(edits, frozenset(case.used), tuple(sorted(case.outside)))


def glibc_floor(binaries: Mapping[str, Binary], arch: str) -> str:
    """The oldest glibc that the binaries run with (`2.17`), judged as the tags of wheels are.

    Empty where nothing asks for one.
    """
    asked = [
        (int(match[1]), int(match[2]))
        for binary in binaries.values()
        for need in binary.versions_needed
        if (match := _GLIBC.fullmatch(need.version))
    ]
    if not asked:
        return ""
    verdict = Linux(arch, any_instructions=True).judge(binaries, (), ("*",))
    match = _TAG.fullmatch(verdict.tag)
    found = max(asked) if match is None else (int(match[1]), int(match[2]))
    return ".".join(map(str, found))


def cuda_floor(binaries: Mapping[str, Binary], version: str) -> str:
    """The oldest CUDA that a driver must offer, for code made with a toolkit `version` (`13.0`).

    Empty where no binary has device code or needs the driver.
    """
    codes = [code for binary in binaries.values() for code in binary.cuda_architectures]
    needs_driver = any(
        matches(_known().cuda, name) for binary in binaries.values() for name in binary.needed
    )
    if not version or not (codes or needs_driver):
        return ""
    major = version.partition(".")[0]
    has_machine_code = any(code.startswith("sm_") for code in codes)
    return major if has_machine_code and int(major) >= _MINOR_COMPATIBLE else version


def host_libraries() -> tuple[str, ...]:
    """Globs over libraries that every machine has, the loader's own and the drivers' left out."""
    return _known().host


def has_device_code(binaries: Mapping[str, Binary]) -> bool:
    """Whether one of them holds code for an accelerator."""
    return any(binary.cuda_architectures for binary in binaries.values())


@cache
def _known() -> _Known:
    table = tomllib.loads(Path(__file__).with_name("libraries.toml").read_text("utf-8"))
    packages = {name: tuple(globs) for name, globs in table["packages"].items()}
    return _Known(tuple(table["host"]), tuple(table["cuda"]), packages)


class _Case:
    """One package whose needs are looked at file by file."""

    def __init__(
        self, binaries: Mapping[str, Binary], links: Mapping[str, str], around: Around
    ) -> None:
        self._binaries, self._around = binaries, around
        self._own = dict(offered(binaries, links))
        self._folders = {
            _LIB,
            *map(posixpath.dirname, binaries),
            *around.beside.values(),
            *(brought.folder for brought in around.brought),
        }
        self.used: set[str] = set()
        self.outside: set[str] = set()
        self.faults: list[str] = []

    def edit(self, path: str) -> Edit:
        """What changes in a file; entries that lead nowhere in the environment are dropped."""
        binary, here = self._binaries[path], posixpath.dirname(path)
        before = binary.runpath or binary.rpath
        kept = [
            entry
            for entry in before
            if set(expansions(entry, here, binary)) & self._folders and not entry.startswith("/")
        ]
        reached = {folder for entry in kept for folder in expansions(entry, here, binary)}
        ways = [
            _way(here, folder) for folder in self._needed(path, binary) if folder not in reached
        ]
        wanted = tuple(dict.fromkeys((*kept, *ways)))
        return Edit() if wanted == before else Edit(search=wanted)

    def _needed(self, path: str, binary: Binary) -> Iterator[str]:
        """The folders with what a file needs, in its order."""
        for name in binary.needed:
            folder = self._place(name)
            if name not in self._own:
                self.outside.add(name)
            if folder is None:
                self.faults.append(f"{path}: needs {name}")
            elif folder:
                yield folder

    def _place(self, name: str) -> str | None:
        """The folder of a library; empty for the machine's, None when nobody brings it."""
        around = self._around
        if name in self._own:
            return self._own[name]
        if name in around.beside:
            self.used.add(around.companion)
            return around.beside[name]
        for brought in around.brought:
            if matches(brought.libraries, name):
                self.used.add(brought.package)
                return brought.folder
        known = _known()
        is_there = is_loader(name) or matches((*known.host, *known.cuda, *around.host), name)
        return "" if is_there else None


def offered(binaries: Mapping[str, Binary], links: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Every name that a library can be needed by, with its folder."""
    for path, binary in binaries.items():
        yield posixpath.basename(path), posixpath.dirname(path)
        if binary.soname:
            yield binary.soname, posixpath.dirname(path)
    for path, end in links.items():
        if end in binaries:
            yield posixpath.basename(path), posixpath.dirname(path)


def _way(here: str, there: str) -> str:
    """The rpath entry from one folder of the prefix to another."""
    relative = posixpath.relpath(there or ".", here or ".")
    return "$ORIGIN" if relative == "." else f"$ORIGIN/{relative}"
