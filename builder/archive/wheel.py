"""Wheels as files ("Binary distribution format" 1.x): names, and reading without trusting.

A wheel is judged as a whole before one byte of it is written: names, sizes, links, doubles,
encryption, and whether it is a wheel at all.
"""

from __future__ import annotations

import hashlib
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import IO, Literal

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from builder.archive import record
from builder.archive.metadata import Headers
from builder.archive.record import Row
from builder.archive.refusals import Limits, Member, Refusal, refuse
from builder.errors import BuilderError, UsageError

__all__ = [
    "Wheel",
    "WheelError",
    "WheelName",
    "extract",
    "read_wheel",
    "verify_wheel",
    "visit_files",
]

_CHUNK = 1 << 20
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_FILES = ("METADATA", "WHEEL", "RECORD")
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    IndexError,
    NotImplementedError,
    OverflowError,
    UnicodeError,
    ValueError,
)


class WheelError(UsageError):
    """A file that is no wheel, is damaged, or is not safe to unpack; `faults` say every reason."""

    def __init__(self, wheel: str, faults: tuple[str, ...]) -> None:
        super().__init__(
            f"`{wheel}` is not a sound wheel",
            faults=faults,
            hint="build or download it again",
        )


@dataclass(frozen=True, slots=True)
class WheelName:
    """The file name of a wheel. `project` is spelled as in the file name; tag sets are sorted."""

    project: str
    version: str
    build: str
    pythons: tuple[str, ...]
    abis: tuple[str, ...]
    platforms: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> WheelName:
        """Read a file name. Raises `WheelError` when it is none of a wheel."""
        try:
            parse_wheel_filename(text)
        except (InvalidWheelFilename, InvalidVersion) as error:
            raise WheelError(text, (str(error),)) from error
        words = text.removesuffix(".whl").split("-")
        build = words[2] if len(words) == 6 else ""  # noqa: PLR2004  # with a build tag
        pythons, abis, platforms = (tuple(sorted(set(word.split(".")))) for word in words[-3:])
        return cls(words[0], words[1], build, pythons, abis, platforms)

    def __str__(self) -> str:
        sets = (self.pythons, self.abis, self.platforms)
        words = (self.project, self.version, self.build, *map(".".join, sets))
        return "-".join(word for word in words if word) + ".whl"

    @property
    def tags(self) -> tuple[str, ...]:
        """Every single tag the compressed sets stand for, sorted."""
        return tuple(sorted(map("-".join, product(self.pythons, self.abis, self.platforms))))

    @property
    def is_pure(self) -> bool:
        """Whether the wheel claims to run on any platform."""
        return self.platforms == ("any",)

    def with_version(self, version: str) -> WheelName:
        """The same name with another version, escaped as file names want it."""
        return replace(self, version=str(Version(version)).replace("-", "_"))


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel that was read and found sound.

    `newest` is the latest time stamp inside, in seconds since 1970.
    """

    path: Path
    name: WheelName
    members: tuple[Member, ...]
    dist_info: str
    metadata: Headers
    info: Headers
    record: str
    newest: int


def read_wheel(path: Path, *, limits: Limits | None = None) -> Wheel:
    """Judge a wheel and read its metadata. Raises `WheelError` with every reason."""
    name = WheelName.parse(path.name)
    with _opened(path) as archive:
        return _judged(path, name, archive, limits or Limits())


def extract(wheel: Wheel, folder: Path) -> None:
    """Write the content of a wheel into an empty or absent folder. Raises `WheelError`.

    Files get mode 0644, or 0755 when the wheel says executable; nothing else of the archive's modes
    is kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise UsageError(f"`{folder}` is not empty", hint="give an empty folder")

    def write(member: Member, source: IO[bytes]) -> None:
        target = folder / member.path
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as file:
                shutil.copyfileobj(source, file, _CHUNK)
                size = file.tell()
            target.chmod(0o755 if member.executable else 0o644)
        except OSError as error:
            raise BuilderError(
                f"`{target}` cannot be written: {error.strerror or error}", hint="free some space"
            ) from error
        if size != member.size:
            raise EOFError(f"{member.name} has {size} bytes, not {member.size}")

    visit_files(wheel, write)


def visit_files(wheel: Wheel, visit: Callable[[Member, IO[bytes]], None]) -> None:
    """Call `visit` with every file of a wheel and its content to read.

    Raises `WheelError` for a damaged one.
    """
    with _opened(wheel.path) as archive:
        for member, info in zip(wheel.members, archive.infolist(), strict=True):
            if member.kind == "file":
                with archive.open(info) as source:
                    visit(member, source)


def verify_wheel(path: Path) -> tuple[str, ...]:
    """What is wrong with the bytes of a wheel: every member is hashed and compared with RECORD.

    Empty when all is well. Raises `WheelError` when it cannot be read at all.
    """
    wheel = read_wheel(path)
    itself = f"{wheel.dist_info}/RECORD"
    rows: dict[str, Row] = {}

    def measure(member: Member, source: IO[bytes]) -> None:
        if member.path != itself:
            digest = record.encode_digest(_sha256(source))
            rows[member.path] = Row(member.path, digest, member.size)

    visit_files(wheel, measure)
    return (
        *record.compare(wheel.record, rows, itself),
        *_lies(wheel),
    )


def _sha256(source: IO[bytes]) -> bytes:
    digest = hashlib.sha256()
    while chunk := source.read(_CHUNK):
        digest.update(chunk)
    return digest.digest()


def _lies(wheel: Wheel) -> Iterator[str]:
    """Where the metadata says something else than the file name."""
    tags = tuple(sorted(wheel.info.get("Tag")))
    if tags != wheel.name.tags:
        yield f"{wheel.dist_info}/WHEEL: tags {', '.join(tags)} are not those of the file name"
    project, version = _first(wheel.metadata, "Name"), _first(wheel.metadata, "Version")
    if canonicalize_name(project) != canonicalize_name(wheel.name.project):
        yield f"{wheel.dist_info}/METADATA: the name {project!r} is not that of the file name"
    if not _same_version(version, wheel.name.version):
        yield f"{wheel.dist_info}/METADATA: the version {version!r} is not that of the file name"


def _first(headers: Headers, name: str) -> str:
    return next(iter(headers.get(name)), "")


def _same_version(one: str, other: str) -> bool:
    try:
        return Version(one) == Version(other.replace("_", "-"))
    except InvalidVersion:
        return False


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """The archive, with whatever the standard library raises on a broken one as one named error."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except _DAMAGE as error:
        raise WheelError(path.name, (f"damaged: {type(error).__name__}: {error}",)) from error
    except OSError as error:
        raise UsageError(
            f"`{path}` cannot be read: {error.strerror or error}", hint="check the path"
        ) from error


def _judged(path: Path, name: WheelName, archive: zipfile.ZipFile, limits: Limits) -> Wheel:
    infos = archive.infolist()
    members = tuple(_member(info) for info in infos)
    packed = path.stat().st_size
    refusals = [
        refusal
        for refusal in refuse(members, packed, limits)
        if refusal.rule != "case"  # legal in a wheel for Linux, and common in terminfo data
    ]
    refusals += _wheel_rules(infos, members, archive.start_dir)
    if refusals:
        raise WheelError(path.name, tuple(map(str, refusals)))
    dist_info = _dist_info(path, name, members)
    texts = {file: archive.read(f"{dist_info}/{file}") for file in _FILES}
    return Wheel(
        path=path,
        name=name,
        members=members,
        dist_info=dist_info,
        metadata=Headers.parse(texts["METADATA"]),
        info=_wheel_info(path, texts),
        record=_utf8(path, texts["RECORD"]),
        newest=max(map(_seconds, infos)),
    )


def _member(info: zipfile.ZipInfo) -> Member:
    mode = info.external_attr >> 16
    return Member(
        name=info.orig_filename,
        kind=_kind(info, mode),
        size=info.file_size,
        executable=bool(mode & 0o111),
        encrypted=bool(info.flag_bits & 1),
    )


def _kind(info: zipfile.ZipInfo, mode: int) -> Literal["file", "directory", "link", "special"]:
    written_as = stat.S_IFMT(mode)
    if written_as == stat.S_IFLNK:
        return "link"
    if info.is_dir():
        return "directory"
    return "file" if written_as in {0, stat.S_IFREG} else "special"


def _wheel_rules(
    infos: list[zipfile.ZipInfo], members: tuple[Member, ...], directory: int
) -> Iterator[Refusal]:
    """What is allowed in a zip but not in a wheel."""
    end = 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        if info.header_offset < end or info.header_offset + info.compress_size > directory:
            yield Refusal(info.orig_filename, "damaged", "it overlaps another member")
        end = info.header_offset + info.compress_size
        if info.compress_type not in _METHODS:
            yield Refusal(info.orig_filename, "damaged", f"compression {info.compress_type}")
    for member in members:
        if member.kind == "link":
            yield Refusal(member.name, "link", "a wheel cannot hold links")
        elif "//" in member.name or "." in member.name.split("/"):
            yield Refusal(member.name, "name", "the path is not normal")


def _dist_info(path: Path, name: WheelName, members: tuple[Member, ...]) -> str:
    """The one dist-info folder, checked against the file name."""
    tops = sorted({top for member in members if "/" in member.name for top in [_top(member)]})
    found = [top for top in tops if top.endswith(".dist-info")]
    if len(found) != 1:
        raise WheelError(
            path.name, (f"has {len(found)} dist-info folders, not 1: {', '.join(found)}",)
        )
    project, _, version = found[0].removesuffix(".dist-info").rpartition("-")
    faults = [
        f"{found[0]}/{file} is missing"
        for file in _FILES
        if not any(member.path == f"{found[0]}/{file}" for member in members)
    ]
    if canonicalize_name(project) != canonicalize_name(name.project) or not _same_version(
        version.replace("_", "-"), name.version
    ):
        faults.append(f"{found[0]} does not belong to {name.project} {name.version}")
    if faults:
        raise WheelError(path.name, tuple(faults))
    return found[0]


def _top(member: Member) -> str:
    return member.path.split("/", 1)[0]


def _wheel_info(path: Path, texts: Mapping[str, bytes]) -> Headers:
    headers = Headers.parse(texts["WHEEL"])
    version = _first(headers, "Wheel-Version")
    if version.split(".")[0] != "1":
        raise WheelError(path.name, (f"has Wheel-Version {version!r}, not 1.x",))
    return headers


def _utf8(path: Path, content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise WheelError(path.name, ("RECORD is not UTF-8",)) from error


def _seconds(info: zipfile.ZipInfo) -> int:
    """A member's time stamp, read as UTC; a senseless one counts as the oldest there is."""
    try:
        return int(datetime(*info.date_time, tzinfo=UTC).timestamp())
    except ValueError:
        return int(datetime(1980, 1, 1, tzinfo=UTC).timestamp())
