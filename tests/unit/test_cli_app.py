from __future__ import annotations

import json
from pathlib import Path

import pytest

from builder.cli.app import run

VERBS = ("build", "channel", "check", "convert", "doctor", "inspect", "matrix", "repair")


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([verb, "--help"]) == 0

    assert f"Usage: builder {verb}" in capsys.readouterr().out


def test_help_lists_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0

    listed = capsys.readouterr().out
    assert all(f"  {verb} " in listed for verb in VERBS)


def test_version_names_engines_and_plugins(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0

    text = capsys.readouterr().out
    assert all(word in text for word in ("builder ", "auditwheel ", "uv ", "plugin manywheel"))


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        pytest.param(["bild"], 2, "No such command 'bild'", id="unknown verb"),
        pytest.param(["matrix", "--colour"], 2, "No such option", id="unknown option"),
        pytest.param(["matrix", "no-such-recipe"], 2, "unknown recipe", id="unknown recipe"),
        pytest.param(["matrix", "sample", "--python", "3.x"], 2, "not a Python version", id="spelling"),
        pytest.param(["matrix", "sample", "--select", "x*"], 3, "no target matches", id="nothing selected"),
        pytest.param(["check", "--list", "--select", "x*"], 3, "no check matches", id="no check selected"),
        pytest.param(["inspect", "no-such-file"], 2, "no-such-file", id="no file"),
        pytest.param(["repair", "no-such.whl"], 2, "no-such.whl", id="no wheel"),
        pytest.param(
            ["repair", "x.whl", "--sibling", "jax"], 2, "no sibling `jax` is known", id="sibling"
        ),
    ],
)  # fmt: skip
def test_a_mistake_has_a_code_and_no_traceback(
    words: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(words) == code

    shown = capsys.readouterr()
    assert said in shown.err
    assert "Traceback" not in shown.err
    assert shown.out == ""


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["matrix", "no-such-recipe", "--debug"]) == 2

    assert "Traceback" in capsys.readouterr().err


def test_the_matrix_is_a_table_and_a_document(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["matrix", "sample", "--python", "3.7,3.11", "--cuda", "cpu"]

    assert run(words) == 0
    table = capsys.readouterr().out.splitlines()
    assert run([*words, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)

    assert [line.split()[0] for line in table] == [row["target"] for row in document["targets"]]
    assert document["targets"][0] == {
        "target": "libtorch-none-cpu-linux_x86_64-shared_with_deps",
        "type": "libtorch",
        "python": None,
        "accelerator": "cpu",
        "os": "linux",
        "arch": "x86_64",
        "abi": "",
        "variant": "shared-with-deps",
        "file": "libsample-shared-with-deps-1.4.0+cpu.zip",
    }
    assert document["targets"][1] == {
        "target": "manywheel-cp37m-cpu-linux_x86_64",
        "type": "manywheel",
        "python": "3.7",
        "accelerator": "cpu",
        "os": "linux",
        "arch": "x86_64",
        "abi": "",
        "variant": "",
        "file": "sample-1.4.0+cpu-cp37-cp37m-linux_x86_64.whl",
    }


def test_two_targets_with_one_name_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = '[recipe]\nname = "one"\n[version]\nnumber = "1.0"\nlocal = "none"\n[python]\n'
    (tmp_path / "builder.toml").write_text(recipe)
    monkeypatch.chdir(tmp_path)

    assert run(["matrix", ".", "--python", "3.11", "--cuda", "cpu,13.0"]) == 2

    assert "would write one file" in capsys.readouterr().err


def test_an_old_variable_is_a_default_and_said_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DESIRED_PYTHON", "3.7m")
    monkeypatch.setenv("DESIRED_CUDA", "cu130")

    assert run(["matrix", "sample", "--type", "manywheel"]) == 0
    by_variable = capsys.readouterr()
    assert run(["matrix", "sample", "--type", "manywheel", "--python", "3.9"]) == 0
    by_flag = capsys.readouterr()

    assert by_variable.out.startswith("manywheel-cp37m-cuda130-linux_x86_64")
    assert by_variable.err.count("DESIRED_PYTHON") == 1
    assert by_flag.out.startswith("manywheel-cp39-cuda130-linux_x86_64")
