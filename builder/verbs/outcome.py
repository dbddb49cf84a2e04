"""What the jobs of one `build` came to: each job's result, and the packages and failures they add up to. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from builder.requests import Artifact, Failure, StageResult
from builder.stage.tree import Tree
from builder.verbs.lines import Line
from builder.verbs.schedule import Failed
from smoke.report import Report

__all__ = ["Made", "Results", "artifacts", "core_job", "failures_of"]


@dataclass(frozen=True, slots=True)
class Made:
    """What one job of the graph came to. `owner` is the target whose job really made the tree."""

    tree: Tree
    stage: StageResult
    owner: str
    report: Report | None = None
    path: Path | None = None

    @property
    def file(self) -> Path:
        """The package in its tree."""
        return self.tree.root / str(self.tree.facts["file"])


Results = Mapping[str, "Made | Failed"]


def core_job(line: Line) -> str:
    """The name of the job that makes a line's core tree; lines with one core share it."""
    return f"core {line.core_digest}"


def artifacts(lines: Sequence[Line], results: Results) -> tuple[Artifact, ...]:
    """One artifact per file, with every target it serves and the stages it went through."""
    packages: list[Artifact] = []
    for line in lines:
        made = results.get(f"deliver {line.name}")
        if not isinstance(made, Made) or made.path is None:
            continue
        names = [f"python {line.name}", f"package {line.name}"]
        if line.core is not None:
            names.insert(0, core_job(line))
        stages = [found.stage for name in names if isinstance(found := results.get(name), Made)]
        mine = [
            (other, found)
            for other in lines
            if isinstance(found := results.get(f"deliver {other.name}"), Made)
            and found.owner == line.name
        ]
        entry = next(entry for entry in made.tree.entries if entry.path == made.path.name)
        aliases = made.tree.facts.get("aliases", ())
        packages.append(
            Artifact(
                made.path,
                line.spec.target,
                entry.content,
                entry.size,
                tuple(stages),
                tuple(other.spec.target for other, _ in mine),
                _merged(mine),
                tuple(map(str, aliases)) if isinstance(aliases, list | tuple) else (),
            )
        )
    return tuple(packages)


def failures_of(lines: Sequence[Line], results: Results) -> tuple[Failure, ...]:
    """The targets that came to nothing, each with the stage that really failed."""
    failures: list[Failure] = []
    for line in lines:
        result = results[f"deliver {line.name}"]
        if isinstance(result, Failed):
            stage = result.node.split(" ", 1)[0]
            failures.append(Failure.of(line.name, stage, result.error))
    return tuple(failures)


def _merged(mine: Sequence[tuple[Line, Made]]) -> Report | None:
    """One report of one file: checks of the further interpreters it serves carry the interpreter in their id."""
    reports = [(line, made.report) for line, made in mine if made.report is not None]
    if not reports:
        return None
    first = reports[0][1]
    rest = [
        replace(result, id=f"{result.id}[{line.spec.target.python}]")
        for line, report in reports[1:]
        for result in report.results
        if result.id.startswith("env.")
    ]
    return replace(first, results=(*first.results, *rest))
