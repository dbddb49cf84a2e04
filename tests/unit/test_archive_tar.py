from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from builder.archive.tar import read_tar
from builder.archive.tar_source import ArchiveError, open_source

CONTENT = {"top/a": b"a" * 700, "top/b": b"b"}
END = bytes(1024)


def member(name: str, content: bytes, kind: bytes = tarfile.REGTYPE) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.type = len(content), kind
    return info.tobuf(tarfile.USTAR_FORMAT) + content + bytes(-len(content) % 512)


MEMBERS = tuple(member(name, content) for name, content in CONTENT.items())
WHOLE = b"".join(MEMBERS) + END
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstandard": zstandard.ZstdCompressor().compress,
}
every_packer = pytest.mark.parametrize("pack", PACKERS.values(), ids=PACKERS)


def contents(folder: Path, data: bytes) -> dict[str, bytes]:
    path = folder / "a.tar"
    path.write_bytes(data)
    with open_source(path) as source:
        return {one.name: content.read(one.size) for one, content in read_tar(source, path.name)}


@every_packer
def test_a_whole_archive_is_read(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    assert contents(tmp_path, pack(WHOLE)) == CONTENT


@every_packer
def test_members_that_were_packed_one_by_one_are_one_archive(
    pack: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    assert contents(tmp_path, b"".join(map(pack, (*MEMBERS, END)))) == CONTENT


@every_packer
def test_an_archive_that_is_cut_between_two_members_is_damaged(
    pack: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    with pytest.raises(ArchiveError) as caught:
        contents(tmp_path, b"".join(map(pack, MEMBERS)))
    assert caught.value.faults == (
        "damaged: it ends without the block of zeros that ends every tar (member 3)",
    )


@pytest.mark.parametrize("records", [b"0 a=b\n", b"a=b\n", b"3 a=b\n", b"6 path\n", b"\xff 1=\n"])
def test_a_record_that_cannot_be_read_is_damage(records: bytes, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="a header for a member is not readable"):
        contents(tmp_path, member("x", records, tarfile.XHDTYPE) + WHOLE)


def test_what_nobody_asks_for_in_the_headers_is_not_held(tmp_path: Path) -> None:
    records = b"".join(b"11 %06d=\n" % number for number in range(380_000))
    data = gzip.compress(member("x", records, tarfile.XGLTYPE) + WHOLE)
    tracemalloc.start()
    try:
        assert contents(tmp_path, data) == CONTENT
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


def test_a_check_sum_of_signed_bytes_is_right_too(tmp_path: Path) -> None:
    """As old tools on some systems made it (POSIX.1-1988 did not say)."""
    header = bytearray(member("größe", b"big")[:512])
    header[148:156] = b" " * 8
    signed = sum(byte - 256 * (byte > 127) for byte in header)
    assert signed != sum(header)
    header[148:156] = b"%06o\0 " % signed

    assert contents(tmp_path, bytes(header) + b"big".ljust(512, b"\0") + bytes(1024)) == {
        "größe": b"big"
    }
