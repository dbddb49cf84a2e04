"""Edits of the names in a PE file, as the few bytes that change."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from builder.binary.model import BinaryError, Edit
from builder.binary.pe.checksum import CHECKSUM_FIELD, corrected
from builder.binary.pe.image import Directory, Image, aligned, open_image
from builder.binary.pe.reader import is_hybrid, set_load_flags
from builder.binary.pe.room import find_room
from builder.binary.pe.tables import (
    Exports,
    Import,
    exports_of,
    folded,
    forwards_of,
    functions_of,
    imports_of,
    text,
)
from builder.patch import Patch

__all__ = ["plan"]

_FORCE_INTEGRITY: Final = 0x80
_ARM64: Final = 0xAA64
_LONGEST_NAME: Final = 0x1000
_IMPORT_NAME, _DELAYED_NAME, _EXPORT_NAME = 12, 4, 12
_IMPORT_TIME, _DELAYED_TIME = 4, 28
_CERTIFICATE_UNIT: Final = 8


@dataclass(frozen=True, slots=True)
class _Name:
    """A name in the file, what it is to be, and the one field that points to it from `base` on."""

    old: bytes
    new: bytes
    address: int
    field: int
    base: int = 0

    @property
    def end(self) -> int:
        """The address of its zero: names that share bytes share this one."""
        return self.address + len(self.old)


def plan(view: memoryview, edit: Edit) -> Patch:
    """The bytes that change. Raises `BinaryError` when the file cannot be changed so.

    Libraries are found as Windows finds them, whatever their case. A changed file has no signature
    any more, looks up its imports anew, and leaves it to the process where libraries are looked for.
    """
    if edit.is_empty:
        return Patch(len(view))
    if edit.search is not None:
        raise BinaryError(
            "a PE file has no search path",
            hint="put libraries beside it, or into a folder given to `os.add_dll_directory`",
        )
    image = open_image(view)
    libraries, exports = imports_of(image), exports_of(image)
    renames = _renames(edit, libraries)
    names = _names(libraries, exports, renames, edit.soname)
    flags = set_load_flags(image) if renames else 0
    if not flags and all(name.new == name.old for name in names):
        return Patch(len(view))
    _refuse(image, exports, renames)
    changes, size = _renamed(image, exports, names, _size_without_certificate(image))
    changes += _unbound(image, libraries)
    changes += [(flags, bytes(2))] if flags else []
    if any(image.directory(Directory.CERTIFICATE)):
        changes.append((image.directory_entry(Directory.CERTIFICATE), bytes(8)))
    pieces = _pieces(changes)
    total = corrected(image, pieces, size)
    if total != image.checksum:
        changes.append((image.optional + CHECKSUM_FIELD, struct.pack("<I", total)))
    return Patch(size, _pieces(changes))


def _renames(edit: Edit, libraries: Sequence[Import]) -> Mapping[str, bytes]:
    """The new name of each library by its old one in small letters."""
    known = {folded(library.name): text(library.name) for library in libraries}
    found: dict[str, bytes] = {}
    for old, new in edit.needed:
        key = old.lower()
        if key not in known:
            raise BinaryError(
                f"does not import `{old}`", hint=f"it imports: {', '.join(known.values()) or '-'}"
            )
        if not new:
            raise BinaryError(
                f"cannot do without `{old}`: Windows looks up every import when it loads the file",
                hint="give the library another name, or link the file without it",
            )
        name = _encoded(new)
        if found.setdefault(key, name) != name:
            raise BinaryError(f"`{old}` cannot have two new names")
    return found


def _encoded(name: str) -> bytes:
    raw = name.encode("utf-8", "surrogateescape")
    if not raw or len(raw) > _LONGEST_NAME or any(letter in b"\0/\\" for letter in raw):
        raise BinaryError(f"`{name!r}` cannot name a DLL", hint="give a file name without a folder")
    return raw


def _names(
    libraries: Iterable[Import],
    exports: Exports | None,
    renames: Mapping[str, bytes],
    soname: str | None,
) -> tuple[_Name, ...]:
    """Every name of a library in the tables, also those that stay as they are."""
    found = []
    if exports is not None and exports.name:
        new = exports.name if soname is None else _encoded(soname)
        found.append(_Name(exports.name, new, exports.name_at, exports.at + _EXPORT_NAME))
    for library in libraries:
        new = renames.get(folded(library.name), library.name)
        field = library.at + (_DELAYED_NAME if library.delayed else _IMPORT_NAME)
        found.append(_Name(library.name, new, library.name_at, field, library.base))
    return tuple(found)


def _renamed(
    image: Image, exports: Exports | None, names: Sequence[_Name], size: int
) -> tuple[list[tuple[int, bytes]], int]:
    """The changes that give the names their new texts, and the size of the file with them.

    A text is overwritten where the new one fits and nothing else is in the same bytes.
    """
    changes: list[tuple[int, bytes]] = []
    moved = []
    users: dict[int, set[tuple[int, bytes]]] = {}
    for name in names:
        users.setdefault(name.end, set()).add((name.address, name.new))
    for name in names:
        if name.new == name.old:
            continue
        if len(name.new) > len(name.old) or len(users[name.end]) > 1:
            moved.append(name)
            continue
        place = image.place(name.address, len(name.old) + 1, "name of a library")
        changes.append((place, name.new.ljust(len(name.old), b"\0")))
    if not moved:
        return changes, size
    room = find_room(image, (name.new for name in moved), size)
    for name in moved:
        address = room.addresses[name.new]
        changes.append((name.field, struct.pack("<I", (address + name.base) & 0xFFFFFFFF)))
        if exports is not None and name.field == exports.at + _EXPORT_NAME:
            changes += _exports_reaching(image, exports, address + len(name.new) + 1)
    return [*changes, *room.changes], room.size


def _exports_reaching(image: Image, exports: Exports, end: int) -> Iterator[tuple[int, bytes]]:
    """Make the export directory reach its name in the same section: GNU ld reads no further.

    What is exported must not come to lie in it: it would be taken for the name of a forwarder.
    """
    start, size = image.directory(Directory.EXPORT)
    added = range(start + size, end)
    if not added or end - start > image.stretch(start, "export directory")[1]:
        return
    if not any(address in added for address in functions_of(image, exports)):
        place = image.directory_entry(Directory.EXPORT) + 4
        yield place, struct.pack("<I", end - start)


def _unbound(image: Image, libraries: Iterable[Import]) -> Iterator[tuple[int, bytes]]:
    """Forget the addresses that were looked up beforehand, in libraries of other names."""
    if any(image.directory(Directory.BOUND_IMPORT)):
        yield image.directory_entry(Directory.BOUND_IMPORT), bytes(8)
    for library in libraries:
        if not library.bound:
            continue
        if library.delayed:
            yield library.at + _DELAYED_TIME, bytes(4)
            continue
        if not library.lookups:
            raise BinaryError(
                f"the imports from `{text(library.name)}` are bound and cannot be looked up again",
                hint="link the file anew, without binding it",
            )
        # The timestamp, and the first of the forwarders that it is about.
        yield library.at + _IMPORT_TIME, bytes(8)


def _refuse(image: Image, exports: Exports | None, renames: Mapping[str, bytes]) -> None:
    """Raise `BinaryError` for a file that would be broken by a change."""
    if image.dll_characteristics & _FORCE_INTEGRITY:
        raise BinaryError(
            "Windows only loads it with its signature, which a change would break",
            hint="keep the names in it, or link it without `/INTEGRITYCHECK` and sign it afterwards",
        )
    if image.machine == _ARM64 and is_hybrid(image):
        raise BinaryError(
            "is ARM64X: its tables are rewritten by the loader for each of two machines",
            hint="keep the names in it, or use the file for one machine",
        )
    others = {old for old, new in renames.items() if folded(new) != old}
    if exports is not None and others:
        for library in forwards_of(image, exports):
            if library.lower() in others or f"{library.lower()}.dll" in others:
                raise BinaryError(
                    f"exports are forwarded to `{library}`, which cannot be renamed with it",
                    hint="keep the name of that library",
                )


def _size_without_certificate(image: Image) -> int:
    """Where the file ends once its signature is cut off; that is its last part, or stays as junk."""
    size = len(image.window.view)
    place, length = image.directory(Directory.CERTIFICATE)
    ends = (section.start + section.stored for section in image.sections)
    headers = (image.header_size, image.directory_entry(16), image.section_table_end)
    content = max(*headers, *ends)
    if not length or not content <= place < size:
        return size
    return place if place + aligned(length, _CERTIFICATE_UNIT) >= size else size


def _pieces(changes: Iterable[tuple[int, bytes]]) -> tuple[tuple[int, bytes], ...]:
    """The changes sorted, those that touch joined. Raises `BinaryError` when two contradict."""
    pieces: list[tuple[int, bytes]] = []
    for offset, content in sorted(set(changes)):
        start, before = pieces[-1] if pieces else (-1, b"")
        end = start + len(before)
        if offset < end:
            raise BinaryError(f"tables overlap at {offset:#x}, where a name is to be changed")
        if pieces and offset == end:
            pieces[-1] = (start, before + content)
        else:
            pieces.append((offset, content))
    return tuple(pieces)
