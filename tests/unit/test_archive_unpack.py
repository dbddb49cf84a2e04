from __future__ import annotations

import bz2
import gzip
import io
import lzma
import stat
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builder.archive.unpack import Limits, UnpackError, unpack
from builder.errors import BuilderError

CONTENT = {"pkg-1.0/a.txt": b"a", "pkg-1.0/bin/run": b"#!/bin/sh\n", "pkg-1.0/d/b": b"b" * 5000}
PLAIN = {name.removeprefix("pkg-1.0/"): data for name, data in CONTENT.items()}


def tar_bytes(change: Callable[[tarfile.TarFile], None] = lambda _: None) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as opened:
        for name, data in CONTENT.items():
            opened.addfile(member(name, size=len(data), mode=0o4777), io.BytesIO(data))
        change(opened)
    return buffer.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, **fields: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    for field, value in fields.items():
        setattr(info, field, value)
    return info


def zip_bytes(change: Callable[[zipfile.ZipFile], None] = lambda _: None) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, data in CONTENT.items():
            opened.writestr(name, data)
        change(opened)
    return buffer.getvalue()


def write(folder: Path, data: bytes) -> Path:
    archive = folder / "archive.bin"
    archive.write_bytes(data)
    return archive


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    }


FORMATS: dict[str, Callable[[], bytes]] = {
    "tar": tar_bytes,
    "tar.gz": lambda: gzip.compress(tar_bytes()),
    "tar.bz2": lambda: bz2.compress(tar_bytes()),
    "tar.xz": lambda: lzma.compress(tar_bytes()),
    "tar.zst": lambda: zstandard.ZstdCompressor().compress(tar_bytes()),
    "zip": zip_bytes,
}


@pytest.mark.parametrize("make", FORMATS.values(), ids=FORMATS.keys())
def test_every_format_is_told_by_its_content(make: Callable[[], bytes], tmp_path: Path) -> None:
    assert files(unpack(write(tmp_path, make()), tmp_path / "out")) == PLAIN


def test_a_tar_that_begins_like_a_zip_is_a_tar(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as opened:
        opened.addfile(member("PK/x", size=1), io.BytesIO(b"x"))
        opened.addfile(member("y", size=1), io.BytesIO(b"y"))
    out = unpack(write(tmp_path, buffer.getvalue()), tmp_path / "out")
    assert files(out) == {"PK/x": b"x", "y": b"y"}


def test_only_the_executable_bit_survives(tmp_path: Path) -> None:
    def plain(opened: tarfile.TarFile) -> None:
        opened.addfile(member("pkg-1.0/plain", mode=0o600))

    out = unpack(write(tmp_path, tar_bytes(plain)), tmp_path / "out")
    modes = {name: stat.S_IMODE((out / name).stat().st_mode) for name in ("bin/run", "plain")}
    assert modes == {"bin/run": 0o755, "plain": 0o644}


def test_links_of_a_tar_are_links_and_hard_links_are_copies(tmp_path: Path) -> None:
    def links(opened: tarfile.TarFile) -> None:
        opened.addfile(member("pkg-1.0/link", tarfile.SYMTYPE, linkname="d/b"))
        opened.addfile(member("pkg-1.0/hard", tarfile.LNKTYPE, linkname="pkg-1.0/a.txt"))

    out = unpack(write(tmp_path, tar_bytes(links)), tmp_path / "out")
    assert (out / "link").readlink() == Path("d/b")
    assert (out / "hard").read_bytes() == b"a"
    assert (out / "hard").stat().st_nlink == 1


def test_links_of_a_zip_are_links(tmp_path: Path) -> None:
    def links(opened: zipfile.ZipFile) -> None:
        info = zipfile.ZipInfo("pkg-1.0/link")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        opened.writestr(info, "d/b")

    out = unpack(write(tmp_path, zip_bytes(links)), tmp_path / "out")
    assert (out / "link").readlink() == Path("d/b")


def add(name: str, kind: bytes = tarfile.REGTYPE, **fields: object) -> bytes:
    return tar_bytes(lambda opened: opened.addfile(member(name, kind, **fields)))


def zip_add(name: str, attributes: int = 0, flags: int = 0) -> bytes:
    def change(opened: zipfile.ZipFile) -> None:
        info = zipfile.ZipInfo(name)
        info.external_attr = attributes << 16
        info.flag_bits = flags
        opened.writestr(info, "/etc")

    return zip_bytes(change)


WIDE = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 30}]
REFUSED = {
    "tar up": ("traversal", lambda: add("pkg-1.0/../../x")),
    "tar absolute": ("absolute", lambda: add("/etc/passwd")),
    "tar device": ("special", lambda: add("pkg-1.0/null", tarfile.CHRTYPE)),
    "tar pipe": ("special", lambda: add("pkg-1.0/pipe", tarfile.FIFOTYPE)),
    "tar link": ("link", lambda: add("pkg-1.0/l", tarfile.SYMTYPE, linkname="/etc/passwd")),
    "tar link to the top": ("link", lambda: add("pkg-1.0/l", tarfile.SYMTYPE, linkname="../x")),
    "tar hard link": ("link", lambda: add("pkg-1.0/l", tarfile.LNKTYPE, linkname="/etc/passwd")),
    "tar twice": ("duplicate", lambda: add("pkg-1.0/a.txt")),
    "tar case": ("case", lambda: add("pkg-1.0/A.TXT")),
    "tar below a file": ("conflict", lambda: add("pkg-1.0/a.txt/b")),
    "zip up": ("traversal", lambda: zip_add("../x")),
    "zip backslash": ("name", lambda: zip_add("pkg-1.0\\..\\x")),
    "zip link": ("link", lambda: zip_add("pkg-1.0/l", stat.S_IFLNK)),
    "zip device": ("special", lambda: zip_add("pkg-1.0/l", stat.S_IFBLK)),
    "no archive": ("damaged", lambda: b"hello" * 1000),
    "empty": ("damaged", lambda: b""),
    "tar cut short": ("damaged", lambda: tar_bytes()[:2000]),
    "tar cut between two members": ("damaged", lambda: tar_bytes()[:2048]),
    "tar with a damaged second header": (
        "damaged",
        lambda: tar_bytes().replace(b"bin/run", b"bin/rum", 1),
    ),
    "xz that wants 4 GiB of memory": ("damaged", lambda: lzma.compress(tar_bytes(), filters=WIDE)),
    "gzip cut short": ("damaged", lambda: gzip.compress(tar_bytes())[:100]),
    "gzip of nothing": ("damaged", lambda: gzip.compress(b"hello")),
    "xz damaged": (
        "damaged",
        lambda: lzma.compress(tar_bytes()).replace(b"\xfd7zXZ\0\0\4", b"\xfd7zXZ\0\0\1"),
    ),
    "zip cut short": ("damaged", lambda: zip_bytes()[:100]),
}


@pytest.mark.parametrize(("rule", "make"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_not_safe_is_refused_and_nothing_is_left(
    rule: str, make: Callable[[], bytes], tmp_path: Path
) -> None:
    archive = write(tmp_path, make())
    with pytest.raises(UnpackError) as caught:
        unpack(archive, tmp_path / "out")
    assert rule in {refusal.rule for refusal in caught.value.refusals}
    assert [path.name for path in tmp_path.iterdir()] == ["archive.bin"]


def test_all_reasons_are_given_at_once(tmp_path: Path) -> None:
    def change(opened: tarfile.TarFile) -> None:
        opened.addfile(member("../x"))
        opened.addfile(member("pkg-1.0/null", tarfile.CHRTYPE))

    with pytest.raises(UnpackError, match="not safe") as caught:
        unpack(write(tmp_path, tar_bytes(change)), tmp_path / "out")
    assert {refusal.rule for refusal in caught.value.refusals} == {"traversal", "special"}


def bomb(size: int) -> Callable[[tarfile.TarFile], None]:
    return lambda opened: opened.addfile(member("pkg-1.0/0", size=size), io.BytesIO(bytes(size)))


BOMBS: dict[str, Callable[[], bytes]] = {
    "gzip": lambda: gzip.compress(tar_bytes(bomb(400_000))),
    "xz": lambda: lzma.compress(tar_bytes(bomb(400_000))),
    "zip": lambda: zip_bytes(lambda opened: opened.writestr("pkg-1.0/0", bytes(400_000))),
    "zeros only": lambda: gzip.compress(b"\1" * 400_000),
    "claimed": lambda: tar_bytes()[:-10240] + member("x", size=1 << 40).tobuf(),
}


@pytest.mark.parametrize("make", BOMBS.values(), ids=BOMBS.keys())
def test_a_bomb_is_refused(make: Callable[[], bytes], tmp_path: Path) -> None:
    with pytest.raises(UnpackError) as caught:
        unpack(
            write(tmp_path, make()),
            tmp_path / "out",
            limits=Limits(total=1 << 30, ratio=20, floor=100_000),
        )
    assert {refusal.rule for refusal in caught.value.refusals} & {"bomb", "damaged"}
    assert not (tmp_path / "out").exists()


def test_a_bomb_in_a_header_is_refused(tmp_path: Path) -> None:
    # A GNU long name "of 64 MiB": the standard library would read it whole.
    header = member("././@LongLink", tarfile.GNUTYPE_LONGNAME, size=64 << 20)
    data = header.tobuf(tarfile.GNU_FORMAT) + bytes(64 << 20)
    with pytest.raises(UnpackError, match="a header of 67108864 bytes"):
        unpack(write(tmp_path, gzip.compress(data)), tmp_path / "out")


def test_headers_for_all_members_are_not_held_for_each(tmp_path: Path) -> None:
    keys = {f"k{number}": "" for number in range(30_000)}
    buffer = io.BytesIO()
    with tarfile.open(
        fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT, pax_headers=keys
    ) as opened:
        for number in range(40):
            opened.addfile(member(f"{number}-{'a' * 120}"))
    tracemalloc.start()
    try:
        unpack(write(tmp_path, buffer.getvalue()), tmp_path / "out")
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


def test_a_link_of_a_zip_with_a_long_target_is_refused(tmp_path: Path) -> None:
    def change(opened: zipfile.ZipFile) -> None:
        info = zipfile.ZipInfo("pkg-1.0/link")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        opened.writestr(info, "a/" * 4000)

    with pytest.raises(UnpackError, match="has a target of 8000 bytes"):
        unpack(write(tmp_path, zip_bytes(change)), tmp_path / "out")


def test_a_zip_member_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    data = bytearray(zip_bytes())
    place = data.rindex(b"PK\x01\x02")  # the last member of the central directory
    data[place + 24 : place + 28] = (10).to_bytes(4, "little")
    with pytest.raises(UnpackError):
        unpack(write(tmp_path, bytes(data)), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    data = bytearray(zip_bytes())
    place = data.index(b"PK\x01\x02")
    data[place + 8] |= 1
    with pytest.raises(UnpackError, match="encrypted"):
        unpack(write(tmp_path, bytes(data)), tmp_path / "out")


def test_a_missing_archive_is_no_damaged_one(tmp_path: Path) -> None:
    with pytest.raises(BuilderError, match="cannot be unpacked") as caught:
        unpack(tmp_path / "nothing.tar", tmp_path / "out")
    assert not isinstance(caught.value, UnpackError)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
@given(
    kind=st.sampled_from([tar_bytes, zip_bytes]),
    place=st.integers(0, 9000),
    value=st.integers(0, 255),
)
def test_any_changed_byte_is_an_unpack_error_or_no_harm(
    kind: Callable[[], bytes], place: int, value: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    data = bytearray(kind())
    data[place % len(data)] = value
    try:
        unpack(write(folder, bytes(data)), folder / "out")
    except UnpackError:
        assert [path.name for path in folder.iterdir()] == ["archive.bin"]
    else:
        assert {path.name for path in folder.iterdir()} == {"archive.bin", "out"}


NAMES = st.lists(st.sampled_from(["a", "b", "c", "..", "."]), min_size=1, max_size=4).map("/".join)
KINDS = st.sampled_from([tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
@given(rows=st.lists(st.tuples(NAMES, KINDS, NAMES), max_size=5))
def test_whatever_is_unpacked_stays_inside(
    rows: list[tuple[str, bytes, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    def change(opened: tarfile.TarFile) -> None:
        for name, kind, target in rows:
            opened.addfile(member(name, kind, linkname=target))

    folder = tmp_path_factory.mktemp("inside")
    out = folder / "out"
    try:
        unpack(write(folder, tar_bytes(change)), out)
    except UnpackError:
        assert not out.exists()
        return
    assert {path.name for path in folder.iterdir()} == {"archive.bin", "out"}
    for path in out.rglob("*"):
        assert path.resolve(strict=False).is_relative_to(out)
