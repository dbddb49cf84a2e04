"""What the loaders of Linux, macOS and Windows would do in the installed layout, without running it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from builder.binary import Binary
from builder.relink.case import Case
from builder.relink.closure import Need, Rules
from smoke.subject import Content, Expectations

__all__ = ["Linked", "linked"]


@dataclass(frozen=True, slots=True)
class Linked:
    """The binaries of the system that an artifact is for, by installed path, and what they need.

    `needs` has one entry for each library that each of them needs, `names` are their paths in the
    artifact by installed path.
    """

    case: Case
    needs: tuple[Need, ...]
    names: dict[str, str]

    @property
    def missing(self) -> Iterator[Need]:
        """The needs that nothing meets."""
        return (need for need in self.needs if need.outcome == "missing")

    @property
    def members(self) -> Iterator[tuple[str, Binary]]:
        """The binaries with their paths in the artifact."""
        return ((self.names[path], binary) for path, binary in self.case.own.items())


def linked(content: Content, expectations: Expectations) -> Linked | None:
    """Resolve everything as the machine does that it is installed on; None without binaries."""
    by_name = {member.name: member.installed for member in content.members}
    own = {member.installed: binary for member, binary in content.binaries}
    links = {
        member.installed: by_name.get(member.link, member.link)
        for member in content.members
        if member.link
    }
    case = Case.of(own, links, content.claimed, content.registered)
    if case is None:
        return None
    rules = Rules(
        exclude=(*(content.host or ()), *expectations.bundle.exclude),
        siblings=tuple(
            glob for sibling in expectations.bundle.siblings for glob in sibling.libraries
        ),
    )
    closure = case.system.resolve(
        case.everywhere, rules, case.system.libraries(()), only_inside=True
    )
    names = {member.installed: member.name for member, _ in content.binaries}
    return Linked(case, tuple(_by_file(closure.needs, case.aliases)), names)


def _by_file(needs: Iterable[Need], aliases: Mapping[str, str]) -> Iterator[Need]:
    """Each need of each file once: by the longest way to it, for it begins at what a user loads."""
    found: dict[tuple[str, str], Need] = {}
    for need in needs:
        requirer = aliases.get(need.requirer, need.requirer)
        chain = tuple(aliases.get(path, path) for path in need.chain)
        known = found.get((requirer, need.name))
        if known is None or len(chain) > len(known.chain):
            found[requirer, need.name] = replace(need, requirer=requirer, chain=chain)
    return iter(found.values())
