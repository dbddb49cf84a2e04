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


RECIPE = """
schema = 1
[recipe]
name = "tiny"
[source]
path = "."
[python]
[check]
plugin = "checks.py"
severity = { "wheel.record" = "warning" }
[[check.waiver]]
check = "wheel.name"
reason = "the old name is kept"
until = "9999-12-31"
[[override]]
select = "*-cuda*"
check.severity = { "wheel.record" = "error" }
"""
OWN_CHECKS = """
from builder.hookspecs import hookimpl
from smoke.catalogue import Check, Outcome
@hookimpl
def builder_checks():
    yield Check("tiny.own", "Own.", ("wheel",), "artifact", "mend it", lambda _: Outcome())
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    folder = tmp_path / "recipes" / "tiny"
    folder.mkdir(parents=True)
    (folder / "recipe.toml").write_text(RECIPE)
    (folder / "checks.py").write_text(OWN_CHECKS)
    return folder


def test_a_recipe_says_what_counts(wheel: Path, recipe: Path) -> None:
    code, out, _ = call(
        wheel, "--recipe", recipe, "--select", "wheel.*", "--select", "tiny.*", "--json"
    )

    results = {one["id"]: one for one in json.loads(out)["results"]}
    assert code == 0
    assert [results[name]["status"] for name in ("wheel.record", "wheel.name", "tiny.own")] == [
        "warn", "pass", "pass",
    ]  # fmt: skip
    assert "the old name is kept" in results["wheel.name"]["waived"][0]


def test_overrides_count_for_the_target_that_is_named(wheel: Path, recipe: Path) -> None:
    target = "manywheel-cp311-cuda130-linux_x86_64"

    code, _, _ = call(wheel, "--recipe", recipe, "--target", target, "--select", "wheel.record")

    assert code == 1


def test_a_target_without_a_recipe_means_nothing(wheel: Path) -> None:
    result = CliRunner().invoke(command, [str(wheel), "--target", "x"])

    assert "`--target` is for a recipe" in str(result.exception)
