from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard

from builder.archive.tar_write import TarItem, frames, write_tar
from builder.errors import BuilderError

LONG = "top/" + "d" * 120 + "/" + "é" * 90


def read(path: Path) -> dict[str, tuple[tarfile.TarInfo, bytes]]:
    with zstandard.open(path, "rb") as stream:
        content = stream.read()
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
        found = {}
        for info in archive:
            file = archive.extractfile(info) if info.isfile() else None
            found[info.name] = (info, file.read() if file else b"")
        return found


def items(folder: Path) -> Iterator[TarItem]:
    big = folder / "big"
    big.write_bytes(os.urandom(1 << 16) * 200)
    yield TarItem("top/empty")
    yield TarItem("top/tool", b"#!/bin/sh\n", executable=True)
    yield TarItem("top/libx.so", link="libx.so.1")
    yield TarItem("top/libx.so.1", big)
    yield TarItem(LONG, b"long")


def test_members_come_back_with_their_bytes_modes_and_links(tmp_path: Path) -> None:
    found = read(write_tar(items(tmp_path), tmp_path / "out" / "a.tar.zst", epoch=1_500_000_000))
    assert list(found) == ["top/empty", "top/tool", "top/libx.so", "top/libx.so.1", LONG]
    assert found["top/libx.so.1"][1] == (tmp_path / "big").read_bytes()
    assert found["top/libx.so"][0].linkname == "libx.so.1"
    assert found["top/libx.so"][0].issym()
    assert [oct(info.mode) for info, _ in found.values()] == [
        "0o644", "0o755", "0o777", "0o644", "0o644",
    ]  # fmt: skip
    infos = [info for info, _ in found.values()]
    assert {(info.mtime, info.uid, info.gid, info.uname) for info in infos} == {
        (1_500_000_000, 0, 0, "")
    }


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_the_bytes_do_not_depend_on_the_number_of_threads(tmp_path: Path, threads: int) -> None:
    members = tuple(items(tmp_path))
    one = write_tar(members, tmp_path / "1.tar.zst", epoch=0, threads=1)
    other = write_tar(members, tmp_path / "n.tar.zst", epoch=0, threads=threads)
    assert other.read_bytes() == one.read_bytes()


def test_every_block_is_a_frame_of_its_own() -> None:
    blocks = [b"a" * 1000, b"b" * 500, b"c"]
    made = list(frames(blocks, level=3, threads=2))
    assert [zstandard.ZstdDecompressor().decompress(frame) for frame in made] == blocks


def test_a_file_that_changes_while_it_is_packed_leaves_nothing_behind(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"12345678")

    class Shrinking(type(file)):  # type: ignore[misc]  # the class of paths depends on the system
        def open(self, *words: object) -> object:
            Path(self).write_bytes(b"123")
            return Path(self).open(*words)  # type: ignore[call-overload]  # passed on as it came

    out = tmp_path / "out"
    with pytest.raises(BuilderError, match="`x` changed while it was packed: 3 bytes, not 8"):
        write_tar([TarItem("x", Shrinking(file))], out / "a.tar.zst", epoch=0)
    assert list(out.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"")
    with pytest.raises(BuilderError, match="cannot be written"):
        write_tar([], tmp_path / "out" / "a.tar.zst", epoch=0)
