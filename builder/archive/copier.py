"""Copy ranges of a file into another one while something else is done."""

from __future__ import annotations

from queue import SimpleQueue
from threading import Thread

from builder.archive.file import File, copy
from builder.archive.tally import Tally

__all__ = ["Copier"]

_WORTH_A_THREAD = 4 << 20
_PIECE = 64 << 20


class Copier:
    """One thread that copies in the order it is told to; what is little is copied at once.

    What went wrong comes out of `settle`. It has to be closed before its files are.
    """

    def __init__(self, source: File, target: File, tally: Tally) -> None:
        self._source, self._target, self._tally = source, target, tally
        self._thread: Thread | None = None
        self._jobs: SimpleQueue[tuple[int, int, int] | None] = SimpleQueue()
        self._faults: list[BaseException] = []

    def add(self, start: int, size: int, place: int) -> None:
        """Copy `size` bytes from `start` to `place`, sooner or later."""
        if self._thread is None and size < _WORTH_A_THREAD:
            copy(self._source, start, size, self._target, place, self._tally)
            return
        if self._thread is None:
            self._thread = Thread(target=self._run, daemon=True)
            self._thread.start()
        while size > 0:
            piece = min(size, _PIECE)
            self._jobs.put((start, piece, place))
            start, size, place = start + piece, size - piece, place + piece

    def settle(self) -> None:
        """Wait until all is copied."""
        self._stop()
        if self._faults:
            raise self._faults[0]

    def close(self) -> None:
        """Copy nothing more."""
        self._faults.append(EOFError("closed"))
        self._stop()

    def _stop(self) -> None:
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            if self._faults:
                continue
            start, size, place = job
            try:
                copy(self._source, start, size, self._target, place, self._tally)
            except BaseException as error:  # noqa: BLE001  # raised again where it is waited for
                self._faults.append(error)
