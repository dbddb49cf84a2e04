"""What makes a package of a recipe another one, and what does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from builder_conda.recipes.key import Given
from builder_conda.recipes.outputs import Rendered
from builder_conda.recipes.render import Order

from builder.cli.surroundings import environment, this_machine
from builder.config.machine import Machine
from builder.process import Processes

OUTPUT = Rendered(
    "demo", "1", "h1_0", "linux-64", {"python": "3.11.*"}, (),
    {"build": {"script": "make"}, "source": [{"path": "src"}]},
)  # fmt: skip
REMOTE = (
    {"url": "https://example.org/a.tar.gz"},
    {"git": "https://example.org/a", "branch": "main"},
)
FIXED = ({"url": "https://example.org/a.tar.gz", "sha256": "0" * 64}, {"git": "g", "rev": "a" * 40})


@pytest.fixture
def machine() -> Machine:
    return this_machine(environment())


@pytest.fixture
def order(tmp_path: Path) -> Order:
    folder = tmp_path / "project"
    (folder / "src").mkdir(parents=True)
    for name in ("recipe.yaml", "build.sh", "src/a.c"):
        (folder / name).write_text(name)
    (tmp_path / "channel" / "noarch").mkdir(parents=True)
    (tmp_path / "channel" / "noarch" / "repodata.json").write_text("{}")
    return Order(
        folder, folder / "out", tmp_path / "store", (str(tmp_path / "channel"),), day="2026-11-21"
    )


def key(order: Order, machine: Machine, output: Rendered = OUTPUT, **needs: str) -> str:
    return Given.of(order, machine, Processes()).package(output, needs).digest


def write(*names: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        for name in names:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text("changed")

    return change


@pytest.mark.parametrize(
    ("change", "is_other"),
    [
        pytest.param(write("project/build.sh"), True, id="a script"),
        pytest.param(write("project/src/a.c"), True, id="a source"),
        pytest.param(write("project/patches/new.diff"), True, id="a new file"),
        pytest.param(write("channel/noarch/repodata.json"), True, id="what the channel has"),
        pytest.param(write("channel/linux-64/repodata.json"), True, id="a platform of the channel"),
        pytest.param(write("channel/osx-64/repodata.json"), False, id="another platform"),
        pytest.param(write("project/out/linux-64/demo.conda"), False, id="what was delivered"),
        pytest.param(write("elsewhere/file"), False, id="something else"),
    ],
)
def test_files(
    order: Order, machine: Machine, tmp_path: Path, change: Callable[[Path], None], is_other: bool
) -> None:
    before = key(order, machine)
    change(tmp_path)
    assert (key(order, machine) != before) is is_other


def test_packages_beside_the_recipe_are_no_part_of_it(
    order: Order, machine: Machine, tmp_path: Path
) -> None:
    here = replace(order, output=order.folder)
    before = key(here, machine)
    write("project/linux-64/demo.conda", "project/noarch/repodata.json")(tmp_path)
    assert key(here, machine) == before


@pytest.mark.parametrize(
    ("changes", "is_other"),
    [
        ({"epoch": 7}, True),
        ({"profile": "fast"}, True),
        ({"file_format": "tar.bz2"}, True),
        ({"channels": ()}, True),
        ({"day": "2026-11-22"}, False),
        ({"jobs": 9}, False),
        ({"check": False}, False),
    ],
    ids=str,
)
def test_orders(order: Order, machine: Machine, changes: dict[str, Any], is_other: bool) -> None:
    assert (key(replace(order, **changes), machine) != key(order, machine)) is is_other


def test_outputs(order: Order, machine: Machine) -> None:
    found = {
        key(order, machine),
        key(order, machine, replace(OUTPUT, build="h2_0")),
        key(order, machine, replace(OUTPUT, variant={"python": "3.12.*"})),
        key(order, machine, replace(OUTPUT, recipe={"build": {"script": "make all"}})),
        key(order, machine, library="1"),
        key(order, machine, library="2"),
    }
    assert len(found) == 6


@pytest.mark.parametrize("source", [*REMOTE, *FIXED], ids=str)
def test_what_may_move_is_believed_for_a_day(
    order: Order, machine: Machine, source: dict[str, str]
) -> None:
    output = replace(OUTPUT, recipe={"source": [source]})
    later = replace(order, day="2026-11-22")
    moves = key(later, machine, output) != key(order, machine, output)
    assert moves is (source in REMOTE)


def test_a_channel_far_away_is_believed_for_a_day(order: Order, machine: Machine) -> None:
    far = replace(order, channels=("conda-forge",))
    assert key(far, machine) == key(far, machine)
    assert key(far, machine) != key(replace(far, day="2026-11-22"), machine)


def test_tests_are_of_one_package(order: Order, machine: Machine) -> None:
    given = Given.of(order, machine, Processes())
    keys = {given.tests(OUTPUT, {}, digest).digest for digest in ("1", "2")}
    assert len(keys | {given.package(OUTPUT, {}).digest}) == 3
