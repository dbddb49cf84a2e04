"""`builder channel solve`: what a user would get from a channel, solved and created by an independent client."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from builder.channel.judge import Expectation, Verdict, judge
from builder.channel.question import Answer, Question
from builder.channel.solve import Client
from builder.config.machine import Machine
from builder.config.python import Python
from builder.errors import BuilderError, UsageError
from builder.events import Events, ignore
from builder.process import Processes
from builder.verbs.trials import scratch

__all__ = ["answer_to_json", "expected", "made_environment", "python_specs", "solve_channel"]


def solve_channel(
    channels: Sequence[str],
    question: Question,
    machine: Machine,
    *,
    expectations: Sequence[Expectation] = (),
    prefix: Path | None = None,
    events: Events = ignore,
) -> tuple[Answer, tuple[Verdict, ...]]:
    """The answer to one question, and what is wrong with it; with `prefix`, an environment is made of it.

    Raises `UsageError` for what cannot be asked.
    """
    client = Client(channels, machine, Processes(events), machine.cache / "conda")
    verdicts = judge(expectations, client) if expectations else ()
    wrong = any(verdict.problem for verdict in verdicts)
    if prefix is not None and not wrong:
        return client.create(question, prefix), verdicts
    answer = verdicts[0].answer if verdicts else client.solve([question])[0]
    return answer, verdicts


@contextmanager
def made_environment(
    channels: Sequence[str],
    specs: Sequence[str],
    python: str,
    subdir: str,
    machine: Machine,
    processes: Processes,
) -> Iterator[Path]:
    """The environment that a user without a GPU gets, which is gone afterwards.

    The first channel has the highest priority. `python` is a version (`3.11`, `3.13t`), or empty for the
    solver's choice. Raises `BuilderError` when nothing fits or what fits has no Python, and `UsageError`
    for what cannot be asked.
    """
    question = Question((*specs, *python_specs(python)), subdir)
    with scratch(machine) as folder:
        prefix = folder / "environment"
        client = Client(channels, machine, processes, machine.cache / "conda")
        answer = client.create(question, prefix)
        if answer.why:
            raise BuilderError(
                f"{question}: nothing fits",
                faults=answer.why,
                hint="check specs and channels, or choose another Python",
            )
        if answer.of("python") is None:
            raise BuilderError(
                f"{question}: what fits has no Python in it, by which it could be tried",
                faults=list(map(str, answer.chosen)),
                hint="say which one to have beside it: `--python 3.11`",
            )
        yield prefix


def python_specs(text: str) -> tuple[str, ...]:
    """What asks a solver for a Python (`3.11`, `3.13t`); nothing for an empty text. Raises `UsageError`."""
    if not text:
        return ()
    python = Python.parse(text)
    version = f"{python.major}.{python.minor}"
    own = (f"python_abi={version}=*_{python.abi_tag}",) if "t" in python.abiflags else ()
    return (f"python={version}", *own)


def expected(question: Question, texts: Sequence[str]) -> tuple[Expectation, ...]:
    """`NAME=GLOB`, a glob for the build that is meant, for each text. Raises `UsageError`."""
    found = []
    for text in texts:
        name, equals, glob = text.partition("=")
        if not (name and equals):
            raise UsageError(
                f"`--expect {text}` says no build", hint="write it like `--expect 'pytorch=*cuda*'`"
            )
        found.append(Expectation(question, name.strip(), glob.strip()))
    return tuple(found)


def answer_to_json(answer: Answer, verdicts: Sequence[Verdict]) -> Mapping[str, object]:
    """The document of `builder channel solve --json`."""
    question = answer.question
    rows = [
        {
            "name": choice.name,
            "version": choice.version,
            "build": choice.build,
            "build_number": choice.build_number,
            "depends": list(choice.depends),
            "channel": choice.channel,
        }
        for choice in answer.chosen
    ]
    return {
        "schema": 1,
        "specs": list(question.specs),
        "platform": question.subdir,
        "machine": dict(question.machine),
        "chosen": rows,
        "why": list(answer.why),
        "problems": [verdict.problem for verdict in verdicts if verdict.problem],
    }
