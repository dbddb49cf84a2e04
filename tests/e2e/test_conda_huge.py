"""A package with a member beyond 4 GiB; the file is sparse, so it costs time and no disk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from builder.archive.conda import read_info
from builder.archive.conda_package import CondaFile, CondaPackage
from builder.archive.conda_write import write_conda

pytestmark = [pytest.mark.e2e, pytest.mark.heavy]
WIDE = (1 << 32) + 4096


def test_a_member_beyond_4_gib_is_written_and_read_back(tmp_path: Path) -> None:
    model = tmp_path / "model"
    with model.open("wb") as file:
        file.truncate(WIDE)
        file.write(b"begin")
        file.seek(WIDE - 3)
        file.write(b"end")
    package = CondaPackage("model", "1.0", "0", "linux-64")
    given = [CondaFile("share/model", model), CondaFile("share/z", b"behind")]

    made = write_conda(tmp_path / "out", package, given, epoch=0, profile="fast")

    assert made.stat().st_size < 4 << 20
    document = json.loads(read_info(made, {"info/paths.json": 1 << 20})["info/paths.json"])
    rows = {row["_path"]: row for row in document["paths"]}
    assert rows["share/model"]["size_in_bytes"] == WIDE
    assert rows["share/z"]["size_in_bytes"] == 6
