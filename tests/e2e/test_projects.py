"""`builder build .` in projects that have no recipe: unmodified sdists from the index, and small ones of each kind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from builder.archive.wheel import verify_wheel
from builder.cli.surroundings import environment, this_machine
from builder.config.python import Python
from builder.config.recipe import IndexSdist
from builder.config.toolchain import Interpreter
from builder.process import Processes
from builder.stage import interpreters, source
from builder.stage.store import TreeStore

if TYPE_CHECKING:
    from tests.e2e.conftest import Builder

pytestmark = pytest.mark.e2e

SDISTS = (
    IndexSdist("markupsafe", "3.0.2", "ee55d3edf80167e48ea11a923c7386f4669df67d7994554387f84e7d8b0a2bf0"),
    IndexSdist("ujson", "5.10.0", "b3cd8f3c5d8c7738257f1018880444f7b7d9b66232c64649f562d7ba86ad4bc1"),
    IndexSdist("wrapt", "1.17.2", "41388e9d4d1522446fe79d3213196bd9e3b301a336965b9e27ca2788ebd122f3"),
)  # fmt: skip

PURE = '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
PURE += '[project]\nname = "plain"\nversion = "1.0"\nrequires-python = ">=3.9"\n'
LIMITED = (
    '[build-system]\nrequires = ["setuptools", "wheel"]\nbuild-backend = "setuptools.build_meta"\n'
)
LIMITED += '[project]\nname = "limited"\nversion = "1.0"\n'
LIMITED_SETUP = """
from setuptools import Extension, setup

setup(
    ext_modules=[Extension("limited", ["limited.c"], py_limited_api=True,
                           define_macros=[("Py_LIMITED_API", "0x03090000")])],
    options={"bdist_wheel": {"py_limited_api": "cp39"}},
)
"""
LIMITED_C = """
#include <Python.h>
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "limited", NULL, -1, NULL};
PyMODINIT_FUNC PyInit_limited(void) { return PyModule_Create(&definition); }
"""


@pytest.mark.parametrize("sdist", SDISTS, ids=lambda sdist: sdist.project)
def test_an_unmodified_sdist_gives_a_checked_wheel(warm: Builder, sdist: IndexSdist) -> None:
    machine = this_machine({**environment(), "BUILDER_CACHE": str(warm.cache)})
    tree = source.fetch(sdist, TreeStore(warm.store), machine, Processes())
    project = tree.copy(warm.folder / sdist.project)

    ran = replace(warm, folder=project).build(".", "--json")

    assert ran.code == 0, ran.err
    (package,) = ran.document["artifacts"]
    wheel = Path(package["path"])
    assert wheel.name.startswith(f"{sdist.project}-{sdist.version}-cp3")
    assert "manylinux" in wheel.name
    assert verify_wheel(wheel) == ()
    statuses = {row["id"]: row["status"] for row in package["report"]["results"]}
    assert statuses["env.import"] == "pass"


def two_pythons() -> str:
    """Two CPythons of this machine from 3.9 on that have headers, as `--python` wants them."""
    found = interpreters.find("all", this_machine(environment()), Processes())
    fitting = [
        python
        for python, answer in sorted(found.items())
        if isinstance(answer, Interpreter) and python >= Python(3, 9, "")
    ]
    if len(fitting) < 2:
        pytest.skip(f"there are not two CPythons from 3.9 on: {', '.join(map(str, fitting))}")
    return f"{fitting[0].spelling},{fitting[-1].spelling}"


def write(folder: Path, **files: str) -> Path:
    folder.mkdir()
    for name, text in files.items():
        (
            folder / name.replace("_toml", ".toml").replace("_py", ".py").replace("_c", ".c")
        ).write_text(text)
    return folder


def test_a_pure_project_passes_untouched_and_serves_every_python(warm: Builder) -> None:
    pythons = two_pythons()
    project = write(warm.folder / "plain project", pyproject_toml=PURE, plain_py="ANSWER = 42\n")

    ran = replace(warm, folder=project).build(".", "--python", pythons, "--json")

    assert ran.code == 0, ran.err
    (package,) = ran.document["artifacts"]
    assert Path(package["path"]).name == "plain-1.0-py3-none-any.whl"
    assert len(package["serves"]) == 2


def test_a_limited_api_wheel_is_built_once_and_checked_in_every_python(warm: Builder) -> None:
    pythons = two_pythons()
    project = write(
        warm.folder / "limited", pyproject_toml=LIMITED, setup_py=LIMITED_SETUP, limited_c=LIMITED_C
    )

    ran = replace(warm, folder=project).build(".", "--python", pythons, "--json")

    assert ran.code == 0, ran.err
    (package,) = ran.document["artifacts"]
    assert "-cp39-abi3-manylinux" in Path(package["path"]).name
    assert len(package["serves"]) == 2
    imports = [row for row in package["report"]["results"] if row["id"].startswith("env.import")]
    assert [row["status"] for row in imports] == ["pass", "pass"]
    assert ran.document["compiler_runs"] == 1
