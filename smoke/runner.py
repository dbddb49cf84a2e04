"""Running checks on one subject: each for itself, timed; a crash of one is a result of its own."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from builder.archive.file import first_bytes
from builder.archive.tar import looks_like_tar
from builder.archive.tar_source import packing_of
from builder.archive.zip_entry import looks_like_zip
from builder.binary import looks_like
from builder.config.recipe import Checks
from builder.errors import Interrupted, UsageError
from smoke.catalogue import Check, Need, Skip
from smoke.checks import CATALOGUE
from smoke.content import Reading, read_content
from smoke.report import Report, Result
from smoke.subject import Core, Expectations, Kind, Subject
from smoke.waiving import severity_of, waived

__all__ = ["Request", "check_artifact", "check_environment", "kind_of", "run", "subject_of"]

_UNREADABLE = "archive.readable"
_NAMED: Final[Mapping[str, Kind]] = {".whl": "wheel", ".conda": "conda", ".tar.bz2": "conda"}
_BLOCK: Final = 512
_KNOWN: Final = (
    "a wheel, a conda package, another zip or tar, a library, a folder or an environment"
)


@dataclass(frozen=True, slots=True)
class Request:
    """What to check and what is known about it.

    `path` is an artifact of any kind, or an environment's folder. Words of `checks.commands` have no
    placeholders left. `core` is for the C++ consumer.
    """

    path: Path
    checks: Checks = field(default_factory=Checks)
    expectations: Expectations = field(default_factory=Expectations)
    core: Core | None = None


def kind_of(path: Path) -> Kind:
    """What a path is. Raises `UsageError` when no check knows what to do with it.

    Wheels and conda packages are known by their names, which are part of their formats; everything
    else by its first bytes.
    """
    if path.is_dir():
        is_made = (path / "pyvenv.cfg").is_file() or (path / "conda-meta").is_dir()
        return "environment" if is_made else "folder"
    if not path.is_file():
        raise UsageError(
            f"`{path}` does not exist" if not path.exists() else f"`{path}` is no file",
            hint=f"give {_KNOWN}",
        )
    for suffix, kind in _NAMED.items():
        if path.name.endswith(suffix):
            return kind
    head = first_bytes(path, _BLOCK)
    if looks_like_zip(head) or packing_of(head) or looks_like_tar(head):
        return "archive"
    if looks_like(head):
        return "binary"
    raise UsageError(f"`{path}` is nothing that can be checked", hint=f"give {_KNOWN}")


def subject_of(request: Request, reading: Reading | None = None) -> Subject:
    """The subject with its content read, once. Raises `UsageError` for a path of no known kind."""
    kind = kind_of(request.path)
    paths = request.expectations.build_paths
    content = None
    if kind != "environment":
        content = read_content(request.path, kind, replace(reading or Reading(), build_paths=paths))
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
    asked, today = subject.checks, subject.expectations.today
    for check in checks:
        if subject.kind in check.kinds and check.needs in needs:
            severity = severity_of(check.id, check.severity, asked.severity)
            reason = _unfit(check, subject, absent)
            if reason:
                results.append(Result(check.id, "skip", severity, reason=reason))
            else:
                found = _result(replace(check, severity=severity), subject)
                results.append(waived(found, asked.waivers, today))
    return Report(str(subject.path), tuple(results), _facts(subject))


def _facts(subject: Subject) -> Mapping[str, str]:
    """What a reader of many reports tells subjects apart by."""
    content = subject.content
    facts: dict[str, str] = {"kind": subject.kind}
    if content is not None and content.claimed:
        facts["platforms"] = " ".join(content.claimed)
    machines = {name for _, one in (content.binaries if content else ()) for name in one.machines}
    if machines:
        facts["machines"] = " ".join(sorted(machines))
    return facts


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
