"""Bytes of single members a second time, for the few checks that ask for more than a reading keeps."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from tempfile import gettempdir
from typing import Protocol

from builder.archive.conda import read_conda
from builder.archive.file import File, first_bytes
from builder.archive.refusals import Member as Listed
from builder.archive.tar import read_tar
from builder.archive.tar_source import Content as Stream
from builder.archive.tar_source import open_source
from builder.archive.zip_entry import looks_like_zip
from builder.archive.zip_read import Zip
from builder.binary import BinaryError, defined
from smoke.subject import Member, Subject, content_of

__all__ = ["Raw", "again", "offered"]

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
    folder = Path(gettempdir())
    if not looks_like_zip(first_bytes(path, 4)):
        with open_source(path) as source:
            wanted = (m for m in read_tar(source, path.name) if m[0].kind == "file")
            yield from _streamed(wanted, names, folder)
        return
    with Zip(path) as archive:
        if path.suffix == ".conda":
            yield from _streamed(read_conda(archive), names, folder)
            return
        for entry in archive.entries:
            if entry.name in names:
                with archive.content(entry, folder) as content:
                    yield entry.name, content


def _streamed(
    streams: Iterable[tuple[Listed, Stream]], names: dict[str, Member], folder: Path
) -> Iterator[tuple[str, Raw]]:
    for member, stream in streams:
        if member.path in names:
            with stream.whole(folder) as content:
                yield member.path, content


class _Lying:
    """A file where it lies."""

    def __init__(self, file: File) -> None:
        self.view = memoryview(mmap.mmap(file.descriptor, 0, access=mmap.ACCESS_READ))
        self.read = file.read


def _on_disk(path: Path) -> Iterator[Raw]:
    with File.open(path) as file:
        yield _Lying(file)
