"""Packages that are no wheels: tried by the backend that makes them, or compared with older ones."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from builder.archive.content import compare, is_loss, read_content
from builder.backend import Backend, Tools, Trial, Tries
from builder.config.apply import for_target
from builder.config.machine import Machine
from builder.config.recipe import Checks, Recipe
from builder.config.spec import BuildSpec
from builder.config.target import Target
from builder.errors import NothingSelected, UsageError
from builder.process import Processes
from builder.stage.workbench import Workbench
from smoke.catalogue import is_chosen
from smoke.report import Report, Result, Status
from smoke.subject import Expectations
from smoke.waiving import waived

__all__ = ["compared", "has_manifest", "scratch", "selected", "try_archive", "try_package"]

_SUFFIXES = (".zip", ".tar.zst")


def has_manifest(path: Path) -> bool:
    """Whether a path is an archive that says what is in it, so that a backend may know it."""
    if not (path.is_file() and path.name.endswith(_SUFFIXES)):
        return False
    try:
        read_content(path)
    except UsageError:
        return False
    return True


def try_package(path: Path, spec: BuildSpec, backend: Tries, bench: Workbench) -> Report:
    """The report on a package that was just built, by the backend that made it."""
    recipe = spec.recipe
    with scratch(bench.machine) as folder:
        tools = Tools(bench.processes, bench.machine, bench.machine.python, folder, folder / "log")
        trials = backend.check(path, recipe.checks, recipe.folder, tools)
        return _report(path, trials, recipe.checks)


def try_archive(
    path: Path,
    backends: Mapping[str, Backend],
    recipe: Recipe | None,
    machine: Machine,
    processes: Processes,
) -> Report:
    """The report on an archive from anywhere: its manifest says which backend knows it.

    Without a `recipe` nobody knows a program that uses it; the rest is tried. A type that no
    backend here makes is one skip.
    """
    target = Target.parse(read_content(path).target)
    backend = backends.get(target.package_type)
    if backend is None or not isinstance(backend, Tries):
        reason = f"no plugin here knows how to try packages of type `{target.package_type}`"
        return Report(str(path), (Result("archive.tried", "skip", reason=reason),))
    resolved = for_target(recipe, target) if recipe else None
    checks, folder = (resolved.checks, resolved.folder) if resolved else (Checks(), None)
    with scratch(machine) as work:
        tools = Tools(processes, machine, machine.python, work, work / "log")
        return _report(path, backend.check(path.absolute(), checks, folder, tools), checks)


def selected(report: Report, select: Sequence[str], skip: Sequence[str]) -> Report:
    """The results whose id matches a glob of `select` (all when empty) and none of `skip`.

    Raises `NothingSelected` when that leaves none.
    """
    results = tuple(one for one in report.results if is_chosen(one.id, select, skip))
    if not results:
        raise NothingSelected(
            f"no trial of `{Path(report.subject).name}` is selected",
            hint="choose from: " + ", ".join(result.id for result in report.results),
        )
    return replace(report, results=results)


def compared(path: Path, expect: Path) -> Report:
    """What users of an older archive lose with this one; what is new is no fault."""
    lines = compare(read_content(expect), read_content(path))
    lost, remedy = tuple(filter(is_loss, lines)), f"bring it back, or stop comparing with {expect}"
    status: Status = "fail" if lost else "pass"
    return Report(
        str(path), (Result("archive.expected", status, "error", lines if lost else (), "", remedy),)
    )


@contextmanager
def scratch(machine: Machine) -> Iterator[Path]:
    """A folder that is gone afterwards, beside the caches so that installers can link files."""
    above = machine.cache / "checks"
    above.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=above))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _report(path: Path, trials: Iterable[Trial], checks: Checks) -> Report:
    today = Expectations().today
    results = [
        Result(
            trial.id,
            "fail" if trial.problems else "skip" if trial.reason else "pass",
            problems=trial.problems,
            reason=trial.reason,
            seconds=trial.seconds,
        )
        for trial in trials
    ]
    return Report(str(path), tuple(waived(one, checks.waivers, today) for one in results))
