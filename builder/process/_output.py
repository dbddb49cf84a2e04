"""What a command prints, on its way to the log, the last lines, the capture and the listeners.

Secrets are masked before anything is shown or written; only captured text is left as it came.
"""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Literal

from builder.errors import BuilderError

__all__ = ["CAPTURE_LIMIT", "Output", "Pace", "Stream", "mask", "open_log"]

Stream = Literal["text", "data"]

CAPTURE_LIMIT = 64 * 1024 * 1024
_LINE_LIMIT = 1024 * 1024
_LAST_LINES = 30
_INTERVAL = 0.1  # seconds between two lines of one job that listeners are told
_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\))")


def mask(text: str, secrets: tuple[str, ...]) -> str:
    """`text` with every secret, and every line of a secret of several lines, replaced by `***`."""
    for secret in sorted(_masked(secrets), key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def open_log(log: Path | None) -> BinaryIO | None:
    """The log, opened for appending without a buffer, its folder made."""
    if log is None:
        return None
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        return log.open("ab", buffering=0)
    except OSError as error:
        raise _log_error(log, error) from error


class Pace:
    """When listeners may be told the next line of a job; shared by all commands of one caller."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next: dict[str, float] = {}

    def wait(self, job: str) -> float:
        """Seconds until a line of `job` may be told; 0 takes the turn."""
        now = time.monotonic()
        with self._lock:
            left = self._next.get(job, 0.0) - now
            if left > 0:
                return left
            self._next[job] = now + _INTERVAL
        return 0.0


class Output:
    """The two streams of one command: `text` is shown and logged, `data` is captured."""

    def __init__(
        self,
        log: BinaryIO | None,
        secrets: tuple[str, ...],
        job: str,
        pace: Pace,
        tell: Callable[[str], None],
    ) -> None:
        self._log = log
        self._secrets = secrets
        self._overlap = max((len(secret.encode()) for secret in secrets), default=1) - 1
        self._job = job
        self._pace = pace
        self._tell = tell
        self._partial: dict[Stream, bytes] = {"text": b"", "data": b""}
        self._last: deque[str] = deque(maxlen=_LAST_LINES)
        self._data = bytearray()
        self._pending = ""

    @property
    def last_lines(self) -> tuple[str, ...]:
        """The last lines of both streams, masked, without blank lines at the end."""
        lines = list(self._last)
        while lines and not lines[-1]:
            lines.pop()
        return tuple(lines)

    @property
    def data(self) -> str:
        """Everything captured."""
        return self._data.decode("utf-8", "replace")

    def feed(self, stream: Stream, chunk: bytes) -> None:
        """Take what the command has just printed."""
        if stream == "data":
            if len(self._data) + len(chunk) > CAPTURE_LIMIT:
                raise BuilderError(f"the command printed more than {CAPTURE_LIMIT >> 20} MiB")
            self._data += chunk
        whole, newline, rest = (self._partial[stream] + chunk).rpartition(b"\n")
        if newline:
            self._take(stream, whole)
        if len(rest) > _LINE_LIMIT:
            # Masked before the cut, which is made so far back that no secret can lie across it.
            rest = mask(rest.decode("utf-8", "replace"), self._secrets).encode()
            cut = len(rest) - self._overlap
            self._take(stream, rest[:cut])
            rest = rest[cut:]
        self._partial[stream] = rest

    def finish(self) -> None:
        """Take the last lines, which did not end in a newline."""
        for stream, rest in self._partial.items():
            if rest:
                self._take(stream, rest)
                self._partial[stream] = b""

    def remark(self, text: str) -> None:
        """Write a line of our own."""
        self._write(f"+ {mask(text, self._secrets)}\n")

    def idle(self) -> float | None:
        """Tell a line that had to wait, if it may be told now. Seconds until it may, or None."""
        if not self._pending:
            return None
        left = self._pace.wait(self._job)
        if left:
            return left
        self._tell(self._pending)
        self._pending = ""
        return None

    def _take(self, stream: Stream, block: bytes) -> None:
        """Take whole lines, all but the last with their newline."""
        text = mask(block.decode("utf-8", "replace"), self._secrets)
        if stream == "text":
            self._write(f"{text}\n")
        shown = [_visible(line) for line in text.rsplit("\n", _LAST_LINES)[-_LAST_LINES:]]
        self._last.extend(shown)
        if stream == "text":
            self._pending = next((line for line in reversed(shown) if line), self._pending)
            self.idle()

    def _write(self, text: str) -> None:
        if self._log is None:
            return
        try:
            self._log.write(text.encode())
        except OSError as error:
            raise _log_error(Path(self._log.name), error) from error


def _masked(secrets: tuple[str, ...]) -> set[str]:
    return {part.strip() for secret in secrets for part in (secret, *secret.splitlines())} - {""}


def _visible(line: str) -> str:
    """A line as a terminal would leave it: without escapes, after its last carriage return."""
    return _ESCAPES.sub("", line).rstrip().rpartition("\r")[2]


def _log_error(log: Path, error: OSError) -> BuilderError:
    return BuilderError(
        f"cannot write the log `{log}`: {error.strerror}",
        hint="make its folder writable and the disk less full, or choose another store",
    )
