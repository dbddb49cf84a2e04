from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from builder.config.machine import Machine
from builder.config.python import Python
from builder.config.recipe import CoreStage, Folder, PythonStage, Recipe
from builder.config.spec import BuildSpec
from builder.config.target import Target
from builder.config.toolchain import Interpreter, Toolchain
from builder.plugins import Plugins
from builder.process import Processes
from builder.stage import source
from builder.stage.store import TreeStore, Workspace
from builder.stage.workbench import Workbench
from builder.verbs.lines import covers, describe, lay_lines, neighbours
from builder.verbs.resolve import Resolved

WHEEL = (("{python}", "-c", "pass", "{dist}"),)
CORE = CoreStage(commands=(("make", "install", "PREFIX={prefix}"),))
PLUGINS = Plugins.installed()


@pytest.mark.parametrize(
    ("tags", "serves", "not_for"),
    [
        pytest.param("py3-none-any", ["3.7", "3.13", "3.13t"], ["2.7mu"], id="any Python 3"),
        pytest.param("py2.py3-none-any", ["2.7mu", "3.7", "3.13t"], [], id="universal"),
        pytest.param("py3-none-manylinux_2_17_x86_64", ["3.7", "3.13t"], ["2.7mu"], id="no extension"),
        pytest.param("cp39-abi3-linux_x86_64", ["3.9", "3.13"], ["3.8", "3.7m"], id="limited API"),
        pytest.param("cp39-abi3-linux_x86_64", [], ["3.13t", "2.7mu"], id="limited API is not for all"),
        pytest.param("cp310-abi3-linux_x86_64", ["3.10", "3.11"], ["3.9"], id="two digits"),
        pytest.param("cp38.cp39-abi3-linux_x86_64", ["3.8", "3.13"], ["3.7m"], id="several"),
        pytest.param("cp3-abi3-linux_x86_64", [], ["3.9", "3.13"], id="limited API of no version"),
        pytest.param("py37-none-any", ["3.7", "3.13", "3.13t"], ["3.6m", "2.7mu"], id="from 3.7 on"),
        pytest.param("pp39-pypy39_pp73-linux_x86_64", [], ["3.9"], id="another implementation"),
        pytest.param("cp311-cp311-linux_x86_64", [], ["3.10", "3.11", "3.12"], id="one Python"),
        pytest.param("cp313-cp313t-linux_x86_64", [], ["3.13", "3.13t"], id="one free-threaded Python"),
        pytest.param("cp37-none-linux_x86_64", [], ["3.8"], id="one Python, no ABI"),
    ],
)  # fmt: skip
def test_which_pythons_a_wheel_serves_besides_its_own(
    tags: str, serves: list[str], not_for: list[str]
) -> None:
    name = f"answer-1.0-{tags}.whl"

    answers = {text: covers(name, Python.parse(text)) for text in (*serves, *not_for)}

    assert answers == dict.fromkeys(serves, True) | dict.fromkeys(not_for, False)


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    """A store and a machine with nothing on it."""
    machine = Machine((), tmp_path, 2, "linux", "x86_64", cache=tmp_path / "cache")
    host = Interpreter(Python(3, 11, ""), Path("/python"), "3.11.7", "host")
    return Workbench(TreeStore(tmp_path / "store"), machine, Processes(), host)


def resolved(
    bench: Workbench, recipe: Recipe, targets: Iterable[str], broken: str = ""
) -> Resolved:
    """Specs of a recipe; what the target `broken` needs cannot be installed on this machine."""
    (bench.machine.home / "project").mkdir()
    (bench.machine.home / "project" / "answer.c").write_text("int answer(void) { return 42; }\n")
    tree = source.fetch(
        Folder(bench.machine.home / "project"), bench.store, bench.machine, bench.processes
    )
    chain = Toolchain(Path("/gcc"), Path("/g++"), "gcc", "gcc 12")
    specs = []
    for target in map(Target.parse, targets):
        assert target.python is not None
        interpreter = Interpreter(target.python, Path("/python"), "3", str(target.python))
        own = recipe
        if str(target) == broken and recipe.python is not None:
            own = replace(recipe, python=replace(recipe.python, requires=("no such requirement",)))
        specs.append(BuildSpec(own, target, chain, "1.0", tree.digest, interpreter))
    return Resolved(recipe, tree, tuple(specs), ())


def recipe(stage: PythonStage, core: CoreStage | None = None) -> Recipe:
    return Recipe("answer", Path("/recipe"), Folder(Path("/source")), python=stage, core=core)


def ids(*words: str) -> list[str]:
    return [f"manywheel-{word}-linux_x86_64" for word in words]


@pytest.mark.parametrize(
    ("serves", "targets", "pilots"),
    [
        pytest.param(
            "auto",
            ("cp39-cpu", "cp310-cpu", "cp311-cpu"),
            ("cp39-cpu",) * 3,
            id="the lowest Python",
        ),
        pytest.param(
            "auto", ("cp311-cpu", "cp39-cpu"), ("cp39-cpu", "cp39-cpu"), id="whatever the order"
        ),
        pytest.param(
            "version", ("cp39-cpu", "cp310-cpu"), ("cp39-cpu", "cp310-cpu"), id="one wheel each"
        ),
        pytest.param(
            "auto",
            ("cp39-cpu", "cp310-cpu", "cp39-cuda130", "cp310-cuda130"),
            ("cp39-cpu", "cp39-cpu", "cp39-cuda130", "cp39-cuda130"),
            id="one per accelerator",
        ),
    ],
)
def test_who_builds_first(
    bench: Workbench, serves: str, targets: tuple[str, ...], pilots: tuple[str, ...]
) -> None:
    stage = replace(PythonStage(commands=WHEEL), serves=serves)  # type: ignore[arg-type]  # table

    lines, failures = lay_lines(resolved(bench, recipe(stage), ids(*targets)), PLUGINS, bench)

    assert [line.pilot for line in lines] == ids(*pilots)
    assert [line.is_pilot for line in lines] == [
        pilot == target for pilot, target in zip(pilots, targets, strict=True)
    ]
    assert failures == ()


def test_a_target_that_cannot_be_planned_is_nobodys_pilot(bench: Workbench) -> None:
    wanted = ids("cp39-cpu", "cp310-cpu", "cp311-cpu")
    specs = resolved(bench, recipe(PythonStage(commands=WHEEL)), wanted, broken=wanted[0])

    lines, (failure,) = lay_lines(specs, PLUGINS, bench)

    assert (failure.target, failure.stage) == (wanted[0], "plan")
    assert [(line.name, line.pilot) for line in lines] == [(name, wanted[1]) for name in wanted[1:]]


def test_neighbours_are_those_with_one_pilot(bench: Workbench) -> None:
    wanted = ids("cp39-cpu", "cp310-cpu", "cp311-cpu", "cp39-cuda130")
    specs = resolved(bench, recipe(PythonStage(commands=WHEEL)), wanted)
    lines, _ = lay_lines(specs, PLUGINS, bench)

    found = [neighbours(line, lines) for line in lines]

    assert found[1] == ((lines[0],), (lines[2],))
    assert found[3] == ((), ())


def test_the_plan_has_every_stage_once_and_knows_what_is_there(bench: Workbench) -> None:
    specs = resolved(bench, recipe(PythonStage(commands=WHEEL), CORE), ids("cp39-cpu", "cp310-cpu"))
    lines, _ = lay_lines(specs, PLUGINS, bench)
    names = tuple(line.name for line in lines)
    core = lines[0].core
    assert core is not None

    before = describe(lines, bench)
    bench.store.make(core.key, _touch)
    after = describe(lines, bench)

    assert [(row.name, row.targets) for row in before.stages] == [
        ("core", names),
        ("python", names[:1]),
        ("python", names[1:]),
        ("package", names[:1]),
        ("package", names[1:]),
    ]
    assert [row.hit for row in before.stages] == [False] * 5
    assert [row.hit for row in after.stages] == [True, False, False, False, False]
    assert [row.key == "" for row in before.stages] == [False, False, False, True, True]
    assert [str(step) for step in before.stages[0].steps] == [
        "(cd '{source}' && make install 'PREFIX={prefix}')"
    ]
    assert names[0] in before.stages[2].note


def _touch(workspace: Workspace) -> dict[str, object]:
    (workspace.content / "libanswer.so").touch()
    return {}
