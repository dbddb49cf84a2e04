from __future__ import annotations

import json

import pytest

from smoke.report import Report, Result, Status, document, merged, to_lines

PASSED = Result("wheel.name", "pass", seconds=0.12345)
FAILED = Result("link.search", "fail", problems=("a.so: rpath `/x`",), remedy="repair it")
SKIPPED = Result("env.import", "skip", reason="no environment")


def test_a_report_prints_as_the_contract_says() -> None:
    text = json.dumps(Report("a.whl", (PASSED, FAILED, SKIPPED)).to_json())

    assert json.loads(text) == {
        "schema": 1,
        "subject": "a.whl",
        "facts": {},
        "results": [
            {
                "id": "wheel.name",
                "status": "pass",
                "severity": "error",
                "problems": [],
                "waived": [],
                "reason": "",
                "remedy": "",
                "seconds": 0.123,
            },
            {
                "id": "link.search",
                "status": "fail",
                "severity": "error",
                "problems": ["a.so: rpath `/x`"],
                "waived": [],
                "reason": "",
                "remedy": "repair it",
                "seconds": 0.0,
            },
            {
                "id": "env.import",
                "status": "skip",
                "severity": "error",
                "problems": [],
                "waived": [],
                "reason": "no environment",
                "remedy": "",
                "seconds": 0.0,
            },
        ],
        "summary": {"pass": 1, "fail": 1, "warn": 0, "skip": 1, "crash": 0},
    }


@pytest.mark.parametrize(
    ("status", "ok"),
    [("pass", True), ("warn", True), ("skip", True), ("fail", False), ("crash", False)],
)
def test_only_failures_and_crashes_make_a_report_bad(status: Status, ok: bool) -> None:
    report = Report("a.whl", (PASSED, Result("x", status)))

    assert report.ok is ok
    assert bool(report.failures) is not ok


def test_one_report_is_printed_bare_and_several_in_a_list() -> None:
    one, other = Report("a.whl", (PASSED,)), Report("b.whl", (FAILED,))

    assert document([one]) == one.to_json()
    assert document([one, other]) == {"schema": 1, "reports": [one.to_json(), other.to_json()]}


def test_merged_keeps_subject_and_order() -> None:
    both = merged(Report("a.whl", (PASSED,)), Report("a.whl", (FAILED,)))

    assert both == Report("a.whl", (PASSED, FAILED))


def test_lines_show_problems_and_remedies_and_hide_what_went_well() -> None:
    report = Report("a.whl", (PASSED, FAILED, SKIPPED))

    assert to_lines(report) == (
        "a.whl",
        "  fail  link.search",
        "        a.so: rpath `/x`",
        "        remedy: repair it",
        "  1 pass, 1 fail, 1 skip",
    )
    assert "  skip  env.import (no environment)" in to_lines(report, every=True)
    assert "  pass  wheel.name" in to_lines(report, every=True)


def test_an_empty_report_says_so() -> None:
    assert to_lines(Report("a.whl", ()))[-1] == "  no check applies"


def test_what_is_said_of_many_files_is_printed_of_the_first_ones() -> None:
    same = tuple(f"bin/{number:02}: rpath `/x`" for number in range(12))
    report = Report("a.whl", (Result("link.search", "fail", problems=("a.so: rpath `/y`", *same)),))

    short, every = to_lines(report), to_lines(report, every=True)

    assert short == (
        "a.whl",
        "  fail  link.search",
        "        a.so: rpath `/y`",
        *(f"        {line}" for line in same[:10]),
        "        and 2 more files, of which the same is said (`-v` names them)",
        "  1 fail",
    )
    assert every == (*short[:3], *(f"        {line}" for line in same), "  1 fail")


def test_what_differs_by_a_word_is_printed_in_full() -> None:
    texts = tuple(f"a.so: rpath `/{number}`" for number in range(12))
    report = Report("a.whl", (Result("link.search", "fail", problems=texts),))

    assert to_lines(report)[2:-1] == tuple(f"        {line}" for line in texts)
