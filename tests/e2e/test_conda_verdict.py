"""A pair of packages, for the processor and for CUDA, judged by a real solver before it is delivered."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from builder_conda.verdict import Judged, upgrades

from builder.archive.conda_package import CondaPackage
from builder.archive.conda_write import write_conda
from builder.backend import Tools
from builder.channel import channel
from builder.channel.package import read_listed
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

    trial = Judged(pair(tmp_path / "made", cpu, cuda), (), tools).solved()

    assert trial.reason == ""
    assert bool(trial.problems) == bool(problems)
    assert all(words in "\n".join(trial.problems) for words in problems)


def published(folder: Path) -> Path:
    """What people have: version 1.0 for both, and a name to choose the processor by."""
    old = folder / "published"
    channel.create(old, ["linux-64"])
    python = CondaPackage("python", "3.11.7", "0", "linux-64")
    bare = release(folder / "old", "1.0", 0, 130000)
    channel.add(old, [*bare, write_conda(folder / "old", python, (), epoch=0)])
    return old


def release(folder: Path, version: str, cpu: int, cuda: int) -> list[Path]:
    builds = (("cpu", cpu, ()), ("cuda130", cuda, ("__cuda >=13",)))
    packages = [
        CondaPackage(
            "own", version, f"py311_{word}_{number}", "linux-64", number,
            depends=("python 3.11.*", f"libown {version} 0", *gpu),
        )
        for word, number, gpu in builds
    ]  # fmt: skip
    packages.append(CondaPackage("libown", version, "0", "linux-64"))
    choice = CondaPackage(
        "own-cpu", "1.0", "0", "noarch", noarch="generic", constrains=("own * *cpu_*",)
    )
    return [write_conda(folder, one, (), epoch=0, profile="fast") for one in (*packages, choice)]


@pytest.mark.parametrize(
    ("version", "cpu", "cuda", "problem", "reason"),
    [
        pytest.param("2.0", 0, 130000, "", "", id="a new version"),
        pytest.param("1.0", 1, 130001, "", "", id="a new build"),
        pytest.param("2.0", 5, 2, "expected a build `py311_cuda130_2` of version 2.0", "", id="loses the GPU"),
        pytest.param("0.9", 0, 130000, "", "no earlier release", id="before all others"),
    ],
)  # fmt: skip
def test_people_who_upgrade_get_the_new_build_for_their_machine(
    tmp_path: Path, version: str, cpu: int, cuda: int, problem: str, reason: str
) -> None:
    machine = this_machine(environment())
    tools = Tools(Processes(), machine, machine.python, tmp_path / "work", tmp_path / "log")
    made = release(tmp_path / "new", version, cpu, cuda)

    trial = Judged(made, (str(published(tmp_path)),), tools).upgraded()

    assert problem in "\n".join(trial.problems)
    assert bool(trial.problems) is bool(problem)
    assert reason in trial.reason


def test_the_choice_of_the_processor_is_asked_about_and_kept(tmp_path: Path) -> None:
    listed = [read_listed(path) for path in release(tmp_path, "2.0", 0, 130000)]
    asked = {(one.question.cuda, one.question.installed): one.build for one in upgrades(listed)}
    chose = ("own <2.0", "python 3.11.*", "own-cpu")
    assert asked["99.0", chose] == "py311_cpu_0"
    assert asked["99.0", chose[:2]] == "py311_cuda130_130000"
    assert asked["", chose[:2]] == "py311_cpu_0"
    assert len(asked) == 6
