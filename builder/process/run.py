"""Starting processes, following them, and saying well what went wrong."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from builder.errors import BuilderError, Interrupted
from builder.events import Event, Events, ignore
from builder.process._family import Family, Outcome
from builder.process._output import Output, Pace, mask, open_log
from builder.process._plain import PlainFamily
from builder.process._supervised import SupervisedFamily
from builder.process.command import Command, Completed

__all__ = ["ProcessError", "Processes"]

_SHOWN = 300
_NOT_EXECUTABLE, _NOT_FOUND = 126, 127
_SIGNALLED = 128  # a shell reports a signal as this plus its number

_MEMORY = (
    "killed from outside, most often because the memory ran out: use fewer jobs (`--jobs`) "
    "or a machine with more memory"
)
_FOREIGN = "is it made for this machine, and is its `#!` interpreter there?"
_STEP_HINTS = {"program": _FOREIGN, "memory": "this system takes no such limit: leave it out"}
_CRASH = "the program itself crashed; the last lines show how far it came"
_SIGNAL_HINTS = {
    "SIGKILL": _MEMORY,
    "SIGSEGV": _CRASH,
    "SIGBUS": _CRASH,
    "SIGILL": "the program uses instructions that this processor does not have",
    "SIGABRT": "the program ended itself with an assertion or an uncaught exception",
}
_OUTPUT_HINTS = {
    "Killed signal terminated program": _MEMORY,
    "No space left on device": "the disk is full: free some space or choose another store",
}


class ProcessError(BuilderError):
    """A command could not be started, failed, or ran out of time.

    `returncode` is as in `Completed`; 127 and 126 stand for a program that was not found and one
    that could not be run. `last_lines` are what the command printed last, secrets masked.
    """

    def __init__(
        self,
        message: str,
        *,
        command: Command,
        returncode: int,
        last_lines: Sequence[str] = (),
        hint: str = "",
        log: Path | None = None,
    ) -> None:
        super().__init__(message, hint=hint, faults=last_lines, log="" if log is None else str(log))
        self.command = command
        self.returncode = returncode
        self.last_lines = tuple(last_lines)


class Processes:
    """Starts commands and ends their families; safe to share between threads."""

    def __init__(self, events: Events = ignore) -> None:
        self._events = events
        self._pace = Pace()
        # Reentrant, because `stop` may be called by a signal handler in the midst of us.
        self._lock = threading.RLock()
        self._running: set[Family] = set()
        self._held: list[int] = []
        self._stopped = False

    def run(
        self,
        command: Command,
        *,
        log: Path | None = None,
        capture: bool = False,
        check: bool = True,
    ) -> Completed:
        """Run a command to its end, and the end of all processes that came from it.

        What it prints goes to `log`, below a line with the command itself; with `capture`, standard
        output comes back whole (at most 64 MiB) and is not logged. With `check`, a bad exit status
        or a timeout raises `ProcessError`. A command that cannot be started raises it in any case;
        after `stop`, `Interrupted` is raised.
        """
        self._refuse_if_stopped(command, log)
        program = _program(command)
        job = command.title or Path(program).name
        begin = time.monotonic()
        with ExitStack() as stack:
            stream = open_log(log)
            if stream is not None:
                stack.enter_context(stream)

            def tell(text: str) -> None:
                self._events(Event("line", job, text))

            output = Output(stream, command.secrets, job, self._pace, tell)
            output.remark(str(command))
            with self._family(command, program, capture=capture) as family:
                outcome = family.follow(output)
            output.finish()
            self._remark_family(job, outcome, output)
        self._refuse_if_stopped(command, log)
        completed = Completed(
            command,
            _returncode(command, outcome, output.last_lines, log),
            time.monotonic() - begin,
            output.last_lines,
            output.data,
            outcome.timed_out,
        )
        if check:
            _refuse_if_failed(completed, log)
        return completed

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped

    def stop(self) -> None:
        """End every family that runs; their `run` and every later one raises `Interrupted`."""
        with self._lock:
            self._stopped = True
            for family in self._running:
                family.stop()

    @contextmanager
    def holding(self, descriptor: int) -> Iterator[None]:
        """Let every family started meanwhile keep a descriptor open as long as it lives.

        A lock on it is then still taken when `builder` is killed and its families are not gone yet.
        """
        with self._lock:
            self._held.append(descriptor)
        try:
            yield
        finally:
            with self._lock:
                self._held.remove(descriptor)

    @contextmanager
    def _family(self, command: Command, program: str, *, capture: bool) -> Iterator[Family]:
        with self._lock:
            held = [os.dup(descriptor) for descriptor in self._held]
        try:
            family = _start(command, program, held=held, capture=capture)
        except OSError as error:
            raise ProcessError(
                f"{_shown(command)} could not be started: {error.strerror}",
                command=command,
                returncode=_NOT_EXECUTABLE,
            ) from error
        finally:
            for descriptor in held:
                os.close(descriptor)
        try:
            with self._lock:
                self._running.add(family)
                if self._stopped:
                    family.stop()
            yield family
        finally:
            with self._lock:
                self._running.discard(family)
            family.close()

    def _refuse_if_stopped(self, command: Command, log: Path | None) -> None:
        if self._stopped:
            raise Interrupted(f"stopped at {_shown(command)}", log=_existing(log))

    def _remark_family(self, job: str, outcome: Outcome, output: Output) -> None:
        for process in outcome.leftover:
            output.remark(f"ended a process that outlived its command: {process}")
        for process in outcome.survived:
            text = f"process {process} could not be ended"
            output.remark(text)
            self._events(Event("warning", job, text))


def _start(command: Command, program: str, *, held: Sequence[int], capture: bool) -> Family:
    if os.name == "posix":
        return SupervisedFamily(command, program, held=held, capture=capture)
    return PlainFamily(command, program, capture=capture)


def _program(command: Command) -> str:
    """The file to run. A name without a folder is looked up on the command's own PATH."""
    _refuse_unspeakable(command)
    name = command.argv[0]
    if not command.directory.is_dir():
        raise _not_started(command, f"its folder `{command.directory}` does not exist", _NOT_FOUND)
    if os.path.dirname(name):  # noqa: PTH120 - `./tool` must not become `tool`
        candidates, searched = [str(command.directory / name)], ""
    else:
        searched = command.environment.get("PATH", "")
        folders = [folder for folder in searched.split(os.pathsep) if folder]
        candidates = [str(command.directory / folder / name) for folder in folders]
    for candidate in candidates:
        if found := shutil.which(candidate):
            return found
    shown = mask(name, command.secrets)
    if present := next((file for file in candidates if Path(file).exists()), ""):
        raise _not_started(
            command,
            f"`{mask(present, command.secrets)}` is not executable",
            _NOT_EXECUTABLE,
            "it needs the execute permission (`chmod +x`), or an interpreter in front of it",
        )
    if candidates and not searched:
        raise _not_started(command, f"there is no `{shown}`", _NOT_FOUND)
    where = mask(searched, command.secrets)
    raise _not_started(
        command,
        f"there is no `{shown}` on its PATH ({where or 'which is empty'})",
        _NOT_FOUND,
        f"install `{shown}`, or name it by its whole path; `builder doctor` tells what is missing",
    )


def _refuse_unspeakable(command: Command) -> None:
    """Refuse what no operating system can pass on."""
    if not command.argv:
        raise _not_started(command, "it is empty", _NOT_FOUND)
    words = [*command.argv, *command.environment, *command.environment.values()]
    if any("\0" in word for word in words):
        raise _not_started(command, "a word or a variable holds a NUL character", _NOT_EXECUTABLE)
    if wrong := [name for name in command.environment if not name or "=" in name]:
        raise _not_started(command, f"a variable cannot be called {wrong[0]!r}", _NOT_EXECUTABLE)


def _not_started(command: Command, reason: str, returncode: int, hint: str = "") -> ProcessError:
    return ProcessError(
        f"{_shown(command)} could not be started: {reason}",
        command=command,
        returncode=returncode,
        hint=hint,
    )


def _returncode(
    command: Command, outcome: Outcome, last_lines: tuple[str, ...], log: Path | None
) -> int:
    """The exact exit status of a command that really ran."""
    if outcome.failed is not None:
        step, number = outcome.failed
        places = {"directory": command.directory, "memory": f"at most {command.memory} bytes"}
        place = places.get(step, command.argv[0])
        raise ProcessError(
            f"{_shown(command)} could not be started: `{place}`: {os.strerror(number)}",
            command=command,
            returncode=_NOT_EXECUTABLE,
            hint=_STEP_HINTS.get(step, ""),
            log=log,
        )
    if outcome.returncode is None:
        raise ProcessError(
            f"{_shown(command)} was lost: its supervisor was killed",
            command=command,
            returncode=_NOT_EXECUTABLE,
            last_lines=last_lines,
            hint=_MEMORY,
            log=log,
        )
    return outcome.returncode


def _refuse_if_failed(completed: Completed, log: Path | None) -> None:
    if completed.returncode == 0 and not completed.timed_out:
        return
    raise ProcessError(
        f"{_shown(completed.command)} {_end(completed)}",
        command=completed.command,
        returncode=completed.returncode,
        last_lines=completed.last_lines,
        hint=_hint(completed),
        log=log,
    )


def _end(completed: Completed) -> str:
    if completed.timed_out:
        return f"did not end within {completed.command.timeout:g} seconds and was stopped"
    name = _signal(completed.returncode)
    if completed.returncode < 0:
        return f"was ended by {name or f'signal {-completed.returncode}'}"
    status = f"exited with status {completed.returncode}"
    return f"{status} (it stands for {name})" if name in _SIGNAL_HINTS else status


def _signal(returncode: int) -> str:
    """The signal that an exit status tells of, directly or as a shell tells it, or nothing."""
    number = -returncode if returncode < 0 else returncode - _SIGNALLED
    try:
        return signal.Signals(number).name
    except ValueError:
        return ""


def _hint(completed: Completed) -> str:
    if completed.timed_out:
        return "the last lines show what it was doing"
    for text, hint in _OUTPUT_HINTS.items():
        if any(text in line for line in completed.last_lines):
            return hint
    return _SIGNAL_HINTS.get(_signal(completed.returncode), "")


def _shown(command: Command) -> str:
    text = str(command)
    return f"`{text}`" if len(text) <= _SHOWN else f"`{text[:_SHOWN]}...`"


def _existing(log: Path | None) -> str:
    return str(log) if log is not None and log.exists() else ""
