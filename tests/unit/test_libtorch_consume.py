from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import pytest
from builder_libtorch.consume import tried
from builder_libtorch.desk import Desk

from builder.archive.content import MANIFEST, Content, Item
from builder.backend import Tools
from builder.config.machine import Machine
from builder.config.recipe import Checks, Consumer
from builder.errors import BuilderError
from builder.process import Processes

SHARED = "libtorch-none-cpu-linux_x86_64-shared_with_deps"
STATIC = SHARED.replace("shared", "static")
CONSUMER = Consumer("use.cpp", "demo", ("demo",))
NAMES = ("archive.cmake", "archive.flags", "archive.abi", "archive.loads")


def tools(folder: Path, *path: str, arch: str = "x86_64") -> Tools:
    machine = Machine(tuple(map(Path, path)), folder, 2, "linux", arch)
    return Tools(Processes(), machine, Path(sys.executable), folder / "work", folder / "log")


def archive(folder: Path, target: str, *items: Item) -> Path:
    path = folder / "libdemo.zip"
    with zipfile.ZipFile(path, "w") as opened:
        content = Content("demo", "1.0", target, tuple(sorted(items)))
        opened.writestr(f"libdemo/{MANIFEST}", bytes(content))
        for item in items:
            opened.writestr(f"libdemo/{item.path}", b"")
    return path


@pytest.mark.parametrize(
    ("arch", "consumer", "reasons"),
    [
        ("aarch64", CONSUMER, ["this machine is linux_aarch64, the archive is for linux_x86_64"] * 4),
        (
            "x86_64", None,
            ["the recipe names no consumer"] * 3 + ["there is no C compiler on this machine"],
        ),
        (
            "x86_64", CONSUMER,
            [
                "there is no cmake, make or C++ compiler on this machine",
                "there is no compiler on this machine",
                "the program does not build with the right ABI either",
                "there is no C compiler on this machine",
            ],
        ),
    ],
    ids=["other machine", "no consumer", "bare machine"],
)  # fmt: skip
def test_what_cannot_be_tried_says_why(
    tmp_path: Path, arch: str, consumer: Consumer | None, reasons: list[str]
) -> None:
    path = archive(tmp_path, SHARED, Item("lib/libdemo.so", "library"))
    bench = tools(tmp_path, str(tmp_path / "nothing"), arch=arch)

    done = tried(path, MANIFEST, Checks(consumer=consumer), tmp_path, bench)

    assert [trial.id for trial in done] == list(NAMES)
    assert [trial.reason for trial in done] == reasons
    assert not any(trial.problems for trial in done)
    assert list((tmp_path / "work").iterdir()) == []


def test_an_archive_that_is_none_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "libdemo.zip").write_bytes(b"PK\x03\x04 and no more")

    with pytest.raises(BuilderError):
        tried(tmp_path / "libdemo.zip", MANIFEST, Checks(), tmp_path, tools(tmp_path))

    assert list((tmp_path / "work").iterdir()) == []


@pytest.mark.parametrize(
    ("target", "path", "wanted"),
    [
        (SHARED, "/neutral/unpacked/lib/libx.so.1", True),
        (SHARED, "/lib64/libc.so.6", True),
        (SHARED, "/lib64/ld-linux-x86-64.so.2", True),
        (SHARED, "linux-vdso.so.1", True),
        (SHARED, "/usr/lib/libdeclared.so.1", True),
        (SHARED, "/usr/lib/libgomp.so.1", False),
        (STATIC, "/usr/lib/liblinked.so.7", True),
        (SHARED, "/usr/lib/liblinked.so.7", False),
        (STATIC, "/usr/lib/libgomp.so.1", False),
        (STATIC, "/usr/lib/libx.so.1", False),
    ],
)
def test_only_the_archive_and_the_declared_host_may_be_loaded(
    tmp_path: Path, target: str, path: str, wanted: bool
) -> None:
    content = Content("demo", "1.0", target, (), ("libdeclared.so.1", "liblinked.so"))
    root = Path("/neutral/unpacked")
    desk = Desk(root, Path("/neutral/work"), content, tools(tmp_path), 1.0)

    assert (desk.strange([path]) == ()) is wanted


def test_a_program_that_fails_is_told_from_its_first_error_on(tmp_path: Path) -> None:
    script = "echo 1; echo 2 >&2; echo 'ld: undefined reference to f' >&2; echo 4 >&2; exit 3"
    content = Content("demo", "1.0", SHARED, ())
    desk = Desk(tmp_path, tmp_path, content, tools(tmp_path, "/usr/bin", "/bin"), 30.0)

    fault, said = desk.run("/bin/sh", "-c", script)
    fine, greeting = desk.run("/bin/sh", "-c", 'echo "$LD_LIBRARY_PATH$X"', X="x")
    absent, nothing = desk.run(str(tmp_path / "absent"))

    assert (fault, said) == ("exit code 3 | ld: undefined reference to f | 4 | 1", "1\n")
    assert (fine, greeting) == ("", "x\n")
    assert "absent" in absent
    assert nothing == ""
