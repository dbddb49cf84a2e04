"""A command's whole family: what is started, followed and stopped as one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from builder.process._output import Output

__all__ = ["CHUNK", "LINGER", "Family", "Outcome", "earliest"]

CHUNK = 65536

# Seconds to wait for output that somebody outside of the family still holds open.
LINGER = 2.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a family ended.

    `returncode` is None when that is not known. `failed` is the step (`directory`, `memory`, `program`) and
    the errno that kept the program from running. `leftover` are processes that outlived the command
    and were ended then, `survived` those that could not be.
    """

    returncode: int | None
    timed_out: bool = False
    failed: tuple[str, int] | None = None
    leftover: tuple[str, ...] = ()
    survived: tuple[str, ...] = ()


class Family(Protocol):
    """A started command and all that comes from it."""

    def follow(self, output: Output) -> Outcome:
        """Pass on what the family prints until the last of it has ended."""
        ...

    def stop(self) -> None:
        """Ask for the end of the family, from any thread, without waiting for it."""
        ...

    def close(self) -> None:
        """Make sure that nobody is left and let go of everything."""
        ...


def earliest(*waits: float | None) -> float | None:
    """The shortest of some waiting times in seconds; None waits for ever."""
    return min((wait for wait in waits if wait is not None), default=None)
