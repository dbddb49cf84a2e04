"""What a run of the suite found: one Result for each check, one Report for each subject."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Literal, get_args

from builder.errors import UsageError

__all__ = [
    "LEVELS",
    "Report",
    "Result",
    "Severity",
    "Status",
    "document",
    "merged",
    "to_lines",
    "write_report",
]

Status = Literal["pass", "fail", "warn", "skip", "crash"]
Severity = Literal["error", "warning"]

LEVELS: Mapping[Status, Severity] = MappingProxyType(
    {"fail": "error", "crash": "error", "warn": "warning"}
)
"""What code hosts call the results that they show; all else is not shown."""
_MOST = 10
"""Files that are named, of those of which the same is said."""


@dataclass(frozen=True, slots=True)
class Result:
    """What one check said about one subject.

    `problems` begin with the path or name they are about. `reason` says why a check was skipped or
    how it crashed. `remedy` says what to do about the problems. `seconds` is what the check took.
    `waived` are problems that the recipe bears for a while, with their reasons.
    """

    id: str
    status: Status
    severity: Severity = "error"
    problems: tuple[str, ...] = ()
    reason: str = ""
    remedy: str = ""
    seconds: float = 0.0
    waived: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """The result as the command line prints it."""
        return {
            "id": self.id,
            "status": self.status,
            "severity": self.severity,
            "problems": list(self.problems),
            "waived": list(self.waived),
            "reason": self.reason,
            "remedy": self.remedy,
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True, slots=True)
class Report:
    """All results of one run on one subject (a file, a folder or an environment).

    `facts` are what a reader wants to know about the subject: its kind, its platforms.
    """

    subject: str
    results: tuple[Result, ...]
    facts: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def summary(self) -> Mapping[Status, int]:
        """How many results have each status."""
        statuses = [result.status for result in self.results]
        return {status: statuses.count(status) for status in get_args(Status)}

    @property
    def ok(self) -> bool:
        """True when no check failed and none crashed."""
        return not self.failures

    @property
    def failures(self) -> tuple[Result, ...]:
        """The results that make the subject unfit: failed or crashed."""
        return tuple(result for result in self.results if result.status in {"fail", "crash"})

    def to_json(self) -> dict[str, object]:
        """The document of `check --json` for one subject."""
        return {
            "schema": 1,
            "subject": self.subject,
            "facts": dict(self.facts),
            "results": [result.to_json() for result in self.results],
            "summary": dict(self.summary),
        }


def document(reports: Sequence[Report]) -> dict[str, object]:
    """One JSON document for any number of subjects: a single report is printed bare."""
    if len(reports) == 1:
        return reports[0].to_json()
    return {"schema": 1, "reports": [report.to_json() for report in reports]}


def merged(first: Report, second: Report) -> Report:
    """Two runs on one subject as one report, in this order."""
    return Report(first.subject, first.results + second.results, {**first.facts, **second.facts})


def write_report(path: Path, text: str) -> None:
    """Write a report where the user wants it: whole, or not at all. Raises `UsageError`."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise UsageError(
            f"`{path}` cannot be written: {error.strerror}", hint="give a file in a writable folder"
        ) from error


def to_lines(report: Report, *, every: bool = False) -> tuple[str, ...]:
    """The report for a reader: problems with their remedy; passed and skipped checks when asked."""
    lines = [report.subject]
    for result in report.results:
        if not every and result.status in {"pass", "skip"} and not result.waived:
            continue
        reason = f" ({result.reason})" if result.reason else ""
        lines.append(f"  {result.status:5} {result.id}{reason}")
        lines += [f"        {problem}" for problem in _told(result.problems, every=every)]
        lines += [f"        waived: {problem}" for problem in result.waived]
        if result.remedy and result.status != "pass":
            lines.append(f"        remedy: {result.remedy}")
    counts = ", ".join(f"{count} {status}" for status, count in report.summary.items() if count)
    lines.append(f"  {counts or 'no check applies'}")
    return tuple(lines)


def _told(problems: Sequence[str], *, every: bool) -> Iterator[str]:
    """The problems for a reader, those in one place that say the same of many files."""
    if every:
        yield from problems
        return
    by_text: dict[str, list[str]] = {}
    for problem in problems:
        _, colon, text = problem.partition(": ")
        by_text.setdefault(text if colon else problem, []).append(problem)
    for same in by_text.values():
        yield from same[:_MOST]
        if same[_MOST:]:
            more = len(same) - _MOST
            yield f"and {more} more files, of which the same is said (`-v` names them)"
