"""A few seconds of fuzzing by coverage for every target; `tests/fuzz/run.py` runs as long as you let it."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e

RUN = Path(__file__).parent.parent / "fuzz" / "run.py"
SECONDS = 6


@pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None, reason="atheris has no wheel for this machine"
)
@pytest.mark.parametrize(
    "target",
    [
        "binary",
        "signature",
        "edit",
        "wheel",
        "archive",
        "tree",
        "library",
        "record",
        "conda",
        "content",
    ],
)
def test_nothing_is_found_in_a_few_seconds(tmp_path: Path, target: str) -> None:
    words = [sys.executable, str(RUN), target, "--seconds", str(SECONDS), "--work", str(tmp_path)]
    # A process begins with the peak memory of the one that starts it, and the fuzzer has a limit.
    words = ["sh", "-c", '"$@"; exit $?', "sh", *words]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    assert "stat::number_of_executed_units" in done.stderr
