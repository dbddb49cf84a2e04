"""Checks on what a wheel says to installers: what it requires, and which programs it has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from configparser import ConfigParser
from configparser import Error as ConfigError
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from builder.config.recipe import Sibling
from builder.relink.sibling import owner_of, requirements
from smoke.catalogue import Check, Outcome, Skip
from smoke.claims import dist_info_text, header
from smoke.content import SITE
from smoke.subject import Content, Subject, content_of

__all__ = ["CHECKS"]

_OBJECT: Final = re.compile(
    r"(?P<module>[^\W\d]\w*(?:\.[^\W\d]\w*)*)\s*(?::\s*[^\W\d]\w*(?:\.[^\W\d]\w*)*)?\s*(?:\[.*\])?"
)
_MODULE: Final = re.compile(r"(?P<stem>[^.]+)(?:\.[\w-]+)?\.(?:py|so|pyd)|(?P<pure>[^.]+)\.pyc")


def _requires(subject: Subject) -> Outcome | Skip:
    content = content_of(subject)
    if dist_info_text(content, "METADATA") is None:
        return Skip("there is no METADATA")
    declared: list[Requirement] = []
    problems: list[str] = []
    for text in header(content, "METADATA", "Requires-Dist"):
        try:
            declared.append(Requirement(text))
        except (ValueError, RecursionError) as error:  # also for numbers without end
            why = str(error).split("\n", 1)[0]
            problems.append(f"METADATA: `{text}` is no requirement: {why}")
    problems += _undeclared(_used(subject), declared)
    return Outcome(tuple(problems))


def _used(subject: Subject) -> tuple[Sibling, ...]:
    """The siblings that own a library which is needed here."""
    siblings = subject.expectations.bundle.siblings
    owners = {
        owner.package: owner
        for _, binary in content_of(subject).binaries
        for name in binary.needed
        if (owner := owner_of(name, siblings)) is not None
    }
    return tuple(owners.values())


def _undeclared(used: tuple[Sibling, ...], declared: list[Requirement]) -> Iterator[str]:
    for sibling, text in zip(used, requirements(used), strict=True):
        wanted = Requirement(text)
        found = [
            one
            for one in declared
            if canonicalize_name(one.name) == canonicalize_name(wanted.name) and not _extra(one)
        ]
        if not found:
            yield f"METADATA: does not require `{text}`, whose libraries are used ({sibling.directory})"
        elif not any(set(wanted.specifier) <= set(one.specifier) for one in found):
            yield f"METADATA: requires `{found[0]}`, the recipe says `{text}`"


def _extra(requirement: Requirement) -> bool:
    return requirement.marker is not None and "extra" in str(requirement.marker)


def _entry_points(subject: Subject) -> Outcome | Skip:
    content = content_of(subject)
    text = dist_info_text(content, "entry_points.txt")
    if text is None:
        return Skip("it has no entry points")
    parser = ConfigParser(delimiters=("=",), interpolation=None, strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # names keep their case, as the docs of configparser say
    try:
        parser.read_string(text)
    except ConfigError as error:
        return Outcome((f"entry_points.txt: {' '.join(str(error).split())}",))
    modules = _modules(content)
    problems: list[str] = []
    warnings: list[str] = []
    for group in parser.sections():
        for name, value in parser.items(group):
            match = _OBJECT.fullmatch(value.strip())
            if match is None:
                problems.append(f"entry_points.txt: [{group}] {name}: `{value}` names no object")
            elif match["module"] not in modules:
                told = f"entry_points.txt: [{group}] {name}: there is no module `{match['module']}`"
                own = match["module"].split(".", 1)[0] in modules
                (problems if own else warnings).append(told)
    return Outcome(tuple(problems), tuple(warnings))


def _modules(content: Content) -> frozenset[str]:
    """Every module and package below site-packages; a folder counts, it is a namespace."""
    start = f"{SITE}/"
    folders: set[str] = set()
    modules: set[str] = set()
    for member in content.members:
        if not member.installed.startswith(start):
            continue
        folder, slash, file = member.installed.removeprefix(start).rpartition("/")
        match = _MODULE.fullmatch(file)
        if match is not None:
            modules.add(f"{folder}{slash}{match['stem'] or match['pure']}".replace("/", "."))
        while folder and folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    return frozenset(modules | {folder.replace("/", ".") for folder in folders})


CHECKS = (
    Check(
        "metadata.requires",
        "Every `Requires-Dist` can be read, and the wheels whose libraries are used are required.",
        ("wheel",),
        "artifact",
        "correct the dependencies of the project; `requires` of `[[bundle.sibling]]` is what must be there",
        _requires,
    ),
    Check(
        "metadata.entry-points",
        "Every entry point names a module that is in the wheel.",
        ("wheel",),
        "artifact",
        "correct the entry point, or package the module that it names",
        _entry_points,
    ),
)
