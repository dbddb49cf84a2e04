"""The distribution outside of its checkout: what is in the wheel, and that it works where it is installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

import builder

pytestmark = pytest.mark.e2e

ROOT = Path(builder.__file__).parents[1]
UV = (sys.executable, "-m", "uv")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, made from the sdist, so that this is whole as well."""
    out = tmp_path_factory.mktemp("distribution")
    subprocess.run((*UV, "build", "--quiet", "--out-dir", str(out), str(ROOT)), check=True)
    (found,) = out.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def command(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The installed command, in an environment that knows nothing of the checkout."""
    environment = tmp_path_factory.mktemp("installed") / "environment"
    subprocess.run(
        (*UV, "venv", "--quiet", "--python", sys.executable, str(environment)), check=True
    )
    python = environment / "bin" / "python"
    subprocess.run(
        (*UV, "pip", "install", "--quiet", "--python", str(python), str(wheel)), check=True
    )
    return environment / "bin" / "builder"


def test_the_wheel_has_its_own_names_and_no_others(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        names = archive.namelist()
    top = {name.partition("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == {
        "builder",
        "builder_conda",
        "builder_libtorch",
        "builder_manywheel",
        "smoke",
    }
    assert not [name for name in names if "__pycache__" in name or name.endswith(".so")]
    assert {
        "builder/_recipes/sample/recipe.toml",
        "builder/data/recipe.schema.json",
        "builder/stage/shim.sh",
        "smoke/probes/import_probe.py",
        "smoke/py.typed",
    } <= {*names}


def test_every_file_of_the_checkout_is_in_the_wheel(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        packed = {*archive.namelist()}
    places = {
        "builder": "builder",
        "smoke": "smoke",
        "plugins/builder_conda": "builder_conda",
        "plugins/builder_libtorch": "builder_libtorch",
        "plugins/builder_manywheel": "builder_manywheel",
    }
    places["recipes"] = "builder/_recipes"
    missing = [
        file
        for folder, place in places.items()
        for file in (ROOT / folder).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
        if f"{place}/{file.relative_to(ROOT / folder).as_posix()}" not in packed
    ]
    assert missing == []


def test_the_installed_command_finds_recipe_backend_and_checks(
    command: Path, tmp_path: Path
) -> None:
    def run(*words: str) -> str:
        own = {name: text for name, text in os.environ.items() if not name.startswith("PYTHON")}
        done = subprocess.run(
            (str(command), *words),
            cwd=tmp_path, env={**own, "BUILDER_CACHE": str(tmp_path / "cache")},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    stages = json.loads(
        run("build", "sample", "--type", "manywheel", "--python", here, "--dry-run", "--json")
    )["stages"]
    assert {stage["name"] for stage in stages} == {"core", "python", "package"}
    assert "plugin manywheel" in run("--version")
    assert json.loads(run("check", "--list", "--json"))["checks"]
