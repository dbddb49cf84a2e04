"""The solver as judge: what users get is held against what they were meant to get. Pure but for the client."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Final, Protocol

from builder.channel.question import Answer, Choice, Question

__all__ = ["Expectation", "Solver", "Verdict", "judge", "needs_gpu", "standard"]

_CPU: Final = "cpu"
_WORDS: Final = ("cuda", "gpu")


class Solver(Protocol):
    """What answers questions."""

    def solve(self, questions: Sequence[Question]) -> tuple[Answer, ...]:
        """An answer to each."""
        ...


@dataclass(frozen=True, slots=True)
class Expectation:
    """Of one question: the package it is about, and a glob for its build; `""` means that nothing can be installed.

    `version` is the one that is meant, where only one is.
    """

    question: Question
    package: str
    build: str
    version: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One expectation, what the solver did, and the problem; empty when it is what was meant."""

    expectation: Expectation
    answer: Answer
    problem: str = ""


def judge(expectations: Sequence[Expectation], solver: Solver) -> tuple[Verdict, ...]:
    """Ask everything, and of each wrong answer whether the other one could have been had at all."""
    answers = solver.solve([row.question for row in expectations])
    wrong = [
        number
        for number, (row, answer) in enumerate(zip(expectations, answers, strict=True))
        if not _is_met(row, answer)
    ]
    wanted = [_pointed(expectations[number]) for number in wrong]
    others = dict(zip(wrong, solver.solve(wanted), strict=True)) if wrong else {}
    return tuple(
        Verdict(row, answer, _problem(row, answer, others[number]) if number in others else "")
        for number, (row, answer) in enumerate(zip(expectations, answers, strict=True))
    )


def standard(
    name: str, entries: Iterable[Mapping[str, object]], subdir: str, cuda: Sequence[str] = ()
) -> tuple[Expectation, ...]:
    """What users of a package with and without CUDA take for granted.

    `entries` are those of an index. Nothing is expected of a package that has only one of the two. With
    `cuda` (versions of drivers, `12.8`) each of them is asked about, else one that is newer than all.
    """
    builds = [row for row in entries if row.get("name") == name]
    with_gpu = [row for row in builds if needs_gpu(row)]
    if not with_gpu or len(with_gpu) == len(builds):
        return ()
    bare = Question((name,), subdir)
    found = [Expectation(bare, name, f"!{_glob(with_gpu)}")]
    for version in cuda or ("99.0",):
        machine = replace(bare, cuda=version)
        found.append(Expectation(machine, name, _glob(with_gpu)))
        found.append(
            Expectation(replace(machine, specs=(f"{name}=*=*{_CPU}*",)), name, f"*{_CPU}*")
        )
    return tuple(found)


def needs_gpu(row: Mapping[str, object]) -> bool:
    """Whether an entry of an index is a build for machines with a GPU."""
    depends = row.get("depends")
    words = depends if isinstance(depends, list) else []
    build = str(row.get("build"))
    return any(str(spec).startswith("__cuda") for spec in words) or any(
        word in build for word in _WORDS
    )


def _glob(rows: Sequence[Mapping[str, object]]) -> str:
    """What the builds with CUDA are called, and no other is."""
    builds = [str(row.get("build")) for row in rows]
    word = next((word for word in _WORDS if all(word in build for build in builds)), "")
    return f"*{word}*" if word else builds[0]


def _is_met(row: Expectation, answer: Answer) -> bool:
    choice = answer.of(row.package)
    if choice is None or not row.build:
        return choice is None and not row.build
    return _fits(choice.build, row.build) and row.version in {"", choice.version}


def _fits(build: str, glob: str) -> bool:
    if glob.startswith("!"):
        return not fnmatchcase(build, glob[1:])
    return fnmatchcase(build, glob)


def _pointed(row: Expectation) -> Question:
    """The same question by somebody who knows which build it should be."""
    if not row.build or row.build.startswith("!"):
        return row.question
    spec = f"{row.package}={row.version or '*'}={row.build}"
    return replace(row.question, specs=(*row.question.specs, spec))


def _problem(row: Expectation, answer: Answer, other: Answer) -> str:
    choice = answer.of(row.package)
    meant = "that nothing can be installed" if not row.build else _meant(row)
    if choice is None:
        why = "; ".join(answer.why) or f"`{row.package}` is not in the environment"
        return f"{row.question}: expected {meant} of `{row.package}`, got nothing: {why}"
    reason = "; ".join(_reasons(row, choice, other))
    return f"{row.question}: expected {meant}, got `{choice}`{': ' if reason else ''}{reason}"


def _meant(row: Expectation) -> str:
    glob = row.build
    text = f"no build `{glob[1:]}`" if glob.startswith("!") else f"a build `{glob}`"
    return f"{text} of version {row.version}" if row.version else text


def _reasons(row: Expectation, choice: Choice, other: Answer) -> Iterator[str]:
    """Why a solver prefers the choice, in the order in which it compares."""
    if not row.build:
        return
    if row.build.startswith("!"):
        if not any(spec.startswith("__cuda") for spec in choice.depends):
            yield "it does not require `__cuda`, so that machines without a GPU get it too"
        return
    meant = other.of(row.package)
    if meant is None:
        yield f"a `{row.build}` cannot be installed there: {'; '.join(other.why)}"
    elif len(meant.features) > len(choice.features):
        yield f"`{meant}` has track_features ({', '.join(meant.features)}), which solvers avoid"
    elif meant.version != choice.version:
        yield f"`{meant}` is of version {meant.version}; a solver takes the highest version"
    elif meant.build_number < choice.build_number:
        yield (
            f"`{meant}` has build number {meant.build_number}, and `{choice}` {choice.build_number}: "
            "a solver takes the highest"
        )
    else:
        yield f"`{meant}` and `{choice}` have the same version and build number: raise that of the first"
