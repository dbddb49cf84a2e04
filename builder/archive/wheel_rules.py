"""What is allowed in a zip but not in a wheel, and the quick way to see that all is well."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Sequence
from typing import Final

from builder.archive.refusals import Limits, Member, Refusal, refuse
from builder.archive.zip_entry import ENCRYPTED, METHODS, Entry, method_name
from builder.archive.zip_read import Zip

__all__ = ["member_of", "refusals"]

_FILES: Final = frozenset({0, stat.S_IFREG})
_FOLDERS: Final = frozenset({0, stat.S_IFDIR})
_LONGEST_NAME: Final = 255
_MANY_FOLDERS: Final = 1000


def refusals(archive: Zip, limits: Limits) -> tuple[Refusal, ...]:
    """Every reason why an archive cannot be a wheel that is safe to unpack.

    Names that differ in case only are fine: they are legal, and common in terminfo data.
    """
    entries, offsets = archive.entries, archive.offsets
    if _are_plain(entries) and not offsets[0] and _is_no_bomb(entries, archive.size, limits):
        return ()
    found = refuse(tuple(map(member_of, entries)), archive.size, limits)
    allowed = {"case", "link"}  # of a link, all that counts is that there is one
    return (*(one for one in found if one.rule not in allowed), *_wheel_rules(archive))


def member_of(entry: Entry) -> Member:
    """A member as the rules for all archives know it."""
    return Member(
        entry.name,
        entry.kind,
        entry.size,
        executable=bool(entry.mode & 0o111),
        encrypted=bool(entry.flags & ENCRYPTED),
    )


def _are_plain(entries: Sequence[Entry]) -> bool:
    """Whether all are readable files with plain names, no two alike, and maybe their folders.

    All names are looked at as one text, which no rule of its own per name could be as quick as.
    """
    files = [entry for entry in entries if entry[0][-1:] != "/"]
    names = [entry[0] for entry in files]
    directories = [entry for entry in entries if entry[0][-1:] == "/"]
    told = {entry[0][:-1] for entry in directories}
    if max(map(len, (*names, *told)), default=0) > _LONGEST_NAME:
        return False
    text = f"/{'/|/'.join([*names, *told])}/"
    unwanted = ("//", "/./", "/../", "\\", ":")
    folders = {name.rpartition("/")[0] for name in names} | told
    for folder in tuple(folders):
        parent = folder.rpartition("/")[0]
        while parent not in folders:
            folders.add(parent)
            parent = parent.rpartition("/")[0]
        if len(folders) > _MANY_FOLDERS + 4 * len(entries):
            return False
    different = set(names)
    return (
        bool(names)
        and text.isascii()
        and text.isprintable()
        and not any(part in text for part in unwanted)
        and len(different) == len(names)
        and folders.isdisjoint(different)
        and {entry[1] for entry in entries} <= METHODS
        and not any(flags & ENCRYPTED for flags in {entry[2] for entry in entries})
        and {mode & 0o170000 for mode in {entry[7] for entry in files}} <= _FILES
        and {mode & 0o170000 for mode in {entry[7] for entry in directories}} <= _FOLDERS
        and not any(entry[5] for entry in directories)
    )


def _is_no_bomb(entries: Sequence[Entry], packed: int, limits: Limits) -> bool:
    total = sum([entry[5] for entry in entries])
    return len(entries) <= limits.members and total <= min(
        limits.total, max(limits.floor, packed * limits.ratio)
    )


def _wheel_rules(archive: Zip) -> Iterator[Refusal]:
    if archive.entries and archive.offsets[0]:
        yield Refusal("*", "damaged", f"{archive.offsets[0]} bytes lie before the first member")
    for entry in archive.entries:
        inside = f"/{entry.name}"
        if entry.kind == "link":
            yield Refusal(entry.name, "link", "a wheel cannot hold links")
        elif "//" in inside or "/./" in f"{inside}/":
            yield Refusal(entry.name, "name", "the path is not normal")
        if entry.method not in METHODS:
            how = f"it is packed with {method_name(entry.method)}, not deflate"
            yield Refusal(entry.name, "damaged", how)
