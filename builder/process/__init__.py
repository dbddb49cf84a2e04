"""The one room that starts processes.

A process gets the environment it is given and nothing else, lives in its own group, has a time
limit, and dies with its whole family when it is stopped, when its time is up, and when `builder`
itself is killed.
"""

from __future__ import annotations

from builder.process.clean import clean_environment, toolchain_environment
from builder.process.command import Command, Completed
from builder.process.run import ProcessError, Processes

__all__ = [
    "Command",
    "Completed",
    "ProcessError",
    "Processes",
    "clean_environment",
    "toolchain_environment",
]
