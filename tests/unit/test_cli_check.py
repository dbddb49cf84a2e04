"""`builder check`: what it prints and writes; the checks themselves are tested elsewhere."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from builder.cli.check import command

WHEEL = "tiny-1.0-py3-none-any.whl"


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    with zipfile.ZipFile(tmp_path / WHEEL, "w") as archive:
        archive.writestr("tiny.py", "x = 1\n")
        archive.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\n")
        archive.writestr("tiny-1.0.dist-info/WHEEL", "Tag: py3-none-any\n")
    return tmp_path / WHEEL


def call(*words: str | Path, environ: dict[str, str] | None = None) -> tuple[int, str, str]:
    result = CliRunner().invoke(
        command, [str(word) for word in words], env=environ, standalone_mode=False
    )
    code = result.exit_code if result.exception else int(result.return_value)
    return code, result.stdout, result.stderr


def test_the_findings_go_where_they_are_wanted(wheel: Path, tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    github = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)}

    code, out, err = call(
        wheel, "--select", "wheel.*", "--json", "--junit", tmp_path / "a.xml",
        "--sarif", tmp_path / "a.sarif", environ=github,
    )  # fmt: skip

    assert code == 1
    assert json.loads(out)["summary"]["fail"] == 2
    assert err.count("::error title=wheel.") == 2
    assert f"### {WHEEL}" in summary.read_text("utf-8")
    assert "<testsuite " in (tmp_path / "a.xml").read_text("utf-8")
    results = json.loads((tmp_path / "a.sarif").read_text("utf-8"))["runs"][0]["results"]
    assert {row["ruleId"] for row in results} == {"wheel.name", "wheel.record"}
    assert not list(tmp_path.glob("*.part"))


def test_without_checks_for_an_environment_none_is_made(wheel: Path, tmp_path: Path) -> None:
    environ = {"BUILDER_CACHE": str(tmp_path / "cache")}

    code, out, _ = call(wheel, "--select", "archive.*", environ=environ)

    assert (code, out.splitlines()[-1]) == (0, "  1 pass")
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("option", ["--junit", "--sarif"])
def test_a_report_that_cannot_be_written_is_said(wheel: Path, tmp_path: Path, option: str) -> None:
    result = CliRunner().invoke(
        command, [str(wheel), "--select", "archive.*", option, str(tmp_path / "no" / "a")]
    )

    assert result.exception is not None
    assert "cannot be written" in str(result.exception)
