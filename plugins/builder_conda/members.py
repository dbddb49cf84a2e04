"""The members of a wheel as files of a conda package, with a RECORD that is true where they end up.

What the wheel's RECORD says of each member is held against the bytes while they pass.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

from builder.archive import record
from builder.archive.conda_package import CondaFile, Streamed
from builder.archive.file import file_digest
from builder.archive.record import Row
from builder.archive.wheel import Wheel
from builder.archive.zip_read import Entry, Zip
from builder.errors import BuilderError, UsageError
from builder_conda.layout import Layout
from builder_conda.scripts import (
    PLACEHOLDER,
    EntryPoint,
    entry_points,
    interpreter_line,
    programs,
)

__all__ = ["WheelMembers", "recorded", "save_member"]

_SMALL: Final = 1 << 20
_MOST_TEXT: Final = 1 << 20
_SHEBANG: Final = 16
"""Bytes in which `#!python` is seen."""
_OF_PIP: Final = frozenset(
    {"INSTALLER", "REQUESTED", "direct_url.json", "RECORD", *record.SIGNATURES}
)
"""Files of a dist-info folder that say how and by whom it was installed."""
_LICENSES: Final = re.compile(
    r"(?:licenses/.+|(?:LICEN[CS]E|COPYING|NOTICE|AUTHORS)[^/]*)", re.IGNORECASE
)

Sink = Callable[[memoryview], None]


class WheelMembers:
    """The members of a wheel as files of a package; `changed` are new contents by the old name.

    A member in `elsewhere` is of another package, at that path below the prefix: a link leads there.

    Raises `UsageError` where RECORD does not list exactly what is there.
    """

    def __init__(
        self,
        archive: Zip,
        wheel: Wheel,
        layout: Layout,
        changed: Mapping[str, bytes | Path] = MappingProxyType({}),
        elsewhere: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._archive, self._wheel, self._layout = archive, wheel, layout
        self._rows, self._changed, self._elsewhere = recorded(wheel), changed, elsewhere
        self._info = f"{wheel.dist_info}/"
        self._data = wheel.dist_info.removesuffix(".dist-info") + ".data"
        self._entries = {entry.name: entry for entry in _members(wheel)}

    def place(self, entry: Entry) -> str:
        """Where a member goes, below the prefix. Raises `UsageError`."""
        return self._layout.place(entry.name, self._data, self._wheel.name.project)

    def entry_points(self) -> tuple[EntryPoint, ...]:
        """The programs it asks for."""
        entry = self._entries.get(f"{self._info}entry_points.txt")
        return entry_points(self._text(entry)) if entry is not None else ()

    def licenses(self) -> tuple[CondaFile, ...]:
        """Its licences, for `info/licenses/`."""
        found = []
        for name, entry in self._entries.items():
            inner = name.removeprefix(self._info)
            if name.startswith(self._info) and _LICENSES.fullmatch(inner):
                path = f"licenses/{inner.removeprefix('licenses/')}"
                row = self._rows[name]
                found.append(CondaFile(path, self._streamed(entry, row), sha256=_hex(row)))
        return tuple(found)

    def files(self, points: tuple[EntryPoint, ...]) -> Iterator[CondaFile]:
        """Everything that is installed, with a RECORD that is true where it ends up."""
        rows: list[tuple[str, Row]] = []
        # An entry point comes before a script of its name, as with every installer.
        left_out = {f"{self._data}/scripts/{point.name}" for point in points}
        left_out |= {f"{self._info}{name}" for name in _OF_PIP}
        for name, entry in self._entries.items():
            if name in left_out:
                continue
            file = self._file(entry)
            rows.append((file.path, self._row(name)))
            if file.placeholder or file.link:  # the installer writes, or another package has it
                rows[-1] = (file.path, Row(name))
            yield file
        made = [] if self._layout.kind == "noarch" else list(programs(points, self._layout))
        info = f"{self._layout.site}/{self._info}"
        made.append(CondaFile(f"{info}INSTALLER", b"conda\n"))
        yield from made
        rows += [(file.path, _row_of(file)) for file in made]
        rows.append((f"{info}RECORD", Row("")))
        yield CondaFile(f"{info}RECORD", self._record(rows))

    def _row(self, name: str) -> Row:
        """What RECORD has to say of a member now."""
        content = self._changed.get(name)
        if content is None:
            return self._rows[name]
        if isinstance(content, bytes):
            digest, size = hashlib.sha256(content).digest(), len(content)
        else:
            digest, size = bytes.fromhex(file_digest(content)), content.stat().st_size
        return Row(name, record.encode_digest(digest), size)

    def _file(self, entry: Entry) -> CondaFile:
        name, path = entry.name, self.place(entry)
        if name in self._elsewhere:
            link = posixpath.relpath(self._elsewhere[name], posixpath.dirname(path))
            return CondaFile(path, link=link)
        row, executable = self._rows[name], bool(entry.mode & 0o111)
        if name in self._changed:
            executable = executable or self._layout.is_script(name, self._data)
            return CondaFile(path, self._changed[name], executable, sha256=_hex(self._row(name)))
        if self._layout.is_script(name, self._data):
            line = interpreter_line(self._archive.head(entry, _SHEBANG), self._layout)
            if line is not None:
                source = self._with_line(entry, row, *line)
                return CondaFile(path, source, True, placeholder=PLACEHOLDER)
            return CondaFile(path, self._streamed(entry, row), True, sha256=_hex(row))
        return CondaFile(path, self._streamed(entry, row), executable, sha256=_hex(row))

    def _streamed(self, entry: Entry, row: Row) -> Streamed:
        """The content of a member; another digest than sha256 is compared here."""
        kind, _, wanted = row.digest.partition("=")

        def pour(sink: Sink) -> None:
            if entry.size <= _SMALL:
                sink(memoryview(self._archive.read(entry)))
            else:
                self._archive.stream(entry, sink)

        def compare(sink: Sink) -> None:
            digest = hashlib.new(kind)

            def both(data: memoryview) -> None:
                digest.update(data)
                sink(data)

            pour(both)
            if digest.digest() != _raw(wanted):
                raise _changed(entry.name)

        return Streamed(entry.size, pour if kind == "sha256" else compare)

    def _with_line(self, entry: Entry, row: Row, line: bytes, old: int) -> Streamed:
        """A script behind another beginning, held against RECORD as it was."""
        kind, _, wanted = row.digest.partition("=")

        def pour(sink: Sink) -> None:
            content = self._text(entry)
            if hashlib.new(kind, content).digest() != _raw(wanted):
                raise _changed(entry.name)
            sink(memoryview(line + content[old:]))

        return Streamed(len(line) + entry.size - old, pour)

    def _text(self, entry: Entry) -> bytes:
        if entry.size > _MOST_TEXT:
            raise UsageError(
                f"`{self._wheel.path.name}` is no wheel that people make: {entry.name!r} has "
                f"{entry.size} bytes",
                hint="build or download it again",
            )
        return self._archive.read(entry)

    def _record(self, rows: Sequence[tuple[str, Row]]) -> bytes:
        """The paths are relative to site-packages; where that will be, a `noarch` package cannot know."""
        site = self._layout.site
        told = [
            Row(posixpath.relpath(path, site), row.digest, row.size)
            for path, row in rows
            if self._layout.kind != "noarch" or path.startswith(f"{site}/")
        ]
        return record.render(sorted(told)).encode()


def save_member(archive: Zip, entry: Entry, file: Path, row: Row) -> str:
    """Write a member to a new file, held against its row of RECORD, and give back its sha256 in hex.

    Raises `BuilderError`.
    """
    kind, _, wanted = row.digest.partition("=")
    digests = {name: hashlib.new(name) for name in (kind, "sha256")}

    def take(window: memoryview) -> None:
        for digest in digests.values():
            digest.update(window)

    archive.save(entry, file, take)
    if digests[kind].digest() != _raw(wanted):
        raise _changed(entry.name)
    return digests["sha256"].hexdigest()


def recorded(wheel: Wheel) -> Mapping[str, Row]:
    """RECORD by path. Raises `UsageError` where it does not list exactly what is there."""
    itself = f"{wheel.dist_info}/RECORD"
    found = {
        entry.name: Row(entry.name, "", entry.size)
        for entry in _members(wheel)
        if entry.name != itself
    }
    if problems := record.compare(wheel.record, found, itself):
        raise UsageError(
            f"`{wheel.path.name}` does not hold what its RECORD says",
            faults=problems,
            hint="build or download it again",
        )
    return {row.path: row for row in record.parse(wheel.record)}


def _members(wheel: Wheel) -> Iterator[Entry]:
    return (entry for entry in wheel.entries if entry.kind == "file")


def _row_of(file: CondaFile) -> Row:
    assert isinstance(file.source, bytes), "it was made here"
    if file.placeholder:
        return Row(file.path)
    digest = record.encode_digest(hashlib.sha256(file.source).digest())
    return Row(file.path, digest, len(file.source))


def _hex(row: Row) -> str:
    """The sha256 of a row in hex; empty where it has another digest."""
    kind, _, text = row.digest.partition("=")
    return _raw(text).hex() if kind == "sha256" else ""


def _raw(text: str) -> bytes:
    """A digest as RECORD writes it; empty for what is none, which no content has."""
    try:
        return urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return b""


def _changed(name: str) -> BuilderError:
    return BuilderError(
        f"{name!r} does not have the digest that RECORD says",
        hint="the wheel is damaged or was changed: build or download it again",
    )
