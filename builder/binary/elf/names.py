"""The names in an ELF file as an edit wants them, decided before any place is looked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from builder.binary.elf import tags
from builder.binary.elf.image import Image
from builder.binary.elf.padding import without_padding
from builder.binary.elf.reader import split_path
from builder.binary.elf.strings import Path
from builder.binary.elf.versions import Definition, Need, definitions, needs
from builder.binary.model import BinaryError, Edit
from builder.binary.window import texts

__all__ = ["Entry", "Names", "names_after"]

Entry = tuple[int, int | bytes | Path]
"""Tag and value of the dynamic section; a text still needs a place, and so may a padded path."""


@dataclass(frozen=True, slots=True)
class Names:
    """All that has names in it: the dynamic section, the version needs, the base version.

    Of the needs, each with the name of its library: none when it stays, an empty one when it goes.
    """

    entries: tuple[Entry, ...]
    needs: tuple[tuple[Need, bytes | None], ...]
    base: tuple[Definition, bytes] | None

    @property
    def path(self) -> Path | None:
        """The search path when it is a padded one."""
        return next((value for _, value in self.entries if isinstance(value, Path)), None)


def names_after(image: Image, strings: bytes, edit: Edit) -> Names:
    """The names once an edit is made. Raises `BinaryError` when it cannot be meant for this file."""
    entries = image.dynamic.entries
    places = [value for tag, value in entries if tag in tags.TEXTS]
    named = texts(strings, places, "dynamic section: name")
    needed = {named[value] for tag, value in entries if tag == tags.NEEDED}
    new = _new_names(edit, needed)
    soname = _soname(image, named, edit)
    found = needs(image)
    libraries = texts(strings, [need.library for need in found], "version name")
    _check_merged(strings, found, libraries, new)
    return Names(
        _with_names(_with_path(image, strings, named, edit), named, new, soname),
        tuple((need, new.get(libraries[need.library])) for need in found),
        _base(image, strings, soname),
    )


def _new_names(edit: Edit, needed: set[str]) -> Mapping[str, bytes]:
    """The new name of each library that gets another one, empty for one that goes."""
    missing = [old for old, _ in edit.needed if old not in needed]
    if missing:
        raise BinaryError(
            "does not need " + ", ".join(f"`{name}`" for name in missing),
            hint="it needs " + (", ".join(sorted(needed)) or "nothing"),
        )
    return {old: _encoded(new) for old, new in dict(edit.needed).items() if old != new}


def _check_merged(
    strings: bytes, found: tuple[Need, ...], libraries: Mapping[int, str], new: Mapping[str, bytes]
) -> None:
    """One version of one library cannot be asked for twice, which two libraries of one name would."""
    places = [name for need in found for name, _ in need.versions]
    versions = texts(strings, places, "version name") if new else {}
    seen: dict[tuple[bytes, str], int] = {}
    for need in found if new else ():
        library = libraries[need.library]
        name = new.get(library, library.encode())
        for version in {versions[place] for place, _ in need.versions}:
            if name and seen.setdefault((name, version), need.library) != need.library:
                raise BinaryError(
                    f"`{library}` and `{libraries[seen[name, version]]}` cannot have one name: "
                    f"both are asked for the version `{version}`"
                )


def _soname(image: Image, named: Mapping[int, str], edit: Edit) -> bytes | None:
    """The new name of the file itself, empty for none; `None` when it keeps what it has."""
    value = image.dynamic.values.get(tags.SONAME)
    if edit.soname is None or value is None or named[value] in {"", edit.soname}:
        return None
    return _encoded(edit.soname)


def _base(image: Image, strings: bytes, soname: bytes | None) -> tuple[Definition, bytes] | None:
    """The base version, which has the name of the file, when that changes.

    It keeps the old name where a linker made its record that of another version, too.
    """
    found = definitions(image)
    base = next((version for version in found if version.is_base), None)
    if base is None or not soname or any(base.aux == other.aux for other in found if other != base):
        return None
    places = [base.name, image.dynamic.values[tags.SONAME]]
    named = texts(strings, places, "version name")
    return (base, soname) if len(set(named.values())) == 1 else None


def _with_path(
    image: Image, strings: bytes, named: Mapping[int, str], edit: Edit
) -> tuple[Entry, ...]:
    """The entries with one for the search path, where the first one was or at the end; or none."""
    values, entries = image.dynamic.values, image.dynamic.entries
    found = {tag: named[values[tag]] for tag in (tags.RPATH, tags.RUNPATH) if tag in values}
    rpath, runpath = (split_path(found.get(tag, "")) for tag in (tags.RPATH, tags.RUNPATH))
    old, source = runpath or rpath, tags.RUNPATH if runpath else tags.RPATH
    is_kept = edit.search is None and edit.search_kind == "keep"
    wanted = old if edit.search is None else tuple(edit.search)
    path: Entry | None = None
    if wanted:
        tag = source if is_kept else _search_tag(edit, is_rpath=bool(rpath) and not runpath)
        path = (tag, _path_value(strings, values[source] if old else None, old, wanted))
    others = (tags.RPATH, tags.RUNPATH)
    if is_kept:
        return tuple(
            path if path and entry == (source, values[source]) else entry for entry in entries
        )
    if not values and path:
        raise BinaryError(
            "has no dynamic section, so no search path",
            hint="an object file or a program that was linked statically is loaded by nobody",
        )
    first = next((at for at, (tag, _) in enumerate(entries) if tag in others), len(entries))
    kept = [entry for entry in entries if entry[0] not in others]
    return (*kept[:first], *([path] if path else []), *kept[first:])


def _path_value(
    strings: bytes, place: int | None, old: tuple[str, ...], wanted: tuple[str, ...]
) -> int | bytes | Path:
    """The place of a path that is there already, a text, or both where the old one is padded."""
    if place is None:
        return _encoded(_joined(wanted))
    raw = strings[place : strings.index(b"\0", place)]
    bare = without_padding(raw.decode("latin-1")).encode("latin-1")
    text = bare if wanted == old else _encoded(_joined(wanted))
    if len(bare) < len(raw) and len(text) <= len(raw):
        return Path(place, text, is_new=wanted != old)
    return place if wanted == old else text


def _search_tag(edit: Edit, *, is_rpath: bool) -> int:
    match edit.search_kind:
        case "rpath":
            return tags.RPATH
        case "runpath":
            return tags.RUNPATH
        case "keep":
            return tags.RPATH if is_rpath else tags.RUNPATH


def _joined(path: tuple[str, ...]) -> str:
    joined = ":".join(path)
    if split_path(joined) != path:
        raise BinaryError(
            f"{path!r} cannot be written as a search path",
            hint="its folders are separated by colons, and one that is empty cannot stand alone",
        )
    return joined


def _with_names(
    entries: tuple[Entry, ...],
    named: Mapping[int, str],
    new: Mapping[str, bytes],
    soname: bytes | None,
) -> tuple[Entry, ...]:
    found: list[Entry] = []
    for tag, value in entries:
        name: bytes | None = None
        if tag == tags.NEEDED and isinstance(value, int):
            name = new.get(named[value])
        elif tag == tags.SONAME:
            name = soname
        if name is None:
            found.append((tag, value))
        elif name:
            found.append((tag, name))
    return tuple(found)


def _encoded(text: str) -> bytes:
    try:
        raw = text.encode()
    except UnicodeEncodeError as error:
        raise BinaryError(f"{text!r} cannot be written as UTF-8") from error
    if b"\0" in raw:
        raise BinaryError(f"{text!r} cannot be written: a zero ends a text")
    return raw
