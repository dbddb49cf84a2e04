"""What to run and what came of it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from builder.process._output import mask

__all__ = ["Command", "Completed"]


@dataclass(frozen=True, slots=True)
class Command:
    """One process to start.

    `environment` is the whole environment of the process. `timeout` is in seconds, None for no
    limit. `title` is what progress displays call it. `secrets` are texts that are masked wherever
    output is shown. `memory` is how many bytes each process of the family may have of its own,
    private and writable (RLIMIT_DATA): files that are only read do not count. Not enforced on Windows.
    """

    argv: tuple[str, ...]
    directory: Path
    environment: Mapping[str, str]
    title: str = ""
    timeout: float | None = None
    secrets: tuple[str, ...] = ()
    memory: int | None = None

    def __str__(self) -> str:
        return " ".join(shlex.quote(mask(word, self.secrets)) for word in self.argv)


@dataclass(frozen=True, slots=True)
class Completed:
    """A finished process.

    `stdout` is kept whole only when it was asked for; `last_lines` are of both streams.
    `returncode` is negative for a signal, as in the `subprocess` module.
    """

    command: Command
    returncode: int
    seconds: float
    last_lines: tuple[str, ...]
    stdout: str = ""
    timed_out: bool = False
