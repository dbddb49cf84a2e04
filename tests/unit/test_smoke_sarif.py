"""Findings for code hosts."""

from __future__ import annotations

import json

from smoke.checks import CATALOGUE
from smoke.github import to_annotations, to_markdown
from smoke.report import Report, Result
from smoke.sarif import to_sarif

REPORT = Report(
    "dist/a|b.whl",
    (
        Result("wheel.name", "pass"),
        Result("link.search", "fail", problems=("a/b.so: x", "no file here"), remedy="repair it"),
        Result("link.needed", "warn", problems=("c.so: 100 % lost\nreally",), remedy="graft it"),
        Result("env.loaded", "crash", reason="KeyError: 'a'"),
        Result("leak.paths", "pass", waived=("d.so: /home (until 2027-01-01: soon)",)),
    ),
)


def test_sarif_has_a_result_for_each_problem_and_a_rule_for_each_check() -> None:
    document = json.loads(json.dumps(to_sarif([REPORT], CATALOGUE)))

    (run,) = document["runs"]
    assert document["version"] == "2.1.0"
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == [one.id for one in CATALOGUE]
    assert [(row["ruleId"], row["level"], "suppressions" in row) for row in run["results"]] == [
        ("link.search", "error", False),
        ("link.search", "error", False),
        ("link.needed", "warning", False),
        ("env.loaded", "error", False),
        ("leak.paths", "note", True),
    ]
    first, second = run["results"][:2]
    assert first["message"]["text"] == "a/b.so: x\nremedy: repair it"
    assert first["locations"][0]["logicalLocations"] == [{"fullyQualifiedName": "a/b.so"}]
    assert "logicalLocations" not in second["locations"][0]


def test_annotations_are_escaped_and_errors_come_first() -> None:
    assert to_annotations([REPORT]) == (
        "::error title=link.search%3A a|b.whl::a/b.so: x (and 1 more); remedy: repair it",
        "::error title=env.loaded%3A a|b.whl::KeyError: 'a'; remedy: ",
        "::warning title=link.needed%3A a|b.whl::c.so: 100 %25 lost%0Areally; remedy: graft it",
    )


def test_no_more_annotations_than_are_shown() -> None:
    assert len(to_annotations([REPORT] * 30)) == 20


def test_the_summary_is_a_table_and_the_findings() -> None:
    lines = to_markdown([REPORT, Report("b.whl", ())]).splitlines()

    assert lines[2:4] == ["| a\\|b.whl | 2 | 1 | 1 | 0 | 1 |", "| b.whl | 0 | 0 | 0 | 0 | 0 |"]
    assert lines.count("### a\\|b.whl") == 1
    assert "### b.whl" not in lines
    assert "- c.so: 100 % lost really" in lines
