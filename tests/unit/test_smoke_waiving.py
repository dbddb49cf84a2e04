"""What a recipe may say about results."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from builder.config.recipe import Checks, Waiver
from smoke.catalogue import Check, Outcome
from smoke.report import Report, Result, to_lines
from smoke.runner import check_artifact
from smoke.subject import Content, Expectations, Subject
from smoke.waiving import expired, severity_of, waived

TODAY = date(2026, 6, 15)
FAILED = Result("link.search", "fail", problems=("bin/a: x", "lib/b: y"), remedy="mend it")
LATER = Waiver("link.*", "*", "known", date(2026, 12, 31))


@pytest.mark.parametrize(
    ("waiver", "status", "problems", "borne"),
    [
        pytest.param(LATER, "pass", 0, 2, id="all of them"),
        pytest.param(replace(LATER, match="bin/*"), "fail", 1, 1, id="one of them"),
        pytest.param(replace(LATER, until=TODAY), "pass", 0, 2, id="on its last day"),
        pytest.param(replace(LATER, until=date(2026, 6, 14)), "fail", 2, 0, id="a day late"),
        pytest.param(replace(LATER, check="wheel.*"), "fail", 2, 0, id="another check"),
        pytest.param(replace(LATER, match="nothing"), "fail", 2, 0, id="no such problem"),
    ],
)
def test_problems_are_borne(waiver: Waiver, status: str, problems: int, borne: int) -> None:
    result = waived(FAILED, (waiver,), TODAY)

    assert (result.status, len(result.problems), len(result.waived)) == (status, problems, borne)
    assert all("known" in text and str(waiver.until) in text for text in result.waived)


def test_what_is_borne_is_never_hidden() -> None:
    lines = to_lines(Report("a.whl", (waived(FAILED, (LATER,), TODAY),)))

    assert "        waived: bin/a: x (until 2026-12-31: known)" in lines


@pytest.mark.parametrize(
    ("said", "severity"),
    [
        ({}, "error"),
        ({"link.*": "warning"}, "warning"),
        ({"wheel.*": "warning"}, "error"),
        ({"*": "warning", "link.search": "error"}, "error"),
    ],
)
def test_the_recipe_has_the_last_word_on_severity(said: dict[str, str], severity: str) -> None:
    assert severity_of("link.search", "error", said) == severity  # type: ignore[arg-type]  # words of a table


def test_an_expired_waiver_is_told() -> None:
    old = replace(LATER, until=date(2026, 6, 14))

    assert expired((LATER, old), TODAY) == (
        "link.*: the waiver of `*` ended on 2026-06-14 (known)",
    )


def _broken(_: Subject) -> Outcome:
    return Outcome(("a.so: broken",))


CHECK = Check("acme.one", "One.", ("wheel",), "artifact", "mend it", _broken)


def test_a_run_applies_both() -> None:
    subject = Subject(
        Path("a.whl"), "wheel", Content((), claimed=("any",)),
        expectations=Expectations(today=TODAY),
    )  # fmt: skip
    softened = replace(subject, checks=Checks(severity={"acme.*": "warning"}))
    borne = replace(subject, checks=Checks(waivers=(replace(LATER, check="acme.one"),)))

    assert [check_artifact(one, (CHECK,)).results[0].status for one in (subject, softened, borne)] == [
        "fail", "warn", "pass",
    ]  # fmt: skip
    assert check_artifact(subject, (CHECK,)).facts == {"kind": "wheel", "platforms": "any"}
