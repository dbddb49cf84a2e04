"""Prove a repaired wheel on its exact bytes, before it gets its name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from builder.archive.record import Row
from builder.archive.wheel import verify_wheel
from builder.errors import BuilderError
from builder.relink.policy import blockers
from builder.relink.scan import Members
from builder.relink.sibling import leaving
from builder.relink.survey import Graft, Survey, Verdict

__all__ = ["Proof", "refuse_if_unsound"]


@dataclass(frozen=True, slots=True)
class Proof:
    """What a packed wheel is measured by.

    `members` are its binaries and `rows` its files, `grafts` what was to be grafted, `given` the
    files of the wheel as it came.
    """

    packed: Path
    members: Members
    found: Survey
    judged: Verdict
    grafts: tuple[Graft, ...]
    rows: tuple[Row, ...]
    given: Mapping[str, Row]


def refuse_if_unsound(proof: Proof) -> None:
    """Raise `BuilderError` with everything that is wrong with a packed wheel.

    RECORD and zip agree, every need is met in the installed layout, the tag is honest, no rpath
    leaves the wheel, and exactly what was planned was grafted.
    """
    problems = [
        *verify_wheel(proof.packed),
        *_unmet(proof.members, proof.found),
        *_dishonest(proof.members, proof.found, proof.judged),
        *_leaving(proof.members),
        *_unplanned(proof),
    ]
    if problems:
        raise BuilderError(
            f"the repaired `{proof.packed.name}` is not sound",
            faults=problems,
            hint="this is a fault of the repair engine or of us; please report it with the log",
        )


def _unmet(members: Members, found: Survey) -> Iterator[str]:
    for need in found.view(members).of("missing"):
        yield f"{need.requirer}: {need.name} is not found where the wheel is installed"


def _dishonest(members: Members, found: Survey, judged: Verdict) -> Iterator[str]:
    if judged.policy is not None:
        for blocker in blockers(members.own, judged.policy, found.outside):
            yield f"{blocker} does not fit {blocker.tag}"


def _leaving(members: Members) -> Iterator[str]:
    for path, binary in members.own.items():
        for entry in leaving(path, binary):
            yield f"{path}: rpath entry {entry} leaves the wheel"


def _unplanned(proof: Proof) -> Iterator[str]:
    folders = {graft.path.rsplit("/", 1)[0] for graft in proof.grafts}
    now = {row.path for row in proof.rows if row.path.rsplit("/", 1)[0] in folders}
    planned = {graft.path for graft in proof.grafts}
    for path in sorted(planned - now):
        yield f"{path}: was not grafted as planned"
    for path in sorted(now - planned - proof.given.keys()):
        yield f"{path}: was grafted without being planned"
