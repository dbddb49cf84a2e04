"""Locks between processes: flock(2) on a file that stays, or its Windows counterpart.

A lock is gone when its holder is, however it ended; threads of one process exclude each other too.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["exclusive"]

_BEAT = 0.05  # seconds; waiting in the system's hands could not be given up on Ctrl-C


@contextmanager
def exclusive(path: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[int]:
    """Hold the lock on `path`, whose folder exists; the value is the descriptor of the locked file.

    `waiting` is called again and again while somebody else holds it, and gives up by raising.
    Raises OSError if the file cannot be made.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        while not _take(descriptor):
            waiting()
            time.sleep(_BEAT)
        try:
            yield descriptor
        finally:
            _release(descriptor)
    finally:
        os.close(descriptor)


if sys.platform == "win32":
    import msvcrt

    def _take(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _release(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _take(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _release(descriptor: int) -> None:
        # Said aloud, because a process that inherited the descriptor may still have it open.
        fcntl.flock(descriptor, fcntl.LOCK_UN)
