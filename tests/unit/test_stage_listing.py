from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from builder.config.machine import Machine
from builder.errors import UsageError
from builder.process import Processes
from builder.stage.listing import describe, digest, source_paths, walk


def machine(tmp_path: Path) -> Machine:
    return Machine((Path("/usr/bin"), Path("/bin")), tmp_path, 1, "linux", "x86_64")


def fill(folder: Path, *paths: str) -> Path:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(path)
    return folder


def git(folder: Path, *words: str) -> None:
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "init.defaultBranch=x"]
    allow = ["-c", "protocol.file.allow=always"]
    subprocess.run(["git", *identity, *allow, *words], cwd=folder, check=True, capture_output=True)


def listed(folder: Path, tmp_path: Path) -> tuple[str, ...]:
    return source_paths(folder, machine(tmp_path), Processes())


def test_outside_of_git_everything_but_junk_is_source(tmp_path: Path) -> None:
    folder = fill(
        tmp_path / "x",
        "setup.py", "src/build/a.c", "src/__pycache__/a.pyc", "build/lib/a.so", "dist/x.whl",
        ".venv/bin/python", ".gitignore",
    )  # fmt: skip
    assert listed(folder, tmp_path) == (".gitignore", "setup.py", "src/build/a.c")


def test_in_git_what_is_tracked_or_new_is_source(tmp_path: Path) -> None:
    folder = fill(tmp_path / "x", "a.c", "build/kept.c", "gone.c", "ignored.o", "new file\n.c")
    (folder / ".gitignore").write_text("*.o\n")
    git(folder, "init")
    git(folder, "add", "a.c", "build/kept.c", "gone.c")
    (folder / "gone.c").unlink()
    assert listed(folder, tmp_path) == (".gitignore", "a.c", "build/kept.c", "new file\n.c")


def test_a_folder_of_a_repository_is_only_itself(tmp_path: Path) -> None:
    folder = fill(tmp_path / "x", "a.c", "part/b.c", "part/c.o")
    (folder / ".gitignore").write_text("*.o\n")
    git(folder, "init")
    assert listed(folder / "part", tmp_path) == ("b.c",)


def test_a_folder_its_repository_ignores_is_walked(tmp_path: Path) -> None:
    folder = fill(tmp_path / "x", "a.c", "unpacked/setup.py", "unpacked/a.o")
    (folder / ".gitignore").write_text("unpacked/\n")
    git(folder, "init")
    assert listed(folder / "unpacked", tmp_path) == ("a.o", "setup.py")


def test_submodules_and_repositories_inside_are_source(tmp_path: Path) -> None:
    inner = fill(tmp_path / "inner", "in.c")
    git(inner, "init")
    git(inner, "add", ".")
    git(inner, "commit", "-m", "x")
    folder = fill(tmp_path / "x", "a.c")
    git(folder, "init")
    git(folder, "submodule", "add", str(inner), "sub")
    fill(folder / "other", "o.c")
    git(folder / "other", "init")
    assert listed(folder, tmp_path) == (".gitmodules", "a.c", "other/o.c", "sub/in.c")


def test_a_hook_of_a_strangers_repository_does_not_run(tmp_path: Path) -> None:
    folder = fill(tmp_path / "x", "a.c")
    git(folder, "init")
    git(folder, "config", "core.fsmonitor", f"touch {tmp_path}/ran; true")
    assert listed(folder, tmp_path) == ("a.c",)
    assert not (tmp_path / "ran").exists()


def test_an_empty_folder_is_no_source(tmp_path: Path) -> None:
    (tmp_path / "x" / "build").mkdir(parents=True)
    with pytest.raises(UsageError, match="no file"):
        listed(tmp_path / "x", tmp_path)


def of(folder: Path) -> str:
    return digest(describe(folder, walk(folder)))


def test_the_digest_knows_no_place_no_time_and_no_user(tmp_path: Path) -> None:
    one = fill(tmp_path / "one", "a.c", "d/b.c")
    two = fill(tmp_path / "deeper" / "two", "d/b.c", "a.c")
    os.utime(two / "a.c", (1, 1))
    (two / "a.c").chmod(0o600)
    (two / "empty").mkdir()
    fill(two, "d/__pycache__/b.pyc")
    assert of(one) == of(two)


CHANGES = {
    "a byte": lambda folder: (folder / "a.c").write_text("A.c"),
    "a name": lambda folder: (folder / "a.c").rename(folder / "c.c"),
    "a new file": lambda folder: (folder / "new").touch(),
    "a lost file": lambda folder: (folder / "d/b.c").unlink(),
    "the executable bit": lambda folder: (folder / "a.c").chmod(0o755),
    "a link": lambda folder: (folder / "link").symlink_to("a.c"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_the_digest_follows_every_change(change: object, tmp_path: Path) -> None:
    folder = fill(tmp_path / "x", "a.c", "d/b.c")
    before = of(folder)
    assert callable(change)
    change(folder)
    assert of(folder) != before


def test_a_link_is_not_the_file_it_points_to(tmp_path: Path) -> None:
    one, two, three = (fill(tmp_path / name, "a") for name in "123")
    (one / "b").write_text("a")
    (two / "b").symlink_to("a")
    (three / "b").symlink_to("./a")
    assert len({of(one), of(two), of(three)}) == 3


def test_a_pipe_is_no_source(tmp_path: Path) -> None:
    folder = fill(tmp_path / "x", "a")
    os.mkfifo(folder / "pipe")
    with pytest.raises(UsageError, match="neither a file nor a link"):
        of(folder)


@pytest.mark.parametrize("marker", ["CACHEDIR.TAG", "pyvenv.cfg"])
def test_a_cache_or_an_environment_inside_is_no_source(tmp_path: Path, marker: str) -> None:
    (tmp_path / "store" / "trees").mkdir(parents=True)
    (tmp_path / "store" / marker).write_text("mine")
    (tmp_path / "store" / "trees" / "a.so").write_text("binary")
    (tmp_path / "setup.py").write_text("")

    assert list(walk(tmp_path)) == ["setup.py"]
