"""Choosing targets by globs over ids."""

from __future__ import annotations

import pytest

from builder.config.select import choose
from builder.config.target import Target
from builder.errors import NothingSelected

IDS = [
    "manywheel-cp310-cpu-linux_x86_64",
    "manywheel-cp311-cpu-linux_x86_64",
    "manywheel-cp311-cuda130-linux_x86_64",
    "libtorch-none-cuda130-linux_x86_64-cxx11-shared_with_deps",
]
TARGETS = tuple(Target.parse(text) for text in IDS)


@pytest.mark.parametrize(
    ("select", "skip", "chosen"),
    [
        ([], [], [0, 1, 2, 3]),
        (["manywheel-cp31?-cuda*"], [], [2]),
        (["*-cuda130-*"], [], [2, 3]),
        (["libtorch-*", "*cp310*"], [], [0, 3]),
        ([], ["*cuda*"], [0, 1]),
        (["manywheel-*"], ["*cp310*", "*cuda*"], [1]),
        (["manywheel-cp3[!1]*", IDS[2]], [], [2]),
        (["*-cxx11-*"], [], [3]),
    ],
)
def test_globs(select: list[str], skip: list[str], chosen: list[int]) -> None:
    assert choose(TARGETS, select, skip) == tuple(TARGETS[index] for index in chosen)


def test_a_glob_matches_the_whole_id_and_its_case() -> None:
    for glob in ("manywheel", "cp311", "MANYWHEEL-*"):
        with pytest.raises(NothingSelected):
            choose(TARGETS, [glob], [])


def test_nothing_selected_says_what_there_was() -> None:
    with pytest.raises(NothingSelected, match="no target matches `conda-\\*`; there are") as caught:
        choose(TARGETS, ["conda-*"], [])
    assert caught.value.faults == tuple(IDS)
    assert caught.value.exit_code == 3


def test_everything_skipped_says_what_was_skipped() -> None:
    with pytest.raises(NothingSelected, match="skipped by `\\*`"):
        choose(TARGETS, ["libtorch-*"], ["*"])


def test_a_long_list_is_cut() -> None:
    many = [Target.parse(f"manywheel-cp3{minor}-cpu-linux_x86_64") for minor in range(8, 40)]
    with pytest.raises(NothingSelected) as caught:
        choose(many, ["x"], [])
    assert caught.value.faults[-1] == "and 12 more"


def test_no_targets_at_all() -> None:
    with pytest.raises(NothingSelected, match="no target to choose from"):
        choose((), [], [])
