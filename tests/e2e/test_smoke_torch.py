"""The checks that come with the recipe of torch, on the published wheel."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import wheels

pytestmark = [pytest.mark.e2e, pytest.mark.heavy]

WHEEL = "torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl"
NO_DEVICE = {"exceptions-device", "cuda-start", "cuda-version", "cuda-libraries", "cuda-networks"}
NO_DEVICE |= {"cuda-errors", "cudnn-version", "cuda-wheels", "xpu"}
SLOW = "torch.compile"
"""Two minutes of a C++ compiler; run it by hand."""


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the wheel is for CPython 3.11")
def test_torch_computes_in_an_environment_of_its_own() -> None:
    recipes = Path(__file__).parents[2]
    command = [
        sys.executable, "-m", "builder", "check", str(wheels.fetch(WHEEL)), "--recipe", "pytorch",
        "--select", "torch.*", "--select", "env.*", "--skip", SLOW, "--json",
    ]  # fmt: skip

    done = subprocess.run(command, cwd=recipes, capture_output=True, text=True, check=False)

    results = {one["id"]: one for one in json.loads(done.stdout)["results"]}
    skipped = {id_.removeprefix("torch.") for id_, one in results.items() if one["reason"]}
    assert {id_: one["problems"] for id_, one in results.items() if one["problems"]} == {
        "torch.xnnpack": ["torch: AssertionError: XNNPACK is not compiled in"]
    }
    assert done.returncode == 0, done.stderr
    assert skipped == {*NO_DEVICE, "env.neighbours"}
    assert len(results) == 5 + 2 + 20
