"""Reports as SARIF 2.1.0 (OASIS), the form in which code hosts show findings beside the code."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from smoke.catalogue import Check
from smoke.report import LEVELS, Report, Result

__all__ = ["to_sarif"]

_FILE = re.compile(r"[^\s:`]+(?=: )")


def to_sarif(reports: Sequence[Report], checks: Iterable[Check]) -> dict[str, object]:
    """One run with a result for each problem; what is waived is there, and suppressed.

    The place of a problem is the file in the package that it begins with.
    """
    known = tuple(checks)
    return {
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {"name": "builder check", "rules": [_rule(check) for check in known]}
                },
                "results": [
                    row
                    for report in reports
                    for result in report.results
                    for row in _rows(report, result)
                ],
            }
        ],
    }


def _rule(check: Check) -> Mapping[str, object]:
    return {
        "id": check.id,
        "shortDescription": {"text": check.summary},
        "help": {"text": check.remedy},
        "defaultConfiguration": {"level": check.severity},
    }


def _rows(report: Report, result: Result) -> list[Mapping[str, object]]:
    level = LEVELS.get(result.status)
    texts = (result.problems or (result.reason,)) if level else ()
    rows = [_row(report, result, text, level or "note") for text in texts]
    borne = [
        {**_row(report, result, text, "note"), "suppressions": [{"kind": "external"}]}
        for text in result.waived
    ]
    return [*rows, *borne]


def _row(report: Report, result: Result, text: str, level: str) -> Mapping[str, object]:
    match = _FILE.match(text)
    inside = {"logicalLocations": [{"fullyQualifiedName": match[0]}]} if match else {}
    place = {"physicalLocation": {"artifactLocation": {"uri": report.subject}}}
    return {
        "ruleId": result.id,
        "level": level,
        "message": {"text": f"{text}\nremedy: {result.remedy}" if result.remedy else text},
        "locations": [{**place, **inside}],
    }
