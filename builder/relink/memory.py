"""What was found out about files, kept for the next process: bytes in, bytes out.

An entry is known by what the file system says of the file (device, inode, size, time), by the end of
its bytes, by its name, and by the source text of the code that found out. A file that was
changed so recently that a further change could look the same is not remembered. Whatever is wrong
with an entry, it was never there.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["SETTLED", "Memory", "Place", "digest_of_source"]

SETTLED: Final = 2_000_000_000
"""Nanoseconds: the coarsest clock of a file system in use (that of FAT) ticks every two seconds."""
_MAGIC: Final = b"builder remembers\n"
_READ: Final = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
_TAIL: Final = 64 << 10
_LARGEST: Final = 64 << 20
_ABANDONED: Final = 3_600_000_000_000


@dataclass(frozen=True, slots=True)
class Place:
    """Where a file is remembered, and what is known of it: None for nothing.

    `began` is when it was asked for, by the clock of the file system. `entry` is None for a file
    that cannot be told from others.
    """

    file: Path
    entry: Path | None
    code: bytes
    began: int = 0
    content: bytes | None = None


class Memory:
    """Entries below a folder, which may vanish at any time; any number of processes may share it.

    `most` bounds the bytes of all entries, of which the least recently used go first. A file is
    only remembered when it did not change for `settled` nanoseconds before it was asked for.
    """

    def __init__(self, folder: Path, *, most: int = 256 << 20, settled: int = SETTLED) -> None:
        self._folder, self._most, self._settled = folder, most, settled

    def look(self, file: Path, code: bytes, descriptor: int | None = None) -> Place:
        """What is known of a file to the code with a digest.

        Ask before it is opened, or give the open `descriptor`: else another one may have taken its
        name in between.
        """
        name = _name_of(file, code, descriptor)
        if name is None:
            return Place(file, None, code)
        entry = self._folder / name[:2] / name
        try:
            with open(entry, "rb", buffering=0) as opened:  # noqa: PTH123  # at every start
                content = _checked(opened.read())
            with suppress(OSError):
                os.utime(entry)
            return Place(file, entry, code, content=content)
        except FileNotFoundError:
            pass
        except (OSError, ValueError):
            _remove(entry)
        return Place(file, entry, code, self._now(entry.parent))

    def keep(self, place: Place, content: bytes) -> None:
        """Remember what was found; not when the file changed meanwhile, or a moment before."""
        entry = place.entry
        if entry is None or not place.began or len(content) > min(_LARGEST, self._most):
            return
        with suppress(OSError):
            status = place.file.stat()
            if status.st_mtime_ns + self._settled > place.began:
                return
            if _name_of(place.file, place.code) != entry.name:
                return
            partial = entry.with_name(f"{entry.name}.{os.getpid()}.{id(place):x}.part")
            try:
                partial.write_bytes(b"%s%08x\n%s" % (_MAGIC, zlib.crc32(content), content))
                partial.replace(entry)
            finally:
                partial.unlink(missing_ok=True)
            self._tidy()

    def forget(self, place: Place) -> None:
        """Remove an entry that makes no sense."""
        if place.entry is not None:
            _remove(place.entry)

    def _now(self, folder: Path) -> int:
        """The time by the clock of the file system, 0 where nothing can be written."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            os.utime(folder)
            return folder.stat().st_mtime_ns
        except OSError:
            return 0

    def _tidy(self) -> None:
        """Remove the least recently used entries beyond the bound, and what a killed process left."""
        entries = sorted(_entries(self._folder), reverse=True)
        newest = entries[0][0] if entries else 0
        total = 0
        for when, size, path in entries:
            total += size
            is_left = path.endswith(".part") and when + _ABANDONED < newest
            if total > self._most or is_left:
                _remove(Path(path))


def digest_of_source(paths: Iterable[Path]) -> bytes:
    """A digest of files and of all modules in folders; empty where the source is not there.

    A number to be raised by hand would be forgotten once, and then what is remembered would lie.
    """
    import hashlib  # noqa: PLC0415  # takes longer to load than to use

    digest = hashlib.sha256()
    try:
        for path in sorted(_modules(map(os.fspath, paths))):
            with open(path, "rb", buffering=0) as file:  # noqa: PTH123  # a hundred, at every start
                text = file.read()
            digest.update(b"%d " % len(text))
            digest.update(text)
    except OSError:
        return b""
    return digest.digest()


def _modules(paths: Iterable[str]) -> Iterator[str]:
    for path in paths:
        if not os.path.isdir(path):  # noqa: PTH112  # as above
            yield path
            continue
        yield from _modules(
            entry.path
            for entry in os.scandir(path)
            if entry.name.endswith(".py") or (entry.name != "__pycache__" and entry.is_dir())
        )


def _name_of(file: Path, code: bytes, descriptor: int | None = None) -> str | None:
    """The name of the entry: a digest of everything that makes the content what it is."""
    import hashlib  # noqa: PLC0415  # as above

    if not code:
        return None
    try:
        opened = os.open(file, _READ) if descriptor is None else os.dup(descriptor)
        try:
            status = os.fstat(opened)
            tail = _tail(opened, status.st_size)
        finally:
            os.close(opened)
    except OSError:
        return None
    # The time of the last link is left out: a wheel that needs nothing is handed over as a link.
    numbers = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
    digest = hashlib.sha256(code)
    for part in (repr(numbers).encode(), os.fsencode(file.name), tail):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()


def _tail(descriptor: int, size: int) -> bytes:
    """The end of a file, which for a zip is its directory; systems differ in how to get there."""
    place = max(0, size - _TAIL)
    if hasattr(os, "pread"):
        return os.pread(descriptor, _TAIL, place)
    here = os.lseek(descriptor, 0, os.SEEK_CUR)
    os.lseek(descriptor, place, os.SEEK_SET)
    data = os.read(descriptor, _TAIL)
    os.lseek(descriptor, here, os.SEEK_SET)
    return data


def _checked(content: bytes) -> bytes:
    """What was kept. Raises `ValueError` for what is damaged."""
    start = len(_MAGIC) + 9
    inner = content[start:]
    if content[:start] != b"%s%08x\n" % (_MAGIC, zlib.crc32(inner)):
        raise ValueError("damaged")
    return inner


def _entries(folder: Path) -> Iterator[tuple[int, int, str]]:
    """When each entry was last used, its size and its path."""
    for group in os.scandir(folder):
        if group.is_dir(follow_symlinks=False):
            for entry in os.scandir(group.path):
                with suppress(OSError):
                    status = entry.stat(follow_symlinks=False)
                    yield status.st_mtime_ns, status.st_size, entry.path


def _remove(entry: Path) -> None:
    with suppress(OSError):
        entry.unlink()
