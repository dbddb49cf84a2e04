from __future__ import annotations

from pathlib import Path

import pytest

from builder.cli.summary import (
    outcome_json,
    plan_json,
    plan_text,
    summary_markdown,
    summary_table,
)
from builder.config.plan import Plan, PlannedStage, Step
from builder.config.target import Target
from builder.requests import Artifact, BuildOutcome, Failure, StageResult
from smoke.report import Report, Result

CP311 = Target.parse("manywheel-cp311-cpu-linux_x86_64")
CP312 = Target.parse("manywheel-cp312-cpu-linux_x86_64")
PLAN = Plan(
    (
        PlannedStage("core", "ab" * 32, hit=True, targets=(str(CP311), str(CP312)), steps=()),
        PlannedStage(
            "package", "", hit=False, targets=(str(CP311),), steps=(Step(("auditwheel", "a b")),),
            note="later",
        ),
    )
)  # fmt: skip
ARTIFACT = Artifact(
    Path("/dist/sample-1.0-cp311-cp311-linux_x86_64.whl"),
    CP311,
    "cd" * 32,
    1_234_567,
    (
        StageResult("core", "ab" * 32, hit=True, seconds=0.1, compiler_runs=8),
        StageResult("python", "ef" * 32, hit=False, seconds=2.25, compiler_runs=1),
    ),
    (CP311, CP312),
    Report("sample", (Result("wheel.record", "pass"), Result("cuda.archs", "skip", reason="cpu"))),
)
OUTCOME = BuildOutcome(
    PLAN, (ARTIFACT,), (Failure(str(CP312), "core", "no | compiler", "install one", "/log"),), 3.5
)


def test_the_document_of_build_keeps_its_contract() -> None:
    document = outcome_json(OUTCOME)

    assert document["schema"] == 1
    (artifact,) = document["artifacts"]  # type: ignore[misc]  # a JSON list
    assert artifact["target"] == "manywheel-cp311-cpu-linux_x86_64"  # type: ignore[has-type]  # JSON
    assert [stage["name"] for stage in artifact["stages"]] == ["core", "python"]  # type: ignore[has-type]  # JSON
    assert artifact["report"]["summary"]["pass"] == 1  # type: ignore[has-type]  # JSON
    assert document["failures"] == [
        {
            "target": str(CP312),
            "stage": "core",
            "error": "no | compiler",
            "hint": "install one",
            "log": "/log",
        }
    ]


def test_only_fresh_compiles_count() -> None:
    assert OUTCOME.compiler_runs == 1


def test_the_table_names_the_package_and_counts() -> None:
    head, row, last = summary_table(OUTCOME).splitlines()

    assert head.startswith("package ")
    assert "sample-1.0-cp311-cp311-linux_x86_64.whl" in row
    assert "cp311 cp312" in row
    assert "1.2 MB" in row
    assert "hit" in row
    assert "built 2.2 s" in row
    assert last == "1 package, 1 failed, the compiler ran 1 time, 3.5 s"


def test_the_table_of_nothing_is_one_line() -> None:
    assert summary_table(BuildOutcome(Plan(()), (), (), 0.25)).count("\n") == 0


def test_markdown_escapes_what_would_break_its_table() -> None:
    text = summary_markdown(OUTCOME)

    assert "| package |" in text
    assert f"- **{CP312}** failed in core: no | compiler" in text


@pytest.mark.parametrize(
    ("verbose", "key"), [(False, "ab" * 8), (True, "ab" * 32)], ids=["short keys", "whole keys"]
)
def test_a_plan_reads_as_shell(verbose: bool, key: str) -> None:
    text = plan_text(PLAN, verbose=verbose)

    assert f"hit  core    {key} {CP311} {CP312}" in text
    assert "miss package ---------------- " in text
    assert "       auditwheel 'a b'" in text


def test_a_plan_as_a_document() -> None:
    assert plan_json(PLAN)["stages"][1] == {  # type: ignore[index]  # JSON
        "name": "package",
        "key": "",
        "hit": False,
        "targets": [str(CP311)],
        "steps": ["auditwheel 'a b'"],
        "note": "later",
    }
