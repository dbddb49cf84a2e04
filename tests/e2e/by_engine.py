"""`builder repair` as a process, with any engine; delocate gets LLVM under Apple's names."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from benchmarks import shims, wheels
from tests.e2e import unbundle

__all__ = ["Made", "needs_llvm", "repair", "repair_by_both"]

needs_llvm = pytest.mark.skipif(
    not any(shutil.which(f"llvm-install-name-tool{end}") for end in ("", "-19", "-18", "-17")),
    reason="delocate on Linux needs LLVM",
)


@dataclass(frozen=True, slots=True)
class Made:
    """The written wheel, and what the document says about it."""

    wheel: Path
    entry: dict[str, Any]

    @property
    def grafted(self) -> list[str]:
        """The paths of what was grafted."""
        return sorted(row["as"] for row in self.entry["grafted"])


def repair(engine: str, wheel: Path, libraries: Path, out: Path, *words: str) -> Made:
    """Repair one wheel; what the command says on stderr is the message when it fails."""
    variables = {**os.environ, "BUILDER_CACHE": str(out.with_name("cache"))}
    if engine == "delocate":
        tools = out.with_name("tools")
        shutil.rmtree(tools, ignore_errors=True)
        variables["PATH"] = f"{shims.write(tools)}{os.pathsep}{variables['PATH']}"
    command = (sys.executable, "-m", "builder", "repair", "--json", "--engine", engine)
    done = subprocess.run(
        (*command, "-w", str(out), "--add-path", str(libraries), *words, str(wheel)),
        capture_output=True, text=True, check=False, env=variables,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (entry,) = json.loads(done.stdout)["repaired"]
    return Made(Path(entry["output"]), entry)


def repair_by_both(name: str, other: str, folder: Path, *words: str) -> tuple[Made, Made]:
    """A published wheel, taken apart and repaired by our engine and by another one."""
    libraries = folder / "libraries"
    given = unbundle.unbundle(wheels.fetch(name), folder / "given", libraries)
    ours = repair("native", given, libraries, folder / "ours", *words)
    theirs = repair(other, given, libraries, folder / "theirs", *words)
    return ours, theirs
