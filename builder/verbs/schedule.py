"""Run a graph of jobs on a few threads: what is independent runs side by side, what fails takes only its own down."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Generic, TypeVar

from builder.errors import BuilderError, Interrupted

__all__ = ["Failed", "Node", "run_graph"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Failed:
    """A job that did not succeed; `node` is the one that really failed, here or among its needs."""

    node: str
    error: BuilderError


@dataclass(frozen=True, slots=True)
class Node(Generic[T]):
    """One job. It starts when all `needs` succeeded and all `after` ended; `work` gets every result so far."""

    name: str
    work: Callable[[Mapping[str, T | Failed]], T]
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


def run_graph(
    nodes: Sequence[Node[T]], jobs: int, *, stop: Callable[[], None]
) -> Mapping[str, T | Failed]:
    """The result of every node, by name, whatever happened to the others.

    On Ctrl-C `stop` is called (it must end the running jobs), the threads are joined, and `Interrupted` is raised.
    Any error but a `BuilderError` is a bug of ours and is raised.
    """
    waiting = {node.name: node for node in nodes}
    results: dict[str, T | Failed] = {}
    running: dict[Future[T], str] = {}
    pool = ThreadPoolExecutor(max_workers=jobs, thread_name_prefix="builder")
    try:
        while waiting or running:
            _start_ready(waiting, running, results, pool, jobs)
            if not running:
                assert not waiting, f"these jobs wait for each other: {sorted(waiting)}"
                break
            ended = wait(running, return_when=FIRST_COMPLETED).done
            for future in ended:
                _settle(running.pop(future), future, results)
    except BaseException:
        stop()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return results


def _start_ready(
    waiting: dict[str, Node[T]],
    running: dict[Future[T], str],
    results: dict[str, T | Failed],
    pool: ThreadPoolExecutor,
    jobs: int,
) -> None:
    """Start what can start, and fail what needs something that failed, until nothing changes."""
    changed = True
    while changed:
        changed = False
        for name, node in list(waiting.items()):
            if not all(other in results for other in (*node.needs, *node.after)):
                continue
            broken = next(
                (found for other in node.needs if isinstance(found := results[other], Failed)), None
            )
            if broken is not None:
                results[name] = broken
            elif len(running) < jobs:
                running[pool.submit(node.work, dict(results))] = name
            else:
                continue
            del waiting[name]
            changed = True


def _settle(name: str, future: Future[T], results: dict[str, T | Failed]) -> None:
    """Write down what a job came to; an interruption or a bug is raised."""
    try:
        results[name] = future.result()
    except Interrupted:
        raise
    except BuilderError as error:
        results[name] = Failed(name, error)
