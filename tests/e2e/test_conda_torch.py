"""The published wheel of torch as conda packages: its C++ part, and the rest beside it; both are computed with."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from benchmarks import wheels
from builder.archive.conda import INDEX, read_info
from builder.channel.channel import add
from builder.converter import Conversion
from builder.verbs.convert import convert
from tests.e2e import conda_channel
from tests.e2e.conda_channel import add_openmp, make_channel

if TYPE_CHECKING:
    from tests.e2e.conftest import Builder

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.heavy,
    pytest.mark.skipif(bool(conda_channel.reason()), reason=conda_channel.reason()),
    pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the wheel is for CPython 3.11"),
]
TORCH = "torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl"
RECIPE = Path(__file__).parents[2] / "recipes" / "pytorch"
BESIDE = (
    "filelock", "fsspec", "jinja2", "markupsafe", "mpmath<1.4", "networkx", "numpy<2", "setuptools",
    "sympy==1.14.0", "typing-extensions",
)  # fmt: skip


@pytest.fixture
def channel(tmp_path: Path) -> Path:
    """Python, OpenMP, and everything that torch requires, out of wheels."""
    made = make_channel(tmp_path / "channel", tmp_path)
    add_openmp(made, tmp_path)
    argv = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:"]
    subprocess.run([*argv, "--dest", str(tmp_path / "wheels"), *BESIDE], check=True)
    wishes = Conversion(compression="fast")
    rows = convert(sorted((tmp_path / "wheels").iterdir()), output_dir=tmp_path / "others", wishes=wishes)  # fmt: skip
    add(made, [row.made.path for row in rows])
    return made


def test_libtorch_and_torch_are_solved_installed_and_computed_with(
    fresh: Builder, channel: Path, tmp_path: Path
) -> None:
    recipe = tmp_path / "pytorch"
    shutil.copytree(RECIPE, recipe)
    text = (recipe / "recipe.toml").read_text()
    # The checks about torch alone run elsewhere.
    text = text.replace('plugin = "check/checks.py"\n', "")
    text = text.replace('library = "libtorch"\n', 'library = "libtorch"\nprofile = "fast"\n')
    (recipe / "recipe.toml").write_text(text)
    source = wheels.fetch(TORCH)
    words = ("--type", "conda", "--python", "3.11", "--cuda", "cpu", "--channel", str(channel))

    ran = fresh.build(str(recipe), *words, "--source", str(source), "--json")

    assert ran.code == 0, ran.err
    made = {one["target"].partition("-")[0]: one for one in ran.document["artifacts"]}
    found = {row["id"]: row["status"] for row in made["conda"]["report"]["results"]}
    asked = ("env.install", "env.import", "env.loaded", "env.commands", "consumer.cpp")
    assert {name: found[name] for name in asked} == dict.fromkeys(asked, "pass")
    libtorch, torch = (
        json.loads(read_info(Path(made[kind]["path"]), {INDEX: 1 << 20})[INDEX])
        for kind in ("conda_lib", "conda")
    )
    assert (libtorch["name"], torch["name"], torch["version"]) == ("libtorch", "pytorch", "2.13.0")
    assert f"libtorch 2.13.0 {libtorch['build']}" in torch["depends"]
    assert {"_openmp_mutex", "sympy >=1.13.3"} <= set(torch["depends"])
