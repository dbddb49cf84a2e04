"""What `builder inspect` tells people: the verdict first, then its reasons, then the details."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

import click

from builder.verbs.inspection import highest_versions, min_os_of

if TYPE_CHECKING:
    from builder.binary.model import Binary
    from builder.relink.policy import Blocker
    from builder.verbs.inspection import External, Found, Inspection, Subject

__all__ = ["report"]

_Thing = TypeVar("_Thing")

_FEW: Final = 12
_KINDS: Final[Mapping[str, str]] = {
    "archive": "archive",
    "binary": "single binary",
    "conda": "conda package",
    "folder": "folder",
    "static": "static library",
    "wheel": "wheel",
}
_SYSTEMS: Final[Mapping[str, str]] = {"elf": "Linux", "macho": "macOS", "pe": "Windows"}
_ORIGINS: Final[Mapping[str, tuple[str, str]]] = {
    "missing": ("missing", "red"),
    "sibling": ("from siblings", "yellow"),
    "optional": ("optional", "yellow"),
    "driver": ("from a driver", "yellow"),
    "grafted": ("grafted", ""),
    "inside": ("inside", ""),
    "python": ("from Python", ""),
    "system": ("from the system", ""),
    "whitelisted": ("from the system", ""),
}
"""In this order: how an origin of libraries is called, and its colour."""
_POOR: Final = frozenset({"missing", "sibling", "optional"})
_LABEL: Final = 16


def report(found: Inspection, *, width: int, every: bool) -> Iterator[str]:
    """The lines about all subjects. Without `every`, long lists and lines are shortened."""
    for number, subject in enumerate(found.subjects):
        if number:
            yield ""
        for line in _subject(subject, every=every):
            yield line if every else _shortened(line, width)


def _subject(subject: Subject, *, every: bool) -> Iterator[str]:
    yield click.style(subject.path, bold=True)
    yield _row("is a", f"{_KINDS[subject.kind]}{_crowd(subject)}")
    yield from _verdict(subject)
    yield from _reasons(subject, every=every)
    for unread in subject.unread:
        yield _row("cannot be read", f"{unread.path}: {unread.reason}", "red")
    yield from _list(subject.notes, lambda note: (_row("note", note),), "notes", every=every)
    yield from _outside(subject.external, every=every)
    yield from _list(subject.binaries, _detail if every else _line, "binaries", every=every)


def _crowd(subject: Subject) -> str:
    """How many binaries there are, and for what."""
    count = len(subject.binaries)
    if not count:
        return " without binaries"
    where = dict.fromkeys(
        f"{_SYSTEMS[item.binary.format]} {machine}"
        for item in subject.binaries
        for machine in item.binary.machines
    )
    what = "binary" if count == 1 else "binaries"
    what = f" with {count} {what}" if subject.kind not in {"binary", "static"} else ""
    if subject.kind == "static":
        what = f" of {count} object{'s' if count > 1 else ''}"
    return f"{what} for {', '.join(where)}"


def _verdict(subject: Subject) -> Iterator[str]:
    tag, claimed = subject.platform.tag, subject.platform.claimed
    if not tag and not claimed:
        return
    said = f", its name claims {', '.join(claimed)}" if claimed else ""
    if subject.kind == "conda":
        said = f", it says it is for {', '.join(claimed)}"
    elif tag in claimed:
        more = [name for name in claimed if name != tag]
        said = ", as it claims" + (f" (and {', '.join(more)})" if more else "")
    lies = {blocker.tag for blocker in subject.platform.blockers} & set(claimed) - {tag}
    yield _row("deserves", f"{tag or 'no tag'}{said}", "red" if lies or not tag else "green")


def _reasons(subject: Subject, *, every: bool) -> Iterator[str]:
    """Why not a lower tag, a line for each binary, or for each symbol."""
    by_tag: dict[str, dict[str, list[Blocker]]] = {}
    for blocker in subject.platform.blockers:
        by_tag.setdefault(blocker.tag, {}).setdefault(blocker.binary, []).append(blocker)
    tags_of: dict[tuple[tuple[str, str, str], ...], list[str]] = {}
    for tag, by_binary in by_tag.items():
        same = ((one.binary, one.symbol, one.library) for row in by_binary.values() for one in row)
        tags_of.setdefault(tuple(same), []).append(tag)
    for tags in tags_of.values():
        is_own = subject.platform.tag in tags
        yield _row(
            "not lower" if is_own else "not", "as these ask for it:" if is_own else ", ".join(tags)
        )
        rows = tuple(by_tag[tags[0]].items())
        yield from _list(rows, lambda row: _blamed(*row, every=every), "binaries", every=every)


def _blamed(path: str, blockers: Sequence[Blocker], *, every: bool) -> Iterator[str]:
    needs = [f"{one.symbol} of {one.library}" if one.symbol else one.library for one in blockers]
    if every or len(needs) == 1:
        yield from (_row("", f"{path}: {need}") for need in needs)
    else:
        yield _row("", f"{path}: {needs[0]} and {len(needs) - 1} more")


def _outside(external: Iterable[External], *, every: bool) -> Iterator[str]:
    by_origin: dict[str, list[External]] = {}
    for one in external:
        by_origin.setdefault(one.resolution.split(" ", 1)[0], []).append(one)
    for origin, (label, color) in _ORIGINS.items():
        rows = by_origin.get(origin, [])
        if every or origin in _POOR:
            yield from _list(
                rows, partial(_told, label, color, every=every), "libraries", every=every
            )
        elif rows:
            yield _row(label, ", ".join(one.name for one in rows), color)


def _told(label: str, color: str, one: External, *, every: bool) -> Iterator[str]:
    """A library with who needs it, and where it was looked for."""
    users = one.required_by if every else one.required_by[:1]
    others = len(one.required_by) - len(users)
    more = f" and {others} more" if others else ""
    where = f"; looked for in {', '.join(one.searched)}" if one.searched else ""
    promise = f" ({one.resolution})" if one.resolution.startswith("whitelisted") else ""
    yield _row(label, f"{one.name}{promise}, for {', '.join(users)}{more}{where}", color)


def _line(item: Found) -> Iterator[str]:
    binary = item.binary
    words = [
        " ".join(f"{family} {number}".strip() for family, number in _versions(binary).items()),
        _oldest(binary),
        binary.signature and f"signed ({binary.signature})",
        " ".join(binary.cuda_architectures),
        ":".join(binary.runpath or binary.rpath),
    ]
    yield f"  {item.path}: {'; '.join(word for word in words if word) or ' '.join(binary.machines)}"


def _oldest(binary: Binary) -> str:
    """The oldest system that a binary runs on, for each machine where they differ."""
    if len({one.min_os for one in binary.each}) < 2:  # noqa: PLR2004  # they agree
        return f"{_system(binary)} {min_os_of(binary)}" if min_os_of(binary) else ""
    told = (f"{_system(one)} {one.min_os} on {one.machine}" for one in binary.each if one.min_os)
    return ", ".join(told)


def _versions(binary: Binary) -> Mapping[str, str]:
    """The families that tags are about; the others are in the long report."""
    found = highest_versions(binary)
    return {name: found[name] for name in ("GLIBC", "GLIBCXX", "CXXABI") if name in found}


def _detail(item: Found) -> Iterator[str]:
    binary = item.binary
    yield f"  {click.style(item.path, bold=True)}: {binary.format} {' '.join(binary.machines)}, {binary.kind}"
    for one in binary.each:
        if binary.slices:
            yield f"    for {one.machine}"
        for name, words in (
            ("soname", (one.soname,)),
            ("needed", one.needed),
            ("optional", one.optional),
            ("delayed", one.delayed),
            ("rpath", one.rpath),
            ("runpath", one.runpath),
            ("versions", [f"{k} {v}" for k, v in highest_versions(one).items()]),
            ("system", (one.min_os and f"{_system(one)} {one.min_os}",)),
            ("signature", (one.signature,)),
            ("built for", one.properties),
            ("cuda", one.cuda_architectures),
        ):
            if any(words):
                yield f"{'      ' if binary.slices else '    '}{name:<10} {', '.join(words)}"


def _system(binary: Binary) -> str:
    """What the oldest system is a version of."""
    is_other = binary.platform not in {"", "macos"}
    return binary.platform if is_other else _SYSTEMS[binary.format]


def _list(
    things: Sequence[_Thing],
    told: Callable[[_Thing], Iterable[str]],
    what: str,
    *,
    every: bool,
) -> Iterator[str]:
    """The lines about each thing, or about the first few and how many more there are."""
    shown = things if every else things[:_FEW]
    for thing in shown:
        yield from told(thing)
    if hidden := len(things) - len(shown):
        yield _row("", f"and {hidden} more {what} (`-v` shows them)")


def _row(label: str, text: str, color: str = "") -> str:
    padded = f"{label:<{_LABEL}}"
    return f"  {click.style(padded, fg=color) if color else padded} {text}"


def _shortened(line: str, width: int) -> str:
    plain = click.unstyle(line)
    if len(plain) <= width or width < 2 * _LABEL:
        return line
    return line[: len(line) - (len(plain) - width) - 1] + "…"
