"""What a recipe says about results: other severities, and problems that are borne until a day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from fnmatch import fnmatchcase

from builder.config.recipe import Waiver
from smoke.report import Result, Severity

__all__ = ["expired", "severity_of", "waived"]


def severity_of(check: str, own: Severity, said: Mapping[str, Severity]) -> Severity:
    """The severity of a check: its own, unless a glob says otherwise; the last one counts."""
    for glob, severity in said.items():
        if fnmatchcase(check, glob):
            own = severity
    return own


def waived(result: Result, waivers: Sequence[Waiver], today: date) -> Result:
    """The result without the problems that are borne today, which it tells apart.

    A check whose every problem is borne has passed.
    """
    live = [one for one in waivers if today <= one.until and fnmatchcase(result.id, one.check)]
    borne: list[str] = []
    left: list[str] = []
    for problem in result.problems:
        waiver = next((one for one in live if fnmatchcase(problem, one.match)), None)
        if waiver is None:
            left.append(problem)
        else:
            borne.append(f"{problem} (until {waiver.until}: {waiver.reason})")
    if not borne:
        return result
    if left:
        return replace(result, problems=tuple(left), waived=tuple(borne))
    return replace(result, status="pass", problems=(), waived=tuple(borne))


def expired(waivers: Sequence[Waiver], today: date) -> tuple[str, ...]:
    """A line for each waiver whose day is over."""
    return tuple(
        f"{one.check}: the waiver of `{one.match}` ended on {one.until} ({one.reason})"
        for one in waivers
        if one.until < today
    )
