"""The check that tries imports and commands again beside newer versions of what the recipe names."""

from __future__ import annotations

from collections.abc import Iterator

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from smoke.attempts import command_fault, import_fault
from smoke.catalogue import Check, Outcome, Skip
from smoke.modules import modules_of
from smoke.subject import EnvironmentFacts, Subject, installed_of

__all__ = ["CHECKS"]


def _upgraded(subject: Subject) -> Outcome | Skip:
    facts, upgrade = installed_of(subject).facts, subject.upgrade
    if facts is None:
        return Skip("the environment's interpreter does not answer")
    if not subject.checks.upgrades:
        return Skip("the recipe names no upgrades")
    if not modules_of(subject)[0] and not subject.checks.commands:
        return Skip("there is nothing to import, and the recipe names no commands")
    if upgrade is None:
        return Skip("a ready environment is not changed: only one that is made for a wheel is")
    return _tried_again(subject, facts, upgrade())


def _tried_again(subject: Subject, facts: EnvironmentFacts, later: Subject) -> Outcome | Skip:
    wanted, then = subject.checks.upgrades, installed_of(later)
    if then.facts is None:
        return Outcome((f"{', '.join(wanted)}: {then.fault}",))
    before, after = _versions(facts), _versions(then.facts)
    named = {canonicalize_name(Requirement(text).name) for text in wanted}
    if not any(before.get(name) != after.get(name) for name in named):
        told = ", ".join(f"{name} {after.get(name, 'not installed')}" for name in sorted(named))
        return Skip(f"nothing newer can be installed beside it: {told}")
    moved = ", ".join(
        f"{name} {version} (was {before.get(name, 'not there')})"
        for name, version in sorted(after.items())
        if before.get(name) != version
    )
    return Outcome(tuple(f"{fault}; with {moved}" for fault in _new_faults(subject, later)))


def _versions(facts: EnvironmentFacts) -> dict[str, str]:
    return {canonicalize_name(one.name): one.version for one in facts.distributions}


def _new_faults(before: Subject, later: Subject) -> Iterator[str]:
    """What fails later and did not before: only what fails is tried in both."""
    for module in modules_of(before)[0]:
        fault = import_fault(later, module)
        if fault and not import_fault(before, module):
            yield f"{module}: {fault}"
    for old, new in zip(before.checks.commands, later.checks.commands, strict=True):
        fault = command_fault(later, new)
        if fault and not command_fault(before, old):
            yield f"`{' '.join(old)}`: {fault}"


CHECKS = (
    Check(
        "env.upgraded",
        "Imports and commands succeed again beside newer versions of what the recipe names.",
        ("wheel", "environment"),
        "environment",
        "compile against the oldest version that is promised, or limit it in `Requires-Dist`",
        _upgraded,
    ),
)
