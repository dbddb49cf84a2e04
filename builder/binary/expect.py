"""What a binary must say after an edit, as a pure function: the yardstick of the read-back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from builder.binary.model import Binary, Edit, Signature
from builder.binary.universal import united

__all__ = ["expected"]


def expected(before: Binary, edit: Edit) -> Binary:
    """The binary as it has to be read once `edit` is made in the file that `before` was read from."""
    if edit.is_empty:
        return before
    if before.slices:
        return united(tuple(_expected(one, edit) for one in before.slices))
    return _expected(before, edit)


def _expected(before: Binary, edit: Edit) -> Binary:
    names = _names(before, edit)
    needs = (
        replace(need, library=names.get(need.library, need.library))
        for need in before.versions_needed
        if names.get(need.library) != ""
    )
    rpath, runpath = _search(before, edit)
    after = replace(
        before,
        soname=before.soname if edit.soname is None or not before.soname else edit.soname,
        needed=_renamed(before, before.needed, names),
        optional=_renamed(before, before.optional, names),
        delayed=_renamed(before, before.delayed, names),
        versions_needed=tuple(needs),
        rpath=rpath,
        runpath=runpath,
        properties=_properties(before, edit),
    )
    if after == before and not edit.sign:
        return before
    return replace(after, signature=_signature(before, edit))


def _names(before: Binary, edit: Edit) -> dict[str, str]:
    """The new name of each library that is needed; Windows does not care for case."""
    known = {_key(before, name): name for name in before.needed}
    wanted = ((_key(before, old), new) for old, new in edit.needed)
    return {known[old]: new for old, new in wanted if old in known}


def _key(before: Binary, name: str) -> str:
    return name.lower() if before.format == "pe" else name


def _renamed(before: Binary, names: tuple[str, ...], new: Mapping[str, str]) -> tuple[str, ...]:
    found: dict[str, str] = {}
    for name in names:
        if new.get(name) != "":
            kept = new.get(name, name)
            found.setdefault(_key(before, kept), kept)
    return tuple(found.values())


def _properties(before: Binary, edit: Edit) -> tuple[str, ...]:
    """A PE file with a new import leaves it to the process again where libraries are looked for."""
    if before.format != "pe" or not edit.needed:
        return before.properties
    return tuple(name for name in before.properties if name != "loadflags")


def _search(before: Binary, edit: Edit) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The new rpath and runpath: one of them, or none."""
    if edit.search is None and edit.search_kind == "keep":
        return before.rpath, before.runpath
    entries = (before.runpath or before.rpath) if edit.search is None else edit.search
    if before.format != "elf":
        return entries, ()
    kind = edit.search_kind
    if kind == "keep":
        kind = "rpath" if before.rpath and not before.runpath else "runpath"
    return (entries, ()) if kind == "rpath" else ((), entries)


def _signature(before: Binary, edit: Edit) -> Signature:
    if before.format == "macho":
        is_signed = before.signature or edit.sign or before.machine in {"arm64", "arm64e"}
        return "adhoc" if is_signed else ""
    return "" if before.format == "pe" else before.signature
