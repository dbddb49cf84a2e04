"""What the verbs take and give back; the JSON contract of the command line is written from these."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

from builder.config.plan import Plan
from builder.config.target import Target
from builder.errors import BuilderError
from smoke.report import Report

__all__ = ["EPOCH", "Artifact", "BuildOutcome", "BuildRequest", "Failure", "StageResult"]

EPOCH: Final = 315532800
"""The first second of 1980, as early as a zip can say: the time of what has no better one."""


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """One call of `build`: what the user asked for, spelled as the user spelled it.

    `recipe` is a name, a folder with a recipe, or `.`. Empty tuples mean "what the recipe says".
    `pythons` may hold ranges (`3.9-3.13`), `all`, and paths of interpreters. `jobs` 0 means one per core.
    `channel` is `release`, `test` or `nightly`; a nightly is dated `today`. `baseline` is the platform
    tag a wheel may not exceed (`manylinux_2_28`), or `auto`. `channels`, `variant_files`, `engine` and
    `debug_shell` are for recipes of other tools; `epoch` (seconds since 1970) is the time inside their packages.
    """

    recipe: str
    today: date
    types: tuple[str, ...] = ()
    pythons: tuple[str, ...] = ()
    accelerators: tuple[str, ...] = ()
    os: str = "linux"
    arch: str = "x86_64"
    abi: str = ""
    variants: tuple[str, ...] = ()
    select: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    source: str = ""
    version: str = ""
    channel: str = "release"
    build_number: int = 1
    baseline: str = "auto"
    architectures: tuple[str, ...] = ()
    output: Path = Path("dist")
    store: Path | None = None
    jobs: int = 0
    check: bool = True
    keep: bool = False
    recipe_roots: tuple[Path, ...] = ()
    channels: tuple[str, ...] = ()
    variant_files: tuple[Path, ...] = ()
    engine: str = ""
    debug_shell: str = ""
    epoch: int = EPOCH


@dataclass(frozen=True, slots=True)
class StageResult:
    """One stage of one artifact: `core`, `python` or `package`."""

    name: str
    key: str
    hit: bool
    seconds: float
    compiler_runs: int = 0


@dataclass(frozen=True, slots=True)
class Artifact:
    """A finished package. `serves` are all targets this one file is for (more than one for `abi3`, `py3`).

    `aliases` are further names that it may be published under; nothing is written for them.
    """

    path: Path
    target: Target
    sha256: str
    size: int
    stages: tuple[StageResult, ...]
    serves: tuple[Target, ...]
    report: Report | None
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """One target that came to nothing, and why."""

    target: str
    stage: str
    error: str
    hint: str
    log: str

    @classmethod
    def of(cls, target: str, stage: str, error: BuilderError) -> Failure:
        """What an error means for a target; every single fault is told."""
        text = "\n".join((error.message, *(f"  {fault}" for fault in error.faults)))
        return cls(target, stage, text, error.hint, error.log)


@dataclass(frozen=True, slots=True)
class BuildOutcome:
    """Everything one `build` did. `stages` are all that came to an end, also for targets that failed."""

    plan: Plan
    artifacts: tuple[Artifact, ...]
    failures: tuple[Failure, ...]
    seconds: float
    stages: tuple[StageResult, ...] = ()

    @property
    def compiler_runs(self) -> int:
        """How often a compiler really ran in this call, as far as its stages came to an end."""
        packaged = [stage for artifact in self.artifacts for stage in artifact.stages]
        stages = (*self.stages, *packaged)
        fresh = {stage.key: stage.compiler_runs for stage in stages if not stage.hit}
        return sum(fresh.values())
