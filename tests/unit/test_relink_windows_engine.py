from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from builder.errors import BuilderError
from builder.process import Processes
from builder.relink.engine import RepairJob
from builder.relink.engine_delvewheel import Delvewheel

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the program is a script for sh")

SAYS = """#!/bin/sh
printf '%s\\n' "$@" "EPOCH=$SOURCE_DATE_EPOCH" > "$TMPDIR/said"
"""
LEAVES = """for wheel; do :; done
echo made > "$TMPDIR/out/${wheel##*/}"
"""
FAILS = """echo "FileNotFoundError: Unable to find library: a.dll" >&2
exit 1
"""


def repair(folder: Path, script: str, **options: object) -> Path:
    python = folder / "python"
    python.write_text(SAYS + script)
    python.chmod(0o755)
    given = {"exclude": (), "library_suffix": "", "strip": False, **options}
    job = RepairJob(
        folder / "p-1-py3-none-win_amd64.whl", folder / "work/out", (folder / "a", folder / "b"),
        epoch=315532800, work=folder / "work", log=folder / "log", **given,  # type: ignore[arg-type]  # what the tests give
    )  # fmt: skip
    return Delvewheel(python, (Path("/usr/bin"), Path("/bin")), Processes()).repair(job)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, []),
        (
            {"exclude": ("a?.dll", "b[12]*.dll")},
            ["--exclude", os.pathsep.join(["a*.dll", "b**.dll"])],
        ),
        ({"library_suffix": "_dlls"}, ["-L", "_dlls"]),
        ({"strip": True}, ["--strip"]),
    ],
)
def test_wishes_become_words(options: dict[str, object], words: list[str], tmp_path: Path) -> None:
    made = repair(tmp_path, LEAVES, **options)

    *_, wheel, epoch = said = (tmp_path / "work/said").read_text().splitlines()
    places = os.pathsep.join([str(tmp_path / "a"), str(tmp_path / "b")])
    out = str(tmp_path / "work/out")
    assert said[4:-2] == ["repair", "-w", out, "--add-path", places, *words]
    assert Path(wheel).name == made.name
    assert epoch == "EPOCH=315532800"


@pytest.mark.parametrize(
    ("script", "message", "hint"),
    [(FAILS, "cannot repair", "--add-path"), ("", "made 0 wheels", "log")],
)
def test_what_went_wrong_is_told(script: str, message: str, hint: str, tmp_path: Path) -> None:
    with pytest.raises(BuilderError, match=message) as caught:
        repair(tmp_path, script)

    assert hint in caught.value.hint
