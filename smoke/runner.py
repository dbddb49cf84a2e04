"""Running checks on one subject: each for itself, timed; a crash of one is a result of its own."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from builder.config.recipe import Checks
from builder.errors import Interrupted, UsageError
from smoke.catalogue import Check, Need, Skip
from smoke.checks import CATALOGUE
from smoke.content import read_folder, read_wheel
from smoke.report import Report, Result
from smoke.subject import Core, Expectations, Kind, Subject

__all__ = ["Request", "check_artifact", "check_environment", "kind_of", "run", "subject_of"]

_UNREADABLE = "wheel.readable"


@dataclass(frozen=True, slots=True)
class Request:
    """What to check and what is known about it.

    `path` is a wheel, a folder, or an environment's folder. Words of `checks.commands` have no
    placeholders left. `core` is for the C++ consumer.
    """

    path: Path
    checks: Checks = field(default_factory=Checks)
    expectations: Expectations = field(default_factory=Expectations)
    core: Core | None = None


def kind_of(path: Path) -> Kind:
    """What a path is. Raises `UsageError` when no check knows what to do with it."""
    if path.is_dir():
        return "environment" if (path / "pyvenv.cfg").is_file() else "folder"
    if path.is_file() and path.suffix == ".whl":
        return "wheel"
    if not path.exists():
        raise UsageError(
            f"`{path}` does not exist", hint="give a wheel, a folder or an environment"
        )
    raise UsageError(
        f"`{path}` is neither a wheel, a folder nor an environment",
        hint="other package types are not known to this version",
    )


def subject_of(request: Request) -> Subject:
    """The subject with its content read, once. Raises `UsageError` for a path of no known kind."""
    kind = kind_of(request.path)
    paths = request.expectations.build_paths
    content = None
    if kind == "wheel":
        content = read_wheel(request.path, paths)
    elif kind == "folder":
        content = read_folder(request.path, paths)
    return Subject(
        request.path,
        kind,
        content,
        core=request.core,
        checks=request.checks,
        expectations=request.expectations,
    )


def check_artifact(subject: Subject, checks: Iterable[Check] = CATALOGUE) -> Report:
    """What the bytes alone say; starts no process."""
    return run(subject, checks, ("artifact",))


def check_environment(
    subject: Subject, checks: Iterable[Check] = CATALOGUE, *, absent: str = "none was given"
) -> Report:
    """What the ready environment says, and the C++ consumer.

    The subject's `installed` comes from `smoke.probing.open_environment`. Without one, the checks
    that need it are skipped with `absent` as their reason.
    """
    return run(subject, checks, ("environment", "core"), absent=absent)


def run(
    subject: Subject, checks: Iterable[Check], needs: Sequence[Need], *, absent: str = ""
) -> Report:
    """The report of the checks that are for this kind of subject and need one of `needs`."""
    results: list[Result] = []
    for check in checks:
        if subject.kind in check.kinds and check.needs in needs:
            reason = _unfit(check, subject, absent)
            if reason:
                results.append(Result(check.id, "skip", check.severity, reason=reason))
            else:
                results.append(_result(check, subject))
    return Report(str(subject.path), tuple(results))


def _unfit(check: Check, subject: Subject, absent: str) -> str:
    """Why a check cannot run on this subject at all, or nothing."""
    if check.id != _UNREADABLE and subject.content is not None and subject.content.faults:
        return f"`{_UNREADABLE}` says that it cannot be unpacked"
    if check.needs == "environment" and subject.installed is None:
        return f"there is no environment: {absent}"
    return ""


def _result(check: Check, subject: Subject) -> Result:
    """Run one check. This is one of the three borders where any exception is caught."""
    begin = time.perf_counter()
    try:
        found = check.run(subject)
    except Interrupted:
        raise
    except Exception as error:  # noqa: BLE001  # a broken check must not hide what the others find
        reason = f"{type(error).__name__}: {error}"
        seconds = time.perf_counter() - begin
        return Result(check.id, "crash", check.severity, (), reason, check.remedy, seconds)
    seconds = time.perf_counter() - begin
    if isinstance(found, Skip):
        return Result(check.id, "skip", check.severity, reason=found.reason, seconds=seconds)
    if found.problems and check.severity == "error":
        texts = (*found.problems, *found.warnings)
        return Result(check.id, "fail", check.severity, texts, "", check.remedy, seconds)
    if found.problems or found.warnings:
        texts = (*found.problems, *found.warnings)
        return Result(check.id, "warn", check.severity, texts, "", check.remedy, seconds)
    return Result(check.id, "pass", check.severity, seconds=seconds)
