"""The core stage: the Python-independent C++ of a project, compiled once per accelerator and ABI into a tree."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from builder.config.apply import expand
from builder.config.plan import Step
from builder.config.recipe import CMake, CoreStage
from builder.config.spec import BuildSpec
from builder.errors import BuilderError
from builder.stage import compilers, environment, system
from builder.stage.key import InputKey
from builder.stage.source import SourceTree
from builder.stage.store import Workspace
from builder.stage.tree import Tree
from builder.stage.workbench import (
    Workbench,
    expand_all,
    meaning,
    run_step,
    shim_folder,
    stage_environment,
    target_facts,
)

__all__ = ["CoreJob", "build_core", "plan_core"]

_FORMAT = 1
_ABI_FLAGS = {
    "cxx11": "-D_GLIBCXX_USE_CXX11_ABI=1",
    "precxx11": "-D_GLIBCXX_USE_CXX11_ABI=0",
}


@dataclass(frozen=True, slots=True)
class CoreJob:
    """One planned core stage: everything needed to run it, or to find that it need not run."""

    spec: BuildSpec
    stage: CoreStage
    source: SourceTree
    key: InputKey
    steps: tuple[Step, ...]
    tools: tuple[str, ...]

    @property
    def title(self) -> str:
        """What displays call this job."""
        return f"core {self.spec.target.accelerator}"


def plan_core(spec: BuildSpec, source: SourceTree, bench: Workbench) -> CoreJob | None:
    """Decide what the core stage is. Raises `BuilderError`.

    None for a recipe without one, and for a finished wheel, in which everything is compiled.
    """
    stage = spec.recipe.core
    if stage is None or spec.finished_wheel is not None:
        return None
    values = meaning(spec)
    tools = environment.lock(
        stage.requires, bench.host, bench.store, bench.machine, bench.processes
    )
    parts: dict[str, object] = {
        "format": _FORMAT,
        "source": source.digest,
        "epoch": source.epoch,
        "stage": _text(stage, values),
        "target": target_facts(spec, python=False),
        "tools": list(tools),
        "system": system.installed(stage.system, bench.machine, bench.processes),
    }
    if flags := _ABI_FLAGS.get(spec.target.abi):
        parts["flags"] = flags
    return CoreJob(spec, stage, source, InputKey("core", parts), _steps(stage, values), tools)


def build_core(job: CoreJob, bench: Workbench) -> tuple[Tree, bool]:
    """The core tree, and whether the store had it. Raises `BuilderError` with the log's last lines."""
    return bench.store.make(job.key, lambda workspace: _compile(job, bench, workspace))


def _text(stage: CoreStage, values: Mapping[str, str]) -> dict[str, object]:
    """The stage's own recipe text as it counts: placeholders with a meaning filled in, paths left out."""
    cmake = None
    if stage.cmake is not None:
        cmake = {**asdict(_plain(stage.cmake)), "options": expand_all(stage.cmake.options, values)}
        cmake["targets"] = list(stage.cmake.targets)
    return {
        "cmake": cmake,
        "commands": [[expand(word, values) for word in argv] for argv in stage.commands],
        "environment": expand_all(stage.environment, values),
    }


def _plain(cmake: CMake) -> CMake:
    return CMake(source=cmake.source, targets=cmake.targets, options={})


def _steps(stage: CoreStage, values: Mapping[str, str]) -> tuple[Step, ...]:
    if stage.cmake is None:
        return tuple(
            Step(tuple(expand(word, values) for word in argv), directory=values["source"])
            for argv in stage.commands
        )
    source = f"{values['source']}/{stage.cmake.source}".removesuffix("/.")
    options = expand_all(stage.cmake.options, values)
    configure = (
        "cmake", "-S", source, "-B", values["build"], "-G", "Ninja",
        "-DCMAKE_BUILD_TYPE=Release",
        f"-DCMAKE_INSTALL_PREFIX={values['prefix']}",
        "-DCMAKE_INSTALL_LIBDIR=lib",
        *(f"-D{name}={text}" for name, text in options.items()),
    )  # fmt: skip
    targets = ("--target", *stage.cmake.targets) if stage.cmake.targets else ()
    return (
        Step(configure),
        Step(("cmake", "--build", values["build"], "--parallel", values["jobs"], *targets)),
        Step(("cmake", "--install", values["build"])),
    )


def _with_abi(declared: Mapping[str, str], abi: str) -> Mapping[str, str]:
    """The declared environment with what makes the compiler use a C++ ABI; CMake reads it, too."""
    if abi not in _ABI_FLAGS:
        return declared
    flags = (declared.get("CXXFLAGS", ""), _ABI_FLAGS[abi])
    return {**declared, "CXXFLAGS": " ".join(filter(None, flags))}


def _compile(job: CoreJob, bench: Workbench, workspace: Workspace) -> dict[str, object]:
    started = time.monotonic()
    values = {
        **meaning(job.spec),
        "source": str(job.source.root),
        "build": str(workspace.root / "build"),
        "prefix": str(workspace.content),
        "jobs": str(bench.machine.cores),
    }
    if job.stage.cmake is None:
        # Commands may write where they stand; CMake builds beside its source.
        values["source"] = str(job.source.copy(workspace.root / "source"))
    toolbox = environment.ensure(job.tools, bench.host, bench.store, bench.machine, bench.processes)
    shims = compilers.prepare(
        shim_folder(workspace),
        job.spec.toolchain,
        bench.machine,
        roots={
            "source": Path(values["source"]),
            "build": workspace.root,
            "environment": toolbox.root,
        },
        store=bench.store.root,
        epoch=job.source.epoch,
    )
    declared = _with_abi(expand_all(job.stage.environment, values), job.spec.target.abi)
    variables = stage_environment(workspace, bench.machine, shims, toolbox.path, declared)
    for step in _steps(job.stage, values):
        run_step(bench, workspace, step, variables, job.title)
    if not any(workspace.content.iterdir()):
        raise BuilderError(
            f"the core stage of `{job.spec.recipe.name}` installed nothing",
            hint="its commands must install below {prefix}; with CMake, check the install() rules",
            log=str(workspace.log),
        )
    return {
        "prefix": str(workspace.content),
        "epoch": job.source.epoch,
        "compiler_runs": compilers.count(shim_folder(workspace)),
        "seconds": round(time.monotonic() - started, 3),
    }
