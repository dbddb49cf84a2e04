from __future__ import annotations

import sys
from pathlib import Path

import pytest

from builder.errors import BuilderError, UsageError
from builder.process import Processes
from builder.relink.engine import RepairJob
from builder.relink.engine_delocate import Delocate

NEEDED = ("otool", "install_name_tool", "lipo", "codesign")

SAYS = """#!/bin/sh
printf '%s\\n' "$@" "DYLD_LIBRARY_PATH=$DYLD_LIBRARY_PATH" > "$TMPDIR/said"
for wheel; do :; done
echo made > "$TMPDIR/out/${wheel##*/}"
"""
"""A Python that writes down what it is told, and leaves a wheel."""


def job(folder: Path, *, exclude: tuple[str, ...] = (), strip: bool = False) -> RepairJob:
    return RepairJob(
        folder / "p-1-py3-none-macosx_11_0_arm64.whl", folder / "work/out", (folder / "a",),
        exclude, 315532800, folder / "work", folder / "log", "", strip,
    )  # fmt: skip


def engine(folder: Path, programs: tuple[str, ...] = NEEDED) -> Delocate:
    (folder / "bin").mkdir()
    for name in (*programs, "python"):
        (folder / "bin" / name).write_text(SAYS)
        (folder / "bin" / name).chmod(0o755)
    path = (folder / "bin", Path("/usr/bin"), Path("/bin")) if programs else (folder / "none",)
    return Delocate(folder / "bin/python", path, Processes())


def test_what_only_a_mac_has_is_asked_for_before_anything_is_started(tmp_path: Path) -> None:
    with pytest.raises(BuilderError, match="otool, install_name_tool, lipo, codesign") as caught:
        engine(tmp_path, ()).repair(job(tmp_path))

    assert "native engine" in caught.value.hint
    assert not (tmp_path / "work").exists()


def test_what_it_cannot_do_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot strip"):
        engine(tmp_path).repair(job(tmp_path, strip=True))


@pytest.mark.skipif(sys.platform == "win32", reason="the program is a script for sh")
@pytest.mark.parametrize(
    ("glob", "part"),
    [
        ("libtorch*.dylib", "libtorch"),
        ("lib?ch[0-9].dylib", ".dylib"),
        ("*/opt/*", "/opt/"),
        ("libomp.dylib", "libomp.dylib"),
    ],
)
def test_a_glob_becomes_the_longest_text_in_it(glob: str, part: str, tmp_path: Path) -> None:
    made = engine(tmp_path).repair(job(tmp_path, exclude=(glob,)))

    said = (tmp_path / "work/said").read_text().splitlines()
    assert made.name == "p-1-py3-none-macosx_11_0_arm64.whl"
    assert said[said.index("-e") + 1] == part
    assert said[-1] == f"DYLD_LIBRARY_PATH={tmp_path / 'a'}"


@pytest.mark.skipif(sys.platform == "win32", reason="the program is a script for sh")
def test_a_glob_without_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="only knows parts of paths"):
        engine(tmp_path).repair(job(tmp_path, exclude=("**",)))
