"""What a zip is written from: members that stay, that are new, or that change."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from builder.archive.file import WINDOW
from builder.archive.spool import Digest, Held, Spooled
from builder.archive.zip_entry import DEFLATED, STORED, Entry
from builder.archive.zip_format import MAX_32, Packed

if TYPE_CHECKING:
    from builder.archive.record import Row

__all__ = [
    "Change",
    "Item",
    "Keep",
    "Late",
    "Link",
    "Put",
    "blank_of",
    "content_of",
    "size_of",
    "windows_of",
]


@dataclass(frozen=True, slots=True)
class Keep:
    """A member that stays as it is: its header and its packed bytes are copied.

    With another `name` it gets a header of its own, and its packed bytes are copied.
    """

    entry: Entry
    name: str = ""


@dataclass(frozen=True, slots=True)
class Put:
    """A new member, or one with a name that was there: its bytes, or a file that has them."""

    name: str
    content: bytes | Path
    executable: bool = False


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link, as Info-ZIP and Python's `zipfile` read it; no wheel may have one."""

    name: str
    target: str


@dataclass(frozen=True, slots=True)
class Change:
    """A member with some bytes changed: its new content, and where it may differ from the old one.

    `touched` are (start, end) within the old `old_size` bytes; what lies behind is new. `digest`
    gives that of the new content, where somebody has begun to make it.
    """

    entry: Entry
    raw: Spooled | Held
    touched: tuple[tuple[int, int], ...]
    old_size: int
    digest: Callable[[], Digest] | None = None


@dataclass(frozen=True, slots=True)
class Late:
    """A member that is made when all others were written, from their rows: a RECORD."""

    name: str
    make: Callable[[Mapping[str, Row]], bytes]


Item = Keep | Put | Link | Change | Late


def blank_of(item: Keep | Put | Link | Change, stamp: tuple[int, int], size: int) -> Packed:
    """The headers of a member whose numbers are not known yet; one that was there keeps its time."""
    match item:
        case Keep(entry, name):
            big = max(entry.size, entry.packed) >= MAX_32
            return Packed(
                name or entry.name, bool(entry.mode & 0o111), entry.stamp, entry.method, big,
                entry.crc, entry.packed, entry.size, link=entry.kind == "link",
            )  # fmt: skip
        case Change(entry):
            executable = bool(entry.mode & 0o111)
            big = size >= MAX_32
            return Packed(entry.name, executable, entry.stamp, DEFLATED, big, size=size)
        case Put(name, _, executable):
            return Packed(name, executable, stamp, DEFLATED, size >= MAX_32, size=size)
        case Link(name):
            return Packed(name, False, stamp, STORED, False, size=size, link=True)


def size_of(item: Put | Link | Change) -> int:
    """How many bytes a member is to have."""
    if isinstance(item, Change):
        return item.raw.size
    if isinstance(item, Put) and isinstance(item.content, Path):
        return item.content.stat().st_size
    return len(content_of(item))


def content_of(item: Put | Link | Change) -> bytes:
    """The whole content of a small member."""
    if isinstance(item, Change):
        return item.raw.read(0, item.raw.size)
    if isinstance(item, Link):
        return item.target.encode()
    return item.content.read_bytes() if isinstance(item.content, Path) else item.content


def windows_of(item: Put | Link | Change) -> Iterator[bytes]:
    """The content in order, in pieces that are not too big unless they are in memory anyway."""
    if isinstance(item, Put) and isinstance(item.content, Path):
        with item.content.open("rb", buffering=0) as file:
            while window := file.read(WINDOW):
                yield window
    elif isinstance(item, Change):
        yield from item.raw.windows()
    else:
        yield content_of(item)
