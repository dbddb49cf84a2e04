"""The seam between the core and a package type: what a backend is given and gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from builder.config.machine import Machine
from builder.config.plan import Step
from builder.config.recipe import Checks, Recipe
from builder.config.spec import BuildSpec
from builder.process import Processes
from builder.stage.tree import Tree

__all__ = [
    "Accompanied",
    "Backend",
    "Gathers",
    "Home",
    "Installs",
    "Judges",
    "Package",
    "Splits",
    "Tools",
    "Trees",
    "Trial",
    "Tries",
]


@dataclass(frozen=True, slots=True)
class Trees:
    """The compiled inputs of a package: the core tree, and the python tree that holds one raw wheel."""

    core: Tree | None
    python: Tree | None


@dataclass(frozen=True, slots=True)
class Tools:
    """What a backend may use to do its work. `log` receives what its processes print."""

    processes: Processes
    machine: Machine
    python: Path
    work: Path
    log: Path


@dataclass(frozen=True, slots=True)
class Package:
    """A file that `package` wrote, with facts for the report (grafted libraries, platform tag).

    `folder` is where it belongs below the output folder, `warnings` are lines for the user. What the checks
    have to know: `outside`, the names of libraries that come from elsewhere as the package says itself,
    and `device_code`, false when the code for the accelerator is in a package that it requires.
    """

    path: Path
    facts: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of one way to use a package; `reason` says why it was left out."""

    id: str
    problems: tuple[str, ...] = ()
    reason: str = ""
    seconds: float = 0.0


class Backend(Protocol):
    """One package type. It never compiles: it takes trees and packages them.

    `identity` names everything besides spec and trees that changes the bytes of the package (engine
    versions, digests of host libraries that will be grafted); it enters the package's input key.
    """

    @property
    def name(self) -> str:
        """The package type this backend makes, for example `manywheel`."""
        ...

    @property
    def needs_python(self) -> bool:
        """Whether its packages are made for one Python each; C++ archives are not."""
        ...

    def plan(self, spec: BuildSpec) -> tuple[Step, ...]:
        """The steps of `package`, as values that print as readable shell; touches nothing."""
        ...

    def identity(self, spec: BuildSpec, trees: Trees, tools: Tools) -> Mapping[str, object]:
        """JSON facts that change the bytes of the package."""
        ...

    def package(self, spec: BuildSpec, trees: Trees, out: Path, tools: Tools) -> Package:
        """Write one package into `out` and verify it. Raises `BuilderError`."""
        ...


@runtime_checkable
class Tries(Protocol):
    """A backend whose packages are no wheels, and that knows how they are used."""

    def check(
        self, path: Path, checks: Checks, recipe: Path | None, tools: Tools
    ) -> tuple[Trial, ...]:
        """Use a package as a stranger does; what does not work is a problem. Raises `BuilderError`.

        `checks` are those of the recipe in the folder `recipe`, or empty ones of none.
        """
        ...


@runtime_checkable
class Accompanied(Protocol):
    """A backend whose packages come with some of other types, which backends of their own make."""

    def companions(self, recipe: Recipe) -> tuple[str, ...]:
        """The package types that belong to this one, for a recipe; asked for with it, if not by name.

        Each is called after this one, with a word behind `_`, so that recipes can have overrides for it.
        """
        ...


@runtime_checkable
class Judges(Protocol):
    """A backend whose packages of one call have to be right together: which one users get, for example."""

    def judge(
        self, packages: tuple[Path, ...], channels: tuple[str, ...], tools: Tools
    ) -> tuple[Trial, ...]:
        """Questions about all packages of a call, its companions' too; a problem keeps them all back.

        `channels` hold what users have already. Raises `BuilderError` when they cannot be asked.
        """
        ...


@runtime_checkable
class Gathers(Protocol):
    """A backend whose packages are something together when they are delivered: a channel, for example."""

    def gather(self, output: Path) -> None:
        """Make the output folder what it is, after packages of it came or changed. Raises `BuilderError`."""
        ...


@dataclass(frozen=True, slots=True)
class Home:
    """An environment that a package was installed into. `core` is its folder, where it holds C++ to use."""

    python: Path
    core: Path | None = None


@runtime_checkable
class Installs(Protocol):
    """A backend whose packages get into environments by a client of their own, out of channels."""

    def absent(self, spec: BuildSpec, channels: tuple[str, ...], machine: Machine) -> str:
        """Why no environment can be made for a package here, or nothing."""
        ...

    def install(
        self,
        package: Path,
        beside: tuple[Path, ...],
        spec: BuildSpec,
        channels: tuple[str, ...],
        tools: Tools,
    ) -> Home:
        """An environment below `tools.work` with a package, as a user gets it.

        `beside` are all packages of the call; what none of them is comes from `channels` (folders, URLs, names).
        Raises `BuilderError` when it cannot be installed.
        """
        ...


@runtime_checkable
class Splits(Protocol):
    """A backend that may make a package for each Python of one wheel that serves several."""

    def splits(self, wheel: str) -> bool:
        """Whether a wheel of this file name becomes a package for each of them."""
        ...
