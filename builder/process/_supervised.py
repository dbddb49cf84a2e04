"""POSIX: the family of a command lives below a supervisor, see `_supervisor.py`."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from builder.process._family import CHUNK, LINGER, Outcome, earliest
from builder.process._output import Output, Stream
from builder.process.command import Command

__all__ = ["SupervisedFamily"]

# Imported rather than run as a script, because only then is its compiled form kept.
_START = "import sys; sys.path.append(sys.argv.pop(1)); import _supervisor; _supervisor.main()"


class SupervisedFamily:
    """A command below its supervisor, which keeps the descriptors `held` open while it lives."""

    def __init__(
        self, command: Command, program: str, *, held: Sequence[int], capture: bool
    ) -> None:
        orders, self._control = os.pipe()
        self._status, reports = os.pipe()
        try:
            self._process = _supervisor((orders, reports, *held), capture=capture)
        except BaseException:
            os.close(self._control)
            os.close(self._status)
            raise
        finally:
            os.close(orders)
            os.close(reports)
        self._report = b""
        order = _order(command, program)
        with contextlib.suppress(BrokenPipeError):  # `follow` notices a dead supervisor
            while order:
                order = order[os.write(self._control, order) :]

    def follow(self, output: Output) -> Outcome:
        """Pass on output until the supervisor, and with it everybody, has ended."""
        ended: float | None = None
        with selectors.DefaultSelector() as selector:
            selector.register(self._status, selectors.EVENT_READ)
            streams = _streams(self._process)
            for descriptor in streams:
                selector.register(descriptor, selectors.EVENT_READ)
            while selector.get_map():
                left = None if ended is None else ended + LINGER - time.monotonic()
                if left is not None and left < 0:
                    break
                for key, _ in selector.select(earliest(output.idle(), left)):
                    chunk = os.read(key.fd, CHUNK)
                    if not chunk:
                        selector.unregister(key.fd)
                    if key.fd != self._status:
                        output.feed(streams[key.fd], chunk)
                    elif chunk:
                        self._report += chunk
                    else:
                        ended = time.monotonic()
                        self._end_orphans()
        self._process.wait()
        return _outcome(self._report)

    def stop(self) -> None:
        """Send the byte that ends the family."""
        with contextlib.suppress(OSError):
            os.write(self._control, b"s")

    def close(self) -> None:
        """End the pipe that keeps the family alive, and wait for the supervisor."""
        os.close(self._control)
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()
        try:
            self._process.wait()
        finally:
            os.close(self._status)

    def _end_orphans(self) -> None:
        """When somebody killed the supervisor, end at least the command's own group."""
        words = dict(_words(self._report))
        if "exit" not in words and "pid" in words:
            with contextlib.suppress(OSError):
                os.killpg(int(words["pid"]), signal.SIGKILL)


def _supervisor(passed: tuple[int, ...], *, capture: bool) -> subprocess.Popen[bytes]:
    # It runs in our own environment: it is our interpreter, which may need that to start.
    return subprocess.Popen(
        (sys.executable, "-I", "-S", "-c", _START, str(Path(__file__).parent), *map(str, passed)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if capture else subprocess.STDOUT,
        bufsize=0,
        pass_fds=passed,
        start_new_session=True,
    )


def _streams(process: subprocess.Popen[bytes]) -> dict[int, Stream]:
    """What the process's pipes carry, by descriptor: standard output is data when it is alone."""
    pipes: list[IO[bytes]] = [pipe for pipe in (process.stderr, process.stdout) if pipe is not None]
    names: tuple[Stream, ...] = ("text", "data")
    return {pipe.fileno(): name for pipe, name in zip(pipes, names, strict=False)}


def _order(command: Command, program: str) -> bytes:
    """The command as the supervisor reads it: a length, then fields that end in NUL."""
    words = [
        "" if command.timeout is None else repr(float(command.timeout)),
        "" if command.memory is None else str(command.memory),
        str(command.directory),
        program,
        str(len(command.argv)),
        *command.argv,
        *(f"{name}={text}" for name, text in command.environment.items()),
    ]
    order = b"\0".join(os.fsencode(word) for word in words)
    return len(order).to_bytes(8, "big") + order


def _words(report: bytes) -> list[tuple[str, str]]:
    lines = report.decode("utf-8", "replace").splitlines()
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines)]


def _outcome(report: bytes) -> Outcome:
    words = _words(report)
    last = dict(words)
    step, _, number = last.get("failed", "").partition(" ")
    return Outcome(
        returncode=int(last["exit"]) if "exit" in last else None,
        timed_out="timeout" in last,
        failed=(step, int(number)) if step else None,
        leftover=tuple(rest for word, rest in words if word == "leftover"),
        survived=tuple(last.get("survived", "").split()),
    )
