"""Checks in a ready environment: what was installed, what imports, what is really loaded."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from builder.archive.record import row_of
from smoke.attempts import command_fault, import_fault
from smoke.catalogue import Check, Outcome, Skip
from smoke.claims import header
from smoke.content import SITE
from smoke.mapped import doubles, strays
from smoke.modules import modules_of
from smoke.probing import ask
from smoke.subject import (
    Content,
    Distribution,
    EnvironmentFacts,
    Kind,
    Subject,
    installed_of,
)

__all__ = ["CHECKS"]


def _install(subject: Subject) -> Outcome | Skip:
    installed = installed_of(subject)
    if installed.facts is None:
        return Outcome((f"{installed.python}: {installed.fault}",))
    if subject.content is None:
        each = installed.facts.distributions
        lines = (line for one in each for line in _unmet_requirements(one, installed.facts))
        return Outcome(warnings=tuple(dict.fromkeys(lines)))
    one = _distribution(subject, installed.facts)
    if one is None:
        return Outcome((f"{_project(subject)}: is not installed in {installed.facts.prefix}",))
    return Outcome(
        (
            *_changed_files(subject.content, one.folder),
            *_unmet_requirements(one, installed.facts),
        )
    )


def _changed_files(content: Content, site: Path) -> Iterator[str]:
    """The files of the wheel that are not installed byte for byte."""
    for member in content.members:
        name = posixpath.basename(member.name)
        below = member.installed.removeprefix(f"{SITE}/")
        if below == member.installed or (".dist-info/" in below and name.startswith("RECORD")):
            continue  # scripts get their interpreter written in, RECORD its new rows
        file = site / below
        if not file.is_file():
            yield f"{below}: in the wheel, not installed"
        elif row_of(site, below).digest != member.digest:
            yield f"{below}: differs from the wheel's bytes"


def _unmet_requirements(one: Distribution, facts: EnvironmentFacts) -> Iterator[str]:
    """The declared dependencies that the environment does not satisfy."""
    versions = {canonicalize_name(other.name): other.version for other in facts.distributions}
    for text in one.requires:
        try:
            requirement = Requirement(text)
        except (ValueError, RecursionError) as error:  # also for numbers without end
            yield f"{one.name}: requires `{text}`, which is no requirement: {error}"
            continue
        marker = requirement.marker
        if marker and not marker.evaluate({**facts.markers, "extra": ""}):
            continue
        version = versions.get(canonicalize_name(requirement.name))
        if version is None:
            yield f"{one.name}: requires `{text}`, which is not installed"
        elif not requirement.specifier.contains(version, prereleases=True):
            yield f"{one.name}: requires `{text}`, installed is {version}"


def _versions(subject: Subject) -> Outcome | Skip:
    facts = _facts(subject)
    if isinstance(facts, Skip):
        return facts
    if subject.content is None:
        return Skip("no wheel was given to compare the environment with")
    said = header(subject.content, "METADATA", "Version")
    one = _distribution(subject, facts)
    if one is None or not said:
        return Outcome((f"{_project(subject)}: is not installed in {facts.prefix}",))
    copies = [
        other
        for other in facts.distributions
        if canonicalize_name(other.name) == canonicalize_name(one.name)
    ]
    problems = [
        f"{other.name}: version {other.version} is installed in {other.folder}, "
        f"the wheel has {said[0]}"
        for other in copies
        if other.version != said[0]
    ]
    return Outcome(tuple(problems))


def _import(subject: Subject) -> Outcome | Skip:
    facts = _facts(subject)
    if isinstance(facts, Skip):
        return facts
    modules, guessed = modules_of(subject)
    if not modules:
        return Skip("the recipe names no imports and the artifact has no module to guess from")
    faults = {name: import_fault(subject, name) for name in modules}
    broken = tuple(f"{name}: {fault}" for name, fault in faults.items() if fault)
    if guessed and len(broken) < len(modules):
        return Outcome(warnings=broken)
    return Outcome(broken)


def _loaded(subject: Subject) -> Outcome | Skip:
    facts = _facts(subject)
    if isinstance(facts, Skip):
        return facts
    modules, _ = modules_of(subject)
    if not modules:
        return Skip("there is nothing to import")
    limits = subject.checks.timeout, subject.checks.memory
    answer = ask(installed_of(subject), "maps_probe.py", modules, *limits)
    if answer.said is None:
        return Skip(f"the imports do not survive: {answer.ending}")
    files = answer.said.get("files")
    if not isinstance(files, list):
        return Skip("this system does not tell which libraries a process has loaded")
    mapped = tuple(Path(str(file)) for file in files)
    astray = strays(subject.content, mapped, facts) if subject.content else iter(())
    own, others = doubles(subject.content, mapped, facts)
    return Outcome((*astray, *own), others)


def _commands(subject: Subject) -> Outcome | Skip:
    facts = _facts(subject)
    if isinstance(facts, Skip):
        return facts
    if not subject.checks.commands:
        return Skip("the recipe names no commands")
    faults = [(argv, command_fault(subject, argv)) for argv in subject.checks.commands]
    return Outcome(tuple(f"`{' '.join(argv)}`: {fault}" for argv, fault in faults if fault))


def _facts(subject: Subject) -> EnvironmentFacts | Skip:
    facts = installed_of(subject).facts
    return facts or Skip("the environment's interpreter does not answer")


def _distribution(subject: Subject, facts: EnvironmentFacts) -> Distribution | None:
    project = canonicalize_name(_project(subject))
    return next(
        (one for one in facts.distributions if canonicalize_name(one.name) == project), None
    )


def _project(subject: Subject) -> str:
    """The name in METADATA, or else the one in the file name."""
    return next(
        iter(header(subject.content, "METADATA", "Name")), subject.path.name.split("-", 1)[0]
    )


_ANY: tuple[Kind, ...] = ("wheel", "environment")

CHECKS = (
    Check(
        "env.install",
        "The interpreter answers; a wheel's exact bytes are there, and every dependency that is declared.",
        _ANY,
        "environment",
        "correct `Requires-Dist`, or find out which installer step changes files",
        _install,
    ),
    Check(
        "env.versions",
        "The installed version is the wheel's, and no other copy is in sight.",
        ("wheel",),
        "environment",
        "let the build take its version from one place; remove stray copies from the environment",
        _versions,
    ),
    Check(
        "env.import",
        "Each module imports in its own process, in a neutral folder, without LD_LIBRARY_PATH.",
        _ANY,
        "environment",
        "read the error: most often a library is not grafted or a dependency is not declared",
        _import,
    ),
    Check(
        "env.loaded",
        "After the imports every library comes from the wheel that brings it, runtimes only once.",
        _ANY,
        "environment",
        "let every binary find the wheel's own copy first (rpath), and graft each runtime once",
        _loaded,
    ),
    Check(
        "env.commands",
        "The recipe's own commands succeed in the environment.",
        _ANY,
        "environment",
        "run the printed command by hand in an environment kept with `--keep`",
        _commands,
    ),
)
