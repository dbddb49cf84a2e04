"""Unpack source archives of strangers: tar (plain or packed) and zip, told by their content.

The members are listed and judged first (`refusals.py`), then written: all of them, or nothing. What
is written has no owner, no times and no mode bits of the archive but "executable".
"""

from __future__ import annotations

import errno
import lzma
import os
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

from builder.archive.refusals import Kind, Limits, Member, Refusal, UnpackError, refuse, strip_top
from builder.archive.tar import read_tar
from builder.archive.tar_source import ArchiveError, open_source
from builder.archive.zip_entry import looks_like_zip
from builder.errors import BuilderError

__all__ = ["Limits", "UnpackError", "unpack"]

_CHUNK: Final = 1 << 20
_LONGEST_TARGET: Final = 4096
_DAMAGE: Final = (
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


class _Content(Protocol):
    """The bytes of a member, front to back."""

    def read(self, size: int, /) -> bytes:
        """The next bytes, empty at the end."""
        ...


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
        if looks_like_zip(file.read(4)):
            with zipfile.ZipFile(file) as opened:
                members = _judged(_zip_members(opened, bounds), archive, packed, bounds)
                _write(members, _zip_contents(opened), folder)
        else:
            with open_source(archive, bounds) as source:
                listed = (member for member, _ in read_tar(source, archive.name, bounds))
                members = _judged(listed, archive, packed, bounds)
            with open_source(archive, bounds) as source:
                contents = (content for _, content in read_tar(source, archive.name, bounds))
                _write(members, contents, folder)
    return folder


@contextmanager
def _whole(archive: Path) -> Iterator[None]:
    """Turn what is raised on a broken archive into one named error."""
    try:
        yield
    except ArchiveError as error:
        raise UnpackError(archive.name, tuple(map(_refusal, error.faults))) from error
    except _TooMuch as error:
        raise UnpackError(archive.name, [Refusal("*", "bomb", str(error))]) from error
    except _DAMAGE as error:
        why = f"{type(error).__name__}: {error}"
        raise UnpackError(archive.name, [Refusal("*", "damaged", why)]) from error
    except OSError as error:
        if error.errno == errno.EINVAL:  # a wrong offset in a zip is an invalid seek
            raise UnpackError(archive.name, [Refusal("*", "damaged", str(error))]) from error
        raise BuilderError(
            f"`{archive}` cannot be unpacked: {error.strerror}",
            hint="check that the file is there and the disk has room",
        ) from error


def _refusal(fault: str) -> Refusal:
    """What the reader of tars says, `damaged: why` or `bomb: why`, as a refusal."""
    rule, _, why = fault.partition(": ")
    return Refusal("*", "bomb" if rule == "bomb" else "damaged", why)


def _zip_members(opened: zipfile.ZipFile, limits: Limits) -> Iterator[Member]:
    for count, info in enumerate(opened.infolist()):
        mode = info.external_attr >> 16
        kind = _zip_kind(info, mode)
        target = ""
        if count > limits.members:
            raise _TooMuch(f"it has more than {limits.members} members")
        if kind == "link" and not info.flag_bits & 1:
            if info.file_size > _LONGEST_TARGET:
                raise _TooMuch(f"the link {info.filename!r} has a target of {info.file_size} bytes")
            target = opened.read(info).decode()
        yield Member(
            info.orig_filename,
            kind,
            info.file_size if kind == "file" else 0,
            bool(mode & 0o111),
            target,
            bool(info.flag_bits & 1),
        )


def _zip_contents(opened: zipfile.ZipFile) -> Iterator[_Content]:
    for info in opened.infolist():
        with opened.open(info) as content:
            yield content


def _zip_kind(info: zipfile.ZipInfo, mode: int) -> Kind:
    written_as = stat.S_IFMT(mode)
    if written_as == stat.S_IFLNK:
        return "link"
    if info.is_dir():
        return "directory"
    return "file" if written_as in {0, stat.S_IFREG} else "special"


def _judged(
    listed: Iterable[Member], archive: Path, packed: int, limits: Limits
) -> tuple[Member, ...]:
    members = strip_top(tuple(listed))
    if refusals := refuse(members, packed, limits):
        raise UnpackError(archive.name, refusals)
    return members


def _write(members: Sequence[Member], contents: Iterable[_Content], folder: Path) -> None:
    """Write all members; links last, so that nothing is written through one."""
    folder.mkdir(parents=True)
    try:
        for member, content in zip(members, contents, strict=True):
            target = folder / member.path
            match member.kind:
                case "directory":
                    target.mkdir(parents=True, exist_ok=True)
                case "file":
                    _write_file(member, content, target)
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


def _write_file(member: Member, content: _Content, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    left = member.size
    with target.open("xb") as file:
        while chunk := content.read(_CHUNK):
            left -= len(chunk)
            if left < 0:
                raise _TooMuch(f"{member.name!r} has more bytes than it says")
            file.write(chunk)
    if left:
        raise EOFError(f"{member.name!r} has {left} bytes less than it says")
    target.chmod(0o755 if member.executable else 0o644)
