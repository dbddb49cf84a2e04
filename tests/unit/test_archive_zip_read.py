from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from builder.archive.zip_format import end_records
from builder.archive.zip_read import Zip, ZipError

TEXT = b"some text, " * 40


def made(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


TWO = made(("one", TEXT), ("two", TEXT[::-1]))


@pytest.fixture
def opened(tmp_path: Path) -> Callable[[bytes], Zip]:
    def open_it(content: bytes) -> Zip:
        (tmp_path / "a.zip").write_bytes(content)
        return Zip(tmp_path / "a.zip")

    return open_it


def read_all(archive: Zip) -> dict[str, bytes]:
    with archive:
        archive.ends(archive.entries)
        return {entry.name: archive.read(entry) for entry in archive.entries}


@pytest.mark.parametrize(("count", "size"), [(300_001, 46), (500, 110_000)], ids=["many", "wide"])
def test_a_directory_that_nobody_could_hold_is_refused_unread(
    opened: Callable[[bytes], Zip], count: int, size: int
) -> None:
    directory = bytes(count * size)

    with pytest.raises(ZipError, match=f"its directory is too large: {count} members"):
        opened(directory + end_records(count, 0, len(directory)))


def test_what_the_standard_library_writes_is_read(opened: Callable[[bytes], Zip]) -> None:
    archive = opened(made(("a/b.txt", TEXT), ("a/ü", b""), ("dir/", b"")))

    assert [(entry.name, entry.kind) for entry in archive.entries] == [
        ("a/b.txt", "file"), ("a/ü", "file"), ("dir/", "directory"),
    ]  # fmt: skip
    assert read_all(archive) == {"a/b.txt": TEXT, "a/ü": b"", "dir/": b""}
