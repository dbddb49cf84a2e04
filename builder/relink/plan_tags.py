"""The platform tags of a repaired wheel: as asked, as claimed and honest, or the lowest honest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from builder.archive.wheel import WheelName
from builder.binary import Binary
from builder.errors import BuilderError
from builder.relink.plan import Subject, Wanted
from builder.relink.policy import arch_of
from builder.relink.system import Verdict
from builder.relink.systems import asked_tags

__all__ = ["named", "refuse_if_too_new", "verdict_on"]

_SHOWN = 15


def refuse_if_too_new(
    subject: Subject, wanted: Wanted, binaries: Mapping[str, Binary], outside: tuple[str, ...]
) -> None:
    """Raise `BuilderError` with the symbols to blame when a wheel cannot have the tag asked for.

    `binaries` are those of the wheel and those that will be grafted, by the paths they have now.
    """
    system, name = subject.system, subject.wheel.path.name
    deserved = system.judge(binaries, (), outside)
    limit = _asked(subject, wanted, deserved)
    judged = system.judge(binaries, limit, outside) if limit else deserved
    if judged.platforms and not (limit and set(limit).isdisjoint(judged.platforms)):
        return
    lines = [str(blocker) for blocker in judged.blockers[:_SHOWN]]
    if len(judged.blockers) > _SHOWN:
        lines.append(f"and {len(judged.blockers) - _SHOWN} more")
    tag = deserved.tag or "no platform tag at all"
    message = f"cannot be {limit[-1]}: it deserves {tag}" if limit else f"deserves {tag}"
    raise BuilderError(
        f"`{name}` {message}",
        faults=lines,
        hint="build on an older system or in a manylinux image, or ask for a newer tag"
        if deserved.tag
        else "build on a system that a platform tag describes",
    )


def verdict_on(
    subject: Subject, wanted: Wanted, binaries: Mapping[str, Binary], outside: tuple[str, ...]
) -> Verdict:
    """The tags of a wheel that will hold these binaries. Raises `BuilderError` when none is honest."""
    claimed = tuple(tag for tag in subject.wheel.name.platforms if tag != "any")
    if wanted.platform != "auto":
        claimed = _asked(subject, wanted, subject.system.judge(binaries, (), outside))
    elif wanted.baseline != "auto":
        claimed = ()
    verdict = subject.system.judge(binaries, claimed, outside)
    if verdict.platforms:
        return verdict
    raise BuilderError(
        f"the repaired `{subject.wheel.path.name}` would deserve no platform tag",
        faults=[str(blocker) for blocker in verdict.blockers[:_SHOWN]],
        hint="build on a system that a platform tag describes",
    )


def named(name: WheelName, version: str, verdict: Verdict) -> WheelName:
    """The file name with another version, if one is given, and the tags that are deserved."""
    versioned = name.with_version(version) if version else name
    return replace(versioned, platforms=tuple(sorted(verdict.platforms)))


def _asked(subject: Subject, wanted: Wanted, deserved: Verdict) -> tuple[str, ...]:
    """The platform tags that the wheel has to be worth, with their aliases; none for any."""
    words = [word for word in (wanted.platform, wanted.baseline) if word != "auto"]
    if not words:
        return ()
    arch = arch_of(deserved.platforms or subject.wheel.name.platforms)
    arch = arch or next((binary.machine for binary in subject.own.values()), "")
    return asked_tags(subject.system.name, words[0], arch)
