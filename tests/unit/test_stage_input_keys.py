"""What enters an input key and what does not, on the real planning functions and a real store."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builder.config.machine import Machine
from builder.config.python import Python
from builder.config.recipe import CMake, CoreStage, Folder, PythonStage, Recipe, VersionRule
from builder.config.spec import BuildSpec
from builder.config.target import Target
from builder.config.toolchain import Interpreter, Toolchain
from builder.process import Processes
from builder.stage import source
from builder.stage.core_stage import plan_core
from builder.stage.python_stage import plan_python
from builder.stage.store import TreeStore
from builder.stage.workbench import Workbench


@dataclass(frozen=True)
class Situation:
    """Everything a build is given; the left half may change its result, the right half may not."""

    content: str = "int answer() { return 42; }\n"
    option: str = "ON"
    command: str = "{jobs}"
    value: str = "-O2"
    compiler: str = "gcc 12"
    architectures: tuple[str, ...] = ()
    interpreter: str = "cpython 3.11.7"
    target: str = "manywheel-cp311-cpu-linux_x86_64"
    version: str = "1.0"
    recipe_file: str = "print('ok')\n"

    place: str = "here"
    mtime: int = 1_000_000_000
    cores: int = 2
    home: str = "alice"
    path: tuple[str, ...] = ("/usr/bin",)
    store: str = "store"
    baseline: str = "auto"
    compiler_path: str = "/usr/bin/gcc"


def keys(folder: Path, case: Situation) -> tuple[str, str]:
    """The keys of both stages in this situation."""
    project = folder / case.place / "project"
    project.mkdir(parents=True, exist_ok=True)
    (project / "answer.cpp").write_text(case.content)
    recipe_folder = folder / case.place / "recipe"
    recipe_folder.mkdir(exist_ok=True)
    (recipe_folder / "prepare.py").write_text(case.recipe_file)
    for path in (project / "answer.cpp", project):
        _touch(path, case.mtime)
    machine = Machine(
        tuple(map(Path, case.path)), folder / case.home, case.cores, "linux", "x86_64",
        cache=folder / case.home / "cache",
    )  # fmt: skip
    processes = Processes()
    python = Interpreter(Python(3, 11, ""), Path("/opt/python"), "3.11.7", case.interpreter)
    bench = Workbench(TreeStore(folder / case.store), machine, processes, python)
    recipe = Recipe(
        "answer", recipe_folder, Folder(project), version=VersionRule(environment=("VERSION",)),
        core=CoreStage(CMake(options={"TESTS": case.option}), environment={"CFLAGS": case.value}),
        python=PythonStage(commands=(("{python}", "{recipe}/prepare.py", case.command, "{dist}"),)),
    )  # fmt: skip
    chain = Toolchain(
        Path(case.compiler_path), Path(case.compiler_path), "gcc", case.compiler, case.baseline,
        architectures=case.architectures,
    )  # fmt: skip
    tree = source.fetch(recipe.source, bench.store, machine, processes)
    spec = BuildSpec(recipe, Target.parse(case.target), chain, case.version, tree.digest, python)
    core = plan_core(spec, tree, bench)
    assert core is not None
    return core.key.digest, plan_python(spec, tree, core.key, bench).key.digest


def _touch(path: Path, mtime: int) -> None:
    os.utime(path, (mtime, mtime))


BASE = Situation()


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"content": BASE.content.replace("42", "43")}, id="a source byte"),
        pytest.param({"option": "OFF"}, id="an option"),
        pytest.param({"value": "-O3"}, id="a value of the environment"),
        pytest.param({"compiler": "gcc 13"}, id="the compiler"),
        pytest.param({"architectures": ("80-real",)}, id="the architectures"),
        pytest.param({"target": "manywheel-cp311-cuda130-linux_x86_64"}, id="the accelerator"),
        pytest.param({"target": "manywheel-cp311-cpu-linux_aarch64"}, id="the platform"),
        pytest.param({"target": "manywheel-cp311-cpu-linux_x86_64-precxx11"}, id="the C++ ABI"),
    ],
)
def test_what_changes_the_core_changes_both_keys(tmp_path: Path, change: dict[str, object]) -> None:
    core, python = keys(tmp_path, BASE)

    other_core, other_python = keys(tmp_path, replace(BASE, **change))  # type: ignore[arg-type]  # table

    assert other_core != core
    assert other_python != python, "the core tree is an input of the python stage"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"command": "--fast"}, id="a word of a command"),
        pytest.param({"interpreter": "cpython 3.11.8"}, id="the interpreter"),
        pytest.param({"version": "2.0"}, id="a version that the project is told"),
        pytest.param({"recipe_file": "print('other')\n"}, id="a file of the recipe"),
    ],
)
def test_what_changes_the_python_stage_leaves_the_core_alone(
    tmp_path: Path, change: dict[str, object]
) -> None:
    core, python = keys(tmp_path, BASE)

    other_core, other_python = keys(tmp_path, replace(BASE, **change))  # type: ignore[arg-type]  # table

    assert other_core == core
    assert other_python != python


SAME: dict[str, Callable[[], st.SearchStrategy[object]]] = {
    "place": lambda: st.sampled_from(["here", "there", "a b", "ünï"]),
    "mtime": lambda: st.integers(315532800, 2_000_000_000),
    "cores": lambda: st.integers(1, 256),
    "home": lambda: st.sampled_from(["alice", "bob"]),
    "path": lambda: st.sampled_from([("/usr/bin",), ("/opt/bin", "/usr/bin")]),
    "store": lambda: st.sampled_from(["store", "other store"]),
    "baseline": lambda: st.sampled_from(["auto", "manylinux_2_28"]),
    "compiler_path": lambda: st.sampled_from(["/usr/bin/gcc", "/opt/gcc"]),
}


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(change=st.fixed_dictionaries({}, optional={name: make() for name, make in SAME.items()}))
def test_path_date_user_and_job_count_change_no_key(
    tmp_path: Path, change: dict[str, object]
) -> None:
    assert keys(tmp_path, replace(BASE, **change)) == keys(tmp_path, BASE)  # type: ignore[arg-type]  # table


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(first=st.text(max_size=8), second=st.text(max_size=8))
def test_two_contents_have_one_key_only_when_they_are_equal(
    tmp_path: Path, first: str, second: str
) -> None:
    texts = [text.encode("utf-8", "ignore").decode() for text in (first, second)]
    found = [keys(tmp_path, replace(BASE, content=text))[0] for text in texts]

    same = (_written(tmp_path, texts[0])) == (_written(tmp_path, texts[1]))

    assert (found[0] == found[1]) is same


def _written(folder: Path, text: str) -> bytes:
    path = folder / "probe"
    path.write_text(text)
    return path.read_bytes()


def test_the_python_of_a_target_is_no_part_of_the_core(tmp_path: Path) -> None:
    core, _ = keys(tmp_path, BASE)

    other, _ = keys(tmp_path, replace(BASE, target="manywheel-cp313-cpu-linux_x86_64"))

    assert other == core
