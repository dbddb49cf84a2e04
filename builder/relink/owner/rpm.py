"""rpm: its SQLite database holds one header per package (LSB, "RPM file format", header section)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

from builder.relink.owner.model import Owner
from builder.relink.owner.release import distribution

if TYPE_CHECKING:
    from sqlite3 import Connection

__all__ = ["owner_of"]

_PLACES: Final = ("usr/lib/sysimage/rpm/rpmdb.sqlite", "var/lib/rpm/rpmdb.sqlite")
_NAME, _VERSION, _RELEASE, _EPOCH, _LICENCE, _ARCH = 1000, 1001, 1002, 1003, 1014, 1022
_FOLDER_INDEX, _NAMES, _FOLDERS = 1116, 1117, 1118
_INT32, _STRING, _STRINGS, _TEXTS = 4, 6, 8, 9
_LICENCE_FOLDERS: Final = ("usr/share/licenses", "usr/share/doc")

_Header = dict[int, list[str | int]]


def owner_of(library: Path, root: Path) -> Owner | None:
    """The rpm package that installed a file; older Berkeley databases are not read."""
    for place in _PLACES:
        if (root / place).is_file():
            return _find(library, root, root / place)
    return None


def _find(library: Path, root: Path, database: Path) -> Owner | None:
    """The same in one database, None when it is damaged."""
    import sqlite3  # noqa: PLC0415  # slow to load, and most machines have another system

    try:
        return _asked(sqlite3.connect, library, root, database)
    except (sqlite3.Error, struct.error, IndexError, ValueError):
        return None


def _asked(
    connect: Callable[..., Connection], library: Path, root: Path, database: Path
) -> Owner | None:
    path = "/" + library.relative_to(root).as_posix()
    # Immutable: nothing is written beside a database that may be on a read-only disk.
    address = f"{database.absolute().as_uri()}?mode=ro&immutable=1"
    with closing(connect(address, uri=True)) as connection:
        query = "SELECT blob FROM Packages WHERE hnum IN (SELECT hnum FROM Basenames WHERE key = ?)"
        for (blob,) in connection.execute(query, (library.name,)):
            header = _header(bytes(blob))
            if path in _paths(header):
                return _owner(header, root)
    return None


def _header(blob: bytes) -> _Header:
    """The tags of a header that are text or numbers."""
    count, _ = struct.unpack_from(">II", blob)
    data = 8 + 16 * count
    header: _Header = {}
    for tag, kind, offset, many in struct.iter_unpack(">IIII", blob[8:data]):
        start = data + offset
        if kind == _INT32:
            header[tag] = list(struct.unpack_from(f">{many}I", blob, start))
        elif kind in {_STRING, _STRINGS, _TEXTS}:
            words = blob[start:].split(b"\0", many)[:many]
            header[tag] = [word.decode("utf-8", "replace") for word in words]
    return header


def _paths(header: _Header) -> Iterator[str]:
    folders, names = header.get(_FOLDERS, []), header.get(_NAMES, [])
    for index, name in zip(header.get(_FOLDER_INDEX, []), names, strict=False):
        yield f"{folders[int(index)]}{name}"


def _owner(header: _Header, root: Path) -> Owner:
    name, release = _first(header, _NAME), _first(header, _RELEASE)
    version = f"{_first(header, _VERSION)}-{release}" if release else _first(header, _VERSION)
    folders = (root / place / name for place in _LICENCE_FOLDERS)
    texts = (
        path
        for folder in folders
        for path in sorted(folder.glob("*"))
        if path.is_file() and path.name.upper().startswith(("COPYING", "LICEN", "NOTICE"))
    )
    return Owner(
        "rpm",
        name,
        version,
        _first(header, _ARCH),
        distribution(root),
        _first(header, _LICENCE),
        tuple(texts),
    )


def _first(header: _Header, tag: int) -> str:
    return str(next(iter(header.get(tag, [])), ""))
