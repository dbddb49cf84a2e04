"""`kill -9` of a process that builds: no orphan, no half tree, and the next call finishes."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import builder
from builder.stage.key import InputKey
from builder.stage.store import TreeStore, Workspace

pytestmark = pytest.mark.e2e

ROOT = Path(builder.__file__).parent.parent
KEY = InputKey("core", {"n": 1})

# Three commands at once; each has a child, a background grandchild and a proper daemon, all marked.
FAMILIES = """
import sys, threading
from pathlib import Path
from builder.process import Command, Processes

folder, mark = Path(sys.argv[1]), sys.argv[2]
daemon = '''
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for step in range(2):
    if os.fork():
        time.sleep(120 if step == 0 else 0)
        os._exit(0)
    os.setsid()
nothing = os.open(os.devnull, os.O_RDWR)
for descriptor in range(3):
    os.dup2(nothing, descriptor)
open(sys.argv[2], "w").close()
time.sleep(120)
'''
processes = Processes()
for number in range(3):
    script = '"$0" -c "$1" "$2" "$3" & sleep 120 & wait'
    words = ("sh", "-c", script, sys.executable, daemon, mark, str(folder / f"up{number}"))
    command = Command(words, folder, {"PATH": "/usr/bin:/bin", "MARK": mark})
    threading.Thread(target=processes.run, args=(command,)).start()
"""

# A tree of many files, written slowly by a command and by ourselves.
MAKE = """
import os, sys, time
from pathlib import Path
from builder.events import ignore
from builder.process import Command, Processes
from builder.stage.key import InputKey
from builder.stage.store import TreeStore

processes = Processes()
store = TreeStore(Path(sys.argv[1]), processes=processes)

def build(workspace):
    with open(store.root / "builds", "a") as stream:
        stream.write("x")
    script = 'for n in $(seq 40); do echo $n > content/a$n; sleep 0.002; done'
    environment = {"PATH": "/usr/bin:/bin", "MARK": sys.argv[2]}
    processes.run(Command(("sh", "-c", script), workspace.root, environment), log=workspace.log)
    for number in range(40):
        (workspace.content / f"b{number}").write_text(str(number))
        time.sleep(0.002)
    return {"files": 80}

print("ready", flush=True)
tree, hit = store.make(InputKey("core", {"n": 1}), build)
print(len(tree.entries), hit)
"""


def start(script: str, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        (sys.executable, "-c", script, *words),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]},
    )


def marked(mark: str) -> list[str]:
    """What runs with MARK in its environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"MARK={mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                found.append(folder.name)
        except OSError:
            continue
    return found


def soon(condition: Callable[[], bool], seconds: float = 60.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        threading.Event().wait(0.02)
    return condition()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["KILL", "TERM"])
def test_no_process_survives_a_killed_builder(number: signal.Signals, tmp_path: Path) -> None:
    mark = f"{tmp_path}"
    driver = start(FAMILIES, str(tmp_path), mark)
    files = [tmp_path / f"up{index}" for index in range(3)]
    assert soon(lambda: all(file.exists() for file in files))
    assert len(marked(mark)) == 3 * 4  # shell, sleep, and the daemon with its first parent
    driver.send_signal(number)
    driver.communicate()
    assert soon(lambda: marked(mark) == []), "processes are left"


def test_a_killed_make_leaves_no_half_tree_and_the_next_one_finishes(tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    (store / "trees").mkdir()
    moments = random.Random(2)  # noqa: S311 - the same moments each time, up to the scheduler
    for _ in range(20):
        driver = start(MAKE, str(store), f"{tmp_path}")
        assert driver.stdout is not None
        driver.stdout.readline()
        threading.Event().wait(moments.uniform(0.0, 0.35))
        driver.kill()
        driver.communicate()
        assert all(TreeStore(store).find(tree.name) for tree in (store / "trees").iterdir())
    driver = start(MAKE, str(store), f"{tmp_path}")
    out, err = driver.communicate()
    assert (out.splitlines()[1].split()[0], err) == ("80", "")
    assert list((store / "work").iterdir()) == []
    assert soon(lambda: marked(f"{tmp_path}") == [])


def test_a_lock_outlives_a_killed_builder_until_its_commands_are_gone(tmp_path: Path) -> None:
    script = MAKE.replace("'for n in", '\'trap "" TERM; touch armed; sleep 60; for n in')
    first = start(script, str(tmp_path / "store"), f"{tmp_path}")
    assert soon((tmp_path / "store" / "work" / KEY.digest[:16] / "armed").exists)
    first.kill()
    first.communicate()
    running: list[str] = []

    def build(workspace: Workspace) -> dict[str, object]:
        running.extend(marked(f"{tmp_path}"))
        (workspace.content / "new").touch()
        return {}

    tree, hit = TreeStore(tmp_path / "store").make(KEY, build)
    assert (running, hit) == ([], False)
    assert [entry.path for entry in tree.entries] == ["new"]


def test_processes_that_make_the_same_tree_build_it_once(tmp_path: Path) -> None:
    drivers = [start(MAKE, str(tmp_path / "store"), f"{tmp_path}") for _ in range(4)]
    results = [driver.communicate() for driver in drivers]
    assert [err for _, err in results] == [""] * 4
    assert sorted(out for out, _ in results) == ["ready\n80 False\n"] + ["ready\n80 True\n"] * 3
    assert (tmp_path / "store" / "builds").read_text(encoding="ascii") == "x"
    assert TreeStore(tmp_path / "store").find(KEY) is not None
