"""`builder build` that is stopped: by Ctrl-C, by `kill -9`, at any moment."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from builder.archive.wheel import verify_wheel
from builder.stage.store import TreeStore

if TYPE_CHECKING:
    from tests.e2e.conftest import Builder

pytestmark = pytest.mark.e2e

SAMPLE = (
    "sample",
    "--type",
    "manywheel",
    "--python",
    f"{sys.version_info[0]}.{sys.version_info[1]}",
)
MOMENTS = 20


def living(folder: Path) -> list[str]:
    """Processes that have to do with a folder: in their command line, environment or working folder."""
    mark, found = os.fsencode(folder), []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            texts = [(place / name).read_bytes() for name in ("cmdline", "environ")]
            texts.append(os.fsencode((place / "cwd").readlink()))
        except OSError:
            continue  # it ended, or it is a thread of the kernel
        if place.name != str(os.getpid()) and any(mark in text for text in texts):
            found.append(f"{place.name}: {texts[0]!r}")
    return found


def soon(condition: Callable[[], bool], seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while not (met := condition()) and time.monotonic() < deadline:
        threading.Event().wait(0.02)
    return met


def refuse_half_results(builder: Builder) -> None:
    """Every tree is whole, and every file in the output folder is a sound wheel."""
    store = TreeStore(builder.store)
    for tree in builder.trees:
        assert store.find(tree.name) is not None, f"half a tree: {tree}"
    for name in builder.packages:
        assert verify_wheel(builder.output / name) == ()


def finish(builder: Builder) -> None:
    """The next call ends well, and leaves nothing of the killed ones behind."""
    ran = builder.build(*SAMPLE)
    assert ran.code == 0, ran.err
    refuse_half_results(builder)
    assert len(builder.packages) == 1
    assert not [path for path in (builder.store / "work").iterdir() if path.name[:7] != "scratch"]


@pytest.fixture
def local(fresh: Builder) -> Builder:
    """A builder with a compiler cache of its own, so that compiling takes its time."""
    cache = fresh.folder / "cache"
    cache.mkdir()
    (fresh.cache / "uv").mkdir(parents=True, exist_ok=True)
    (cache / "uv").symlink_to(fresh.cache / "uv")
    return replace(fresh, cache=cache)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["INT", "TERM"])
def test_an_interrupted_build_ends_at_once_and_the_next_one_goes_on(
    local: Builder, number: signal.Signals
) -> None:
    def compiling() -> bool:
        return any("cc1plus" in process for process in living(local.store))

    call = local.start(*SAMPLE)
    assert soon(compiling, 120.0)
    call.send_signal(number)
    asked = time.monotonic()
    out, err = call.communicate()

    assert time.monotonic() - asked < 10.0
    assert (call.returncode, out) == (130, "")
    assert err.rstrip().endswith(
        "interrupted: finished stages are in the store, the same command goes on from there"
    )
    assert "Traceback" not in err
    assert living(local.store) == []
    assert (local.trees, local.packages) == ((), ())
    finish(local)


def test_an_index_that_does_not_answer_does_not_hold_an_interrupted_build(fresh: Builder) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/simple"
        variables = {"UV_DEFAULT_INDEX": url, "UV_HTTP_TIMEOUT": "60", "no_proxy": "127.0.0.1"}
        call = replace(fresh, variables=variables).start(*SAMPLE)
        silent.settimeout(60.0)
        connection, _ = silent.accept()
        call.send_signal(signal.SIGINT)
        asked = time.monotonic()
        _, err = call.communicate()
        connection.close()

    assert time.monotonic() - asked < 10.0
    assert call.returncode == 130, err
    assert living(fresh.store) == []


def test_kill_at_random_moments_leaves_nothing_half_done(local: Builder) -> None:
    finish(local)
    shutil.rmtree(local.store / "trees")
    started = time.monotonic()
    finish(local)
    whole = time.monotonic() - started
    moments = random.Random(20)  # noqa: S311 - the same moments each time, up to the scheduler
    killed = calls = 0
    while killed < MOMENTS:
        # By turns: a run with nothing built, and one that goes on where that was killed.
        anew = calls % 2 == 0
        if anew:
            shutil.rmtree(local.store / "trees", ignore_errors=True)
            shutil.rmtree(local.output, ignore_errors=True)
        call = local.start(*SAMPLE)
        calls += 1
        try:
            call.wait(moments.uniform(0.1, whole if anew else whole / 2))
        except subprocess.TimeoutExpired:
            killed += 1
            call.kill()
        call.communicate()
        assert soon(lambda: living(local.store) == []), living(local.store)
        refuse_half_results(local)
        assert calls < 3 * MOMENTS, "the runs end before they can be killed"

    finish(local)
