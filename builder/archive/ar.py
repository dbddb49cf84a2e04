"""Members of static libraries (`ar`), as System V, GNU, BSD and Microsoft write them.

Apple puts those for several machines behind one "fat" header.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Final

from builder.archive.refusals import Limits, Member
from builder.archive.tar_source import ArchiveError, Content, Source

__all__ = ["MAGIC", "THIN", "read_ar", "universal_parts"]

MAGIC: Final = b"!<arch>\n"
THIN: Final = b"!<thin>\n"
_HEADER: Final = 60
_MOST_MACHINES: Final = 42
_CPUS: Final = {7: "i386", 12: "arm", 0x01000007: "x86_64", 0x0100000C: "arm64"}
_LONGEST_NAME: Final = 4096
_LONGEST_TABLE: Final = 64 << 20
_FARTHEST: Final = 1 << 62
"""No file is longer; no system reads at a place that it has no number for."""
_TABLES: Final = frozenset({"/", "/SYM64/", "/<ECSYMBOLS>/", "/<XFGHASHMAP>/"})


def read_ar(
    source: Source, archive: str, limits: Limits | None = None
) -> Iterator[tuple[Member, Content]]:
    """Every object and its content, which is passed over when the next one is asked for.

    Tables of symbols and names are left out. Two objects may have one name. Raises `ArchiveError`.
    """
    head = source.read(len(MAGIC))
    if head == THIN:
        raise ArchiveError(
            archive,
            ("it is a thin archive: its objects are other files",),
            hint="give the folder with the objects",
        )
    if head != MAGIC:
        raise ArchiveError(archive, ("damaged: it does not begin like a static library",))
    most = (limits or Limits()).members
    names = b""
    count = 0
    while header := source.read(_HEADER):
        count += 1
        name, size = _header(header, archive, count)
        if count > most:
            raise ArchiveError(archive, (f"bomb: it has more than {most} members",))
        content = Content(source, size, f"the name of member {count}", archive)
        if name == "//":
            if size > _LONGEST_TABLE:
                raise ArchiveError(archive, (f"bomb: a table of names of {size} bytes",))
            content.what = "the table of names"
            names = content.read(size)
        else:
            name = _full_name(name, content, names, archive, count)
            if name not in _TABLES and not name.startswith("__.SYMDEF"):
                name = name.removesuffix("/") or "?"
                content.what = repr(name)
                yield Member(name, "file", content.left), content
        content.skip()
        source.skip(size % 2)


def universal_parts(read: Callable[[int, int], bytes]) -> tuple[tuple[str, int, int], ...]:
    """Machine, offset and size of each static library in a universal file; nothing if it is none.

    `read` gives bytes of the file, by offset and size.
    """
    magic, count = struct.unpack(">4sI", read(0, 8).ljust(8, b"\0"))
    layout = {b"\xca\xfe\xba\xbe": ">I4xII4x", b"\xca\xfe\xba\xbf": ">I4xQQ8x"}.get(magic)
    if layout is None or count > _MOST_MACHINES:
        return ()
    size = struct.calcsize(layout)
    table = read(8, size * count)
    if len(table) < size * count:
        return ()
    rows = tuple(struct.iter_unpack(layout, table))
    if not all(offset < _FARTHEST and read(offset, len(MAGIC)) == MAGIC for _, offset, _ in rows):
        return ()
    return tuple((_CPUS.get(cpu, f"cpu{cpu:#x}"), offset, size) for cpu, offset, size in rows)


def _header(header: bytes, archive: str, count: int) -> tuple[str, int]:
    """The name as written and the size of one member."""
    size = header[48:58].strip(b" ")
    if len(header) < _HEADER or header[58:] != b"`\n" or not size.isdigit():
        raise ArchiveError(archive, (f"damaged: no header where one must be (member {count})",))
    return _text(header[:16].rstrip(b" ")), int(size)


def _full_name(name: str, content: Content, names: bytes, archive: str, count: int) -> str:
    """The name of BSD lies before the content, that of the others in a table, at a place."""
    if name.startswith("#1/"):
        length = _number(name[3:])
        if length is None or length > min(_LONGEST_NAME, content.left):
            raise ArchiveError(archive, (f"damaged: a name {name!r} (member {count})",))
        return _text(content.read(length).rstrip(b"\0"))
    place = _number(name[1:]) if name.startswith("/") else None
    if place is None:
        return name
    text = names[place : place + _LONGEST_NAME]
    ends = [end for end in (text.find(b"\n"), text.find(b"\0")) if end >= 0]
    if not ends:
        raise ArchiveError(
            archive, (f"damaged: the table of names has none at {place} (member {count})",)
        )
    return _text(text[: min(ends)])


def _number(text: str) -> int | None:
    """Digits as a number; Python takes more letters for digits than it can read."""
    return int(text) if text.isascii() and text.isdigit() else None


def _text(text: bytes) -> str:
    return text.decode("utf-8", "backslashreplace")
