from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from builder.errors import Interrupted, UsageError
from smoke.catalogue import Check, Outcome, Skip
from smoke.report import Severity, Status
from smoke.runner import Request, check_artifact, check_environment, kind_of, run, subject_of
from smoke.subject import Content, Subject

SUBJECT = Subject(Path("a-1-py3-none-any.whl"), "wheel", Content(()))


def _check(found: Outcome | Skip | Exception, severity: Severity = "error") -> Check:
    def look(_subject: Subject) -> Outcome | Skip:
        if isinstance(found, Exception):
            raise found
        return found

    return Check("x.y", "It is.", ("wheel",), "artifact", "do it again", look, severity)


@pytest.mark.parametrize(
    ("found", "severity", "status", "problems", "reason"),
    [
        pytest.param(Outcome(), "error", "pass", (), "", id="pass"),
        pytest.param(Outcome(("a: b",)), "error", "fail", ("a: b",), "", id="fail"),
        pytest.param(Outcome(("a",), ("b",)), "error", "fail", ("a", "b"), "", id="fail and warn"),
        pytest.param(Outcome((), ("b",)), "error", "warn", ("b",), "", id="warn"),
        pytest.param(Outcome(("a",)), "warning", "warn", ("a",), "", id="mild"),
        pytest.param(Skip("no need"), "error", "skip", (), "no need", id="skip"),
        pytest.param(KeyError("a"), "error", "crash", (), "KeyError: 'a'", id="crash"),
    ],
)
def test_what_a_check_says_becomes_a_result(
    found: Outcome | Skip | Exception,
    severity: Severity,
    status: Status,
    problems: tuple[str, ...],
    reason: str,
) -> None:
    (result,) = run(SUBJECT, [_check(found, severity)], ["artifact"]).results

    assert (result.status, result.problems, result.reason) == (status, problems, reason)
    assert result.severity == severity
    assert bool(result.remedy) is (status in {"fail", "warn", "crash"})


def test_an_interrupt_is_no_result() -> None:
    with pytest.raises(Interrupted):
        run(SUBJECT, [_check(Interrupted("stopped"))], ["artifact"])


def test_one_crash_does_not_stop_the_others() -> None:
    report = run(SUBJECT, [_check(KeyError("a")), _check(Outcome())], ["artifact"])

    assert [result.status for result in report.results] == ["crash", "pass"]
    assert not report.ok


def test_a_check_runs_only_for_its_kinds_and_needs() -> None:
    folder = Subject(Path("a"), "folder", Content(()))

    assert run(folder, [_check(Outcome())], ["artifact"]).results == ()
    assert run(SUBJECT, [_check(Outcome())], ["environment"]).results == ()


def test_environment_checks_without_an_environment_are_skipped_with_the_reason() -> None:
    report = check_environment(SUBJECT, absent="no interpreter fits")

    reasons = {result.id: result.reason for result in report.results}
    assert reasons["env.import"] == "there is no environment: no interpreter fits"
    assert reasons["consumer.cpp"] == "the recipe names no C++ consumer"
    assert {result.status for result in report.results} == {"skip"}


def test_a_hostile_wheel_fails_one_check_and_skips_the_rest(tmp_path: Path) -> None:
    wheel = tmp_path / "a-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("../a.py", b"")

    report = check_artifact(subject_of(Request(wheel)))

    assert [result.id for result in report.failures] == ["archive.readable"]
    assert {result.status for result in report.results[1:]} == {"skip"}
    assert all("archive.readable" in result.reason for result in report.results[1:])


def test_kinds(tmp_path: Path) -> None:
    wheel = tmp_path / "a-1-py3-none-any.whl"
    wheel.touch()
    environment = tmp_path / "venv"
    environment.mkdir()
    (environment / "pyvenv.cfg").touch()
    (tmp_path / "conda/conda-meta").mkdir(parents=True)

    assert kind_of(wheel) == "wheel"
    assert kind_of(environment) == "environment"
    assert kind_of(tmp_path / "conda") == "environment"
    assert kind_of(tmp_path) == "folder"


@pytest.mark.parametrize(
    ("name", "word"), [("a.tar.gz", "nothing that can be checked"), ("nothing", "does not exist")]
)
def test_unknown_subjects_are_refused(tmp_path: Path, name: str, word: str) -> None:
    (tmp_path / "a.tar.gz").touch()

    with pytest.raises(UsageError, match=word):
        kind_of(tmp_path / name)
