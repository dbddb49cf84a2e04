from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

import pytest

from builder.errors import BuilderError, Interrupted
from builder.verbs.schedule import Failed, Node, run_graph

Results = Mapping[str, "str | Failed"]


def nothing() -> None:
    """Stop nothing: these jobs end by themselves."""


def gives(text: str) -> Callable[[Results], str]:
    return lambda _: text


def fails(message: str) -> Callable[[Results], str]:
    def work(_: Results) -> str:
        raise BuilderError(message)

    return work


def test_a_job_gets_the_results_of_what_it_needs() -> None:
    nodes = [
        Node("core", gives("tree")),
        Node("wheel", lambda done: f"{done['core']} in a wheel", needs=("core",)),
    ]

    assert run_graph(nodes, 2, stop=nothing) == {"core": "tree", "wheel": "tree in a wheel"}


def test_a_failure_takes_only_its_own_down() -> None:
    nodes = [
        Node("core", fails("no compiler")),
        Node("wheel", gives("wheel"), needs=("core",)),
        Node("check", gives("checked"), needs=("wheel",)),
        Node("other", gives("fine")),
    ]

    results = run_graph(nodes, 1, stop=nothing)

    assert results["other"] == "fine"
    for name in ("core", "wheel", "check"):
        failed = results[name]
        assert isinstance(failed, Failed)
        assert failed.node == "core"
        assert str(failed.error) == "no compiler"


def test_after_waits_for_the_end_and_not_for_success() -> None:
    nodes = [
        Node("late", lambda done: type(done["pilot"]).__name__, after=("pilot",)),
        Node("pilot", fails("broken")),
    ]

    assert run_graph(nodes, 2, stop=nothing)["late"] == "Failed"


@pytest.mark.parametrize("jobs", [1, 2, 5])
def test_never_more_jobs_than_asked_for(jobs: int) -> None:
    lock, running, highest = threading.Lock(), [0], [0]

    def work(_: Results) -> str:
        with lock:
            running[0] += 1
            highest[0] = max(highest[0], running[0])
        threading.Event().wait(0.005)
        with lock:
            running[0] -= 1
        return "done"

    run_graph([Node(str(number), work) for number in range(12)], jobs, stop=nothing)

    assert highest[0] <= jobs


@pytest.mark.parametrize("error", [Interrupted("stopped"), ZeroDivisionError("our bug")])
def test_an_interruption_or_a_bug_stops_everything(error: Exception) -> None:
    stopped = []

    def work(_: Results) -> str:
        raise error

    with pytest.raises(type(error)):
        run_graph([Node("job", work)], 1, stop=lambda: stopped.append("yes"))

    assert stopped == ["yes"]


def test_jobs_that_wait_for_each_other_are_our_own_bug() -> None:
    nodes = [
        Node("egg", gives("egg"), needs=("hen",)),
        Node("hen", gives("hen"), needs=("egg",)),
    ]

    with pytest.raises(AssertionError, match="wait for each other"):
        run_graph(nodes, 1, stop=nothing)
