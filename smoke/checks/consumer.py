"""The check that uses a core tree as a C++ user would: find_package, compile, link, run."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from builder.config.consumer import NOTHING, Project, Step, project_text, tools_for
from builder.config.recipe import Consumer
from builder.process import Command, ProcessError, toolchain_environment
from smoke.catalogue import Check, Outcome, Skip
from smoke.endings import ending
from smoke.subject import Core, Subject

__all__ = ["CHECKS"]

_SHOWN = 4


def _consumer(subject: Subject) -> Outcome | Skip:
    core, consumer = subject.core, subject.checks.consumer
    if consumer is None:
        return Skip("the recipe names no C++ consumer")
    if core is None:
        return Skip("no core tree was given")
    for names in tools_for(core.os):
        if not _program(core, *names):
            return Skip(f"there is no {' or '.join(names)} on this machine")
    source = core.recipe / consumer.source
    if not source.is_file():
        return Outcome((f"{consumer.source}: is not in the recipe's folder",))
    return _build_and_run(core, consumer, source, subject.checks.timeout)


def _build_and_run(core: Core, consumer: Consumer, source: Path, timeout: float) -> Outcome | Skip:
    """Whether the consumer configures, compiles and runs. Without compilers it is left out."""
    project = _project(core, "consumer", project_text(consumer, source))
    for step in project.steps(core.prefix):
        fault = _fault(core, step, timeout)
        if fault and step.name == "configure":
            empty = _project(core, "nothing", NOTHING)
            if other := _fault(core, empty.configured(), timeout):
                return Skip(f"CMake finds no compilers on this machine: {other}")
        if fault:
            return Outcome((f"{consumer.source}: does not {step.name}: {fault}",))
    return Outcome()


def _project(core: Core, name: str, text: str) -> Project:
    folder = core.scratch / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "CMakeLists.txt").write_text(text, encoding="utf-8")
    ninja = core.os != "windows" and not _program(core, "make")
    build = core.scratch / f"{name}-build"
    return Project(_program(core, "cmake"), folder, build, core.os, ninja)


def _fault(core: Core, step: Step, timeout: float) -> str:
    """How a step ended badly, with what it said from its first error on, or nothing."""
    title = Path(step.argv[0]).name
    system = "nt" if core.os == "windows" else "posix"
    environment = toolchain_environment(core.scratch, (*step.path, *core.path), system)
    command = Command(step.argv, core.scratch, environment, title=title, timeout=timeout)
    try:
        completed = core.processes.run(command, check=False)
    except ProcessError as error:
        return error.message
    lines = [line.strip() for line in completed.last_lines if line.strip()]
    first = next((at for at, line in enumerate(lines) if "error" in line.lower()), len(lines))
    said = " | ".join(lines[first : first + _SHOWN])
    fault = ending(completed)
    return f"{fault} ({said})" if fault and said else fault


def _program(core: Core, *names: str) -> str:
    """The first of these programs that is installed, or nothing."""
    search = os.pathsep.join(map(str, core.path))
    return next(filter(None, (shutil.which(name, path=search) for name in names)), "")


CHECKS = (
    Check(
        "consumer.cpp",
        "A C++ program finds the core tree with CMake, compiles, links and runs against it.",
        ("wheel", "folder", "environment"),
        "core",
        "install a CMake package config that names targets relative to itself, and every header",
        _consumer,
    ),
)
