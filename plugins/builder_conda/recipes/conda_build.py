"""The other engine: conda-build, where the user has it. It alone reads `meta.yaml`.

It solves and builds all variants in one process of its own; its packages are written again as ours are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from builder.config.machine import Machine
from builder.errors import BuilderError
from builder.process import Command, ProcessError, Processes

__all__ = ["META", "Call", "argv", "find", "run"]

META: Final = "meta.yaml"
_NAME: Final = "conda-build"
_USUAL: Final = ("miniforge3", "mambaforge", "miniconda3", "anaconda3", "conda")
_LIMIT: Final = 8 * 60 * 60.0


@dataclass(frozen=True, slots=True)
class Call:
    """What conda-build is asked: `channels` are URLs; `work` holds its folders, `output` its packages."""

    folder: Path
    output: Path
    work: Path
    channels: tuple[str, ...] = ()
    variants: tuple[Path, ...] = ()
    pythons: tuple[str, ...] = ()
    check: bool = True


def argv(program: tuple[str, ...], call: Call) -> tuple[str, ...]:
    """The whole command line. Touches nothing.

    Of its options, `recipe.yaml` takes few; for `meta.yaml` overlinking and overdepending are errors.
    """
    words = [
        *program,
        str(call.folder),
        "--output-folder",
        str(call.output),
        "--no-anaconda-upload",
    ]
    words.append("--override-channels")
    for url in call.channels:
        words += ["--channel", url]
    for path in (*call.variants, *((_pythons_file(call),) if call.pythons else ())):
        words += ["--variant-config-files", str(path)]
    if (call.folder / META).is_file():
        words += [
            "--croot",
            str(call.work / "croot"),
            "--error-overlinking",
            "--error-overdepending",
        ]
    if not call.check:
        words.append("--no-test")
    return tuple(words)


def find(machine: Machine) -> tuple[str, ...]:
    """How conda-build is called here. Raises `BuilderError` saying how to get it."""
    if find_spec("conda_build") is not None:
        return (str(machine.python), "-m", "conda_build")
    for folder in _folders(machine):
        if (folder / _NAME).is_file():
            return (str(folder / _NAME),)
    raise BuilderError(
        "there is no conda-build on this machine",
        faults=[f"looked into {folder}" for folder in _folders(machine)],
        hint="`conda install conda-build` into a base environment, and put its `bin` on PATH; "
        "a `recipe.yaml` needs none with `--engine rattler`",
    )


def run(
    program: tuple[str, ...], call: Call, machine: Machine, processes: Processes, log: Path
) -> tuple[Path, ...]:
    """Let conda-build make its packages, and give them back. Raises `ProcessError`."""
    for folder in (call.work / "home", call.work / "tmp", call.output):
        folder.mkdir(parents=True, exist_ok=True)
    if call.pythons:
        values = json.dumps({"python": list(call.pythons)})  # JSON is YAML
        _pythons_file(call).write_text(values, encoding="utf-8")
    environment = {
        **machine.network,
        "PATH": ":".join((str(Path(program[0]).parent), *map(str, machine.path))),
        "HOME": str(call.work / "home"),
        "TMPDIR": str(call.work / "tmp"),
        "LC_ALL": "C.UTF-8",
    }
    command = Command(
        argv(program, call), call.work, environment, title="conda-build", timeout=_LIMIT
    )
    processes.run(command, log=log)
    found = sorted(
        path for path in call.output.glob("*/*") if path.name.endswith((".conda", ".tar.bz2"))
    )
    if not found:
        raise ProcessError(
            "conda-build ended well and made no package",
            command=command,
            returncode=0,
            hint="the recipe may skip every variant",
            log=log,
        )
    return tuple(found)


def _pythons_file(call: Call) -> Path:
    return call.work / "pythons.yaml"


def _folders(machine: Machine) -> Iterator[Path]:
    yield machine.python.parent
    yield from machine.path
    for name in _USUAL:
        yield from (machine.home / name / "bin", Path("/opt") / name / "bin")
