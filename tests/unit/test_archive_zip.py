from __future__ import annotations

import hashlib
import io
import os
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builder.archive import zip_write as writer
from builder.archive.zip import pack
from builder.archive.zip_format import Packed, central_header, end_records, local_header
from builder.errors import BuilderError

BLOCK = 1 << 16
PATTERN = hashlib.shake_128(b"hard to deflate").digest(20_000)


@pytest.fixture(params=[BLOCK, writer._SMALL], ids=["streamed", "held"])
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    monkeypatch.setattr(writer, "_SMALL", request.param)
    root = tmp_path / "content"
    (root / "a-1.dist-info").mkdir(parents=True)
    (root / "z").mkdir()
    (root / "a-1.dist-info/RECORD").write_bytes(b"record")
    (root / "a-1.dist-info/WHEEL").write_bytes(b"wheel")
    (root / "z/tool").write_bytes(b"#!/bin/sh\n")
    (root / "z/tool").chmod(0o700)
    (root / "z/empty").write_bytes(b"")
    (root / "ünicode.txt").write_bytes(b"text" * 50)
    (root / "big").write_bytes(PATTERN * 20)
    (root / "exact").write_bytes(bytes(2 * BLOCK))
    return root


def content_of(archive: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(archive) as opened:
        assert opened.testzip() is None
        return {name: opened.read(name) for name in opened.namelist()}


def test_every_byte_comes_back_and_dist_info_is_last(folder: Path, tmp_path: Path) -> None:
    content = content_of(pack(folder, tmp_path / "a.whl", epoch=0))

    assert list(content) == [
        "big", "exact", "z/empty", "z/tool", "ünicode.txt", "a-1.dist-info/WHEEL",
        "a-1.dist-info/RECORD",
    ]  # fmt: skip
    assert all(data == (folder / name).read_bytes() for name, data in content.items())


@pytest.mark.parametrize("level", [0, 1, 6, 9])
def test_every_level_can_be_read(folder: Path, tmp_path: Path, level: int) -> None:
    content = content_of(pack(folder, tmp_path / "a.whl", epoch=0, level=level))

    assert content["big"] == (folder / "big").read_bytes()


def test_threads_times_and_modes_of_the_folder_do_not_change_the_bytes(
    folder: Path, tmp_path: Path
) -> None:
    first = pack(folder, tmp_path / "1.whl", epoch=1_700_000_000, threads=1)
    os.utime(folder / "big", (1, 1))
    (folder / "big").chmod(0o600)
    second = pack(folder, tmp_path / "2.whl", epoch=1_700_000_000, threads=7)

    digests = {hashlib.sha256(path.read_bytes()).hexdigest() for path in (first, second)}
    assert len(digests) == 1


def test_modes_are_normal(folder: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(pack(folder, tmp_path / "a.whl", epoch=0)) as opened:
        modes = {info.filename: info.external_attr >> 16 for info in opened.infolist()}

    assert modes["z/tool"] == 0o100755
    assert modes["z/empty"] == 0o100644


@pytest.mark.parametrize(
    ("epoch", "stamp"),
    [
        (0, (1980, 1, 1, 0, 0, 0)),
        (-5, (1980, 1, 1, 0, 0, 0)),
        (1_700_000_001, (2023, 11, 14, 22, 13, 20)),
        (1 << 40, (2107, 12, 31, 23, 59, 58)),
    ],
)
def test_time_stamps_stay_in_range(
    folder: Path, tmp_path: Path, epoch: int, stamp: tuple[int, ...]
) -> None:
    with zipfile.ZipFile(pack(folder, tmp_path / "a.whl", epoch=epoch)) as opened:
        assert {info.date_time for info in opened.infolist()} == {stamp}


def test_blocks_share_their_window(folder: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(pack(folder, tmp_path / "a.whl", epoch=0)) as opened:
        packed = opened.getinfo("big").compress_size

    assert packed < 2 * len(PATTERN)


def test_a_link_cannot_be_packed(folder: Path, tmp_path: Path) -> None:
    (folder / "link").symlink_to("big")

    with pytest.raises(BuilderError, match="`link` is no regular file"):
        pack(folder, tmp_path / "a.whl", epoch=0)
    assert list(tmp_path.glob("*.whl*")) == list(tmp_path.glob(".*part")) == []


def test_a_folder_that_cannot_be_written_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(BuilderError, match="cannot be written"):
        pack(folder, tmp_path / "file" / "a.whl", epoch=0)


def test_an_older_file_of_that_name_stays_until_the_new_one_is_whole(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.whl").write_bytes(b"old")

    def full(_descriptor: int, _size: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "ftruncate", full)
    with pytest.raises(BuilderError, match="No space left"):
        pack(folder, tmp_path / "a.whl", epoch=0)
    assert (tmp_path / "a.whl").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["a.whl"]


MEMBER = Packed("x", executable=False, stamp=(0, 33), method=0, big=False)


def test_more_than_65535_members_can_be_listed() -> None:
    count = 65_536
    names = (MEMBER._replace(path=str(number)) for number in range(count))
    directory = b"".join(map(central_header, names))
    end = end_records(count, 0, len(directory))

    assert len(zipfile.ZipFile(io.BytesIO(directory + end)).infolist()) == count


@pytest.mark.parametrize("offset", [0xFFFFFFFE, 0xFFFFFFFF, 5 << 30])
def test_a_member_behind_4_gib_can_be_read(tmp_path: Path, offset: int) -> None:
    member = MEMBER._replace(offset=offset, size=3, packed=3, crc=0x352441C2)
    path = tmp_path / "sparse.zip"
    with path.open("wb") as out:
        out.seek(offset)
        out.write(local_header(member) + b"abc")
        start = out.tell()
        out.write(central_header(member))
        out.write(end_records(1, start, out.tell() - start))

    with zipfile.ZipFile(path) as opened:
        assert opened.getinfo("x").header_offset == offset
        assert opened.read("x") == b"abc"


@pytest.mark.parametrize("size", [3, 0xFFFFFFFF, 5 << 30])
def test_a_big_member_has_its_sizes_in_both_places(size: int) -> None:
    member = MEMBER._replace(size=size, packed=3, big=True)
    out = io.BytesIO()
    out.write(local_header(member) + b"abc")
    start = out.tell()
    out.write(central_header(member))
    out.write(end_records(1, start, out.tell() - start))

    info = zipfile.ZipFile(out).getinfo("x")
    assert (info.file_size, info.compress_size) == (size, 3)
    header = local_header(member)
    assert int.from_bytes(header[-16:-8], "little") == size
    assert len(header) == len(local_header(member._replace(size=1)))


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.text("abcü", min_size=1, max_size=5), st.binary(max_size=2000), min_size=1, max_size=6
    ),
    st.integers(0, 9),
)
def test_any_content_comes_back(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes], level: int
) -> None:
    root = tmp_path_factory.mktemp("any")
    (root / "in").mkdir()
    for name, data in files.items():
        (root / "in" / name).write_bytes(data)

    assert content_of(pack(root / "in", root / "a.zip", epoch=0, level=level)) == files
