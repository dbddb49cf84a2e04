"""What was written is proven on its bytes, and no more often than that takes."""

from __future__ import annotations

import hashlib
import os
import zipfile
from pathlib import Path

import pytest

from builder.archive.record import encode_digest
from builder.archive.tally import Tally
from builder.archive.zip_items import Put
from builder.archive.zip_write import write_zip
from builder.errors import BuilderError

STAMP = (0, 33)
SIZES = {"trifle": 3_000, "small": 40_000, "chunks": 3 << 20, "big": 9 << 20}


def content(size: int) -> bytes:
    """Bytes that are about half as long when they are packed."""
    return hashlib.shake_128(size.to_bytes(8)).hexdigest(size // 2).encode()


@pytest.mark.parametrize("level", [1, 6])
@pytest.mark.parametrize("name", SIZES)
def test_a_member_is_unpacked_once_at_most(tmp_path: Path, name: str, level: int) -> None:
    raw, tally = content(SIZES[name]), Tally()

    rows = write_zip(
        None, tmp_path / "x.zip", (Put("x", raw),), stamp=STAMP, level=level, tally=tally
    )

    # What is too big to hold was proven piece by piece; only its packed bytes are read again.
    again = 0 if name == "big" else len(raw)
    assert tally == Tally(inflated=again, deflated=len(raw), hashed=len(raw))
    assert rows["x"].digest == encode_digest(hashlib.sha256(raw).digest())
    assert zipfile.ZipFile(tmp_path / "x.zip").read("x") == raw


@pytest.mark.parametrize("name", SIZES)
def test_a_disk_that_keeps_other_bytes_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    write = os.pwrite
    faults: list[int] = []

    def lying(descriptor: int, data: bytes | memoryview, place: int) -> int:
        if len(data) > SIZES["trifle"] // 4 and not faults:
            faults.append(place)
            changed = bytearray(data)
            changed[-300] ^= 0x10
            return write(descriptor, changed, place)
        return write(descriptor, data, place)

    monkeypatch.setattr(os, "pwrite", lying)

    with pytest.raises(BuilderError, match="does not read back: 'x'") as caught:
        write_zip(
            None, tmp_path / "x.zip", (Put("x", content(SIZES[name])),), stamp=STAMP, threads=2
        )

    assert faults
    assert caught.value.hint == "check the disk, then run the same command again"
    assert list(tmp_path.iterdir()) == []
