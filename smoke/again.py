"""Bytes of single members a second time, for the few checks that ask for more than a reading keeps."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import gettempdir
from typing import Final, Protocol

from builder.archive.conda import read_conda
from builder.archive.file import File
from builder.archive.spool import Held, Spooled
from builder.archive.tar import read_tar
from builder.archive.tar_source import Content as Stream
from builder.archive.tar_source import open_source
from builder.archive.zip_read import Zip
from builder.binary import BinaryError, defined
from smoke.subject import Member, Subject, content_of

__all__ = ["Raw", "again", "offered"]

_BIG: Final = 8 << 20
"""Bytes of a member from which on it is not held in memory."""
_CHUNK: Final = 1 << 20

Wanted = Callable[[Member], bool]


class Raw(Protocol):
    """The bytes of one member, good until the next one is asked for."""

    @property
    def view(self) -> memoryview:
        """All of them."""
        ...

    def read(self, offset: int, size: int, /) -> bytes:
        """Those from a place on."""
        ...


def again(subject: Subject, wanted: Wanted) -> Iterator[tuple[Member, Raw]]:
    """The wanted members of an artifact with their bytes, one at a time. Links have none."""
    members = {m.name: m for m in content_of(subject).members if not m.link and wanted(m)}
    if not members:
        return
    match subject.kind:
        case "folder":
            for name, member in members.items():
                yield from ((member, raw) for raw in _on_disk(subject.path / name))
        case "binary":
            yield from (
                (member, raw) for member in members.values() for raw in _on_disk(subject.path)
            )
        case _:
            for name, raw in _packed(subject.path, members):
                yield members[name], raw


def offered(subject: Subject, wanted: Wanted) -> Iterator[tuple[Member, tuple[str, ...]]]:
    """The names of the symbols that the wanted binaries offer to others, a binary at a time."""
    for member, raw in again(subject, lambda one: one.binary is not None and wanted(one)):
        try:
            names = defined(raw.view)
        except BinaryError:
            continue  # `binary.readable` is about those
        yield member, names


def _packed(path: Path, names: dict[str, Member]) -> Iterator[tuple[str, Raw]]:
    with path.open("rb") as file:
        is_zip = file.read(2) == b"PK"
    if is_zip:
        with Zip(path) as archive:
            if path.suffix == ".conda":
                yield from _streamed((m.path, s) for m, s in read_conda(archive) if m.path in names)
            else:
                yield from _zipped(archive, names)
        return
    with open_source(path) as source:
        yield from _streamed(
            (m.path, s)
            for m, s in read_tar(source, path.name)
            if m.kind == "file" and m.path in names
        )


def _zipped(archive: Zip, names: dict[str, Member]) -> Iterator[tuple[str, Raw]]:
    for entry in archive.entries:
        if entry.name not in names:
            continue
        if entry.size < _BIG:
            yield entry.name, archive.hold(entry)
            continue
        spooled = archive.spool(entry, Path(gettempdir()), blocks=False)
        try:
            yield entry.name, spooled
        finally:
            spooled.close()


def _streamed(streams: Iterator[tuple[str, Stream]]) -> Iterator[tuple[str, Raw]]:
    for name, stream in streams:
        if stream.left < _BIG:
            yield name, Held(stream.read(stream.left))
            continue
        spooled = Spooled(Path(gettempdir()))
        try:
            while chunk := stream.read(_CHUNK):
                spooled.append(chunk)
            yield name, spooled
        finally:
            spooled.close()


class _Lying:
    """A file where it lies."""

    def __init__(self, file: File) -> None:
        self.view = memoryview(mmap.mmap(file.descriptor, 0, access=mmap.ACCESS_READ))
        self.read = file.read


def _on_disk(path: Path) -> Iterator[Raw]:
    file = File(os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0)))
    try:
        yield _Lying(file)
    finally:
        file.close()
