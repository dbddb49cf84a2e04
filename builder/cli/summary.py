"""What a build came to, as JSON (the contract), as a table for people, and as markdown for CI systems. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from builder.config.plan import Plan
from builder.requests import Artifact, BuildOutcome

__all__ = ["outcome_json", "plan_json", "plan_text", "summary_markdown", "summary_table"]

_HEAD = ("package", "serves", "size", "core", "python", "package stage", "checks", "seconds")


def outcome_json(outcome: BuildOutcome) -> dict[str, object]:
    """The document of `build --json`."""
    return {
        "schema": 1,
        "artifacts": [_artifact_json(artifact) for artifact in outcome.artifacts],
        "failures": [
            {
                "target": failure.target,
                "stage": failure.stage,
                "error": failure.error,
                "hint": failure.hint,
                "log": failure.log,
            }
            for failure in outcome.failures
        ],
        "compiler_runs": outcome.compiler_runs,
        "seconds": outcome.seconds,
    }


def _artifact_json(artifact: Artifact) -> dict[str, object]:
    return {
        "path": str(artifact.path),
        "target": str(artifact.target),
        "serves": [str(target) for target in artifact.serves],
        "aliases": list(artifact.aliases),
        "sha256": artifact.sha256,
        "size": artifact.size,
        "stages": [
            {
                "name": stage.name,
                "key": stage.key,
                "hit": stage.hit,
                "seconds": stage.seconds,
                "compiler_runs": stage.compiler_runs,
            }
            for stage in artifact.stages
        ],
        "report": artifact.report.to_json() if artifact.report else None,
    }


def plan_json(plan: Plan) -> dict[str, object]:
    """The document of `build --dry-run --json`."""
    return {
        "schema": 1,
        "stages": [
            {
                "name": stage.name,
                "key": stage.key,
                "hit": stage.hit,
                "targets": list(stage.targets),
                "steps": [str(step) for step in stage.steps],
                "note": stage.note,
            }
            for stage in plan.stages
        ],
    }


def plan_text(plan: Plan, *, verbose: bool) -> str:
    """The plan for a person: one line per stage, its commands below it as readable shell."""
    lines: list[str] = []
    for stage in plan.stages:
        state = "hit " if stage.hit else "miss"
        key = stage.key[: None if verbose else 16] or "-" * 16
        note = f"  # {stage.note}" if stage.note else ""
        lines.append(f"{state} {stage.name:<7} {key} {' '.join(stage.targets)}{note}")
        lines += [f"       {step}" for step in stage.steps]
    return "\n".join(lines)


def summary_table(outcome: BuildOutcome) -> str:
    """The summary for a terminal or a log: aligned columns, no colour needed."""
    rows = [_HEAD, *(_row(artifact) for artifact in outcome.artifacts)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    table = "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
    return f"{table if outcome.artifacts else ''}\n{_last_line(outcome)}".lstrip("\n")


def summary_markdown(outcome: BuildOutcome) -> str:
    """The summary as a markdown table for the step summary of a CI system."""
    lines = ["## builder build", "", _markdown_row(_HEAD), _markdown_row(["---"] * len(_HEAD))]
    lines += [_markdown_row(_row(artifact)) for artifact in outcome.artifacts]
    lines += ["", _last_line(outcome), ""]
    for failure in outcome.failures:
        lines += [f"- **{failure.target}** failed in {failure.stage}: {failure.error}", ""]
    return "\n".join(lines) + "\n"


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _row(artifact: Artifact) -> tuple[str, ...]:
    stages = {
        stage.name: "hit" if stage.hit else f"built {stage.seconds:.1f} s"
        for stage in artifact.stages
    }
    pythons = [str(target.python) for target in artifact.serves if target.python]
    checks = "not run"
    if artifact.report is not None:
        counts = artifact.report.summary
        checks = ", ".join(f"{number} {status}" for status, number in counts.items() if number)
    return (
        artifact.path.name,
        " ".join(pythons),
        _size(artifact.size),
        stages.get("core", "none"),
        stages.get("python", "none"),
        stages.get("package", "none"),
        checks,
        f"{sum(stage.seconds for stage in artifact.stages if not stage.hit):.1f}",
    )


def _last_line(outcome: BuildOutcome) -> str:
    made, failed, runs = len(outcome.artifacts), len(outcome.failures), outcome.compiler_runs
    return (
        f"{made} package{'s' * (made != 1)}, {failed} failed, the compiler ran {runs} time{'s' * (runs != 1)}, "
        f"{outcome.seconds:.1f} s"
    )


def _size(size: int) -> str:
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} B"
