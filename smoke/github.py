"""Reports for GitHub Actions: annotations on the run, and a table for the summary of the step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePath

from smoke.report import LEVELS, Report, Result

__all__ = ["to_annotations", "to_markdown"]

_MOST = 10
"""GitHub shows that many annotations of each kind for a step, and drops the others silently."""


def to_annotations(reports: Sequence[Report]) -> tuple[str, ...]:
    """The workflow commands that put findings on the page of the run; the first of each check."""
    shown: dict[str, list[str]] = {"error": [], "warning": []}
    for report in reports:
        for result in report.results:
            level = LEVELS.get(result.status)
            if level is not None:
                shown[level].append(_annotation(level, report, result))
    return tuple(line for lines in shown.values() for line in lines[:_MOST])


def to_markdown(reports: Sequence[Report]) -> str:
    """The summary: a row for each subject, then its findings."""
    lines = ["| package | pass | fail | warn | skip | crash |", "|---|---|---|---|---|---|"]
    for report in reports:
        counts = report.summary
        row = (counts[name] for name in ("pass", "fail", "warn", "skip", "crash"))
        lines.append(f"| {_cell(_name(report))} | {' | '.join(map(str, row))} |")
    for report in reports:
        lines += _findings(report)
    return "\n".join(lines) + "\n"


def _annotation(level: str, report: Report, result: Result) -> str:
    texts = result.problems or (result.reason,)
    more = f" (and {len(texts) - 1} more)" if texts[1:] else ""
    title = _property(f"{result.id}: {_name(report)}")
    return f"::{level} title={title}::{_data(f'{texts[0]}{more}; remedy: {result.remedy}')}"


def _findings(report: Report) -> Iterator[str]:
    found = [one for one in report.results if one.status in LEVELS]
    if not found:
        return
    yield ""
    yield f"### {_cell(_name(report))}"
    for result in found:
        yield ""
        yield f"**{result.status}** `{result.id}`: {_cell(result.remedy)}"
        yield ""
        texts = result.problems or (result.reason,)
        yield from (f"- {_cell(text)}" for text in texts[:_MOST])
        if texts[_MOST:]:
            yield f"- and {len(texts) - _MOST} more"


def _name(report: Report) -> str:
    return PurePath(report.subject).name


def _cell(text: str) -> str:
    """Text that cannot leave its cell or become markup."""
    plain = " ".join(text.split())
    return plain.replace("|", "\\|").replace("<", "&lt;")


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
