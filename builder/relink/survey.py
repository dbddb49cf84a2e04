"""Look at a wheel before anything is changed: what would be grafted, and which tag it deserves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from builder.binary import Binary
from builder.config.recipe import Sibling
from builder.errors import BuilderError, UsageError
from builder.relink.closure import Closure, MissingLibrariesError, Rules, resolve
from builder.relink.engine import Engine
from builder.relink.host import Host
from builder.relink.policy import Blocker, Policy, blockers, lowest, policies, whitelist
from builder.relink.scan import Members
from builder.relink.sibling import requirements, used_siblings

__all__ = ["Graft", "Survey", "Verdict", "asked_policy", "refuse_if_too_new", "survey", "verdict"]

_SHOWN = 15
_LIBPYTHON = "libpython*.so*"


@dataclass(frozen=True, slots=True)
class Graft:
    """A library that was copied into a wheel.

    `name` is its soname, `source` where it came from, `path` where it is in the wheel. `sha256` is
    that of the library as it was found.
    """

    name: str
    source: str
    path: str
    sha256: str

    def to_json(self) -> Mapping[str, str]:
        """The JSON form of the command line."""
        return {"name": self.name, "from": self.source, "as": self.path, "sha256": self.sha256}


@dataclass(frozen=True, slots=True)
class Survey:
    """What a wheel's binaries need and where it comes from.

    `outside` are globs over sonames that are not grafted, `requires` the requirements of the
    siblings that are used.
    """

    members: Members
    rules: Rules
    host: Host
    closure: Closure
    known: tuple[Policy, ...]
    requires: tuple[str, ...]

    @property
    def outside(self) -> tuple[str, ...]:
        """Globs over sonames that stay outside of the wheel."""
        return (*self.rules.exclude, *self.rules.siblings)

    @property
    def digests(self) -> Mapping[str, str]:
        """The sha256 of every library that will be grafted, by real path."""
        return {path: self.host.digest(path) for path in self.closure.grafts}

    def view(self, members: Members) -> Closure:
        """The closure of the repaired wheel as the machine that installs it will see it."""
        return resolve(members.own, self.rules, self.host, only_inside=True)

    def grafted(self, engine: Engine, folder: str) -> tuple[Graft, ...]:
        """What the engine must have grafted into `folder` of the wheel."""
        names = {need.place: need.name for need in reversed(self.closure.of("graft"))}
        return tuple(
            Graft(names[path], path, f"{folder}/{engine.grafted_name(Path(path), digest)}", digest)
            for path, digest in sorted(self.digests.items())
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """The policy a wheel deserves; None where no table speaks of its machine or libc."""

    policy: Policy | None
    platforms: tuple[str, ...]
    blockers: tuple[Blocker, ...]

    @property
    def tag(self) -> str:
        """The platform tag, in its modern spelling."""
        return self.policy.name if self.policy else self.platforms[0]


def survey(
    wheel: str,
    members: Members,
    exclude: Iterable[str],
    siblings: Iterable[Sibling],
    host: Host,
) -> Survey:
    """Resolve everything the binaries need. Raises `MissingLibrariesError` with all of them."""
    owners = tuple(siblings)
    known = policies(members.arch, "musl" if members.is_musl else "glibc")
    rules = Rules(
        tuple(exclude),
        tuple(glob for owner in owners for glob in owner.libraries),
        whitelist(known),
    )
    closure = resolve(members.own, rules, host)
    if missing := closure.of("missing"):
        raise MissingLibrariesError(wheel, missing)
    used = used_siblings(closure, owners)
    return Survey(
        members, rules, host, closure, () if members.is_musl else known, requirements(used)
    )


def refuse_if_too_new(wheel: str, found: Survey, baseline: str) -> None:
    """Raise `BuilderError` with the symbols to blame when a wheel would exceed the baseline."""
    if not found.known:
        return
    asked = asked_policy(found.known, baseline, found.members.arch)
    everything: dict[str, Binary] = {**found.members.own, **found.closure.grafts}
    outside = (*found.outside, _LIBPYTHON)
    deserved = lowest(everything, found.known, outside)
    if deserved is not None and (asked is None or deserved.priority >= asked.priority):
        return
    limit = asked or found.known[-1]
    blamed = blockers(everything, limit, outside)
    lines = [str(blocker) for blocker in blamed[:_SHOWN]]
    if len(blamed) > _SHOWN:
        lines.append(f"and {len(blamed) - _SHOWN} more")
    deserves = f"deserves {deserved.name}" if deserved else "deserves no manylinux tag at all"
    raise BuilderError(
        f"`{wheel}` cannot be {limit.name}: it {deserves}",
        faults=lines,
        hint="build on an older system or in a manylinux image, or ask for a newer baseline"
        if deserved
        else "build on a system whose C library a manylinux policy describes",
    )


def verdict(members: Members, outside: tuple[str, ...], platforms: tuple[str, ...]) -> Verdict:
    """The lowest honest tag of a repaired wheel: ours or the engine's, whichever promises less.

    Raises `BuilderError` when the binaries deserve no tag.
    """
    known = () if members.is_musl else policies(members.arch)
    if not known:
        return Verdict(None, platforms, ())
    ours = lowest(members.own, known, outside)
    if ours is None:
        blamed = blockers(members.own, known[-1], outside)
        raise BuilderError(
            "the repaired wheel deserves no manylinux tag",
            faults=[str(blocker) for blocker in blamed[:_SHOWN]],
            hint="this should have been seen before the repair; please report it",
        )
    # The engine also knows of instruction sets and old Pythons, which we do not judge.
    claimed = [policy for policy in known if policy.name in platforms]
    policy = min((ours, *claimed[:1]), key=lambda policy: policy.priority)
    older = [row for row in known if row.priority > policy.priority]
    short = blockers(members.own, older[-1], outside)[:_SHOWN] if older else ()
    return Verdict(policy, policy.tags, short)


def asked_policy(known: tuple[Policy, ...], baseline: str, arch: str) -> Policy | None:
    """The policy a baseline names, with or without the architecture, in old or new spelling."""
    if baseline == "auto":
        return None
    full = baseline if baseline.endswith(f"_{arch}") else f"{baseline}_{arch}"
    for policy in known:
        if full in policy.tags:
            return policy
    raise UsageError(
        f"`{baseline}` is no platform tag for {arch}",
        hint=f"known tags: auto, {', '.join(policy.name for policy in known)}",
    )
