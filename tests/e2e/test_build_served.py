"""One wheel for many Pythons, several wheels, and what a failure of one Python does to the others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from builder.archive.wheel import verify_wheel
from builder.cli.surroundings import environment, this_machine
from builder.config.python import Python
from builder.config.toolchain import Interpreter
from builder.process import Processes
from builder.stage import interpreters

if TYPE_CHECKING:
    from tests.e2e.conftest import Builder, Ran

pytestmark = pytest.mark.e2e

SETUP = """
import sys
from setuptools import Extension, setup

here = sys.version_info[:2]
if here in {broken}:
    sys.exit("not for this Python")
limited = here >= {limited}
setup(
    name="tiny",
    version="1.0",
    ext_modules=[Extension("tiny", ["tiny.c"], py_limited_api=limited,
                           define_macros=[("Py_LIMITED_API", "0x03090000")] if limited else [])],
    options={{"bdist_wheel": {{"py_limited_api": "cp%d%d" % {limited}}}}} if limited else {{}},
)
"""
CODE = """
#include <Python.h>
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "tiny", NULL, -1, NULL};
PyMODINIT_FUNC PyInit_tiny(void) { return PyModule_Create(&definition); }
"""
CHECKED = """
[recipe]
name = "tiny"
[python]
[check]
imports = ["tiny"]
commands = [["{{python}}", "-c", "import sys; sys.exit(sys.version_info[:2] == {failing})"]]
"""
NEVER = (9, 0)


@dataclass(frozen=True)
class Project:
    """A project of one C file: `limited` is the first Python of which it makes `abi3` wheels."""

    limited: tuple[int, int] = NEVER
    broken: tuple[tuple[int, int], ...] = ()
    failing: tuple[int, int] = NEVER
    requires: str = '"setuptools<81"'

    def build(self, builder: Builder, pythons: tuple[Python, ...], *more: str) -> Ran:
        """`builder build . --json` in it."""
        folder = builder.folder / "project"
        folder.mkdir()
        (folder / "setup.py").write_text(SETUP.format(limited=self.limited, broken=self.broken))
        (folder / "tiny.c").write_text(CODE)
        (folder / "builder.toml").write_text(CHECKED.format(failing=self.failing))
        backend = f'requires = [{self.requires}]\nbuild-backend = "setuptools.build_meta"\n'
        (folder / "pyproject.toml").write_text(f"[build-system]\n{backend}")
        words = ("--python", ",".join(python.spelling for python in pythons))
        return replace(builder, folder=folder).build(".", *words, *more, "--json")


def served(ran: Ran) -> dict[str, list[str]]:
    """The tags of each package, and the Pythons it serves."""
    return {
        "-".join(Path(package["path"]).name.split("-")[2:4]): [
            target.split("-")[1] for target in package["serves"]
        ]
        for package in ran.document["artifacts"]
    }


def failed(ran: Ran) -> list[tuple[str, str]]:
    return [(row["target"].split("-")[1], row["stage"]) for row in ran.document["failures"]]


@pytest.fixture(scope="module")
def pythons() -> tuple[Python, ...]:
    """Three CPythons of this machine from 3.9 on."""
    found = interpreters.find("all", this_machine(environment()), Processes())
    fitting = [
        python
        for python, answer in sorted(found.items())
        if isinstance(answer, Interpreter) and python >= Python(3, 9, "") and not python.abiflags
    ]
    if len(fitting) < 3:
        pytest.skip(f"there are not three CPythons from 3.9 on: {', '.join(map(str, fitting))}")
    return tuple(fitting[:3])


def version(python: Python) -> tuple[int, int]:
    return (python.major, python.minor)


def refuse_broken(builder: Builder, number: int) -> None:
    assert len(builder.packages) == number
    for name in builder.packages:
        assert verify_wheel(builder.output / name) == ()


def test_a_conda_package_is_for_one_of_the_pythons_that_a_wheel_serves(
    warm: Builder, pythons: tuple[Python, ...]
) -> None:
    ran = Project(limited=version(pythons[0])).build(warm, pythons, "--type", "conda")

    assert ran.code == 0, ran.err
    packages = ran.document["artifacts"]
    assert [package["serves"] for package in packages] == [
        [f"conda-{python}-cpu-linux_x86_64"] for python in pythons
    ]
    names = [Path(package["path"]).name for package in packages]
    assert [name.rpartition("_h")[0] for name in names] == [
        f"tiny-1.0-py{str(python).removeprefix('cp')}_cpu" for python in pythons
    ]
    assert ran.hits == {"python": [False, True, True], "package": [False] * 3}


def test_a_wheel_for_the_later_pythons_is_delivered_once(
    warm: Builder, pythons: tuple[Python, ...]
) -> None:
    first, second, third = pythons

    ran = Project(limited=version(second)).build(warm, pythons)

    assert ran.code == 0, ran.err
    assert served(ran) == {
        f"{first}-{first}": [str(first)],
        f"{second}-abi3": [str(second), str(third)],
    }
    assert f"served by the package of manywheel-{second}-cpu" in ran.err
    refuse_broken(warm, 2)


def test_the_next_python_takes_over_when_the_first_cannot_build(
    warm: Builder, pythons: tuple[Python, ...]
) -> None:
    first, second, third = pythons

    ran = Project(limited=(3, 9), broken=(version(first),)).build(warm, pythons)

    assert ran.code == 1
    assert failed(ran) == [(str(first), "python")]
    assert "not for this Python" in ran.document["failures"][0]["error"]
    assert served(ran) == {"cp39-abi3": [str(second), str(third)]}
    refuse_broken(warm, 1)


def test_a_python_without_its_build_requirements_does_not_stop_the_others(
    warm: Builder, pythons: tuple[Python, ...]
) -> None:
    first, *others = pythons
    marker = f"; python_version == '{first.version}'"

    ran = Project(requires=f'"setuptools<81", "wheel<0.1{marker}"').build(warm, pythons)

    assert ran.code == 1
    assert failed(ran) == [(str(first), "plan")]
    assert "no set of packages satisfies" in ran.document["failures"][0]["error"]
    assert served(ran) == {f"{python}-{python}": [str(python)] for python in others}
    refuse_broken(warm, 2)


def test_a_failed_check_keeps_one_wheel_back(warm: Builder, pythons: tuple[Python, ...]) -> None:
    first, second, third = pythons

    ran = Project(failing=version(second)).build(warm, pythons)

    assert ran.code == 1
    assert failed(ran) == [(str(second), "check")]
    assert served(ran) == {f"{python}-{python}": [str(python)] for python in (first, third)}
    assert ran.document["compiler_runs"] == 3
    refuse_broken(warm, 2)


def test_a_wheel_that_fails_in_one_of_its_pythons_is_delivered_for_none(
    warm: Builder, pythons: tuple[Python, ...]
) -> None:
    first, second, third = pythons

    ran = Project(limited=(3, 9), failing=version(second)).build(warm, pythons)

    assert ran.code == 1
    assert failed(ran) == [
        (str(first), "deliver"),
        (str(second), "check"),
        (str(third), "deliver"),
    ]
    for lost in ran.document["failures"][::2]:
        text = f"`check manywheel-{second}-cpu-linux_x86_64` failed on the same bytes"
        assert text in lost["error"]
    assert ran.document["artifacts"] == []
    refuse_broken(warm, 0)
