"""The benchmark of conda packages still runs, and both of its sides still do the same work."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import builder

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(sys.platform != "linux", reason="its recipes are for Linux"),
]

SCRIPT = Path(builder.__file__).parents[1] / "benchmarks" / "conda.py"


@pytest.mark.parametrize(("case", "count"), [("render 1 variant", 1), ("build noarch text", 2)])
def test_both_sides_of_a_case_make_the_same(case: str, count: int, tmp_path: Path) -> None:
    results = tmp_path / "results.json"

    subprocess.run(
        [sys.executable, SCRIPT, "--only", case, "--times", "1", "--results", results],
        check=True, capture_output=True,
    )  # fmt: skip

    rows = json.loads(results.read_text())
    assert len(rows) == count
    for row in rows:
        assert row["ours"]["cpu"] > 0
        assert row["theirs"]["cpu"] > 0
        assert not [line for line in row["differences"] if "info/recipe/" not in line]
