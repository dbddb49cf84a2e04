"""What happens while a verb works, told as values; the command line turns them into a display."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

__all__ = ["Event", "Events", "ignore"]


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to one job.

    `job` is a unique id (`core cpu`, `python cp311`, a target id). `text` is one line. `seconds` is the job's
    duration on `finished` and `failed`. `hit` says that a finished job was found in the store.
    """

    kind: Literal["started", "line", "finished", "failed", "warning", "note"]
    job: str
    text: str = ""
    seconds: float = 0.0
    hit: bool = False


Events = Callable[[Event], None]


def ignore(_event: Event) -> None:
    """The listener of a caller that does not want to know."""
