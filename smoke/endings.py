"""In words, how a process of the suite ended: exit codes, signals, codes of Windows, limits."""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from builder.process import Completed

__all__ = ["ending", "starved"]

_MB: Final = 10**6
_FATAL: Final = 0x80000000
"""From here on an exit code of Windows is an NTSTATUS or the code of an exception; POSIX ends at 255."""
_NT: Final[Mapping[int, str]] = MappingProxyType(
    {
        0xC0000005: "an access violation",
        0xC0000017: "a lack of memory",
        0xC000001D: "an illegal instruction",
        0xC000007B: "a DLL that is made for another machine",
        0xC0000094: "a division by zero",
        0xC00000FD: "a stack overflow",
        0xC0000135: "a DLL that was not found",
        0xC0000138: "a DLL that lacks an ordinal",
        0xC0000139: "a DLL that lacks a function",
        0xC0000142: "a DLL that could not be initialised",
        0xC0000374: "a corrupted heap",
        0xC0000409: "a fatal error that it found itself (a buffer overrun, `abort`)",
        0xE06D7363: "an uncaught C++ exception",
    }
)
_SHORTAGE: Final = re.compile(
    r"MemoryError|bad_alloc|cannot allocate memory|out of memory|can't start new thread"
    r"|pthread_create failed",
    re.IGNORECASE,
)
"""What allocators, loaders and threads say when there is no memory to be had."""


def ending(completed: Completed, *, answered: bool = True) -> str:
    """Why a process did not end well; nothing when it did.

    With a limit of memory, a process that speaks of a shortage needs more of it.
    """
    fault = _fault(completed, answered=answered)
    memory = completed.command.memory
    if memory is None or not fault:
        return fault
    said = starved(fault, memory, completed.last_lines)
    unexplained = completed.timed_out or completed.returncode < 0
    return (
        f"{fault} (with at most {memory / _MB:g} MB of memory)"
        if said == fault and unexplained
        else said
    )


def starved(fault: str, memory: int | None, lines: Sequence[str] = ()) -> str:
    """A fault, called a lack of memory when it is one: `memory` is the limit in bytes, if there was one.

    `lines` are what the process printed last.
    """
    if memory is None or not any(_SHORTAGE.search(text) for text in (fault, *lines)):
        return fault
    return f"needs more than {memory / _MB:g} MB of memory: {fault}"


def _fault(completed: Completed, *, answered: bool) -> str:
    if completed.timed_out:
        return f"did not finish within {completed.command.timeout:g} s"
    last = f": {completed.last_lines[-1]}" if completed.last_lines else ""
    code = completed.returncode
    if code < 0:
        known = {one.value: one.name for one in signal.Signals}
        return f"was killed by {known.get(-code, f'signal {-code}')}{last}"
    if code >= _FATAL:
        return f"crashed with {_NT.get(code, 'a code of Windows')} (0x{code:08X}){last}"
    if code > 0:
        return f"ended with exit code {code}{last}"
    return "" if answered else "ended without an answer"
