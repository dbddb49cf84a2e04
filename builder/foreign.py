"""The seam between the core and recipes of other tools: a folder that holds one is built by a plugin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from builder.config.machine import Machine
from builder.config.plan import Plan
from builder.events import Events
from builder.process import Processes
from builder.requests import BuildRequest, Failure

__all__ = ["ForeignOutcome", "ForeignPackage", "ForeignRecipes", "ForeignTools"]


@dataclass(frozen=True, slots=True)
class ForeignTools:
    """What a plugin may use to build a foreign recipe. `store` is a folder that is kept between calls."""

    processes: Processes
    machine: Machine
    store: Path
    events: Events


@dataclass(frozen=True, slots=True)
class ForeignPackage:
    """A package in the output folder; `facts` are JSON values for the report."""

    path: Path
    sha256: str
    size: int
    seconds: float
    facts: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ForeignOutcome:
    """Everything one build of a foreign recipe did."""

    packages: tuple[ForeignPackage, ...]
    failures: tuple[Failure, ...]
    seconds: float

    def to_json(self) -> Mapping[str, object]:
        """The document of `build --json` for such a recipe."""
        rows = [
            {
                "path": str(row.path),
                "sha256": row.sha256,
                "size": row.size,
                "seconds": row.seconds,
                **row.facts,
            }
            for row in self.packages
        ]
        failures = [
            {
                "target": row.target,
                "stage": row.stage,
                "error": row.error,
                "hint": row.hint,
                "log": row.log,
            }
            for row in self.failures
        ]
        return {"schema": 1, "artifacts": rows, "failures": failures, "seconds": self.seconds}


class ForeignRecipes(Protocol):
    """The recipes of another tool. They are asked for by the package type, in a folder without a recipe of ours."""

    @property
    def name(self) -> str:
        """The package type that they make, for example `conda`."""
        ...

    def claims(self, folder: Path) -> bool:
        """Whether the folder holds such a recipe; reads no more than names."""
        ...

    def plan(self, folder: Path, request: BuildRequest, tools: ForeignTools) -> Plan:
        """What `build` would make. Builds nothing. Raises `UsageError`."""
        ...

    def build(self, folder: Path, request: BuildRequest, tools: ForeignTools) -> ForeignOutcome:
        """Build, prove and deliver; what fails is in the outcome. Raises `UsageError`."""
        ...

    def shell(self, folder: Path, request: BuildRequest, tools: ForeignTools) -> str:
        """A shell command that enters the environment of the kept build `request.debug_shell`."""
        ...
