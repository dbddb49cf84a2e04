"""What every stage works with, and the few rules all stages share: environment, placeholders, keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from builder.config.apply import expand
from builder.config.machine import Machine
from builder.config.plan import Step
from builder.config.spec import BuildSpec
from builder.config.toolchain import Interpreter
from builder.process import Command, Completed, Processes
from builder.stage.store import TreeStore, Workspace

__all__ = [
    "Workbench",
    "expand_all",
    "meaning",
    "run_step",
    "search_path",
    "shim_folder",
    "stage_environment",
    "target_facts",
]

_LIMIT = 4 * 60 * 60.0


@dataclass(frozen=True, slots=True)
class Workbench:
    """The store, the machine, the processes, and the interpreter that build tools run on."""

    store: TreeStore
    machine: Machine
    processes: Processes
    host: Interpreter


def meaning(spec: BuildSpec) -> dict[str, str]:
    """The placeholder values that change a result, and a stand-in for each path or number that does not."""
    stand_ins = ("source", "build", "prefix", "jobs", "core", "dist", "python", "recipe")
    return {
        **{name: f"{{{name}}}" for name in stand_ins},
        "version": spec.version,
        "accelerator": str(spec.target.accelerator),
        "cuda_architectures": ";".join(spec.toolchain.architectures),
    }


def target_facts(spec: BuildSpec, *, python: bool) -> dict[str, object]:
    """What of a target enters a stage's key: never the package type, and the Python only where it counts."""
    target = spec.target
    facts: dict[str, object] = {
        "accelerator": str(target.accelerator),
        "platform": target.platform,
        "abi": target.abi,
        "toolchain": spec.toolchain.identity,
        "architectures": list(spec.toolchain.architectures),
    }
    if python and spec.interpreter is not None:
        facts["interpreter"] = spec.interpreter.identity
    return facts


def expand_all(texts: Mapping[str, str], values: Mapping[str, str]) -> dict[str, str]:
    """Every value of a mapping with its placeholders filled in, in sorted order."""
    return {name: expand(text, values) for name, text in sorted(texts.items())}


def stage_environment(
    workspace: Workspace,
    machine: Machine,
    compilers: Mapping[str, str],
    programs: Path,
    declared: Mapping[str, str],
) -> Mapping[str, str]:
    """The whole environment of a stage's processes; nothing else of the caller's reaches them."""
    home, scratch = workspace.root / "home", workspace.root / "tmp"
    home.mkdir(parents=True, exist_ok=True)
    scratch.mkdir(parents=True, exist_ok=True)
    return MappingProxyType(
        {
            "PATH": search_path(workspace, programs, machine),
            "HOME": str(home),
            "TMPDIR": str(scratch),
            "LC_ALL": "C.UTF-8",
            "CMAKE_BUILD_PARALLEL_LEVEL": str(machine.cores),
            "MAX_JOBS": str(machine.cores),
            **compilers,
            # By name, as the shims come first: not everybody takes a path with a blank for one word.
            **{name: Path(compilers[name]).name for name in ("CC", "CXX")},
            **declared,
        }
    )


def shim_folder(workspace: Workspace) -> Path:
    """Where a stage's compiler shims are."""
    return workspace.root / "compilers"


def search_path(workspace: Workspace, programs: Path, machine: Machine) -> str:
    """A stage's PATH: the shims first, so that a compiler called by its name counts too; then the build tools."""
    return ":".join(map(str, (shim_folder(workspace), programs, *machine.path)))


def run_step(
    bench: Workbench, workspace: Workspace, step: Step, environment: Mapping[str, str], title: str
) -> Completed:
    """Run one step in its folder, its output in the stage's log."""
    directory = Path(step.directory) if step.directory else workspace.root
    command = Command(
        step.argv, directory, {**environment, **step.environment}, title=title, timeout=_LIMIT
    )
    return bench.processes.run(command, log=workspace.log)
