"""Running the checks that look at all packages of one call."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from smoke.catalogue import Check
from smoke.checks import CATALOGUE
from smoke.report import Report
from smoke.runner import run
from smoke.subject import Subject

__all__ = ["check_together"]


def check_together(
    subjects: Sequence[Subject], checks: Iterable[Check] = CATALOGUE
) -> Report | None:
    """The report on all wheels that can be read; None for fewer than two, or without such a check."""
    wheels = [
        one
        for one in subjects
        if one.kind == "wheel" and one.content is not None and not one.content.faults
    ]
    if len(wheels) < 2:  # noqa: PLR2004  # one wheel is alone
        return None
    first, *others = wheels
    report = run(replace(first, beside=tuple(others)), checks, ("set",))
    return replace(report, subject=f"{len(wheels)} wheels together") if report.results else None
