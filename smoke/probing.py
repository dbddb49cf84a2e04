"""Asking the interpreter under test: probes run there, isolated, and answer one line of JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from builder.errors import UsageError
from builder.process import Command, ProcessError, Processes, clean_environment
from smoke.endings import ending
from smoke.subject import Distribution, EnvironmentFacts, Installed

__all__ = [
    "Answer",
    "ask",
    "interpreter_of",
    "open_environment",
    "probe_argv",
]

_PROBES = Path(__file__).parent / "probes"
_MARK = "@probe "
_FACTS_TIMEOUT = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a probe said, or None, and how its process ended (nothing when it ended well)."""

    said: Mapping[str, object] | None
    ending: str


def interpreter_of(environment: Path) -> Path:
    """The interpreter of an environment's folder, of any system, or the interpreter itself.

    Raises `UsageError` when there is none.
    """
    places = ("", "bin/python", "bin/python3", "Scripts/python.exe", "python.exe")
    for place in places:
        candidate = environment / place
        if candidate.is_file():
            return candidate.absolute()
    raise UsageError(
        f"`{environment}` is no environment", hint="give its folder or its interpreter"
    )


def open_environment(
    python: Path, path: tuple[Path, ...], scratch: Path, processes: Processes
) -> Installed:
    """A ready environment with its facts, or the reason why its interpreter does not answer."""
    scratch.mkdir(parents=True, exist_ok=True)
    bare = Installed(python, path, scratch, processes, None)
    answer = ask(bare, "environment_probe.py", (), _FACTS_TIMEOUT)
    if answer.said is None:
        return Installed(python, path, scratch, processes, None, answer.ending)
    return Installed(python, path, scratch, processes, _facts(answer.said))


def probe_argv(python: Path, version: tuple[int, int], probe: str) -> tuple[str, ...]:
    """How a probe is started. Python 2.7 has no `-I`; `-E -s` is as near as it gets."""
    isolated = ("-I",) if version >= (3, 4) else ("-E", "-s")
    return (str(python), *isolated, "-B", str(_PROBES / probe))


def ask(
    installed: Installed,
    probe: str,
    words: tuple[str, ...],
    timeout: float,
    memory: int | None = None,
) -> Answer:
    """Run one probe in the neutral folder. A crash or a hang is told, not raised.

    `timeout` is in seconds, `memory` in bytes, as in `builder.process.Command`.
    """
    version = installed.facts.version if installed.facts else (2, 7)
    argv = (*probe_argv(installed.python, version, probe), *words)
    command = Command(
        argv,
        installed.scratch,
        clean_environment(installed.scratch, (installed.python.parent, *installed.path)),
        title=" ".join((probe.removesuffix(".py"), *words)),
        timeout=timeout,
        memory=memory,
    )
    try:
        completed = installed.processes.run(command, capture=True, check=False)
    except ProcessError as error:
        return Answer(None, error.message)
    line = next((text for text in completed.stdout.splitlines() if text.startswith(_MARK)), None)
    said = json.loads(line.removeprefix(_MARK)) if line else None
    printed = tuple(text for text in completed.last_lines if not text.startswith(_MARK))
    rest = replace(completed, last_lines=printed)
    return Answer(said, ending(rest, answered=said is not None))


def _facts(said: Mapping[str, object]) -> EnvironmentFacts:
    """The answer of `environment_probe.py` as a value."""
    document = json.loads(json.dumps(said))
    major, minor = document["version"][:2]
    return EnvironmentFacts(
        (major, minor),
        Path(document["prefix"]),
        Path(document["base_prefix"]),
        Path(document["site"]),
        MappingProxyType(document["markers"]),
        tuple(
            Distribution(one["name"], one["version"], Path(one["folder"]), tuple(one["requires"]))
            for one in document["distributions"]
        ),
    )
