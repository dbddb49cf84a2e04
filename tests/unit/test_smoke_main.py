from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from smoke.__main__ import main
from smoke.checks import CATALOGUE

PATH = "/usr/bin:/bin"


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """A wheel that says what it is and has no RECORD."""
    path = tmp_path / "tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tiny.py", "")
        archive.writestr("tiny-1.0.dist-info/METADATA", "Name: tiny\nVersion: 1.0\n")
        archive.writestr("tiny-1.0.dist-info/WHEEL", "Tag: py3-none-any\n")
    return path


def test_the_list_names_every_check(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"], PATH) == 0

    out = capsys.readouterr().out
    assert all(check.id in out for check in CATALOGUE)


def test_the_list_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list", "--json", "--select", "link.*"], PATH) == 0

    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == 1
    assert {check["id"].split(".")[0] for check in document["checks"]} == {"link"}


def test_a_bad_wheel_is_exit_code_1_and_a_good_part_of_it_0(
    wheel: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(wheel)], PATH) == 1
    assert "fail  wheel.record" in capsys.readouterr().out
    assert main([str(wheel), "--skip", "wheel.record"], PATH) == 0
    assert "has no RECORD" not in capsys.readouterr().out


def test_json_is_the_only_thing_on_stdout(wheel: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(wheel), "--json"], PATH)

    document = json.loads(capsys.readouterr().out)
    assert document["subject"] == str(wheel)
    assert document["summary"]["fail"] == 1


def test_junit_is_written_beside(wheel: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = wheel.parent / "report.xml"

    main([str(wheel), "--junit", str(file)], PATH)

    assert "wheel.record" in capsys.readouterr().out
    assert '<failure message="tiny-1.0-py3-none-any.whl: has no RECORD"' in file.read_text()


def test_several_subjects_are_several_reports(
    wheel: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([str(wheel), str(wheel.parent), "--json"], PATH)

    document = json.loads(capsys.readouterr().out)
    assert [report["subject"] for report in document["reports"]] == [str(wheel), str(wheel.parent)]


def test_a_ready_environment_is_probed(capsys: pytest.CaptureFixture[str], wheel: Path) -> None:
    code = main(
        [
            str(wheel),
            "--python",
            sys.executable,
            "--import",
            "json",
            "--select",
            "env.import",
            "-v",
        ],
        PATH,
    )

    assert code == 0
    assert "pass  env.import" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        ([], 2, "nothing to check"),
        (["no-such-file.whl"], 2, "does not exist"),
        (["--select", "nope"], 3, "no check matches `nope`"),
        (["FILE", "--python", "no-such-environment"], 2, "is no environment"),
    ],
)
def test_mistakes_are_told_on_stderr(
    wheel: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, text: str
) -> None:
    assert main([str(wheel) if word == "FILE" else word for word in words], PATH) == code

    shown = capsys.readouterr()
    assert shown.out == ""
    assert text in shown.err
    assert "hint: " in shown.err


def test_the_module_is_a_command(wheel: Path) -> None:
    root = Path(__file__).parents[2]

    done = subprocess.run(
        [sys.executable, "-m", "smoke", str(wheel)],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert "wheel.record" in done.stdout


def test_a_release_before_and_several_wheels(
    wheel: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, other = tmp_path / "tiny-0.9-py3-none-any.whl", tmp_path / "more-1.0-py3-none-any.whl"
    for path, module in ((before, "gone.py"), (other, "tiny.py")):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(module, "x = 1\n")

    options = ["--expect", str(before), "--select", "diff.files", "--select", "set.files"]

    assert main([str(wheel), str(other), *options, "--json"], PATH) == 1

    first, _, whole = json.loads(capsys.readouterr().out)["reports"]
    assert first["results"][0]["problems"] == ["gone.py: is gone (data)"]
    assert whole["subject"] == "2 wheels together"
    assert whole["results"][0]["status"] == "fail"
