"""Unpack source archives of strangers: tar (plain, gzip, bzip2, xz) and zip, told by their content.

The members are listed and judged first (`refusals.py`), then written: all of them, or nothing. What
is written has no owner, no times and no mode bits of the archive but "executable".
"""

from __future__ import annotations

import bz2
import errno
import gzip
import io
import lzma
import os
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, cast

from builder.archive.refusals import Kind, Limits, Member, Refusal, UnpackError, refuse, strip_top
from builder.errors import BuilderError

__all__ = ["Limits", "UnpackError", "unpack"]

_LONGEST_READ: Final = 16 << 20
_CHUNK: Final = 1 << 20
_ZIP: Final = (b"PK\x03\x04", b"PK\x05\x06")
_DAMAGE: Final = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    IndexError,
    KeyError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    UnicodeError,
    ValueError,
)

_Open = Callable[[], IO[bytes]]


@dataclass(frozen=True, slots=True)
class _Packed:
    """A member, and how to read its bytes."""

    member: Member
    open: _Open


class _TooMuch(Exception):  # noqa: N818 - a signal inside this module, not an error of the caller
    """The archive unfolds to more than it may."""


def unpack(archive: Path, folder: Path, *, limits: Limits | None = None) -> Path:
    """Write the content of `archive` into `folder`, without the one top folder most archives have.

    `folder` must not exist; it is what comes back. Raises `UnpackError` with every reason for an
    archive that is damaged or not safe, and leaves nothing behind then.
    """
    bounds = limits or Limits()
    with _whole(archive), archive.open("rb") as file:
        packed = os.fstat(file.fileno()).st_size
        if file.read(4) in _ZIP:
            with zipfile.ZipFile(file) as opened:
                _write(_zip_members(opened), archive, folder, packed, bounds)
        else:
            most = max(bounds.floor, min(bounds.total, packed * bounds.ratio))
            # Headers and padding come on top of what the members themselves may have.
            stream = _Bounded(_decompressed(file), 2 * most)
            with tarfile.open(fileobj=cast("IO[bytes]", stream), mode="r:") as opened_tar:
                _write(_tar_members(opened_tar, bounds), archive, folder, packed, bounds)
    return folder


@contextmanager
def _whole(archive: Path) -> Iterator[None]:
    """Turn what the standard library raises on a broken archive into one named error."""
    try:
        yield
    except _TooMuch as error:
        raise UnpackError(archive.name, [Refusal("*", "bomb", str(error))]) from error
    except _DAMAGE as error:
        why = f"{type(error).__name__}: {error}"
        raise UnpackError(archive.name, [Refusal("*", "damaged", why)]) from error
    except OSError as error:
        # gzip and bz2 say "not mine" with an OSError; a wrong offset in a zip is an invalid seek.
        if error.errno in {None, errno.EINVAL}:
            raise UnpackError(archive.name, [Refusal("*", "damaged", str(error))]) from error
        raise BuilderError(
            f"`{archive}` cannot be unpacked: {error.strerror}",
            hint="check that the file is there and the disk has room",
        ) from error


class _Bounded:
    """A file for `tarfile` to read; it ends a bomb while it unfolds, whichever header it is in."""

    def __init__(self, raw: IO[bytes], limit: int) -> None:
        self._raw = raw
        self._limit = limit

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _LONGEST_READ:
            raise _TooMuch(f"a header asks for {size} bytes at once")
        data = self._raw.read(size)
        self._check(self._raw.tell())
        return data

    def seek(self, position: int, whence: int = 0) -> int:
        if whence == io.SEEK_SET:
            self._check(position)
        return self._raw.seek(position, whence)

    def tell(self) -> int:
        return self._raw.tell()

    def _check(self, position: int) -> None:
        if position > self._limit:
            raise _TooMuch(f"it unfolds to more than {self._limit} bytes")


def _decompressed(file: IO[bytes]) -> IO[bytes]:
    file.seek(0)
    head = file.read(6)
    file.seek(0)
    if head.startswith(b"\x1f\x8b"):
        return cast("IO[bytes]", gzip.GzipFile(fileobj=file, mode="rb"))
    if head.startswith(b"BZh"):
        return cast("IO[bytes]", bz2.BZ2File(file))
    if head == b"\xfd7zXZ\x00":
        return cast("IO[bytes]", lzma.LZMAFile(file))
    return file


def _tar_members(opened: tarfile.TarFile, limits: Limits) -> Iterator[_Packed]:
    total = 0
    for count, info in enumerate(opened):
        total += info.size
        # Checked here too: a list of members that never ends must not be collected first.
        if info.size < 0 or total > limits.total or count > limits.members:
            raise _TooMuch(f"member {count} says it has {info.size} bytes, {total} so far")
        kind = _tar_kind(info)
        yield _Packed(
            Member(
                info.name,
                kind,
                info.size if kind == "file" else 0,
                bool(info.mode & 0o111),
                info.linkname if kind in {"link", "hardlink"} else "",
            ),
            lambda info=info: cast("IO[bytes]", opened.extractfile(info)),  # type: ignore[misc]  # mypy#1484
        )


def _tar_kind(info: tarfile.TarInfo) -> Kind:
    if info.issym():
        return "link"
    if info.islnk():
        return "hardlink"
    if info.isdir():
        return "directory"
    return "file" if info.isreg() and not info.issparse() else "special"


def _zip_members(opened: zipfile.ZipFile) -> Iterator[_Packed]:
    for info in opened.infolist():
        mode = info.external_attr >> 16
        kind = _zip_kind(info, mode)
        target = ""
        if kind == "link" and not info.flag_bits & 1:
            if info.file_size > _CHUNK:
                raise _TooMuch(f"the link {info.filename!r} has a target of {info.file_size} bytes")
            target = opened.read(info).decode()
        yield _Packed(
            Member(
                info.orig_filename,
                kind,
                info.file_size if kind == "file" else 0,
                bool(mode & 0o111),
                target,
                bool(info.flag_bits & 1),
            ),
            lambda info=info: opened.open(info),  # type: ignore[misc]  # mypy#1484
        )


def _zip_kind(info: zipfile.ZipInfo, mode: int) -> Kind:
    written_as = stat.S_IFMT(mode)
    if written_as == stat.S_IFLNK:
        return "link"
    if info.is_dir():
        return "directory"
    return "file" if written_as in {0, stat.S_IFREG} else "special"


def _write(
    listed: Iterator[_Packed], archive: Path, folder: Path, packed: int, limits: Limits
) -> None:
    """Judge all members, then write them; links last, so that nothing is written through one."""
    contents = tuple(listed)
    members = strip_top([content.member for content in contents])
    if refusals := refuse(members, packed, limits):
        raise UnpackError(archive.name, refusals)
    folder.mkdir(parents=True)
    try:
        for member, content in zip(members, contents, strict=True):
            target = folder / member.path
            match member.kind:
                case "directory":
                    target.mkdir(parents=True, exist_ok=True)
                case "file":
                    _write_file(member, content.open, target)
                case "hardlink":
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(folder / Member(member.target, "file").path, target)
        for member in members:
            if member.kind == "link":
                (folder / member.path).parent.mkdir(parents=True, exist_ok=True)
                (folder / member.path).symlink_to(member.target)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _write_file(member: Member, opened: _Open, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    left = member.size
    with opened() as source, target.open("xb") as file:
        while chunk := source.read(_CHUNK):
            left -= len(chunk)
            if left < 0:
                raise _TooMuch(f"{member.name!r} has more bytes than it says")
            file.write(chunk)
    if left:
        raise EOFError(f"{member.name!r} has {left} bytes less than it says")
    target.chmod(0o755 if member.executable else 0o644)
