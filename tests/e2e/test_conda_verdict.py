"""A pair of packages, for the processor and for CUDA, judged by a real solver before it is delivered."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from builder_conda.verdict import solved

from builder.archive.conda_package import CondaPackage
from builder.archive.conda_write import write_conda
from builder.backend import Tools
from builder.cli.surroundings import environment, this_machine
from builder.process import Processes

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(sys.platform != "linux", reason="the packages are for linux-64"),
]
NEEDS = ("python 3.11.*", "python_abi 3.11.* *_cp311", "numpy >=1.21,<3", "libown 1.0 0")


def pair(folder: Path, cpu: int, cuda: int) -> list[Path]:
    """A library, and two builds of a package with these build numbers."""
    builds = (("cpu", cpu, ()), ("cuda130", cuda, ("__cuda >=13",)))
    packages = [
        CondaPackage(
            "own", "1.0", f"py311_{word}_{number}", "linux-64", number, depends=(*NEEDS, *gpu)
        )
        for word, number, gpu in builds
    ]
    packages.append(CondaPackage("libown", "1.0", "0", "linux-64"))
    return [write_conda(folder, one, (), epoch=0, profile="fast") for one in packages]


@pytest.mark.parametrize(
    ("cpu", "cuda", "problems"),
    [
        (0, 130000, ()),
        (5, 2, ("`install own` on linux-64 with CUDA 99.0", "has build number 2")),
    ],
    ids=["as meant", "the old fault"],
)
def test_a_build_that_users_would_not_get_is_a_problem(
    tmp_path: Path, cpu: int, cuda: int, problems: tuple[str, ...]
) -> None:
    machine = this_machine(environment())
    tools = Tools(Processes(), machine, machine.python, tmp_path / "work", tmp_path / "log")
    (tmp_path / "work").mkdir()

    trial = solved(pair(tmp_path / "made", cpu, cuda), tools)

    assert trial.reason == ""
    assert bool(trial.problems) == bool(problems)
    assert all(words in "\n".join(trial.problems) for words in problems)
