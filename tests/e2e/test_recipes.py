"""The recipes of other people's projects, each really built, repaired, checked, and used by its check.

Compiler results and downloads are those of the user's cache, so a second run on one machine is quick.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from builder.archive.conda import INDEX, read_info
from builder.binary import Binary
from builder.channel.channel import add
from builder.cli.surroundings import environment, this_machine
from builder.config.discover import find
from builder.converter import Conversion
from builder.errors import BuilderError
from builder.process import Processes
from builder.stage import system
from builder.verbs.convert import convert
from builder.verbs.inspect import inspect
from tests.e2e import conda_channel
from tests.e2e.conda_channel import add_openmp, make_channel

if TYPE_CHECKING:
    from tests.e2e.conftest import Builder, Ran

pytestmark = [pytest.mark.e2e, pytest.mark.heavy, pytest.mark.xdist_group("recipes")]

ROOTS = (Path(__file__).parents[2] / "recipes",)
THIS = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture
def builder(fresh: Builder) -> Builder:
    return replace(fresh, cache=this_machine(environment()).cache)


def skip_unless_ready(recipe: str) -> None:
    """Skip, with what is missing, when the system packages of a recipe are not installed."""
    found = find(recipe, ROOTS, Path.cwd())
    stages = (found.core, found.python, found.checks)
    names = tuple(name for stage in stages if stage is not None for name in stage.system)
    try:
        system.installed(names, this_machine(environment()), Processes())
    except BuilderError as error:
        pytest.skip(f"{error.message} ({error.hint})")
    if found.axes.pythons and not any(THIS in spelled for spelled in _versions(found.axes.pythons)):
        pytest.skip(f"`{recipe}` is not for CPython {THIS}")


def _versions(pythons: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{text[2]}.{text[3:].rstrip('mut')}" for text in pythons)


def built(ran: Ran) -> dict[str, Any]:
    """The one artifact of a call in which nothing failed."""
    assert ran.code == 0, ran.err
    (artifact,) = ran.document["artifacts"]
    summary = artifact["report"]["summary"]
    assert (summary["fail"], summary["crash"]) == (0, 0)
    commands = [row for row in artifact["report"]["results"] if row["id"] == "env.commands"]
    assert [row["status"] for row in commands] == ["pass"]
    found: dict[str, Any] = artifact
    return found


def binaries(wheel: str) -> dict[str, Binary]:
    (subject,) = inspect([Path(wheel)]).subjects
    return {found.path: found.binary for found in subject.binaries}


def test_lightgbm_is_compiled_once_and_wrapped_for_every_python(builder: Builder) -> None:
    skip_unless_ready("lightgbm")

    artifact = built(builder.build("lightgbm", "--json"))

    name = Path(artifact["path"]).name
    assert "-py3-none-manylinux_" in name
    runs = {stage["name"]: stage["compiler_runs"] for stage in artifact["stages"]}
    assert runs["core"] > 30
    assert runs["python"] == 0
    assert any(path.startswith("lightgbm.libs/libgomp-") for path in binaries(artifact["path"]))


def test_psycopg2_brings_libpq_and_talks_to_a_running_server(builder: Builder) -> None:
    skip_unless_ready("psycopg2")

    artifact = built(builder.build("psycopg2", "--json"))

    grafted = [path for path in binaries(artifact["path"]) if path.startswith("psycopg2.libs/")]
    assert any("libpq-" in path for path in grafted)
    assert len(grafted) >= 12


def test_torch_scatter_finds_torch_beside_it_and_requires_it(builder: Builder) -> None:
    skip_unless_ready("torch-scatter")
    folders = this_machine(environment()).index.find_links
    if not any(any(Path(folder).glob("torch-2.13.0+cpu-*.whl")) for folder in folders):
        pytest.skip(
            "no CPU build of torch 2.13.0 in `find-links`; the index's has several gigabytes"
        )

    artifact = built(builder.build("torch-scatter", "--json"))

    found = binaries(artifact["path"])
    assert found
    for path, binary in found.items():
        assert not path.startswith("torch_scatter.libs/"), "nothing of torch is grafted"
        if any(name.startswith("libtorch") for name in binary.needed):
            assert "$ORIGIN/../torch/lib" in (*binary.rpath, *binary.runpath)


@pytest.mark.skipif(bool(conda_channel.reason()), reason=conda_channel.reason())
def test_lightgbm_trains_in_an_environment_of_conda(builder: Builder, tmp_path: Path) -> None:
    skip_unless_ready("lightgbm")
    channel = make_channel(tmp_path / "channel", tmp_path)
    add_openmp(channel, tmp_path)
    argv = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:"]
    wanted = ("numpy==2.4.6", "scipy==1.17.1", "narwhals==2.29.0")
    subprocess.run([*argv, "--dest", str(tmp_path / "wheels"), *wanted], check=True)
    wheels = sorted((tmp_path / "wheels").iterdir())
    made = convert(wheels, output_dir=tmp_path / "others", wishes=Conversion(compression="fast"))
    add(channel, [row.made.path for row in made])
    words = ("--type", "conda", "--python", THIS, "--cuda", "cpu", "--channel", str(channel))

    artifact = built(builder.build("lightgbm", *words, "--json"))

    found = {row["id"]: row["status"] for row in artifact["report"]["results"]}
    assert (found["env.install"], found["env.import"]) == ("pass", "pass")
    depends = json.loads(read_info(Path(artifact["path"]), {INDEX: 1 << 20})[INDEX])["depends"]
    assert {"_openmp_mutex", "scipy", f"python {THIS}.*"} <= set(depends)
