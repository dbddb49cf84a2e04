"""Work on several threads: its results in order, or begun before somebody waits for it.

The pool of the standard library is slow to import, so it is only met where there is enough to do.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import TYPE_CHECKING, Self, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

__all__ = ["Workers", "in_order", "on_each"]

T = TypeVar("T")


class Workers:
    """Threads for what is begun early; what none of them has begun is dropped at the end.

    There is none with a count of 1, nor before what was asked for has `worth` bytes. What has less
    than `trifle` bytes is done at once.
    """

    def __init__(self, threads: int, worth: int = 0, *, trifle: int = 0) -> None:
        self._threads, self._worth, self._trifle = threads, worth, trifle
        self._asked = 0
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def begin(self, work: Callable[[], T], size: int = 0) -> Callable[[], T]:
        """Begin a work on so many bytes; its result is what the call gives."""
        if size < self._trifle:
            done = work()
            return lambda: done
        self._asked += size
        if self._threads == 1 or self._asked < self._worth:
            return work
        if self._pool is None:
            from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415  # as said above

            self._pool = ThreadPoolExecutor(self._threads)
        return self._pool.submit(work).result


def in_order(jobs: Iterable[Callable[[], T]], threads: int) -> Iterator[T]:
    """The results of all jobs in their order; at most twice as many under way as there are threads.

    `threads` 0 means one per core. A single job, and any with one thread, runs in the caller's.
    """
    count = threads or os.cpu_count() or 1
    queue = iter(jobs)
    first = list(islice(queue, 2))
    if count == 1 or len(first) < 2:  # noqa: PLR2004 - one job has nothing to run beside
        for job in chain(first, queue):
            yield job()
        return
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415  # as said above

    ahead: deque[Future[T]] = deque()
    with ThreadPoolExecutor(count) as pool:
        try:
            for job in chain(first, queue):
                ahead.append(pool.submit(job))
                if len(ahead) >= 2 * count:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()


def on_each(work: Callable[[T], None], items: Iterable[T], threads: int) -> None:
    """Do the work on every item, each thread taking the next; the first error ends it and is raised.

    For many small works: it costs less than a pool, and starts no thread with a count of 1.
    """
    jobs = iter(items)
    if threads < 2:  # noqa: PLR2004  # the caller's own
        for item in jobs:
            work(item)
        return
    from threading import Lock, Thread  # noqa: PLC0415  # as said above

    lock = Lock()
    faults: list[BaseException] = []

    def run() -> None:
        try:
            while not faults:
                with lock:
                    item = next(jobs, None)
                if item is None:
                    return
                work(item)
        except BaseException as error:  # noqa: BLE001  # raised again below, where it belongs
            faults.append(error)

    others = [Thread(target=run, daemon=True) for _ in range(threads - 1)]
    for thread in others:
        thread.start()
    run()
    for thread in others:
        thread.join()
    if faults:
        raise faults[0]
