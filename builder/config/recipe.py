"""Recipe values: what to build, as written; overrides not applied, nothing looked up.

The TOML that fills them, its JSON Schema and its faults live in `recipe_file.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path
from types import MappingProxyType
from typing import Literal

__all__ = [
    "Archive",
    "Axes",
    "Bundle",
    "CMake",
    "Checks",
    "Conda",
    "Consumer",
    "CoreStage",
    "CppArchive",
    "CxxAbi",
    "Folder",
    "GitRevision",
    "IndexSdist",
    "PythonStage",
    "Recipe",
    "Sibling",
    "Sizes",
    "Source",
    "VersionRule",
    "Waiver",
]


def _nothing() -> Mapping[str, str]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Folder:
    """A source folder; absolute."""

    path: Path


@dataclass(frozen=True, slots=True)
class GitRevision:
    """A revision (commit, tag or branch) of a git repository (URL or absolute folder)."""

    url: str
    revision: str


@dataclass(frozen=True, slots=True)
class IndexSdist:
    """The sdist of one project and version on the package index; `sha256` in hex."""

    project: str
    version: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Archive:
    """A source archive (`.tar.*` or `.zip`): a `file:`/`https:` URL or an absolute path."""

    location: str
    sha256: str


Source = Folder | GitRevision | IndexSdist | Archive


@dataclass(frozen=True, slots=True)
class VersionRule:
    """Where the version comes from and how the project is told about it.

    `number` is the base version (`1.4.0`), or empty: then the source says it (`PKG-INFO`,
    `pyproject.toml`, `version.txt` minus `a0`), or the built wheel does.
    `environment` names variables that receive the full version in the python stage.
    `local`: `accelerator` adds `+cpu`/`+cu130`; `none` never; `auto` adds it when the recipe has
    more than one accelerator.
    """

    number: str = ""
    environment: tuple[str, ...] = ()
    local: Literal["auto", "accelerator", "none"] = "auto"


@dataclass(frozen=True, slots=True)
class Axes:
    """The targets a recipe is meant for, each in canonical spelling; empty means "any"."""

    types: tuple[str, ...] = ()
    pythons: tuple[str, ...] = ()
    accelerators: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CMake:
    """Configure, build and install with CMake. `options` become `-DNAME=VALUE`."""

    source: str = "."
    options: Mapping[str, str] = field(default_factory=_nothing)
    targets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CoreStage:
    """The Python-independent compile. Exactly one of `cmake` and `commands` is given.

    `requires` are requirements from the package index (build tools), `system` names of packages of
    the operating system. Values of `environment`, `options` and words of `commands` may hold the
    placeholders `{source} {build} {prefix} {jobs} {version} {accelerator} {cuda_architectures}`.
    """

    cmake: CMake | None = None
    commands: tuple[tuple[str, ...], ...] = ()
    requires: tuple[str, ...] = ()
    system: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=_nothing)


@dataclass(frozen=True, slots=True)
class PythonStage:
    """The stage per interpreter: PEP 517, or `commands` that leave one wheel in `{dist}`.

    `prepare` commands run in the copied source before the PEP 517 build. `serves`: `auto` (look at
    the built wheel's tags), `version` (one wheel per Python), `abi3`, `py3` (one wheel for all).
    Placeholders as in `CoreStage`, and `{core}` (the core tree), `{dist}`, `{python}`
    (the interpreter), `{recipe}` (the recipe's folder).
    """

    subdirectory: str = "."
    prepare: tuple[tuple[str, ...], ...] = ()
    commands: tuple[tuple[str, ...], ...] = ()
    requires: tuple[str, ...] = ()
    system: tuple[str, ...] = ()
    config_settings: Mapping[str, str] = field(default_factory=_nothing)
    environment: Mapping[str, str] = field(default_factory=_nothing)
    serves: Literal["auto", "version", "abi3", "py3"] = "auto"


@dataclass(frozen=True, slots=True)
class Sibling:
    """Libraries owned by another wheel: never grafted, reached by rpath, required in the metadata.

    `libraries` are globs over sonames, `directory` where they sit below site-packages, `requires`
    the `Requires-Dist` that must be in the metadata (added when absent).
    """

    package: str
    libraries: tuple[str, ...]
    directory: str
    requires: str = ""


@dataclass(frozen=True, slots=True)
class Bundle:
    """Grafting rules: `exclude` are globs over sonames that stay outside, expected on the host."""

    exclude: tuple[str, ...] = ()
    siblings: tuple[Sibling, ...] = ()


@dataclass(frozen=True, slots=True)
class CppArchive:
    """How the C++ part is packaged by itself: the `[archive]` table.

    `name` begins the file name and `top` is the one folder inside; empty means `lib` and the
    recipe's name. `keep` and `leave` are globs over paths below the core tree, or below the folder
    `wheel` of a finished wheel, whose file `version` there says `__version__` and `git_version`.
    With `debug`, debug information goes into an archive of its own.
    """

    name: str = ""
    top: str = ""
    format: Literal["zip", "tar.zst"] = "zip"
    keep: tuple[str, ...] = ("bin/*", "include/*", "lib/*", "lib64/*", "share/*")
    leave: tuple[str, ...] = ()
    wheel: str = ""
    version: str = ""
    debug: bool = False

    def inner(self, name: str) -> str:
        """Where a file of a finished wheel is in the C++ part; empty where it does not belong to it."""
        below = f"{self.wheel}/" if self.wheel else ""
        path = name.removeprefix(below) if name.startswith(below) else ""
        return path if path and self.takes(path) else ""

    def takes(self, path: str) -> bool:
        """Whether a file belongs to the C++ part, by its path below the tree or the folder."""
        return any(fnmatchcase(path, glob) for glob in self.keep) and not any(
            fnmatchcase(path, glob) for glob in self.leave
        )


def _no_libraries() -> Mapping[str, tuple[str, ...]]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Conda:
    """How the project is packaged for conda: the `[conda]` table.

    `name` is that of the package for each Python, empty for the recipe's; `library` that of the package
    with the core tree, which all Pythons share, empty for none. With `choice` there is a package for each
    accelerator by whose name people choose it, where the recipe has several. `variant` are further keys
    that packages are told apart by. `depends` and `constrains` are match specifications of the Python
    package, `library_depends` of the library; `libraries` are globs over the names of the libraries that
    packages named there bring, `host` of those that every machine is expected to have.
    `run_exports` is how far a later library still serves: to the next `major`, `minor` or `patch`.
    """

    name: str = ""
    library: str = ""
    choice: bool = True
    build_string: Literal["modern", "compatible"] = "modern"
    build_number: int = 0
    variant: Mapping[str, str] = field(default_factory=_nothing)
    depends: tuple[str, ...] = ()
    constrains: tuple[str, ...] = ()
    library_depends: tuple[str, ...] = ()
    libraries: Mapping[str, tuple[str, ...]] = field(default_factory=_no_libraries)
    host: tuple[str, ...] = ()
    run_exports: Literal["major", "minor", "patch", "none"] = "major"
    format: Literal["conda", "tar.bz2"] = "conda"
    profile: Literal["fast", "default", "release"] = "default"


@dataclass(frozen=True, slots=True)
class Consumer:
    """A C++ program that is compiled against the core tree and run.

    `source` is relative to the recipe's folder. The library is found with
    `find_package(<package>)` and linked to `targets`.
    """

    source: str
    package: str
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Waiver:
    """Problems that are known and borne for a while.

    `check` is a glob over ids, `match` one over the lines of problems. From the day after `until`
    on the problems count again, and so does the waiver itself.
    """

    check: str
    match: str
    reason: str
    until: date


@dataclass(frozen=True, slots=True)
class CxxAbi:
    """The layout of `std::string` and `std::list` that a package promises to its users.

    `cxx11` is the one of GCC 5 and later. It is proven with symbols of the `namespaces` (all when
    empty) that the `libraries` (globs over file names) offer: at least `at_least` speak of the
    promised layout, and none of the other one.
    """

    cxx11: bool = True
    namespaces: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ("*",)
    at_least: int = 1


def _no_budget() -> Mapping[str, int]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Sizes:
    """How big a package may be: `budget` in bytes by globs over names of files.

    `growth` is how many percent it may be bigger than the one before, unpacked.
    """

    budget: Mapping[str, int] = field(default_factory=_no_budget)
    growth: float | None = None


@dataclass(frozen=True, slots=True)
class Checks:
    """What proves a package: imports, commands in the clean environment, a C++ consumer.

    Words of `commands` may hold `{python}` and `{recipe}`. `timeout` is in seconds, per command,
    `memory` in bytes, per process; None for no limit. `neighbours` are modules of other packages
    that are imported before and after `imports`. `upgrades` are requirements that take the place of those
    of the same projects in a second environment.
    `severity` maps globs over the ids of checks to what their problems are. `plugin` is a Python
    file with more checks, relative to the recipe's folder. `nightly_age` is how many days old a
    nightly may be.
    `forbidden_libraries` are globs over names that no binary may need, `forbidden_symbols` over
    names (as they are in the file, mangled) that no library may offer.
    """

    imports: tuple[str, ...] = ()
    commands: tuple[tuple[str, ...], ...] = ()
    requires: tuple[str, ...] = ()
    system: tuple[str, ...] = ()
    consumer: Consumer | None = None
    timeout: float = 300.0
    memory: int | None = None
    neighbours: tuple[str, ...] = ()
    upgrades: tuple[str, ...] = ()
    severity: Mapping[str, Literal["error", "warning"]] = field(
        default_factory=lambda: MappingProxyType({})
    )
    waivers: tuple[Waiver, ...] = ()
    plugin: str = ""
    forbidden_libraries: tuple[str, ...] = ()
    forbidden_symbols: tuple[str, ...] = ()
    abi: CxxAbi | None = None
    size: Sizes = field(default_factory=Sizes)
    nightly_age: int | None = None


@dataclass(frozen=True, slots=True)
class Recipe:
    """What to build, for every target at once.

    `folder` is the absolute folder the recipe was read from; it never enters a key.
    `overrides` holds `(glob over target ids, table to merge)` in file order; `apply` resolves them.
    """

    name: str
    folder: Path
    source: Source
    summary: str = ""
    version: VersionRule = field(default_factory=VersionRule)
    axes: Axes = field(default_factory=Axes)
    core: CoreStage | None = None
    python: PythonStage | None = None
    bundle: Bundle = field(default_factory=Bundle)
    archive: CppArchive = field(default_factory=CppArchive)
    conda: Conda = field(default_factory=Conda)
    checks: Checks = field(default_factory=Checks)
    overrides: tuple[tuple[str, Mapping[str, object]], ...] = ()
