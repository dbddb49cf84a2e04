"""`builder channel solve`: what a user would get from a channel, solved and created by an independent client."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from builder.channel.judge import Expectation, Verdict, judge
from builder.channel.question import Answer, Question
from builder.channel.solve import Client
from builder.config.machine import Machine
from builder.errors import UsageError
from builder.events import Events, ignore
from builder.process import Processes

__all__ = ["answer_to_json", "expected", "solve_channel"]


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
