"""The check that uses a core tree as a C++ user would: find_package, compile, link, run."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from builder.config.recipe import Consumer
from builder.process import Command, ProcessError
from smoke.catalogue import Check, Outcome, Skip
from smoke.endings import ending
from smoke.probing import clean_environment
from smoke.subject import Core, Subject

__all__ = ["CHECKS", "project_text"]

_SHOWN = 4
_TOOLS = (("cmake",), ("c++", "g++", "clang++"), ("make", "ninja"))


def project_text(consumer: Consumer, source: Path) -> str:
    """The CMakeLists.txt of a project that uses nothing but the package."""
    return "\n".join(
        (
            "cmake_minimum_required(VERSION 3.15)",
            "project(consumer LANGUAGES C CXX)",
            f"find_package({consumer.package} REQUIRED CONFIG)",
            f'add_executable(consumer "{source.as_posix()}")',
            f"target_link_libraries(consumer PRIVATE {' '.join(consumer.targets)})",
            "",
        )
    )


def _consumer(subject: Subject) -> Outcome | Skip:
    core, consumer = subject.core, subject.checks.consumer
    if consumer is None:
        return Skip("the recipe names no C++ consumer")
    if core is None:
        return Skip("no core tree was given")
    for names in _TOOLS:
        if not any(shutil.which(name, path=_search(core)) for name in names):
            return Skip(f"there is no {' or '.join(names)} on this machine")
    source = core.recipe / consumer.source
    if not source.is_file():
        return Outcome((f"{consumer.source}: is not in the recipe's folder",))
    fault = _build_and_run(core, consumer, source, subject.checks.timeout)
    return Outcome((f"{consumer.source}: {fault}",) if fault else ())


def _build_and_run(core: Core, consumer: Consumer, source: Path, timeout: float) -> str:
    """Why the consumer does not configure, compile or run, or nothing."""
    project, build = core.scratch / "consumer", core.scratch / "consumer-build"
    project.mkdir(parents=True, exist_ok=True)
    (project / "CMakeLists.txt").write_text(project_text(consumer, source), encoding="utf-8")
    configure = (
        "cmake",
        *("-S", str(project), "-B", str(build)),
        f"-DCMAKE_PREFIX_PATH={core.prefix}",
        "-DCMAKE_BUILD_TYPE=Release",
        "-DCMAKE_FIND_USE_PACKAGE_REGISTRY=OFF",
    )
    steps = {
        "configure": configure,
        "compile and link": ("cmake", "--build", str(build)),
        "run": (str(build / "consumer"),),
    }
    for name, argv in steps.items():
        fault = _fault(core, argv, timeout)
        if fault:
            return f"does not {name}: {fault}"
    return ""


def _fault(core: Core, argv: tuple[str, ...], timeout: float) -> str:
    """How a step ended badly, with what it said from its first error on, or nothing."""
    environment = clean_environment(core.scratch, core.path)
    command = Command(argv, core.scratch, environment, title=Path(argv[0]).name, timeout=timeout)
    try:
        completed = core.processes.run(command, check=False)
    except ProcessError as error:
        return error.message
    lines = [line.strip() for line in completed.last_lines if line.strip()]
    first = next((at for at, line in enumerate(lines) if "error" in line.lower()), len(lines))
    said = " | ".join(lines[first : first + _SHOWN])
    fault = ending(completed)
    return f"{fault} ({said})" if fault and said else fault


def _search(core: Core) -> str:
    return os.pathsep.join(map(str, core.path))


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
