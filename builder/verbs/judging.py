"""Packages judged together by the backend that made them, before any of them is delivered."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence

from builder.backend import Judges, Tools
from builder.errors import BuilderError
from builder.events import Event, Events
from builder.stage.workbench import Workbench
from builder.verbs.companions import belongs
from builder.verbs.lines import Line
from builder.verbs.outcome import Made
from builder.verbs.schedule import Failed, Node

__all__ = ["judge_nodes", "judge_of"]


def judge_of(line: Line, lines: Sequence[Line]) -> str:
    """The name of the job that judges a line's package; nothing when no backend does.

    A backend judges its own packages and those of its companions, which are called after it.
    """
    kind = line.spec.target.package_type
    judges = {other.backend.name for other in lines if isinstance(other.backend, Judges)}
    found = (name for name in sorted(judges) if belongs(kind, name))
    return next((f"judge {name}" for name in found), "")


def judge_nodes(
    lines: Sequence[Line],
    last: str,
    channels: tuple[str, ...],
    bench: Workbench,
    events: Events,
) -> list[Node[Made]]:
    """A job for each backend that judges, when the `last` jobs before delivery have ended."""
    groups: dict[str, list[Line]] = {}
    for line in lines:
        if name := judge_of(line, lines):
            groups.setdefault(name, []).append(line)
    return [
        Node(
            name,
            lambda done, name=name, group=group: _judged(  # type: ignore[misc]  # mypy#1484
                name, group, last, done, channels, bench, events
            ),
            after=tuple(f"{last} {line.name}" for line in group),
        )
        for name, group in groups.items()
    ]


def _judged(
    name: str,
    group: Sequence[Line],
    last: str,
    done: Mapping[str, Made | Failed],
    channels: tuple[str, ...],
    bench: Workbench,
    events: Events,
) -> Made:
    """The first package, when they may be delivered. Raises `BuilderError` with every problem."""
    results = [done[f"{last} {line.name}"] for line in group]
    sound = [made for made in results if isinstance(made, Made)]
    if not sound:
        raise next(failed.error for failed in results if isinstance(failed, Failed))
    backend: Judges = next(
        line.backend
        for line in group
        if isinstance(line.backend, Judges) and name == f"judge {line.backend.name}"
    )
    files = tuple(dict.fromkeys(made.file for made in sound))
    folder = bench.store.scratch()
    try:
        tools = Tools(bench.processes, bench.machine, bench.machine.python, folder, folder / "log")
        trials = backend.judge(files, channels, tools)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for trial in trials:
        if trial.reason and not trial.problems:
            events(Event("note", name, f"{trial.id}: not asked, {trial.reason}"))
    problems = [f"{trial.id}: {problem}" for trial in trials for problem in trial.problems]
    if problems:
        raise BuilderError(
            f"{len(files)} packages are sound, and users would not get what they were meant to get",
            faults=problems,
            hint="change what the first difference is about, in the recipe; nothing was delivered",
        )
    return sound[0]
