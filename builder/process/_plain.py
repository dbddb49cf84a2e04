"""Where there is no supervisor (Windows): the command's process alone is followed and ended."""

from __future__ import annotations

import os
import queue
import subprocess
import threading
import time
from typing import IO

from builder.process._family import CHUNK, LINGER, Outcome, earliest
from builder.process._output import Output, Stream
from builder.process.command import Command

__all__ = ["PlainFamily"]

_BEAT = 0.1  # seconds between two looks at the process


class PlainFamily:
    """A command started directly, its pipes read by threads."""

    def __init__(self, command: Command, program: str, *, capture: bool) -> None:
        self._deadline = None if command.timeout is None else time.monotonic() + command.timeout
        self._process = subprocess.Popen(
            (program, *command.argv[1:]),
            cwd=command.directory,
            env=dict(command.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if capture else subprocess.STDOUT,
            bufsize=0,
        )
        self._chunks: queue.SimpleQueue[tuple[Stream, bytes]] = queue.SimpleQueue()
        self._pipes: dict[Stream, IO[bytes]] = {}
        if self._process.stdout is not None:
            self._pipes["data" if capture else "text"] = self._process.stdout
        if self._process.stderr is not None:
            self._pipes["text"] = self._process.stderr
        for name, pipe in self._pipes.items():
            threading.Thread(target=self._read, args=(name, pipe), daemon=True).start()

    def follow(self, output: Output) -> Outcome:
        """Pass on output until both the process and its pipes have ended."""
        open_pipes = set(self._pipes)
        ended: float | None = None
        timed_out = False
        while open_pipes or ended is None:
            now = time.monotonic()
            if ended is None and self._process.poll() is not None:
                ended = now
            if ended is not None and now > ended + LINGER:
                break
            if self._deadline is not None and now > self._deadline and ended is None:
                timed_out = True
                self.stop()
            try:
                name, chunk = self._chunks.get(timeout=earliest(output.idle(), _BEAT))
            except queue.Empty:
                continue
            output.feed(name, chunk)
            if not chunk:
                open_pipes.discard(name)
        return Outcome(self._process.wait(), timed_out=timed_out)

    def stop(self) -> None:
        """End the process; on Windows what it started goes on."""
        self._process.kill()

    def close(self) -> None:
        """End the process if it still runs."""
        self._process.kill()
        self._process.wait()

    def _read(self, name: Stream, pipe: IO[bytes]) -> None:
        with pipe:
            while chunk := os.read(pipe.fileno(), CHUNK):
                self._chunks.put((name, chunk))
        self._chunks.put((name, b""))
