"""One error type: what happened, where, and what to do next."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["BuilderError", "Interrupted", "NothingSelected", "UsageError"]


class BuilderError(Exception):
    """A build or a check failed.

    `message` says what happened and to which file or target, `hint` what to do next, `faults` lists
    every single problem when one input has several. `log` names a file that holds the whole story.
    The exit code of the command line is the class's `exit_code`.
    """

    exit_code = 1

    def __init__(
        self, message: str, *, hint: str = "", faults: Sequence[str] = (), log: str = ""
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.faults = tuple(faults)
        self.log = log

    def __str__(self) -> str:
        lines = [self.message, *(f"  {fault}" for fault in self.faults)]
        if self.log:
            lines.append(f"  log: {self.log}")
        if self.hint:
            lines.append(f"hint: {self.hint}")
        return "\n".join(lines)


class UsageError(BuilderError):
    """Bad usage, configuration or input: the caller has to change something."""

    exit_code = 2


class NothingSelected(BuilderError):  # noqa: N818 - reads as a sentence where it is raised
    """The selection is valid and matches nothing."""

    exit_code = 3


class Interrupted(BuilderError):  # noqa: N818 - reads as a sentence where it is raised
    """The run was asked to stop; nothing half-written is left behind."""

    exit_code = 130
