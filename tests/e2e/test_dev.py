"""`dev` on a copy of the project: it sets up what it needs, from anywhere, again, and after it was killed."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

import builder

pytestmark = pytest.mark.e2e

ROOT = Path(builder.__file__).parents[1]
NEEDED = (
    ".gitignore",
    "LICENSE",
    "README.md",
    "builder",
    "dev",
    "plugins",
    "pyproject.toml",
    "recipes",
    "smoke",
)


def copy(folder: Path) -> Path:
    """The parts of the project that `dev` installs, in a folder of any name."""
    junk = shutil.ignore_patterns("__pycache__")
    folder.mkdir(parents=True)
    for name in NEEDED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=junk)
        else:
            shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = copy(tmp_path_factory.mktemp("dev") / "a folder")
    run(folder, "--version")
    return folder


def run(
    project: Path, *words: str, directory: Path | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        (str(project / "dev"), *words),
        cwd=directory or project, env={**os.environ, **variables},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done


def test_the_second_call_installs_nothing(project: Path) -> None:
    done = run(project, "--version")
    assert done.stdout.startswith("builder ")
    assert done.stderr == ""


def test_it_works_in_the_folder_of_the_caller(project: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(project / "dev")
    (tmp_path / "recipes" / "mine").mkdir(parents=True)
    (tmp_path / "recipes" / "mine" / "recipe.toml").write_text(
        'schema = 1\n[recipe]\nname = "mine"\n[source]\npath = "."\n[python]\n', encoding="utf-8"
    )
    words = (str(tmp_path / "link"), "matrix", "mine", "--python", "3.11", "--cuda", "cpu")
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("manywheel-cp311-cpu-linux_"), done.stderr


def test_what_the_caller_set_for_other_pythons_does_not_reach_it(
    project: Path, tmp_path: Path
) -> None:
    (tmp_path / "click.py").write_text("raise SystemExit('the wrong click')\n", encoding="utf-8")
    done = run(project, "--help", PYTHONPATH=str(tmp_path), VIRTUAL_ENV=str(tmp_path))
    assert "Commands:" in done.stdout


def test_an_environment_of_another_folder_is_made_anew(project: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(project, moved, symlinks=True)
    done = run(moved, "--version")
    assert "installing into .venv" in done.stderr
    assert str(moved) in (moved / ".venv" / "bin" / "builder").read_text(encoding="utf-8")


def test_a_killed_call_is_made_good_by_the_next(tmp_path: Path) -> None:
    project = copy(tmp_path / "project")
    for seconds in (0.5, 2.0):
        first = subprocess.Popen((str(project / "dev"), "--version"), start_new_session=True,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
        time.sleep(seconds)
        os.killpg(first.pid, 9)
        first.wait()
    assert run(project, "--version").stdout.startswith("builder ")
    assert not (project / ".venv" / "unfinished").exists()


def test_two_calls_at_once_end_well(tmp_path: Path) -> None:
    project = copy(tmp_path / "project")
    calls = [
        subprocess.Popen(
            (str(project / "dev"), "--version"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(2)
    ]
    ends = [call.communicate() for call in calls]
    assert [out.startswith(b"builder ") for out, _ in ends] == [True, True], ends


def test_without_a_word_it_says_how_to_use_it(project: Path) -> None:
    done = subprocess.run((str(project / "dev"),), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "./dev test" in done.stderr


def test_help_comes_at_once(project: Path) -> None:
    program = (str(project / ".venv" / "bin" / "builder"), "--help")

    def seconds() -> float:
        before = os.times()
        subprocess.run(program, check=True, stdout=subprocess.DEVNULL)
        after = os.times()
        return (
            after.children_user
            + after.children_system
            - before.children_user
            - before.children_system
        )

    # Processor time of the best of ten: what else this machine does at the moment does not count.
    assert min(seconds() for _ in range(10)) <= 0.15
