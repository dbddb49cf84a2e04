"""A package as its users know it, so that two releases of it can be compared."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import Final

from builder.archive.content import MANIFEST
from builder.archive.content import Content as Manifest
from builder.relink.policy import matches
from smoke.again import offered
from smoke.grafts import is_graft
from smoke.subject import Content, Member, Release, Subject, content_of

__all__ = ["of_manifest", "offers", "snapshot", "steady_names"]

_STEADY: Final = (
    (re.compile(r"^[^/]+\.(dist-info|data)/"), r"\1/"),
    (re.compile(r"(\.cpython-)\d+[a-z]*-"), r"\1"),
    (re.compile(r"(\.cp)\d+[a-z]*-"), r"\1-"),
    (re.compile(r"(^|/)lib/python3\.\d+/"), r"\1lib/python3/"),
)
_PASSING: Final = re.compile(r"(?:.*/)?__pycache__/.*|info/.*")
"""What no user of a package asks for: compiled Python, and what conda knows of it."""


def steady_names(content: Content, kind: str) -> Mapping[str, Member]:
    """The members by names without versions, of the package or of Python; grafts are left out."""
    top = ""
    if kind == "archive":
        tops = {member.name.split("/", 1)[0] for member in content.members}
        top = f"{next(iter(tops))}/" if len(tops) == 1 else ""
    found: dict[str, Member] = {}
    for member in content.members:
        if name := _steady(member.name.removeprefix(top)):
            found[name] = member
    return found


def _steady(name: str) -> str:
    """A name without versions, or nothing for what no user of a package asks for."""
    if name == MANIFEST or is_graft(name) or _PASSING.fullmatch(name):
        return ""
    for form, steady in _STEADY:
        name = form.sub(steady, name)
    return name


def snapshot(subject: Subject) -> Release:
    """What users have of this package, all but its symbols."""
    content = content_of(subject)
    names = steady_names(content, subject.kind)
    return Release(
        subject.path.name,
        {name: None if member.link else member.size for name, member in names.items()},
        {},
        frozenset(_outside(subject)),
        None if content.host is None else frozenset(content.host),
    )


def offers(subject: Subject) -> Iterator[tuple[str, frozenset[str]]]:
    """The symbols of each library by its steady name, one library at a time."""
    names = {m.name: name for name, m in steady_names(content_of(subject), subject.kind).items()}
    for member, symbols in offered(subject, lambda one: one.name in names):
        yield names[member.name], frozenset(symbols)


def of_manifest(manifest: Manifest) -> Release:
    """A release of which only the list of contents is there."""
    items = {name: item for item in manifest.items if (name := _steady(item.path))}
    return Release(
        f"{manifest.name} {manifest.version}",
        {name: None if item.link else item.size for name, item in items.items()},
        {name: item.exports for name, item in items.items() if item.exports is not None},
        host=frozenset(manifest.host),
    )


def _outside(subject: Subject) -> Iterator[str]:
    """The libraries that are needed, are not inside, and are no sibling's or declared host's."""
    content, bundle = content_of(subject), subject.expectations.bundle
    inside = {posixpath.basename(member.name).lower() for member in content.members}
    inside |= {posixpath.basename(binary.soname).lower() for _, binary in content.binaries}
    known = (*bundle.exclude, *(glob for one in bundle.siblings for glob in one.libraries))
    for _, binary in content.binaries:
        for name in binary.needed:
            base = posixpath.basename(name)
            if base.lower() not in inside and not matches(known, base):
                yield base
