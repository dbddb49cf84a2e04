"""Versions and requirements of Python packages in the words of conda's match specifications.

From the "Version specifiers" specification (PEP 440) to conda's `MatchSpec`. They differ in what
`<2.0` says of `2.0rc1`, and conda has no local versions: those go into the build string.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from packaging.requirements import Requirement
from packaging.specifiers import Specifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from builder.errors import UsageError

__all__ = ["matched", "translate", "version_of"]

_ORDER: Final = (">=", ">", "==", "", "<=", "<", "!=")


def version_of(text: str) -> tuple[str, str]:
    """A version without its local part, and that part as letters for a build string (`cpu`).

    Raises `UsageError` for what is no version.
    """
    try:
        version = Version(text)
    except ValueError as error:
        raise UsageError(f"`{text}` is no version", hint="build the wheel again") from error
    return version.public, (version.local or "").replace(".", "_")


def matched(name: str, requirement: Requirement) -> tuple[str, tuple[str, ...]]:
    """A requirement under its conda name, and what of it could not be said.

    Raises `UsageError` for a version that conda cannot have.
    """
    notes = []
    if requirement.extras:
        extras = ",".join(sorted(requirement.extras))
        notes.append(f"{requirement.name}[{extras}]: conda has no extras, only {name} is required")
    if requirement.url:
        notes.append(f"{requirement.name} is required from an address: any {name} is taken")
        return name, tuple(notes)
    versions, builds = translate(requirement.specifier)
    notes += [
        f"{requirement.name}{spec}: conda cannot leave out builds, so that is not said"
        for spec in requirement.specifier
        if spec.operator == "!=" and "+" in spec.version
    ]
    words = [name, *([versions or "*"] if versions or builds else []), *builds]
    return " ".join(words), tuple(notes)


def translate(specifiers: SpecifierSet) -> tuple[str, tuple[str, ...]]:
    """Versions as one word, sorted, empty for any; and the glob for a build string, where one is asked for."""
    parts: set[tuple[int, str]] = set()
    builds: dict[str, None] = {}
    for specifier in specifiers:
        version, _, local = specifier.version.partition("+")
        if local:
            if specifier.operator == "!=":
                continue
            builds[f"*{local.replace('.', '_').replace('-', '_')}*"] = None
        parts |= {
            (_ORDER.index(operator), operator + text) for operator, text in _one(specifier, version)
        }
    if len(builds) > 1:
        raise _unsaid(str(specifiers), "it asks for two local versions at once")
    return ",".join(text for _, text in sorted(parts)), tuple(builds)


def _one(specifier: Specifier, version: str) -> Iterable[tuple[str, str]]:
    match specifier.operator:
        case "~=":
            release = Version(version).release[:-1]
            above = ".".join(map(str, (*release[:-1], release[-1] + 1)))
            epoch = f"{Version(version).epoch}!" if Version(version).epoch else ""
            return (">=", version), ("<", f"{epoch}{above}a0")
        case "===":
            try:
                return (("==", Version(version).public),)
            except InvalidVersion as error:
                raise _unsaid(str(specifier), "it is no version") from error
        case "==" if version.endswith(".*"):
            return (("", version),)
        case "<" if not Version(version).is_prerelease:
            # Nobody who says `<2.0` wants its release candidates.
            return (("<", f"{version}a0"),)
        case operator:
            return ((operator, version),)


def _unsaid(specifier: str, why: str) -> UsageError:
    return UsageError(
        f"`{specifier}` cannot be said to conda: {why}",
        hint="require another version in the metadata",
    )
