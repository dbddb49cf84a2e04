"""What is fuzzed: one function for each door that bytes of strangers come in by.

A target takes any bytes and returns, or raises the one error that its room names. Everything else
that comes out of it (another exception, a hang, memory without end) is a find.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from builder.archive.ar import read_ar, universal_parts
from builder.archive.conda import open_package
from builder.archive.file import File
from builder.archive.record import RecordError, parse
from builder.archive.refusals import Limits, refuse
from builder.archive.tar import read_tar
from builder.archive.tar_source import ArchiveError, Part, open_source
from builder.archive.unpack import UnpackError, unpack
from builder.archive.wheel import read_wheel, verify_wheel
from builder.binary import BinaryError, Edit, defined, edited, flaws, plan, read
from builder.binary.macho import signature_problems
from builder.binary.pe import checksum_problems
from builder.channel.package import read_listed
from builder.channel.shelf import Shelf
from builder.errors import BuilderError, UsageError
from smoke.content import Reading, read_content
from smoke.subject import Kind

__all__ = ["TARGETS"]

_EDITS = (
    Edit(soname="libother.so.1"),
    Edit(search=("$ORIGIN/../lib",)),
    Edit(search=()),
    Edit(search=("@loader_path/../lib",), sign=True),
    Edit(soname="x" * 300, search=("$ORIGIN/" + "y" * 300,), search_kind="rpath"),
)
_WHEEL = "fuzz-1.0-py3-none-any.whl"
_KINDS: Mapping[str, Kind] = {
    _WHEEL: "wheel", "fuzz-1.0-0.conda": "conda", "fuzz.zip": "archive", "fuzz.so": "binary",
}  # fmt: skip


def binary(data: bytes) -> None:
    """Read whatever it is: ELF, Mach-O or PE."""
    for ask in (read, defined, flaws):
        with suppress(BinaryError):
            ask(data)


def signature(data: bytes) -> None:
    """Check every digest and sum of a file for macOS or Windows."""
    view = memoryview(data)
    for check in (signature_problems, checksum_problems):
        with suppress(BinaryError):
            check(view)


def edit(data: bytes) -> None:
    """Edit whatever it is, and read it back: a repair refuses what is not as planned then."""
    kind, content = data[:1], data[1:]
    with suppress(BinaryError):
        before = read(content)
        names = tuple((name, f"{name}.renamed.so") for name in before.needed[:2])
        wanted = (*_EDITS, Edit(needed=names))[sum(kind) % (len(_EDITS) + 1)]
        patch = plan(content, wanted)
        assert len(patch.apply(content)) == patch.size < len(content) + (8 << 20)
        edited(before, read(patch.apply(content)), wanted)


def wheel(data: bytes) -> None:
    """Judge a wheel, and check every byte of it."""
    with _file(_WHEEL, data) as path, suppress(BuilderError):
        read_wheel(path)
        verify_wheel(path)


def archive(data: bytes) -> None:
    """Unpack a source archive of any kind; a refusal leaves nothing behind."""
    with _file("archive", data) as path:
        folder = path.with_name("content")
        try:
            unpack(path, folder)
        except UnpackError:
            assert not folder.exists()


def tree(data: bytes) -> None:
    """Read a tar front to back, packed or not."""
    with _file("tree", data) as path, suppress(BuilderError), open_source(path) as source:
        for member, content in read_tar(source, path.name):
            assert len(content.read(1 << 20)) == min(member.size, 1 << 20)


def library(data: bytes) -> None:
    """Read a static library, for one machine or for several."""
    with _file("library", data) as path, path.open("rb") as opened:
        file = File(os.dup(opened.fileno()))
        try:
            for _, place, size in universal_parts(file.read) or (("", 0, len(data)),):
                for member, content in read_ar(Part(file, place, size), path.name):
                    assert len(content.read(member.size)) == member.size
        except ArchiveError:
            return
        finally:
            file.close()


def record(data: bytes) -> None:
    """Read a RECORD."""
    with suppress(RecordError):
        parse(data.decode("utf-8", "replace"))


def conda(data: bytes) -> None:
    """List a conda package of either format, judge all of it, and read an index."""
    for name in ("fuzz-1.0-0.conda", "fuzz-1.0-0.tar.bz2"):
        with _file(name, data) as path:
            with suppress(UsageError):
                assert read_listed(path).file == name
            with suppress(UsageError), open_package(path) as members:
                refuse([member for member, _ in members], len(data), Limits())
    with _file("repodata.json", data) as path, suppress(UsageError):
        assert Shelf.load(path.parent).contents()


def content(data: bytes) -> None:
    """Read everything in an artifact of any kind as the suite does; what is wrong are faults, and no error."""
    for name, kind in _KINDS.items():
        with _file(name, data) as path:
            found = read_content(path, kind, Reading(build_paths=("/home/me",), threads=1))
            assert found.faults or all(len(one.digest) > 0 or one.link for one in found.members)


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    "binary": binary,
    "signature": signature,
    "edit": edit,
    "wheel": wheel,
    "archive": archive,
    "tree": tree,
    "library": library,
    "record": record,
    "conda": conda,
    "content": content,
}


@contextmanager
def _file(name: str, data: bytes) -> Iterator[Path]:
    """A file with some bytes in a folder of its own, for readers that want a path."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        path = Path(folder, name)
        path.write_bytes(data)
        yield path
