"""Pass over every byte that will be packed, once: digest, size, build folders that it names.

Also counts what a library offers. Static libraries are ar(5) archives, whose first member is an
index of symbols in the manner of System V and Windows, or of BSD (`__.SYMDEF`).
"""

from __future__ import annotations

import hashlib
import mmap
import re
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from builder.archive.content import Item, role_of
from builder.binary import BinaryError, defined, looks_like
from builder.errors import BuilderError
from builder_libtorch.parts import Part

__all__ = ["Examined", "examined", "exports_of", "offers_strings"]

_WINDOW = 1 << 20
_TEXT = 4096
_HEAD = 8
_AR = b"!<arch>\n"
_STRINGS = re.compile(rb"_Z(?!N?K?St)[A-Za-z0-9_]*(B5cxx11|__cxx11)")
_MEMBER = struct.Struct("16s12s6s6s8s10s2s")


@dataclass(frozen=True, slots=True)
class Examined:
    """One part as the manifest names it, and the lines or places where it names a build folder."""

    item: Item
    leaks: tuple[str, ...] = ()


def examined(parts: Iterable[Part], roots: tuple[str, ...]) -> Mapping[str, Item]:
    """The manifest's items by path, in the order of the parts.

    Raises `BuilderError` with every place that names one of `roots`, and for what cannot be read.
    """
    found = [_examine(part, roots) for part in parts]
    if leaks := [leak for one in found for leak in one.leaks]:
        raise BuilderError(
            f"{len(leaks)} places of the archive name folders of the build",
            faults=leaks,
            hint="make the project install relocatable files, or leave them out with `archive.leave`",
        )
    return {one.item.path: one.item for one in found}


def exports_of(content: bytes | Path) -> int | None:
    """How many symbols a library offers; None for what is no library that can be read."""
    head = _head(content, _HEAD + _MEMBER.size + 4)
    if head.startswith(_AR):
        return _indexed(head[_HEAD:], content)
    if looks_like(head[:_HEAD]) is None:
        return None
    try:
        return len(defined(content))
    except BinaryError:
        return None


def offers_strings(file: Path) -> bool:
    """Whether a library of C++ has functions of its own that take or give a new `std::string`.

    Such a name carries the tag `cxx11` (Itanium C++ ABI); those of the standard library do not count.
    """
    with file.open("rb") as opened:
        view = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
    if view[: len(_AR)] == _AR:
        return _STRINGS.search(view) is not None
    return any(_STRINGS.match(name.encode()) for name in defined(file))


def _examine(part: Part, roots: tuple[str, ...]) -> Examined:
    role = role_of(part.path)
    if part.link:
        return Examined(Item(part.path, role, link=part.link))
    digest, size = hashlib.sha256(), 0
    scan = _Scan(part.path, roots)
    try:
        for window in _windows(part.content):
            digest.update(window)
            size += len(window)
            scan.feed(window)
        exports = exports_of(part.content) if role == "library" else None
    except OSError as error:
        raise BuilderError(
            f"`{part.content!s}` cannot be read: {error.strerror}", hint="build the tree again"
        ) from error
    item = Item(part.path, role, size, digest.hexdigest(), exports=exports)
    return Examined(item, tuple(scan.found()))


class _Scan:
    """Looks for the first place of each root in bytes that come in windows."""

    def __init__(self, path: str, roots: tuple[str, ...]) -> None:
        self._path = path
        self._roots = {root: root.encode() for root in roots}
        self._places: dict[str, tuple[int, int]] = {}
        self._keep = max((len(root) for root in self._roots.values()), default=1) - 1
        self._tail = b""
        self._offset = self._lines = 0
        self._is_text = True

    def feed(self, window: bytes) -> None:
        """Take the next bytes."""
        if not self._roots:
            return
        if not self._offset:
            self._is_text = b"\0" not in window[:_TEXT]
        both = self._tail + window
        start = self._offset - len(self._tail)
        for root, raw in self._roots.items():
            if root not in self._places and (place := both.find(raw)) >= 0:
                self._places[root] = (start + place, self._lines + both.count(b"\n", 0, place))
        keep = min(self._keep, len(both))
        self._lines += both.count(b"\n", 0, len(both) - keep) if self._is_text else 0
        self._tail = both[len(both) - keep :]
        self._offset += len(window)

    def found(self) -> Iterator[str]:
        """One line for each root that is named, in the order of their places."""
        for root, (place, lines) in sorted(self._places.items(), key=lambda found: found[1]):
            where = f":{lines + 1}:" if self._is_text else ":"
            what = f"names `{root}`" if self._is_text else f"names `{root}` at byte {place}"
            yield f"{self._path}{where} {what}"


def _windows(content: bytes | Path) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    with content.open("rb", buffering=0) as file:
        while window := file.read(_WINDOW):
            yield window


def _head(content: bytes | Path, size: int, place: int = 0) -> bytes:
    if isinstance(content, bytes):
        return content[place : place + size]
    with content.open("rb") as file:
        file.seek(place)
        return file.read(size)


def _indexed(member: bytes, content: bytes | Path) -> int | None:
    """The number of symbols in the index that an archive begins with."""
    if len(member) < _MEMBER.size + 4:
        return None
    name = _MEMBER.unpack_from(member)[0].rstrip()
    count = member[_MEMBER.size : _MEMBER.size + 4]
    if name == b"/":
        return int.from_bytes(count, "big")
    if name == b"/SYM64/":
        return int.from_bytes(_head(content, 8, _HEAD + _MEMBER.size), "big")
    if name.startswith(b"#1/") and name[3:].isdigit():  # BSD: the name stands in front of the data
        longer = int(name[3:])
        if _head(content, longer, _HEAD + _MEMBER.size).startswith(b"__.SYMDEF"):
            size = _head(content, 4, _HEAD + _MEMBER.size + longer)
            return int.from_bytes(size, "little") // 8
    return None
