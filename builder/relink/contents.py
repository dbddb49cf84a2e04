"""The bytes of what is looked into and changed: members of a wheel, and libraries of this machine.

Each is read once. What is small is held in memory, what is big lies in a folder that is emptied
afterwards, so that memory stays small.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from mmap import ACCESS_READ, mmap
from pathlib import Path
from threading import Lock

from builder.archive.file import File
from builder.archive.spool import Held, Spooled
from builder.archive.tally import Tally
from builder.archive.zip_entry import Entry
from builder.archive.zip_read import Zip
from builder.errors import BuilderError
from builder.relink.linux_strings import spoken

__all__ = ["SMALL", "Members", "Sources"]

SMALL = 4 << 20
"""Bytes up to which content is held in memory."""
_MOST_HELD = 48 << 20
_WORTH_BLOCKS = 96 << 10
"""Bytes of a member from which on most of its blocks are worth to be kept."""
_WINDOW = 1 << 20


class Members:
    """The members of a wheel. Big ones are inflated once, into `folder`; `held` are some already.

    Any number of threads may ask.
    """

    def __init__(self, archive: Zip, folder: Path, held: Mapping[str, Spooled]) -> None:
        self._archive = archive
        self._folder = folder
        self._spooled = dict(held)
        self._lock = Lock()
        self._left = _MOST_HELD
        self.entries: Mapping[str, Entry] = {entry.name: entry for entry in archive.entries}

    def of(self, path: str) -> Spooled | Held:
        """The content of a member, with the blocks it was packed in.

        Who writes to a big one changes what others get. Raises `ZipError` for damage.
        """
        with self._lock:
            if path in self._spooled:
                return self._spooled[path]
        entry = self.entries[path]
        if entry.size <= SMALL and self._has_room(entry.size):
            return self._archive.hold(entry, blocks=entry.size >= _WORTH_BLOCKS)
        spooled = self._archive.spool(entry, self._folder)
        with self._lock:
            self._spooled[path] = spooled
        return spooled

    def _has_room(self, size: int) -> bool:
        """Whether so many more bytes may be held in memory."""
        with self._lock:
            self._left -= size
            return self._left >= 0

    def text(self, path: str) -> bytes:
        """A small member."""
        return self._archive.read(self.entries[path])

    def sha256(self, path: str) -> bytes:
        """The digest of a member that is not looked into otherwise."""
        return self._archive.sha256(self.entries[path])

    def close(self) -> None:
        """Let all content go."""
        for spooled in self._spooled.values():
            spooled.close()
        self._spooled.clear()


class Sources:
    """Libraries of this machine that are grafted, by real path; copies of big ones in `folder`."""

    def __init__(self, folder: Path, tally: Tally) -> None:
        self._folder = folder
        self._tally = tally
        self._digests: dict[str, str] = {}
        self._small: dict[str, bytes] = {}
        self._copies: dict[str, Path] = {}
        self._held = 0

    def digest(self, path: str) -> str:
        """The sha256 of a library, in hex. Raises `BuilderError` when it cannot be read."""
        if path not in self._digests:
            try:
                self._digests[path] = self._read(path)
            except OSError as error:
                raise BuilderError(
                    f"`{path}` cannot be read: {error.strerror}", hint="check its permissions"
                ) from error
        return self._digests[path]

    def content(self, path: str) -> bytes | Path:
        """The bytes of a library whose digest was asked for: themselves, or a copy to be changed."""
        self.digest(path)
        return self._small[path] if path in self._small else self._copies[path]

    def spoken(self, path: str, names: Collection[str]) -> frozenset[str]:
        """Those of the names that are strings of their own in a library's constants."""
        content = self.content(path)
        if isinstance(content, bytes):
            held = Held(content)
            return spoken(held.view, held.read, names)
        with File.open(content) as file:
            view = memoryview(mmap(file.descriptor, 0, access=ACCESS_READ))
            return spoken(view, file.read, names)

    def _read(self, path: str) -> str:
        from hashlib import sha256  # noqa: PLC0415  # slow to load

        digest = sha256()
        with Path(path).open("rb", buffering=0) as file:
            size = file.seek(0, 2)
            file.seek(0)
            self._tally.add(hashed=size)
            if size <= SMALL and self._held + size <= _MOST_HELD:
                self._small[path] = content = file.read()
                self._held += size
                return sha256(content).hexdigest()
            copy = self._folder / f"graft-{len(self._copies)}"
            self._folder.mkdir(parents=True, exist_ok=True)
            with copy.open("xb", buffering=0) as target:
                while window := file.read(_WINDOW):
                    digest.update(window)
                    target.write(window)
            self._copies[path] = copy
        return digest.hexdigest()
