"""Stage inputs against the real package index, and every interpreter of this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from builder.config.machine import Machine
from builder.config.python import Python
from builder.config.recipe import IndexSdist
from builder.config.toolchain import Interpreter
from builder.errors import BuilderError
from builder.process import Processes
from builder.stage import environment, interpreters, source
from builder.stage.store import TreeStore

pytestmark = pytest.mark.e2e

LIGHTGBM = IndexSdist(
    "lightgbm", "4.6.0", "cb1c59720eb569389c0ba74d14f52351b573af489f230032a1c9f314f8bab7fe"
)


def machine(tmp_path: Path) -> Machine:
    path = [Path(word) for word in os.environ["PATH"].split(":") if word and "shims" not in word]
    network = {name: os.environ[name] for name in ("SSL_CERT_FILE",) if name in os.environ}
    return Machine(
        tuple(path), Path.home(), 2, "linux", "x86_64", network=network,
        python_roots=(Path.home() / ".pyenv" / "versions", Path("/opt/python")),
        cache=tmp_path / "cache", python=Path(sys.executable),
    )  # fmt: skip


def test_an_sdist_comes_from_the_index_once(tmp_path: Path) -> None:
    place, store = machine(tmp_path), TreeStore(tmp_path / "store")
    tree = source.fetch(LIGHTGBM, store, place, Processes())
    assert source.version_of(tree.root) == "4.6.0"
    assert (tree.root / "pyproject.toml").is_file()
    offline = replace(place, network={"HTTPS_PROXY": "http://127.0.0.1:9"})
    assert source.fetch(LIGHTGBM, store, offline, Processes()) == tree
    shutil.rmtree(store.sources)
    assert source.fetch(LIGHTGBM, store, offline, Processes()) == tree


def test_an_sdist_with_another_sha256_is_refused(tmp_path: Path) -> None:
    wrong = replace(LIGHTGBM, sha256="0" * 64)
    with pytest.raises(BuilderError, match="other bytes") as caught:
        source.fetch(wrong, TreeStore(tmp_path / "store"), machine(tmp_path), Processes())
    assert LIGHTGBM.sha256 in caught.value.faults[1]


def test_every_interpreter_gets_build_tools_of_its_own(tmp_path: Path) -> None:
    place, store = machine(tmp_path), TreeStore(tmp_path / "store")
    found = interpreters.find("all", place, Processes())
    supported = {python: found[python] for python in found if python >= Python.parse("3.7")}
    assert supported
    for python, interpreter in supported.items():
        assert isinstance(interpreter, Interpreter)
        pins = environment.lock(["setuptools", "wheel"], interpreter, store, place, Processes())
        made = environment.ensure(pins, interpreter, store, place, Processes())
        code = "import sys, setuptools; print('%d.%d' % sys.version_info[:2])"
        answer = subprocess.run(
            [str(made.python), "-c", code], check=True, capture_output=True, text=True
        )
        assert answer.stdout.strip() == python.version
        assert environment.known_lock(["setuptools", "wheel"], interpreter, store, place) == pins


def test_an_interpreter_that_moved_is_the_same(tmp_path: Path) -> None:
    place = machine(tmp_path)
    prefix = Path(sys.base_prefix)
    if prefix == Path("/usr"):
        pytest.skip("the interpreter of the system cannot be copied")
    moved = tmp_path / "elsewhere"
    ignore = shutil.ignore_patterns("site-packages", "test", "__pycache__")
    shutil.copytree(prefix, moved, symlinks=True, ignore=ignore)
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    answers = [
        next(iter(interpreters.find([root / "bin" / name], place, Processes()).values()))
        for root in (prefix, moved)
    ]
    assert all(isinstance(answer, Interpreter) for answer in answers)
    identities = {answer.identity for answer in answers if isinstance(answer, Interpreter)}
    assert len(identities) == 1
