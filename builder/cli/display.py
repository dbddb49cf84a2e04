"""Progress for people: a live table on a terminal, timed lines elsewhere, groups under GitHub Actions.

Everything goes to stderr. Long work always shows that it is alive: a job that says nothing is named again every
half minute.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TextIO

from builder.events import Event

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

__all__ = ["Display", "display_for"]

_HEARTBEAT = 30.0


class Display(Protocol):
    """Hears events and shows them."""

    def hear(self, event: Event) -> None:
        """Show one event; called from any thread."""
        ...

    def close(self) -> None:
        """Stop showing; nothing of a live display is left half-drawn."""
        ...


def display_for(
    stream: TextIO, environ: Mapping[str, str], *, verbosity: int, log: Path | None
) -> Display:
    """The display that fits the place: quiet below 0, live on a terminal, plain lines otherwise."""
    github = environ.get("GITHUB_ACTIONS") == "true"
    terminal = stream.isatty() and not environ.get("CI") and environ.get("TERM") != "dumb"
    shown: Display
    if terminal and verbosity == 0:
        shown = _Live(color=not environ.get("NO_COLOR"))
    else:
        shown = _Lines(stream.write, verbosity=verbosity, github=github)
    return _Both(shown, log) if log is not None else shown


class _Lines:
    """One timed line per event."""

    def __init__(self, write: Callable[[str], object], *, verbosity: int, github: bool) -> None:
        self._write = write
        self._verbosity = verbosity
        self._github = github
        self._start = time.monotonic()
        self._lock = threading.Lock()
        self._running: dict[str, float] = {}
        self._folds = github and verbosity >= 0
        self._printed: dict[str, list[str]] = {}
        self._done = threading.Event()
        self._pulse = threading.Thread(target=self._beat, daemon=True)
        self._pulse.start()

    def hear(self, event: Event) -> None:
        with self._lock:
            if event.kind == "started":
                self._running[event.job] = time.monotonic()
            elif event.kind in {"finished", "failed"}:
                self._running.pop(event.job, None)
            elif event.kind == "line" and self._folds and event.job in self._running:
                self._printed.setdefault(event.job, []).append(event.text)
                return
            text = self._text(event)
            if text:
                self._say(text)
            if event.kind in {"finished", "failed"}:
                self._group(event.job)

    def _group(self, job: str) -> None:
        """What a job printed, folded. It comes when the job ends: jobs run side by side, groups cannot."""
        lines = self._printed.pop(job, [])
        if lines:
            # The bar keeps a process from giving commands to the runner.
            text = "".join(f"| {line}\n" for line in lines)
            self._write(f"::group::{job}: what it printed\n{text}::endgroup::\n")

    def close(self) -> None:
        self._done.set()
        self._pulse.join()

    def _text(self, event: Event) -> str:
        if event.kind == "failed":
            prefix = "::error::" if self._github else ""
            return f"{prefix}{event.job}: failed after {event.seconds:.1f} s: {event.text}"
        if event.kind == "warning":
            prefix = "::warning::" if self._github else "warning: "
            return f"{prefix}{event.job}: {event.text}"
        if self._verbosity < 0 or (event.kind == "line" and self._verbosity < 1):
            return ""
        match event.kind:
            case "started":
                return f"{event.job}: started"
            case "finished":
                how = (
                    (event.text or "in the store")
                    if event.hit
                    else f"done in {event.seconds:.1f} s"
                )
                return f"{event.job}: {how}"
            case _:
                return f"{event.job}: {event.text}"

    def _say(self, text: str) -> None:
        stamp = "" if text.startswith("::") else f"[{time.monotonic() - self._start:6.1f}s] "
        self._write(f"{stamp}{text}\n")

    def _beat(self) -> None:
        while not self._done.wait(_HEARTBEAT):
            with self._lock:
                now = time.monotonic()
                for job, since in self._running.items():
                    if self._verbosity >= 0:
                        self._say(f"{job}: still running, {now - since:.0f} s")


class _Live:
    """A table of what runs now, with the last line each job printed; what ended scrolls above it."""

    def __init__(self, *, color: bool) -> None:
        from rich.console import Console  # noqa: PLC0415  # rich is slow to import and rarely needed
        from rich.live import Live  # noqa: PLC0415

        self._lock = threading.Lock()
        self._running: dict[str, tuple[float, str]] = {}
        self._console = Console(stderr=True, no_color=not color)
        self._live = Live(self, console=self._console, refresh_per_second=8, transient=True)
        self._live.start()

    def hear(self, event: Event) -> None:
        with self._lock:
            now = time.monotonic()
            match event.kind:
                case "started":
                    self._running[event.job] = (now, "")
                case "line":
                    since, _ = self._running.get(event.job, (now, ""))
                    self._running[event.job] = (since, event.text)
                case "finished" | "failed":
                    self._running.pop(event.job, None)
        text = self._text(event)
        if text:
            self._console.print(text, markup=False, highlight=False)

    def close(self) -> None:
        self._live.stop()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.table import Table  # noqa: PLC0415  # see above

        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True)
        table.add_column(justify="right", no_wrap=True)
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        with self._lock:
            now = time.monotonic()
            for job, (since, line) in self._running.items():
                table.add_row(f"• {job}", f"{now - since:.0f} s", line)
        yield from table.__rich_console__(console, options)

    @staticmethod
    def _text(event: Event) -> str:
        match event.kind:
            case "finished":
                return f"✓ {event.job} " + (
                    f"({event.text or 'in the store'})" if event.hit else f"{event.seconds:.1f} s"
                )
            case "failed":
                return f"✗ {event.job} {event.seconds:.1f} s: {event.text}"
            case "warning":
                return f"! {event.job}: {event.text}"
            case "note":
                return f"  {event.job}: {event.text}"
            case _:
                return ""


class _Both:
    """A display, and every event as a line in a file."""

    def __init__(self, shown: Display, log: Path) -> None:
        self._shown = shown
        self._file = log.open("a", encoding="utf-8", buffering=1)
        self._lines = _Lines(self._file.write, verbosity=1, github=False)

    def hear(self, event: Event) -> None:
        self._lines.hear(event)
        self._shown.hear(event)

    def close(self) -> None:
        self._lines.close()
        self._shown.close()
        self._file.close()
