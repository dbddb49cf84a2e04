"""The python stage: one raw wheel per interpreter, through PEP 517 or the recipe's commands.

Build requirements are resolved once, locked, and installed at a stable path, so that compiler caches hit
and the lock enters the input key. The backend is called in that environment; nothing is isolated in a random folder.
"""

from __future__ import annotations

import shutil
import time
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from builder.config.apply import expand
from builder.config.plan import Step
from builder.config.recipe import PythonStage
from builder.config.spec import BuildSpec
from builder.config.toolchain import Interpreter
from builder.errors import BuilderError, UsageError
from builder.process import Command
from builder.stage import compilers, environment, system
from builder.stage.key import InputKey
from builder.stage.listing import describe, digest, walk
from builder.stage.source import SourceTree
from builder.stage.store import Workspace
from builder.stage.tree import Tree
from builder.stage.workbench import (
    Workbench,
    expand_all,
    meaning,
    run_step,
    search_path,
    shim_folder,
    stage_environment,
    target_facts,
)

__all__ = ["BuildSystem", "PythonJob", "build_python", "plan_python", "read_build_system"]

_FORMAT = 2
_LEGACY_BACKEND = "setuptools.build_meta:__legacy__"
_LIMIT = 4 * 60 * 60.0


@dataclass(frozen=True, slots=True)
class BuildSystem:
    """The `[build-system]` table of a project, with PEP 517's defaults where it is silent."""

    requires: tuple[str, ...] = ("setuptools>=40.8.0", "wheel")
    backend: str = _LEGACY_BACKEND
    backend_path: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PythonJob:
    """One planned python stage."""

    spec: BuildSpec
    stage: PythonStage
    source: SourceTree
    interpreter: Interpreter
    system: BuildSystem
    key: InputKey
    steps: tuple[Step, ...]
    requirements: tuple[str, ...]
    tools: tuple[str, ...]

    @property
    def title(self) -> str:
        """What displays call this job."""
        return f"python {self.spec.target.python} {self.spec.target.accelerator}"


def read_build_system(folder: Path) -> BuildSystem:
    """The build system of the project in `folder`. Raises `UsageError` when it is no PEP 517 project."""
    file = folder / "pyproject.toml"
    if not file.is_file():
        if (folder / "setup.py").is_file():
            return BuildSystem()
        raise UsageError(
            f"`{folder.name}` has neither `pyproject.toml` nor `setup.py`",
            hint="point `python.subdirectory` of the recipe at the folder that has one",
        )
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8")).get("build-system")
        return BuildSystem() if table is None else _checked(table)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, TypeError) as error:
        raise UsageError(
            f"`pyproject.toml` has no valid [build-system] table: {error}",
            hint="see the specification `pyproject.toml`, table build-system",
        ) from error


def _checked(table: object) -> BuildSystem:
    """A [build-system] table as PEP 518 has it. Raises `TypeError`."""
    if not isinstance(table, dict):
        raise TypeError("it is no table")
    backend = table.get("build-backend", _LEGACY_BACKEND)
    if not isinstance(backend, str):
        raise TypeError("`build-backend` is no text")
    if "requires" not in table:
        raise TypeError("`requires` is missing")
    for name in ("requires", "backend-path"):
        words = table.get(name, [])
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise TypeError(f"`{name}` is no list of texts")
    return BuildSystem(tuple(table["requires"]), backend, tuple(table.get("backend-path", ())))


def plan_python(
    spec: BuildSpec, source: SourceTree, core: InputKey | None, bench: Workbench
) -> PythonJob:
    """Decide what the python stage of one target is. Raises `BuilderError`."""
    stage, interpreter = spec.recipe.python, spec.interpreter
    assert stage is not None
    assert interpreter is not None
    values = meaning(spec)
    build_system = (
        BuildSystem((), "")
        if stage.commands
        else read_build_system(source.root / stage.subdirectory)
    )
    requirements = tuple(dict.fromkeys((*build_system.requires, *stage.requires)))
    tools = environment.lock(requirements, interpreter, bench.store, bench.machine, bench.processes)
    parts: dict[str, object] = {
        "format": _FORMAT,
        "source": source.digest,
        "epoch": source.epoch,
        "core": core.digest if core else "",
        "stage": _text(spec, stage, values),
        "recipe": _recipe_files(spec, stage),
        "build-system": [build_system.backend, *build_system.backend_path],
        "target": target_facts(spec, python=True),
        "tools": list(tools),
        "system": system.installed(stage.system, bench.machine, bench.processes),
    }
    steps = (*_steps(stage.prepare, values), *_steps(stage.commands, values))
    if not stage.commands:
        steps = (*steps, Step((build_system.backend, "build_wheel", "{dist}"), values["source"]))
    return PythonJob(
        spec, stage, source, interpreter, build_system, InputKey("python", parts), steps,
        requirements, tools,
    )  # fmt: skip


def build_python(job: PythonJob, core: Tree | None, bench: Workbench) -> tuple[Tree, bool]:
    """A tree that holds one raw wheel, and whether the store had it. Raises `BuilderError`."""
    return bench.store.make(job.key, lambda workspace: _build(job, core, bench, workspace))


def _text(spec: BuildSpec, stage: PythonStage, values: Mapping[str, str]) -> dict[str, object]:
    return {
        "subdirectory": stage.subdirectory,
        "prepare": [[expand(word, values) for word in argv] for argv in stage.prepare],
        "commands": [[expand(word, values) for word in argv] for argv in stage.commands],
        "config": expand_all(stage.config_settings, values),
        "environment": expand_all(stage.environment, values),
        "version": dict.fromkeys(spec.recipe.version.environment, spec.version),
    }


def _recipe_files(spec: BuildSpec, stage: PythonStage) -> str:
    """A digest of the recipe's own files, when a command or a value may read them."""
    words = [word for argv in (*stage.prepare, *stage.commands) for word in argv]
    if not any("{recipe}" in text for text in (*words, *stage.environment.values())):
        return ""
    folder = spec.recipe.folder
    return digest(describe(folder, walk(folder)))


def _steps(commands: Sequence[tuple[str, ...]], values: Mapping[str, str]) -> tuple[Step, ...]:
    return tuple(
        Step(tuple(expand(word, values) for word in argv), directory=values["source"])
        for argv in commands
    )


def _build(
    job: PythonJob, core: Tree | None, bench: Workbench, workspace: Workspace
) -> dict[str, object]:
    started = time.monotonic()
    copy = job.source.copy(workspace.root / "source")
    project = copy / job.stage.subdirectory
    toolbox = environment.ensure(
        job.tools, job.interpreter, bench.store, bench.machine, bench.processes
    )
    values = {
        **meaning(job.spec),
        "source": str(project),
        "build": str(workspace.root / "build"),
        "prefix": str(workspace.content),
        "dist": str(workspace.content),
        "jobs": str(bench.machine.cores),
        "python": str(toolbox.python),
        "recipe": str(job.spec.recipe.folder),
        "core": str(core.root) if core else "",
    }
    variables = _variables(job, core, bench, workspace, toolbox, values)
    for step in _steps(job.stage.prepare, values):
        run_step(bench, workspace, step, variables, job.title)
    if job.stage.commands:
        for step in _steps(job.stage.commands, values):
            run_step(bench, workspace, step, variables, job.title)
    else:
        _call_backend(job, bench, workspace, project, toolbox, variables, values)
    _refuse_all_but_one_wheel(job, workspace)
    return {
        "compiler_runs": compilers.count(shim_folder(workspace)),
        "seconds": round(time.monotonic() - started, 3),
    }


def _variables(
    job: PythonJob,
    core: Tree | None,
    bench: Workbench,
    workspace: Workspace,
    toolbox: environment.Environment,
    values: Mapping[str, str],
) -> dict[str, str]:
    roots = {
        "source": workspace.root / "source",
        "build": workspace.root,
        "environment": toolbox.root,
        "python": job.interpreter.executable.parent.parent,
    }
    if core is not None:
        roots["core"] = core.root
    shims = compilers.prepare(
        shim_folder(workspace),
        job.spec.toolchain,
        bench.machine,
        roots=roots,
        store=bench.store.root,
        epoch=job.source.epoch,
    )
    # How the interpreter was linked names the folder it lies in, as rpath too; that must not enter a wheel.
    linkers = {
        "LDSHARED": f"{Path(shims['CC']).name} -shared",
        "LDCXXSHARED": f"{Path(shims['CXX']).name} -shared",
    }
    declared = {
        **(linkers if bench.machine.os == "linux" else {}),
        **({"CMAKE_PREFIX_PATH": str(core.root)} if core else {}),
        **dict.fromkeys(job.spec.recipe.version.environment, job.spec.version),
        **expand_all(job.stage.environment, values),
    }
    return dict(stage_environment(workspace, bench.machine, shims, toolbox.path, declared))


def _call_backend(
    job: PythonJob,
    bench: Workbench,
    workspace: Workspace,
    project: Path,
    toolbox: environment.Environment,
    variables: Mapping[str, str],
    values: Mapping[str, str],
) -> None:
    """Call `build_wheel` as PEP 517 says, in an environment that holds what the backend asks for."""
    from pyproject_hooks import BackendUnavailable, BuildBackendHookCaller  # noqa: PLC0415  # lazy: start-up

    def runner(
        cmd: Sequence[str],
        cwd: str | None = None,
        extra_environ: Mapping[str, str] | None = None,
    ) -> None:
        bench.processes.run(
            Command(
                tuple(cmd), Path(cwd or project), {**variables, **(extra_environ or {})},
                title=job.title, timeout=_LIMIT,
            ),
            log=workspace.log,
        )  # fmt: skip

    def caller(python: Path) -> BuildBackendHookCaller:
        return BuildBackendHookCaller(
            str(project), job.system.backend, job.system.backend_path or None,
            runner=runner, python_executable=str(python),
        )  # fmt: skip

    settings = expand_all(job.stage.config_settings, values)
    try:
        extra = caller(toolbox.python).get_requires_for_build_wheel(settings)
        if extra:
            locked = environment.lock(
                (*job.requirements, *extra), job.interpreter, bench.store, bench.machine,
                bench.processes,
            )  # fmt: skip
            toolbox = environment.ensure(
                locked, job.interpreter, bench.store, bench.machine, bench.processes
            )
            path = search_path(workspace, toolbox.path, bench.machine)
            variables = {**variables, "PATH": path}
        caller(toolbox.python).build_wheel(str(workspace.content), settings)
    except BackendUnavailable as error:
        raise BuilderError(
            f"the build backend `{job.system.backend}` cannot be imported",
            hint="add the package that has it to [build-system] requires",
            log=str(workspace.log),
        ) from error


def _refuse_all_but_one_wheel(job: PythonJob, workspace: Workspace) -> None:
    wheels = sorted(workspace.content.glob("*.whl"))
    for leftover in set(workspace.content.iterdir()) - set(wheels):
        if leftover.is_dir():
            shutil.rmtree(leftover)
        else:
            leftover.unlink()
    if len(wheels) != 1:
        names = ", ".join(wheel.name for wheel in wheels) or "none"
        raise BuilderError(
            f"the python stage of `{job.spec.target}` must leave one wheel in {{dist}}, it left {names}",
            hint="see the log for what the build backend wrote",
            log=str(workspace.log),
        )
