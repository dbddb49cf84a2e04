"""The real command in processes of its own, with stores and caches that belong to the tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from builder.config.legacy import VARIABLES

HOST = f"{sys.version_info[0]}.{sys.version_info[1]}"


@dataclass(frozen=True, slots=True)
class Ran:
    """How a call ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """What `--json` printed."""
        found: dict[str, Any] = json.loads(self.out)
        return found

    @property
    def hits(self) -> dict[str, list[bool]]:
        """For each stage whether it was a hit, once per package."""
        stages = [stage for package in self.document["artifacts"] for stage in package["stages"]]
        names = dict.fromkeys(stage["name"] for stage in stages)
        return {name: [s["hit"] for s in stages if s["name"] == name] for name in names}


@dataclass(frozen=True, slots=True)
class Builder:
    """The command with one store, one cache and one output folder."""

    cache: Path
    store: Path
    output: Path
    folder: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """The caller's environment without what a CI system or an old script would say."""
        unwanted = ("CI", "GITHUB_", *VARIABLES)
        own = {k: v for k, v in os.environ.items() if not k.startswith(unwanted)}
        return {**own, "BUILDER_CACHE": str(self.cache), **self.variables}

    def words(self, *words: str) -> tuple[str, ...]:
        """The whole command line of `build`."""
        places = ("--store", str(self.store), "--output-dir", str(self.output))
        return (sys.executable, "-m", "builder", "build", *words, *places)

    def start(self, *words: str) -> subprocess.Popen[str]:
        """`build`, in a process group of its own."""
        return subprocess.Popen(
            self.words(*words), cwd=self.folder, env=self.environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip

    def build(self, *words: str) -> Ran:
        """`build`, to its end."""
        process = self.start(*words)
        out, err = process.communicate()
        return Ran(process.returncode, out, err)

    @property
    def trees(self) -> tuple[Path, ...]:
        """What is in the store."""
        return tuple(sorted(self.store.glob("trees/*")))

    @property
    def packages(self) -> tuple[str, ...]:
        """The names of everything in the output folder."""
        return tuple(sorted(path.name for path in self.output.glob("*")))


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for all tests of a session, also when several processes run them."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "shared"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture
def fresh(tmp_path: Path, shared: Path) -> Builder:
    """The command with an empty store. Downloads and compiler results are those of the session."""
    return Builder(shared / "cache", tmp_path / "store", tmp_path / "dist", tmp_path)


@pytest.fixture(scope="session")
def _sample_in_store(shared: Path) -> Path:
    """The session's store, in which `sample` is built for the interpreter that runs the tests."""
    builder = Builder(shared / "cache", shared / "store", shared / "dist", shared)
    ran = builder.build("sample", "--type", "manywheel", "--python", HOST, "--no-check")
    assert ran.code == 0, ran.err
    return builder.store


@pytest.fixture
def warm(tmp_path: Path, shared: Path, _sample_in_store: Path) -> Builder:
    """The command with the session's store."""
    return Builder(shared / "cache", _sample_in_store, tmp_path / "dist", tmp_path)
