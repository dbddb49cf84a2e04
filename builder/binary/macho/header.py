"""The load commands of a Mach-O image: the names in them, how an edit changes these, and their room.

Load commands can only grow into the unused bytes behind them: what follows is code, and code knows
how far away everything is.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from builder.binary.macho.image import LOADED, Command, Slice
from builder.binary.macho.symbols import ordinals
from builder.binary.model import BinaryError, Edit

__all__ = ["Library", "headed", "install_name", "libraries", "rewritten", "search_path"]

_ID: Final = 0xD
_RPATH: Final = 0x8000001C
_LAZY: Final = 0x20
_WEAK: Final = 0x80000018
_LIBRARIES: Final = (0xC, _WEAK, 0x8000001F, _LAZY, 0x80000023)
"""Needed: plain, weak, handed on, lazy, upward."""
_LEAST: Final = {_RPATH: 12} | dict.fromkeys((_ID, *_LIBRARIES), 24)
"""Where the text in a command begins at the earliest."""
_USE_AT, _USE_MARK = 28, 0x1A741800
"""A younger form of needing a library: the place of its name and a mark say that flags follow."""
_USE_WEAK, _USE_DELAYED = 0x1, 0x8
_TWO_LEVELS: Final = 0x80
"""Every symbol is bound to one library, by number."""


class Library(NamedTuple):
    """A library that is needed, and whether it may be absent or is loaded on first use."""

    command: Command
    name: str
    is_optional: bool
    is_delayed: bool


def libraries(image: Slice) -> tuple[Library, ...]:
    """The needed libraries in the order that symbols count them in."""
    return tuple(_library(image, command) for command in image.of(*_LIBRARIES))


def install_name(image: Slice) -> str:
    """Under which name others need this library."""
    return next((_text(image, command) for command in image.of(_ID)), "")


def search_path(image: Slice) -> tuple[str, ...]:
    """Where `@rpath` leads to, in the order it is tried."""
    return tuple(_text(image, command) for command in image.of(_RPATH))


def rewritten(image: Slice, edit: Edit) -> list[bytes]:
    """The load commands after an edit, those that it does not change as they are."""
    names = _new_names(image, edit)
    search = edit.search if edit.search != search_path(image) else None
    paths = [_rpath(image, entry) for entry in search or ()]
    if len(set(search or ())) < len(paths):
        raise BinaryError("the new search path has an entry twice, which macOS 15.4 does not load")
    commands: list[bytes] = []
    for command in image.commands:
        if command.kind == _RPATH and search is not None:
            commands += paths
            paths = []
        elif command.offset not in names:
            commands.append(image.raw(command))
        elif names[command.offset]:
            commands.append(_renamed(image, command, names[command.offset]))
    commands += paths
    if image.type not in LOADED and commands != [image.raw(command) for command in image.commands]:
        raise BinaryError("the file is no program, library or plug-in: its names cannot be edited")
    return commands


def headed(image: Slice, commands: Iterable[bytes]) -> bytes:
    """The new beginning of an image, at least as long as the old one. Raises when it has no room."""
    rows = list(commands)
    size = sum(map(len, rows))
    start, room = image.header_size, image.room_end
    if room < image.commands_end:
        raise BinaryError(f"header: the load commands share bytes with what is at {room:#x}")
    end = max(start + size, image.commands_end)
    used = any(image.window.view[image.commands_end : end])
    if end > room or used:
        why = f"{end - room} bytes are missing" if end > room else "what is behind it is not empty"
        raise BinaryError(
            f"header: has no room for the new names: {why}",
            hint="link with `-Wl,-headerpad_max_install_names`, or choose shorter names",
        )
    head = bytearray(image.window.view[:start])
    struct.pack_into(image.window.order + "II", head, 16, len(rows), size)
    return bytes(head) + b"".join(rows).ljust(end - start, b"\0")


def _library(image: Slice, command: Command) -> Library:
    weak, lazy = command.kind == _WEAK, command.kind == _LAZY
    if image.fields(command, "II") == (_USE_AT, _USE_MARK):
        (use,) = image.fields(command, "I", 24)
        weak, lazy = bool(use & _USE_WEAK), bool(use & _USE_DELAYED)
    return Library(command, _text(image, command), weak, lazy)


def _text(image: Slice, command: Command) -> str:
    return image.text(command, _LEAST[command.kind]).decode("utf-8", "backslashreplace")


def _new_names(image: Slice, edit: Edit) -> Mapping[int, str]:
    """The new names by the place of their commands; empty for a command that goes."""
    wanted = dict(edit.needed)
    found = libraries(image)
    merged: dict[str, Library] = {}
    for library in found:
        other = merged.setdefault(wanted.get(library.name, library.name), library)
        if other.name != library.name and other[2:] != library[2:]:
            raise BinaryError(
                f"`{other.name}` and `{library.name}` cannot become one library: "
                "only one of them may be absent or come late"
            )
    gone = [n for n, library in enumerate(found, 1) if wanted.get(library.name) == ""]
    if gone:
        _refuse_bound(image, min(gone), found[min(gone) - 1].name)
    names = {
        library.command.offset: wanted[library.name] for library in found if library.name in wanted
    }
    if edit.soname is not None and install_name(image):
        names |= {command.offset: edit.soname for command in image.of(_ID)}
    return names


def _refuse_bound(image: Slice, number: int, name: str) -> None:
    """Refuse to remove a library when symbols count on it, or count the libraries behind it."""
    if not image.flags & _TWO_LEVELS:
        return
    bound = ordinals(image)
    if bound is None or max(bound) >= number:
        raise BinaryError(
            f"`{name}` cannot be removed: symbols are bound to it or to a library behind it, "
            "by its number",
            hint="give it the name of a library that takes its place",
        )


def _renamed(image: Slice, command: Command, name: str) -> bytes:
    """A command with another text; what is before the text stays."""
    if _text(image, command) == name:
        return image.raw(command)
    (place,) = image.fields(command, "I")
    return _packed(image, image.raw(command)[:place] + name.encode())


def _rpath(image: Slice, entry: str) -> bytes:
    """A command for an entry of the search path; that of the file where it has one."""
    for command in image.of(_RPATH):
        if _text(image, command) == entry:
            return image.raw(command)
    return _packed(image, struct.pack(image.window.order + "III", _RPATH, 0, 12) + entry.encode())


def _packed(image: Slice, command: bytes) -> bytes:
    """A command with the zeros behind its text, and its size."""
    unit = image.bits // 8
    size = (len(command) // unit + 1) * unit
    return (
        command[:4]
        + struct.pack(image.window.order + "I", size)
        + command[8:].ljust(size - 8, b"\0")
    )
