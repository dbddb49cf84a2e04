from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest

from builder.channel.judge import Expectation, judge, standard
from builder.channel.question import Answer, Choice, Question, cause
from builder.errors import UsageError

BARE = Question(("torch",))
GPU = replace(BARE, cuda="12.8")
CPU_BUILD = Choice("torch", "2.0", "cpu_0", 0, (), (), "c")
CUDA_BUILD = Choice("torch", "2.0", "cuda128_1", 1, (), ("__cuda >=12",), "c")


@dataclass(frozen=True)
class Replies:
    """A solver that chooses the same, but for those who point at a build."""

    plain: Choice | None
    pointed: Choice | None = None
    why: tuple[str, ...] = ()

    def solve(self, questions: Sequence[Question]) -> tuple[Answer, ...]:
        chosen = [self.pointed if len(row.specs) > 1 else self.plain for row in questions]
        rows = zip(questions, chosen, strict=True)
        return tuple(
            Answer(row, (found,) if found else (), () if found else self.why) for row, found in rows
        )


def problem(expectation: Expectation, solver: Replies) -> str:
    [verdict] = judge([expectation], solver)
    return verdict.problem


@pytest.mark.parametrize(
    ("expectation", "chosen"),
    [
        pytest.param(Expectation(GPU, "torch", "*cuda*"), CUDA_BUILD, id="the build"),
        pytest.param(Expectation(BARE, "torch", "!*cuda*"), CPU_BUILD, id="any other"),
        pytest.param(Expectation(BARE, "torch", ""), None, id="nothing"),
    ],
)
def test_what_is_meant_is_no_problem(expectation: Expectation, chosen: Choice | None) -> None:
    assert problem(expectation, Replies(chosen)) == ""


WANTED = Expectation(GPU, "torch", "*cuda*")
GOT = "`install torch` on linux-64 with CUDA 12.8: expected a build `*cuda*`, got `torch 2.0 cpu_0`"


@pytest.mark.parametrize(
    ("other", "why", "reason"),
    [
        pytest.param(None, ("__cuda >=13, for which no candidates were found",),
            "a `*cuda*` cannot be installed there: __cuda >=13, for which no candidates were found", id="impossible"),
        pytest.param(replace(CUDA_BUILD, features=("gpu",)), (),
            "`torch 2.0 cuda128_1` has track_features (gpu), which solvers avoid", id="features"),
        pytest.param(replace(CUDA_BUILD, version="1.9"), (),
            "`torch 1.9 cuda128_1` is of version 1.9; a solver takes the highest version", id="version"),
        pytest.param(replace(CUDA_BUILD, build_number=-1), (),
            "`torch 2.0 cuda128_1` has build number -1, and `torch 2.0 cpu_0` 0: a solver takes the highest",
            id="number"),
        pytest.param(replace(CUDA_BUILD, build_number=0), (),
            "`torch 2.0 cuda128_1` and `torch 2.0 cpu_0` have the same version and build number: "
            "raise that of the first", id="a draw"),
    ],
)  # fmt: skip
def test_why_a_solver_prefers_the_wrong_one(
    other: Choice | None, why: tuple[str, ...], reason: str
) -> None:
    assert problem(WANTED, Replies(CPU_BUILD, other, why)) == f"{GOT}: {reason}"


def test_a_gpu_build_for_machines_without_one_is_told() -> None:
    free = replace(CUDA_BUILD, depends=())

    assert problem(Expectation(BARE, "torch", "!*cuda*"), Replies(free)) == (
        "`install torch` on linux-64 without a GPU: expected no build `*cuda*`, got `torch 2.0 cuda128_1`: "
        "it does not require `__cuda`, so that machines without a GPU get it too"
    )


def test_nothing_at_all_is_told_with_its_cause() -> None:
    told = problem(WANTED, Replies(None, None, ("zzz, for which no candidates were found",)))

    assert told.endswith("of `torch`, got nothing: zzz, for which no candidates were found")


def test_what_should_not_be_installable_and_is() -> None:
    told = problem(Expectation(BARE, "torch", ""), Replies(CPU_BUILD))

    assert told.endswith("expected that nothing can be installed, got `torch 2.0 cpu_0`")


def entry(build: str, *depends: str) -> dict[str, object]:
    return {"name": "torch", "build": build, "depends": list(depends)}


BOTH = (entry("cpu_0"), entry("cuda128_1", "__cuda >=12"), {"name": "other", "build": "0"})


def test_what_is_taken_for_granted_of_a_package_with_both() -> None:
    found = standard("torch", BOTH, "linux-64", ("12.8",))

    assert [(str(row.question), row.build) for row in found] == [
        ("`install torch` on linux-64 without a GPU", "!*cuda*"),
        ("`install torch` on linux-64 with CUDA 12.8", "*cuda*"),
        ("`install torch=*=*cpu*` on linux-64 with CUDA 12.8", "*cpu*"),
    ]


@pytest.mark.parametrize(
    "entries",
    [
        pytest.param((entry("cpu_0"),), id="cpu alone"),
        pytest.param((entry("cuda128_0"),), id="cuda alone"),
        pytest.param((), id="none"),
    ],
)
def test_of_a_package_with_one_nothing_is_expected(entries: tuple[dict[str, object], ...]) -> None:
    assert standard("torch", entries, "linux-64") == ()


@pytest.mark.parametrize(
    ("question", "text", "machine"),
    [
        pytest.param(BARE, "`install torch` on linux-64 without a GPU",
            {"__unix": "0", "__linux": "6.8", "__glibc": "2.39"}, id="linux"),
        pytest.param(GPU, "`install torch` on linux-64 with CUDA 12.8",
            {"__unix": "0", "__linux": "6.8", "__glibc": "2.39", "__cuda": "12.8"}, id="cuda"),
        pytest.param(replace(BARE, subdir="osx-arm64"), "`install torch` on osx-arm64 without a GPU",
            {"__unix": "0", "__osx": "14.0"}, id="macos"),
        pytest.param(replace(BARE, subdir="win-64"), "`install torch` on win-64 without a GPU",
            {"__win": "10.0"}, id="windows"),
        pytest.param(replace(BARE, virtual={"__glibc": "2.17"}, installed=("torch 1.0",)),
            "`install torch` on linux-64 without a GPU where torch 1.0 was there __glibc 2.17",
            {"__unix": "0", "__linux": "6.8", "__glibc": "2.17"}, id="old"),
    ],
)  # fmt: skip
def test_a_question_and_its_machine(question: Question, text: str, machine: dict[str, str]) -> None:
    assert str(question) == text
    assert question.machine == machine


def test_a_platform_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="no platform `linux-65`"):
        Question(("a",), "linux-65")


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        pytest.param(
            "Cannot solve the request because of: acc * cuda* cannot be installed because there are no "
            "viable options:\n"
            "└─ acc 1.0 would require\n   └─ __cuda >=12, for which no candidates were found.\n",
            ("__cuda >=12, for which no candidates were found",), id="a tree",
        ),
        pytest.param("Cannot solve the request because of: No candidates were found for x *.\n",
            ("No candidates were found for x *",), id="a line"),
        pytest.param("something else\nin two lines.", ("something else", "in two lines"), id="unknown"),
        pytest.param("", (), id="nothing"),
    ],
)  # fmt: skip
def test_the_cause_of_an_unsatisfiable_question(text: str, lines: tuple[str, ...]) -> None:
    assert cause(text) == lines
