"""Plan and Step: what will run, as values that print as readable shell."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

__all__ = ["Plan", "PlannedStage", "Step"]


@dataclass(frozen=True, slots=True)
class Step:
    """One command of a plan. Words may hold placeholders such as `{prefix}`."""

    argv: tuple[str, ...]
    directory: str = ""
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def __str__(self) -> str:
        words = [f"{name}={shlex.quote(text)}" for name, text in sorted(self.environment.items())]
        words += [shlex.quote(word) for word in self.argv]
        line = " ".join(words)
        return f"(cd {shlex.quote(self.directory)} && {line})" if self.directory else line


@dataclass(frozen=True, slots=True)
class PlannedStage:
    """One stage of one or more targets.

    `name` is `core`, `python` or `package`. `key` is the input key in hex, or empty when an input is not
    known before another stage ran. `hit` says that the store has its result.
    """

    name: str
    key: str
    hit: bool
    targets: tuple[str, ...]
    steps: tuple[Step, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything one call would do, in order."""

    stages: tuple[PlannedStage, ...]
