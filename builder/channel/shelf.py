"""One subdir of a channel: its documents, read and written whole, and what is known of its files.

Formats: `repodata.json` (version 1), `run_exports.json` (CEP 12), both also compressed with zstandard.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from builder.archive.deliver import staged
from builder.channel.package import SUFFIXES, Listed, parse_object
from builder.errors import UsageError

__all__ = ["DOCUMENTS", "Shelf", "packed", "seen"]

DOCUMENTS: Final = ("repodata.json", "run_exports.json")
_MEMORY: Final = ".builder-channel.json"
_LEVEL: Final = 9
_SECTIONS: Final = ("packages", "packages.conda")

Seen = tuple[int, int]
"""Size and time of the last change (ns): a file that has both still was not read again."""


@dataclass(slots=True)
class Shelf:
    """What one subdir lists: entries of `repodata.json` and exports, by file name.

    `memory` is how each file was when it was read. `removed` are names that clients are told to
    forget, as other tools write them.
    """

    folder: Path
    entries: dict[str, Mapping[str, object]] = field(default_factory=dict)
    exports: dict[str, Mapping[str, object]] = field(default_factory=dict)
    memory: dict[str, Seen] = field(default_factory=dict)
    removed: tuple[str, ...] = ()

    @property
    def subdir(self) -> str:
        """The name of the folder, which is that of the platform."""
        return self.folder.name

    @classmethod
    def load(cls, folder: Path) -> Self:
        """What was written last; nothing where there is nothing. Raises `UsageError` for damage."""
        repodata, exports = (_document(folder / name) for name in DOCUMENTS)
        memory = _memory(folder / _MEMORY)
        entries = {name: row for key in _SECTIONS for name, row in _rows(repodata, key, folder)}
        told = {name: row for key in _SECTIONS for name, row in _rows(exports, key, folder)}
        removed = repodata.get("removed", [])
        return cls(
            folder,
            entries,
            {name: _inner(row) for name, row in told.items()},
            memory,
            tuple(sorted(map(str, removed))) if isinstance(removed, list) else (),
        )

    def put(self, package: Listed) -> None:
        """List a package that lies in the folder."""
        self.entries[package.file] = package.entry
        self.exports[package.file] = package.run_exports
        if now := seen(self.folder / package.file):
            self.memory[package.file] = now

    def drop(self, file: str) -> None:
        """List a package no more."""
        for table in (self.entries, self.exports, self.memory):
            table.pop(file, None)

    def is_known(self, file: str) -> bool:
        """Whether a file is as it was when its entry was made."""
        return (
            file in self.entries
            and file in self.exports
            and self.memory.get(file) == seen(self.folder / file)
        )

    def files(self) -> Iterator[Path]:
        """Every package in the folder, sorted."""
        if self.folder.is_dir():
            yield from sorted(
                path for path in self.folder.iterdir() if path.name.endswith(SUFFIXES)
            )

    def contents(self) -> Mapping[str, bytes]:
        """The documents as they have to be, compressed ones too."""
        found: dict[str, bytes] = {}
        repodata = {
            "info": {"subdir": self.subdir},
            **_sections(self.entries),
            "removed": [name for name in self.removed if name not in self.entries],
            "repodata_version": 1,
        }
        exports = {name: {"run_exports": row} for name, row in self.exports.items()}
        documents = (
            repodata,
            {"info": {"subdir": self.subdir, "version": 1}, **_sections(exports)},
        )
        for name, document in zip(DOCUMENTS, documents, strict=True):
            found[name] = _json(document)
            found[f"{name}.zst"] = packed(found[name])
        return found

    def write(self) -> None:
        """Write every document that is not right already, each whole or not at all.

        Raises `BuilderError` when the folder cannot be written.
        """
        known = {name: self.memory[name] for name in sorted(self.memory) if name in self.entries}
        memory = {"files": known, "schema": 1}
        for name, content in {**self.contents(), _MEMORY: _json(memory)}.items():
            target = self.folder / name
            if not (target.is_file() and target.read_bytes() == content):
                with staged(target) as path:
                    path.write_bytes(content)


def seen(path: Path) -> Seen | None:
    """How a file is now; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def packed(content: bytes) -> bytes:
    """One zstandard frame that says how long it is, as clients ask for."""
    import zstandard  # noqa: PLC0415  # slow to load

    return zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compress(content)


def _document(path: Path) -> Mapping[str, object]:
    """An index that was written before. Raises `UsageError` for one that cannot be read."""
    try:
        return parse_object(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise _damaged(path, str(error)) from error


def _rows(
    document: Mapping[str, object], key: str, folder: Path
) -> Iterable[tuple[str, Mapping[str, object]]]:
    rows = document.get(key, {})
    if not isinstance(rows, dict) or not all(isinstance(row, dict) for row in rows.values()):
        raise _damaged(folder, f"`{key}` is no table of packages")
    return rows.items()


def _inner(row: Mapping[str, object]) -> Mapping[str, object]:
    found = row.get("run_exports")
    return found if isinstance(found, dict) else {}


def _memory(path: Path) -> dict[str, Seen]:
    """What is remembered; a file that is not as we wrote it is no memory, and all is read again."""
    try:
        files = parse_object(path.read_bytes()).get("files")
        return {name: (int(row[0]), int(row[1])) for name, row in dict(files).items()}  # type: ignore[call-overload]  # whatever it is, it is caught
    except (OSError, ValueError, TypeError, LookupError):
        return {}


def _sections(rows: Mapping[str, object]) -> Mapping[str, Mapping[str, object]]:
    found: dict[str, dict[str, object]] = {section: {} for section in _SECTIONS}
    for name in sorted(rows):
        found[_SECTIONS[name.endswith(".conda")]][name] = rows[name]
    return found


def _json(document: object) -> bytes:
    """As short as it can be: every client of the channel fetches it."""
    text = json.dumps(document, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return f"{text}\n".encode()


def _damaged(path: Path, why: str) -> UsageError:
    return UsageError(
        f"the index `{path}` cannot be used: {why}",
        hint="`builder channel index FOLDER` makes it anew from the packages",
    )
