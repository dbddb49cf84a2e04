"""`builder build`: the table of contents. Resolve, plan, run the stages, package, check, deliver."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from builder.archive.deliver import deliver
from builder.backend import Installs, Splits, Tools, Trees, Tries
from builder.config.machine import Machine
from builder.config.plan import Plan
from builder.errors import BuilderError, Interrupted
from builder.events import Event, Events, ignore
from builder.plugins import Plugins
from builder.process import Processes
from builder.requests import BuildOutcome, BuildRequest, Failure, StageResult
from builder.stage import interpreters
from builder.stage.core_stage import build_core
from builder.stage.python_stage import build_python
from builder.stage.store import TreeStore, Workspace
from builder.stage.tree import Tree
from builder.stage.workbench import Workbench
from builder.verbs.check import check_package
from builder.verbs.companions import pythonless, with_companions
from builder.verbs.gathering import gathered
from builder.verbs.judging import judge_nodes, judge_of
from builder.verbs.lines import (
    Line,
    covers,
    describe,
    lay_lines,
    neighbours,
    package_key,
    raw_wheel,
)
from builder.verbs.outcome import Made, Results, artifacts, core_job, failures_of
from builder.verbs.resolve import find_recipe, resolve
from builder.verbs.schedule import Failed, Node, run_graph
from builder.verbs.trials import try_package
from builder.verbs.using import Using

__all__ = ["build", "plan"]


def plan(
    request: BuildRequest,
    machine: Machine,
    *,
    plugins: Plugins | None = None,
    events: Events = ignore,
) -> Plan:
    """What `build` would do, with every key and whether the store has it. Compiles nothing.

    Raises `UsageError` for a request that cannot be meant, `BuilderError` when nothing at all can be planned.
    """
    bench = _bench(request, machine, events)
    plugins = plugins or Plugins.installed()
    lines, failures = _lay(request, bench, plugins, planning=True)
    for missing in dict.fromkeys(line.spec.toolchain.missing for line in lines):
        if missing:
            events(Event("warning", "plan", missing))
    for failure in failures:
        events(Event("warning", failure.target, f"{failure.error} (hint: {failure.hint})"))
    return describe(lines, bench)


def build(
    request: BuildRequest,
    machine: Machine,
    *,
    plugins: Plugins | None = None,
    events: Events = ignore,
) -> BuildOutcome:
    """Build, package, check and deliver every target of a request.

    A target that fails is a `Failure` in the outcome and never the end of the others. Raises `UsageError` for a
    request that cannot be meant, `NothingSelected` for an empty selection, `Interrupted` on Ctrl-C: the store then
    holds every finished stage, and the same call goes on from there.
    """
    started = time.monotonic()
    plugins = plugins or Plugins.installed()
    bench = _bench(request, machine, events)
    lines, hopeless = _lay(request, bench, plugins)
    for failure in hopeless:
        events(Event("failed", failure.target, failure.error.partition("\n")[0]))
    using = Using(lines, request.channels, bench, tuple(plugins.checks()))
    nodes = [
        node
        for line in lines
        for node in _nodes(line, lines, request, bench, plugins, using, events)
    ]
    if request.check:
        nodes += judge_nodes(lines, "check", request.channels, bench, events)
    unique = tuple({node.name: node for node in nodes}.values())
    results = run_graph(unique, request.jobs or machine.cores, stop=bench.processes.stop)
    outcome = BuildOutcome(
        describe(lines, bench),
        artifacts(lines, results),
        (*hopeless, *failures_of(lines, results), *gathered(lines, results, request.output)),
        round(time.monotonic() - started, 3),
        tuple(made.stage for made in results.values() if isinstance(made, Made)),
    )
    plugins.build_finished(outcome)
    return outcome


def _bench(request: BuildRequest, machine: Machine, events: Events) -> Workbench:
    processes = Processes(events)
    store = TreeStore(
        request.store or machine.cache / "store",
        events=events,
        processes=processes,
        keep=request.keep,
    )
    host = next(iter(interpreters.find((machine.python,), machine, processes).values()))
    if isinstance(host, BuilderError):
        raise host
    return Workbench(store, machine, processes, host)


def _lay(
    request: BuildRequest, bench: Workbench, plugins: Plugins, *, planning: bool = False
) -> tuple[tuple[Line, ...], tuple[Failure, ...]]:
    """The way of every target, and the targets that have none."""
    recipe = find_recipe(request, Path.cwd())
    if recipe.checks.plugin:
        plugins.add_file(recipe.folder / recipe.checks.plugin, f"recipe {recipe.name}")
    for name in request.types:
        plugins.backend(
            name
        )  # raises for one that no plugin makes; a recipe's may be for other systems
    types = with_companions(request, recipe, plugins)
    resolved = resolve(recipe, request, bench, pythonless(plugins), types, planning=planning)
    lines, unplanned = lay_lines(resolved, plugins, bench)
    return lines, (*resolved.failures, *unplanned)


def _nodes(
    line: Line,
    lines: Sequence[Line],
    request: BuildRequest,
    bench: Workbench,
    plugins: Plugins,
    using: Using,
    events: Events,
) -> list[Node[Made]]:
    """The jobs of one target: core, python, package, check, use, deliver. Equal core jobs have one name."""
    name = line.name
    earlier, later = neighbours(line, lines)
    compiled = _compiling(line, bench, events)
    title = f"package {name}"
    package = Node(
        title,
        _told(events, line, title, lambda done: _run_package(line, earlier, done, bench)),
        needs=tuple(job.name for job in compiled),
        after=tuple(f"package {other.name}" for other in earlier),
    )
    proofs = _proving(line, lines, bench, plugins, using, events) if request.check else []
    last = (proofs or [package])[-1].name.partition(" ")[0]
    verdict = judge_of(line, lines) if request.check else ""
    deliver_job = Node(
        f"deliver {name}",
        lambda done: _run_deliver(line, later, done, last, request.output),
        needs=(f"{last} {name}", *((verdict,) if verdict else ())),
        after=(
            *(f"deliver {other.name}" for other in earlier),
            *(f"{last} {other.name}" for other in later),
        ),
    )
    return [*compiled, package, *proofs, deliver_job]


def _compiling(line: Line, bench: Workbench, events: Events) -> list[Node[Made]]:
    """The jobs before a package is made."""
    jobs: list[Node[Made]] = []
    if line.core is not None:
        core = _told(events, line, line.core.title, lambda _: _run_core(line, bench))
        jobs.append(Node(core_job(line), core))
    if line.python is not None:
        python = _told(events, line, line.python.title, lambda done: _run_python(line, done, bench))
        needs = (core_job(line),) if line.core else ()
        after = () if line.is_pilot else (f"python {line.pilot}",)
        jobs.append(Node(f"python {line.name}", python, needs, after))
    return jobs


def _proving(
    line: Line,
    lines: Sequence[Line],
    bench: Workbench,
    plugins: Plugins,
    using: Using,
    events: Events,
) -> list[Node[Made]]:
    """The jobs between a package and its delivery, in their order."""
    name = line.name
    # The consumer compiles against the core tree, which is the same for all packages made from it.
    alike = [other for other in lines if other.core_digest == line.core_digest]
    own = alike[0].name == name
    job = f"check {name}"
    check = _told(events, line, job, lambda done: _run_check(line, done, bench, plugins, own=own))
    checked = Node(job, check, needs=(f"package {name}",))
    if not isinstance(line.backend, Installs):
        return [checked]
    first = next(other for other in alike if isinstance(other.backend, Installs)).name == name
    use = _told(events, line, f"use {name}", lambda done: _sound(using.use(line, done, own=first)))
    after = tuple(f"check {other.name}" for other in using.beside(line))
    return [checked, Node(f"use {name}", use, (job,), after)]


def _told(
    events: Events, line: Line, job: str, work: Callable[[Results], Made]
) -> Callable[[Results], Made]:
    """The same work, with its start, its end and its time told."""

    def tell(done: Results) -> Made:
        started = time.monotonic()
        events(Event("started", job))
        try:
            made = work(done)
        except BuilderError as error:
            if not isinstance(error, Interrupted):
                events(Event("failed", job, error.message, time.monotonic() - started))
            raise
        seconds = time.monotonic() - started
        proves = job.startswith(("check ", "use "))
        hit = made.stage.hit and not proves
        served = made.owner != line.name and hit
        text = f"served by the package of {made.owner}" if served else ""
        if job.startswith("package ") and not served:
            for warning in _texts(made.tree.facts.get("warnings")):
                events(Event("warning", job, warning))
        events(Event("finished", job, text, seconds, hit=hit))
        if proves:
            return made
        return replace(made, stage=replace(made.stage, seconds=round(seconds, 3)))

    return tell


def _texts(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list | tuple) else ()


def _stage(name: str, tree: Tree, *, hit: bool) -> StageResult:
    runs = tree.facts.get("compiler_runs", 0)
    return StageResult(name, tree.key, hit, 0.0, runs if isinstance(runs, int) else 0)


def _run_core(line: Line, bench: Workbench) -> Made:
    assert line.core is not None
    tree, hit = build_core(line.core, bench)
    return Made(tree, _stage("core", tree, hit=hit), line.name)


def _tree(done: Results, name: str) -> Tree | None:
    made = done.get(name)
    return made.tree if isinstance(made, Made) else None


def _run_python(line: Line, done: Results, bench: Workbench) -> Made:
    assert line.python is not None
    assert line.spec.target.python is not None
    pilot = done.get(f"python {line.pilot}")
    if isinstance(pilot, Made) and covers(raw_wheel(pilot.tree).name, line.spec.target.python):
        return replace(pilot, stage=replace(pilot.stage, hit=True))
    declared = line.python.stage.serves
    if isinstance(pilot, Made) and declared in {"abi3", "py3"}:
        raise BuilderError(
            f'the recipe says `serves = "{declared}"`, but `{raw_wheel(pilot.tree).name}` does not serve '
            f"`{line.spec.target.python}`",
            hint='set `serves = "version"` in [python], or make the project build such a wheel',
        )
    core = _tree(done, core_job(line)) if line.core else None
    tree, hit = build_python(line.python, core, bench)
    return Made(tree, _stage("python", tree, hit=hit), line.name)


def _server(line: Line, earlier: Sequence[Line], done: Results) -> str:
    """The target whose wheel this one gets: its own, the pilot's, or the first with a wheel of the same name.

    The last happens when the pilot's wheel does not serve this target, and yet several targets make one for many
    Pythons: `abi3` from 3.12 on, and one wheel each before.
    """
    mine = done.get(f"python {line.name}")
    if not isinstance(mine, Made):
        return line.name
    if isinstance(line.backend, Splits) and line.backend.splits(raw_wheel(mine.tree).name):
        return line.name
    if mine.owner != line.name:
        return mine.owner
    for other in earlier:
        made = done.get(f"python {other.name}")
        if isinstance(made, Made) and raw_wheel(made.tree).name == raw_wheel(mine.tree).name:
            return made.owner
    return line.name


def _run_package(line: Line, earlier: Sequence[Line], done: Results, bench: Workbench) -> Made:
    server = _server(line, earlier, done)
    if server != line.name:
        packed = done[f"package {server}"]
        if isinstance(packed, Failed):
            raise packed.error
        return replace(packed, stage=replace(packed.stage, hit=True))
    core = _tree(done, core_job(line)) if line.core else None
    trees = Trees(core, _tree(done, f"python {line.name}"))

    def write(workspace: Workspace) -> Mapping[str, object]:
        tools = Tools(
            bench.processes, bench.machine, bench.machine.python, workspace.root, workspace.log
        )
        package = line.backend.package(line.spec, trees, workspace.content, tools)
        return {**package.facts, "file": package.path.name}

    tree, hit = bench.store.make(package_key(line, trees, bench), write)
    return Made(tree, _stage("package", tree, hit=hit), line.name)


def _run_check(line: Line, done: Results, bench: Workbench, plugins: Plugins, *, own: bool) -> Made:
    packed = done[f"package {line.name}"]
    assert isinstance(packed, Made)
    core = _tree(done, core_job(line)) if line.core and own else None
    path = packed.file
    if isinstance(line.backend, Tries):
        report = try_package(path, line.spec, line.backend, bench)
    else:
        facts = packed.tree.facts
        report = check_package(path, line.spec, core, bench, plugins.checks(), facts)
    return _sound(replace(packed, report=report))


def _sound(made: Made) -> Made:
    """What was checked. Raises `BuilderError` with every problem in its report."""
    if made.report is None or made.report.ok:
        return made
    problems = [
        f"{result.id}: {problem}"
        for result in made.report.failures
        for problem in (result.problems or (result.reason,))
    ]
    raise BuilderError(
        f"`{made.file.name}` did not pass its checks",
        faults=problems,
        hint=f"look at it with `builder check {made.file}`",
    )


def _run_deliver(line: Line, later: Sequence[Line], done: Results, last: str, output: Path) -> Made:
    made = done[f"{last} {line.name}"]
    assert isinstance(made, Made)
    if made.owner != line.name:
        delivered = done[f"deliver {made.owner}"]
        if isinstance(delivered, Failed):
            raise delivered.error
        return made
    for other in later:
        packed = done[f"package {other.name}"]
        result = done[f"{last} {other.name}"]
        same = isinstance(packed, Made) and packed.owner == line.name
        if same and isinstance(result, Failed):
            raise BuilderError(
                f"`{made.file.name}` is not delivered: `{result.node}` failed on the same bytes",
                hint="see that failure",
            )
    file, folder = made.file, output / str(made.tree.facts.get("folder", ""))
    for extra in sorted(made.tree.root.iterdir()):
        if extra != file:  # what was written beside it: a manifest, debug information
            deliver(extra, folder)
    return replace(made, path=deliver(file, folder))
