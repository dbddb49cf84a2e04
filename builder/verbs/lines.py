"""The way of each target through the stages, decided before anything is compiled."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.utils import parse_wheel_filename

from builder.backend import Backend, Tools, Trees
from builder.config.plan import Plan, PlannedStage
from builder.config.python import Python
from builder.config.spec import BuildSpec
from builder.errors import BuilderError, UsageError
from builder.plugins import Plugins
from builder.requests import Failure
from builder.stage.core_stage import CoreJob, plan_core
from builder.stage.key import InputKey
from builder.stage.python_stage import PythonJob, plan_python
from builder.stage.tree import Tree
from builder.stage.workbench import Workbench
from builder.verbs.resolve import Resolved

__all__ = ["Line", "covers", "describe", "lay_lines", "neighbours", "package_key", "raw_wheel"]

_FORMAT = 1
_ABSENT = "not on this machine: its toolkit is missing"


@dataclass(frozen=True, slots=True)
class Line:
    """One target's jobs. `pilot` is the target whose wheel may serve this one too; itself when it must build."""

    spec: BuildSpec
    backend: Backend
    core: CoreJob | None
    python: PythonJob | None
    pilot: str

    @property
    def name(self) -> str:
        """The target id."""
        return str(self.spec.target)

    @property
    def core_digest(self) -> str:
        """The digest of the core stage's key, or nothing without one."""
        return self.core.key.digest if self.core else ""

    @property
    def is_pilot(self) -> bool:
        """Whether this line builds its own wheel in any case."""
        return self.pilot == self.name


def lay_lines(
    resolved: Resolved, plugins: Plugins, bench: Workbench
) -> tuple[tuple[Line, ...], tuple[Failure, ...]]:
    """Plan every stage of every target, side by side; a target that cannot be planned is a `Failure`."""
    backends = {name: plugins.backend(name) for name in _types(resolved.specs)}

    def plan(spec: BuildSpec) -> Line | Failure:
        name, backend = str(spec.target), backends[spec.target.package_type]
        try:
            backend.plan(
                spec
            )  # a request that it cannot mean is refused before anything is compiled
            core = plan_core(spec, resolved.source, bench)
            python = None
            compiles = spec.recipe.python is not None and spec.finished_wheel is None
            if spec.interpreter is not None and compiles:
                python = plan_python(spec, resolved.source, core.key if core else None, bench)
        except UsageError:
            raise
        except BuilderError as error:
            return Failure.of(name, "plan", error)
        return Line(spec, backend, core, python, name)

    with ThreadPoolExecutor(max_workers=max(2, bench.machine.cores)) as pool:
        try:
            answers = tuple(pool.map(plan, resolved.specs))
        except BaseException:
            bench.processes.stop()  # leaving the pool waits for its threads, and they for processes
            raise
    planned = tuple(answer for answer in answers if isinstance(answer, Line))
    pilots = _pilots([line.spec for line in planned])
    lines = tuple(replace(line, pilot=pilots[line.name]) for line in planned)
    return lines, tuple(answer for answer in answers if isinstance(answer, Failure))


def neighbours(line: Line, lines: Sequence[Line]) -> tuple[tuple[Line, ...], tuple[Line, ...]]:
    """The lines with the same pilot that come before this one, and those that come after it."""
    group = [other for other in lines if other.pilot == line.pilot]
    place = group.index(line)
    return tuple(group[:place]), tuple(group[place + 1 :])


def _types(specs: Sequence[BuildSpec]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(spec.target.package_type for spec in specs))


def _pilots(specs: Sequence[BuildSpec]) -> Mapping[str, str]:
    """For each target the one that builds first: the lowest Python of those that differ in nothing else."""
    first: dict[tuple[str, ...], str] = {}
    pilots: dict[str, str] = {}
    for spec in sorted(specs, key=lambda spec: spec.target):
        target, name = spec.target, str(spec.target)
        alone = target.python is None or (
            spec.recipe.python is not None and spec.recipe.python.serves == "version"
        )
        group = (
            target.package_type,
            str(target.accelerator),
            target.platform,
            target.abi,
            target.variant,
        )
        pilots[name] = name if alone else first.setdefault(group, name)
    return pilots


def raw_wheel(tree: Tree) -> Path:
    """The one wheel of a python tree."""
    return next(tree.root.glob("*.whl"))


def covers(wheel: str, python: Python) -> bool:
    """Whether a wheel of this file name is for further interpreters too, and this is one: `py3-none`, or `abi3`.

    Both may name the lowest Python that they are for: `py37-none`, `cp39-abi3`.
    """
    _, _, _, tags = parse_wheel_filename(wheel)
    return any(
        (tag.abi == "none" and _from(f"py{python.major}", tag.interpreter) <= python.minor)
        or (
            tag.abi == "abi3"
            and "t" not in python.abiflags
            and tag.interpreter != f"cp{python.major}"
            and _from(f"cp{python.major}", tag.interpreter) <= python.minor
        )
        for tag in tags
    )


def _from(prefix: str, interpreter: str) -> float:
    """The first minor version that an interpreter tag is for; none for another prefix."""
    number = interpreter.removeprefix(prefix)
    if number == interpreter or not (number or "0").isdigit():
        return math.inf
    return int(number or 0)


def package_key(line: Line, trees: Trees, bench: Workbench) -> InputKey:
    """The input key of one package. Reads the trees, so it exists only when they do."""
    spec = line.spec
    nowhere = bench.store.root / "work" / "plan"  # nothing is written to find an identity
    tools = Tools(bench.processes, bench.machine, bench.machine.python, nowhere, nowhere / "log")
    return InputKey(
        "package",
        {
            "format": _FORMAT,
            "backend": line.backend.name,
            "name": spec.recipe.name,
            "core": trees.core.key if trees.core else "",
            "python": trees.python.key if trees.python else "",
            "version": spec.version,
            "platform": spec.target.platform,
            "abi": spec.target.abi,
            "variant": spec.target.variant,
            "baseline": spec.toolchain.baseline,
            "bundle": {
                "exclude": list(spec.recipe.bundle.exclude),
                "siblings": [
                    [row.package, list(row.libraries), row.directory, row.requires]
                    for row in spec.recipe.bundle.siblings
                ],
            },
            "identity": dict(line.backend.identity(spec, trees, tools)),
        },
    )


def describe(lines: Sequence[Line], bench: Workbench) -> Plan:
    """The plan as `--dry-run` prints it: every stage once, with its targets, key and hit or miss."""
    rows: dict[tuple[str, str], PlannedStage] = {}
    for line in lines:
        for name, job in (("core", line.core), ("python", line.python)):
            if job is None:
                continue
            key = job.key.digest
            known = rows.get((name, key))
            targets = (*(known.targets if known else ()), line.name)
            hit = known.hit if known else bench.store.contains(key)
            note = _ABSENT if line.spec.toolchain.missing else ""
            if name == "python" and not line.is_pilot:
                note = f"only if the wheel of {line.pilot} does not serve this target too"
            rows[name, key] = PlannedStage(name, key, hit, targets, job.steps, note)
    packages = tuple(_package_row(line, bench) for line in lines)
    order = {"core": 0, "python": 1}
    stages = sorted(rows.values(), key=lambda row: order[row.name])
    imagined = {line.name for line in lines if line.spec.toolchain.missing}
    return Plan(
        tuple(
            replace(stage, key="") if imagined.intersection(stage.targets) else stage
            for stage in (*stages, *packages)
        )
    )


def _package_row(line: Line, bench: Workbench) -> PlannedStage:
    """The package row of one target; its key is known once its inputs are in the store."""
    trees = Trees(_stored(line.core, bench), _stored(line.python, bench))
    key = ""
    ready = (line.core is None or trees.core) and (line.python is None or trees.python)
    if ready:
        key = package_key(line, trees, bench).digest
    hit = bool(key) and bench.store.contains(key)
    note = "" if ready else "key known after the stages above"
    return PlannedStage("package", key, hit, (line.name,), line.backend.plan(line.spec), note)


def _stored(job: CoreJob | PythonJob | None, bench: Workbench) -> Tree | None:
    if job is None or not bench.store.contains(job.key.digest):
        return None
    return bench.store.find(job.key.digest)
