"""README and guide are run: every line of every `console` block, the CI step, the example plugin."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

import builder
from builder.config.legacy import VARIABLES

pytestmark = pytest.mark.e2e

ROOT = Path(builder.__file__).parents[1]
PAGES = ("README.md", *sorted(f"docs/guide/{page.name}" for page in ROOT.glob("docs/guide/*.md")))
HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"

# What a line asks of a machine that this one may not have. What `all` means is tested where it is built.
# Lines of `--dry-run` and `matrix` run as they stand.
INSTEAD: Mapping[str, str] = {
    "--python all": f"--python {HERE}",
    "--python 3.11": f"--python {HERE}",
    "--python 3.9-3.13 --cuda cpu,13.0": f"--python {HERE} --cuda cpu",
    "/opt/python/cp311-cp311/bin/python": sys.executable,
    "pip install": f"{sys.executable} -m uv pip install --quiet --no-deps --target plugins-here",
    "./docs/example-plugin": str(ROOT / "docs" / "example-plugin"),
    "./dev ": "builder ",
}
NOT_RUN: Mapping[str, str] = {
    "./dev test": "it is what runs this test",
    "docker build -f docker/Dockerfile --build-arg BASE=debian:12 -t builder .": "no docker engine; "
    "`test_project.py` reads the file",
    'docker run --rm -v "$PWD:/io" builder build .': "no docker engine",
}
# `doctor` says 1 when anything at all could be added to this machine.
EXPECTED: Mapping[str, set[int]] = {"builder doctor": {0, 1}}

# A project for the recipe of the guide, and one without a recipe.
CMAKE = """
cmake_minimum_required(VERSION 3.28)
project(mylib LANGUAGES NONE)
option(MYLIB_TESTS "" ON)
if(MYLIB_TESTS)
  message(FATAL_ERROR "the option of the recipe did not arrive")
endif()
install(FILES answer.h DESTINATION include)
"""
SETUP = """
import os
from setuptools import Extension, setup

include = [os.environ["MYLIB_ROOT"] + "/include"] if "MYLIB_ROOT" in os.environ else ["."]
setup(name="mylib", version="1.0", ext_modules=[Extension("mylib", ["mylib.c"], include_dirs=include)])
"""
MODULE = """
#include <Python.h>
#include "answer.h"
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "mylib", "", -1, NULL};
PyMODINIT_FUNC PyInit_mylib(void) {
  PyObject *made = PyModule_Create(&module);
  PyModule_AddIntConstant(made, "answer", ANSWER);
  return made;
}
"""
PROJECT = {
    "setup.py": SETUP,
    "mylib.c": MODULE,
    "answer.h": "#define ANSWER 42\n",
    "pyproject.toml": '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n',
}


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of one language."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


LINES = {
    page: [line for block in blocks(page, "console") for line in block.splitlines()]
    for page in PAGES
}
RUN = [
    pytest.param(line, id=f"{Path(page).stem}: {line}")
    for page, lines in LINES.items()
    for line in lines
    if line not in NOT_RUN
]


def here(line: str) -> str:
    """The line as it runs on this machine."""
    if "--dry-run" not in line and not line.startswith("builder matrix"):
        for words, instead in INSTEAD.items():
            line = line.replace(words, instead)
    return line


class Workplace:
    """A folder to type commands in, and a cache beside it."""

    def __init__(self, root: Path) -> None:
        self.folder = folder = root / "folder"
        folder.mkdir()
        self.environment = {
            **{name: text for name, text in os.environ.items() if name not in VARIABLES},
            "BUILDER_CACHE": str(root / "cache"),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(folder / "plugins-here"),
        }

    def type(self, line: str) -> subprocess.CompletedProcess[str]:
        """What a shell makes of the line."""
        return subprocess.run(
            ["sh", "-c", line],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def packages(self, pattern: str) -> list[Path]:
        """The packages in the output folder."""
        return sorted((self.folder / "dist").glob(pattern))


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """A project without a recipe, recipes of its own beside it, the example plugin, and the wheel of the first line."""
    work = Workplace(tmp_path_factory.mktemp("workplace"))
    guided = work.folder / "recipes" / "mylib"
    guided.mkdir(parents=True)
    for name, text in PROJECT.items():
        (work.folder / name).write_text(text.replace("mylib", "project"), encoding="utf-8")
        (guided / name).write_text(text, encoding="utf-8")
    (work.folder / "mylib.c").rename(work.folder / "project.c")
    (recipe,) = blocks("docs/guide/getting-started.md", "toml")
    (guided / "recipe.toml").write_text(recipe, encoding="utf-8")
    (guided / "CMakeLists.txt").write_text(CMAKE, encoding="utf-8")
    (guided / "check.py").write_text("import mylib\nassert mylib.answer == 42\n", encoding="utf-8")
    shutil.copytree(ROOT / "recipes" / "sample", work.folder / "recipes" / "sample")
    (foreign,) = blocks("docs/guide/conda.md", "yaml")
    (work.folder / "hello").mkdir()
    (work.folder / "hello" / "recipe.yaml").write_text(foreign, encoding="utf-8")
    for line in ("pip install ./docs/example-plugin", LINES["README.md"][0]):
        done = work.type(here(line))
        assert done.returncode == 0, done.stderr
    (work.folder / "raw").mkdir()
    for wheel in work.packages("*.whl"):
        shutil.copy(wheel, work.folder / "raw")
    return work


@pytest.mark.parametrize("line", RUN)
def test_every_line_does_what_it_says(line: str, workplace: Workplace) -> None:
    if "--cuda 13.0" in line:
        rows = json.loads(workplace.type("builder doctor --json").stdout)["diagnoses"]
        if not any(row["name"] == "cuda130" and row["state"] == "ok" for row in rows):
            pytest.skip("no CUDA 13.0 toolkit on this machine")
    done = workplace.type(here(line))
    assert done.returncode in EXPECTED.get(line, {0}), done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout or line.startswith("pip ")


def test_what_the_lines_made_is_there(workplace: Workplace) -> None:
    for line in ("builder build .", "builder build mylib --python 3.9-3.13 --cuda cpu,13.0"):
        assert workplace.type(here(line)).returncode == 0
    assert len(workplace.packages("project-1.0-cp*-manylinux*.whl")) == 1
    assert len(workplace.packages("mylib-1.0-cp*-manylinux*.whl")) == 1


def test_no_row_of_the_tables_is_stale() -> None:
    text = "\n".join(line for lines in LINES.values() for line in lines)
    assert [words for words in (*INSTEAD, *NOT_RUN, *EXPECTED) if words not in text] == []


def test_the_ci_step_is_ten_lines_that_work(workplace: Workplace) -> None:
    (step,) = blocks("docs/guide/ci.md", "python")
    assert len([line for line in step.splitlines() if line]) <= 10
    file = workplace.folder / "step.py"
    file.write_text(step.replace('"3.11"', f'"{HERE}"'), encoding="utf-8")
    done = workplace.type(f"{sys.executable} step.py")
    assert done.returncode == 0, done.stderr
    ((name, digest, sound),) = (line.split() for line in done.stdout.splitlines())
    assert (workplace.folder / "dist" / name).is_file()
    assert (len(digest), sound) == (64, "True")


def test_the_plugin_of_the_guide_offers_its_package_type(workplace: Workplace) -> None:
    (module,) = blocks("docs/guide/plugins.md", "python")
    file = workplace.folder / "offer.py"
    file.write_text(
        f"{module}\nprint([made.name for made in builder_backends()])\n", encoding="utf-8"
    )
    assert workplace.type(f"{sys.executable} offer.py").stdout == "['tarball']\n"


def test_the_example_plugin_packages_the_core_once_and_alike(workplace: Workplace) -> None:
    line = "builder build sample --type tarball --cuda cpu --json"
    first = json.loads(workplace.type(line).stdout)["artifacts"][0]
    made = Path(first["path"]).read_bytes()
    again = workplace.type(f"{line} --store ../fresh -o ../elsewhere")
    (second,) = json.loads(again.stdout)["artifacts"]
    assert first["target"] == "tarball-none-cpu-linux_x86_64"
    assert {stage["name"] for stage in first["stages"]} == {"core", "package"}
    assert Path(second["path"]).read_bytes() == made
    listing = workplace.type(f"tar -tzf '{first['path']}'").stdout.splitlines()
    assert {"include/sample/sample.hpp", "lib/cmake/sample/sampleConfig.cmake"} <= {*listing}


def test_a_package_type_without_its_plugin_is_one_clear_error(workplace: Workplace) -> None:
    done = workplace.type("builder build sample --type tarball --without-plugin tarball")
    assert done.returncode == 2
    assert "no backend makes packages of type `tarball`" in done.stderr
    assert "installed backends: conda, conda_choice, conda_lib, libtorch, manywheel;" in done.stderr
