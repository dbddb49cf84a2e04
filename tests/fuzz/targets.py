"""What is fuzzed: one function for each door that bytes of strangers come in by.

A target takes any bytes and returns, or raises the one error that its room names. Everything else
that comes out of it (another exception, a hang, memory without end) is a find.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from builder.archive.record import RecordError, parse
from builder.archive.unpack import UnpackError, unpack
from builder.archive.wheel import read_wheel, verify_wheel
from builder.binary import BinaryError, Edit, defined, edited, flaws, plan, read
from builder.errors import BuilderError

__all__ = ["TARGETS"]

_EDITS = (
    Edit(soname="libother.so.1"),
    Edit(search=("$ORIGIN/../lib",)),
    Edit(search=()),
    Edit(search=("@loader_path/../lib",), sign=True),
    Edit(soname="x" * 300, search=("$ORIGIN/" + "y" * 300,), search_kind="rpath"),
)
_WHEEL = "fuzz-1.0-py3-none-any.whl"


def binary(data: bytes) -> None:
    """Read whatever it is: ELF, Mach-O or PE."""
    for ask in (read, defined, flaws):
        with suppress(BinaryError):
            ask(data)


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


def record(data: bytes) -> None:
    """Read a RECORD."""
    with suppress(RecordError):
        parse(data.decode("utf-8", "replace"))


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    "binary": binary,
    "edit": edit,
    "wheel": wheel,
    "archive": archive,
    "record": record,
}


@contextmanager
def _file(name: str, data: bytes) -> Iterator[Path]:
    """A file with some bytes in a folder of its own, for readers that want a path."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        path = Path(folder, name)
        path.write_bytes(data)
        yield path
