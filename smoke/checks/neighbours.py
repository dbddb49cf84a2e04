"""The check that imports a package together with others, in both orders, in processes of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from smoke.catalogue import Check, Outcome, Skip
from smoke.endings import starved
from smoke.mapped import copies, told
from smoke.modules import modules_of
from smoke.probing import ask
from smoke.runtimes import PEACEFUL
from smoke.subject import EnvironmentFacts, Subject, installed_of

__all__ = ["CHECKS"]


@dataclass(frozen=True, slots=True)
class _Trial:
    """Imports of one process: which modules came in, why others did not, what was mapped then.

    `ending` says how the process ended badly; then there may be nothing else.
    """

    imported: tuple[str, ...] = ()
    faults: Mapping[str, str] | None = None
    mapped: tuple[Path, ...] = ()
    ending: str = ""


def _neighbours(subject: Subject) -> Outcome | Skip:
    facts = installed_of(subject).facts
    if facts is None:
        return Skip("the environment's interpreter does not answer")
    if not subject.checks.neighbours:
        return Skip("the recipe names no neighbours")
    own = _trial(subject, modules_of(subject)[0])
    if own.ending or not own.imported:
        return Skip(f"the package does not import by itself: {own.ending or 'see `env.import`'}")
    problems: list[str] = []
    untried: list[str] = []
    for name in subject.checks.neighbours:
        other = _trial(subject, (name,))
        if other.ending or not other.imported:
            fault = other.ending or (other.faults or {}).get(name, "")
            untried.append(f"{name}: not tried, because it does not import by itself: {fault}")
        else:
            problems.extend(_together(subject, facts, own, other))
    if len(untried) == len(subject.checks.neighbours):
        return Skip("; ".join(untried))
    return Outcome(tuple(problems), tuple(untried))


def _together(
    subject: Subject, facts: EnvironmentFacts, own: _Trial, other: _Trial
) -> Iterator[str]:
    """What goes wrong with two that are sound by themselves, in either order."""
    known = copies(own.mapped).keys() | copies(other.mapped).keys()
    lines: dict[str, list[str]] = {}
    for first, second in ((own, other), (other, own)):
        order = f"{_listed(first.imported)} before {_listed(second.imported)}"
        trial = _trial(subject, (*first.imported, *second.imported))
        faults = [f"{name}: {fault}" for name, fault in (trial.faults or {}).items()]
        faults += [trial.ending] if trial.ending else []
        twice = copies(trial.mapped)
        loud = twice.keys() - known - PEACEFUL
        faults += [told(name, twice[name], facts) for name in sorted(loud)]
        for fault in faults:
            lines.setdefault(fault, []).append(order)
    for fault, orders in lines.items():
        yield f"import {', and '.join(orders)}: {fault}"


def _trial(subject: Subject, modules: tuple[str, ...]) -> _Trial:
    """Import modules one after the other in a new process."""
    limits = subject.checks.timeout, subject.checks.memory
    answer = ask(installed_of(subject), "maps_probe.py", modules, *limits)
    if answer.said is None:
        return _Trial(ending=answer.ending)
    said = cast("Mapping[str, list[str] | None]", answer.said)
    faults = cast("Mapping[str, str]", answer.said["faults"])
    return _Trial(
        tuple(said["imported"] or ()),
        {name: starved(fault, subject.checks.memory) for name, fault in faults.items()},
        tuple(map(Path, said["files"] or ())),
        answer.ending,
    )


def _listed(modules: tuple[str, ...]) -> str:
    return " ".join(f"`{module}`" for module in modules)


CHECKS = (
    Check(
        "env.neighbours",
        "The package and each neighbour that the recipe names import in one process, in both orders.",
        ("wheel", "environment"),
        "environment",
        "share one copy of each runtime with the neighbour, or hide its symbols and link it statically",
        _neighbours,
    ),
)
