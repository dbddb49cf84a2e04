"""Wheels as files ("Binary distribution format" 1.x): reading without trusting.

A wheel is judged as a whole before one byte of it is written: names, sizes, links, doubles,
encryption, and whether it is a wheel at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import IO

from builder.archive import record
from builder.archive.metadata import Headers
from builder.archive.record import Row
from builder.archive.refusals import Limits, Member
from builder.archive.wheel_name import WheelError, WheelName, is_same_project, is_same_version
from builder.archive.wheel_rules import member_of, refusals
from builder.archive.workers import in_order
from builder.archive.zip_read import Entry, Zip, ZipError
from builder.errors import BuilderError, UsageError

__all__ = [
    "Wheel",
    "WheelError",
    "WheelName",
    "extract",
    "judge",
    "read_wheel",
    "seconds_of",
    "verify_wheel",
]

_FILES = {"METADATA": 16 << 20, "WHEEL": 1 << 20, "RECORD": 64 << 20}
"""What every wheel has to have, and how many bytes each may be: they are read at once."""


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel that was read and found sound.

    `entries` are its members as the zip has them. `newest` is the latest time stamp inside, in
    seconds since 1970.
    """

    path: Path
    name: WheelName
    entries: tuple[Entry, ...]
    dist_info: str
    metadata: Headers
    info: Headers
    record: str
    newest: int

    @property
    def members(self) -> tuple[Member, ...]:
        """The entries as members of any archive."""
        return tuple(map(member_of, self.entries))


def read_wheel(path: Path, *, limits: Limits | None = None) -> Wheel:
    """Judge a wheel and read its metadata. Raises `WheelError` with every reason."""
    WheelName.parse(path.name)
    with _whole(path), Zip(path) as archive:
        return judge(archive, limits=limits)


def judge(archive: Zip, *, limits: Limits | None = None) -> Wheel:
    """The same for an archive that is open already."""
    path, entries = archive.path, archive.entries
    name = WheelName.parse(path.name)
    if found := refusals(archive, limits or Limits()):
        raise WheelError(path.name, tuple(map(str, found)))
    dist_info = _dist_info(path, name, entries)
    wanted = {f"{dist_info}/{file}": file for file in _FILES}
    files = {wanted[one[0]]: one for one in entries if one[0] in wanted}
    if large := [file for file, one in files.items() if one.size > _FILES[file]]:
        sizes = (f"{file} has {files[file].size} bytes" for file in large)
        raise WheelError(path.name, tuple(f"{one}, more than there can be" for one in sizes))
    texts = {file: archive.read(one) for file, one in files.items()}
    return Wheel(
        path=path,
        name=name,
        entries=entries,
        dist_info=dist_info,
        metadata=Headers.parse(texts["METADATA"]),
        info=_wheel_info(path, texts),
        record=_utf8(path, texts["RECORD"]),
        newest=max(map(seconds_of, {entry[8] for entry in entries})),
    )


def extract(wheel: Wheel, folder: Path) -> None:
    """Write the content of a wheel into an empty or absent folder. Raises `WheelError`.

    Files get mode 0644, or 0755 when the wheel says executable; nothing else of the archive's modes
    is kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise UsageError(f"`{folder}` is not empty", hint="give an empty folder")
    with _whole(wheel.path), Zip(wheel.path) as archive:
        for entry in wheel.entries:
            if entry.kind == "file":
                _extract(archive, entry, folder / entry.name)


def _extract(archive: Zip, entry: Entry, target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb", buffering=0) as file:
            archive.stream(entry, partial(_write, file))
        target.chmod(0o755 if entry.mode & 0o111 else 0o644)
    except OSError as error:
        raise BuilderError(
            f"`{target}` cannot be written: {error.strerror or error}", hint="free some space"
        ) from error


def _write(file: IO[bytes], data: memoryview) -> None:
    """All of it: a file without a buffer may take less."""
    while data:
        data = data[file.write(data) :]


def verify_wheel(path: Path, *, threads: int = 0) -> tuple[str, ...]:
    """What is wrong with the bytes of a wheel: every member is hashed and compared with RECORD.

    Empty when all is well. `threads` 0 means one per core. Raises `WheelError` when it cannot be
    read at all.
    """
    with _whole(path), Zip(path) as archive:
        wheel = judge(archive)
        itself = f"{wheel.dist_info}/RECORD"
        files = [entry for entry in wheel.entries if entry.kind == "file" and entry.name != itself]
        jobs = (partial(_row, archive, entry) for entry in sorted(files, key=_largest_first))
        rows = {row.path: row for row in in_order(jobs, threads)}
        gaps = tuple(_gaps(archive))
    return (*gaps, *record.compare(wheel.record, rows, itself), *_lies(wheel))


def _row(archive: Zip, entry: Entry) -> Row:
    return Row(entry.name, record.encode_digest(archive.sha256(entry)), entry.size)


def _largest_first(entry: Entry) -> tuple[int, str]:
    return -entry.size, entry.name


def _gaps(archive: Zip) -> Iterator[str]:
    """Bytes that belong to no member."""
    in_order = sorted(archive.entries, key=lambda entry: entry.offset)
    begins = [*archive.offsets[1:], archive.start]
    for entry, end, begin in zip(in_order, archive.ends(in_order), begins, strict=True):
        if end != begin:
            yield f"{entry.name}: is followed by {begin - end} bytes that belong to nothing"


def _lies(wheel: Wheel) -> Iterator[str]:
    """Where the metadata says something else than the file name."""
    tags = tuple(sorted(wheel.info.get("Tag")))
    if tags != wheel.name.tags:
        yield f"{wheel.dist_info}/WHEEL: tags {', '.join(tags)} are not those of the file name"
    project, version = _first(wheel.metadata, "Name"), _first(wheel.metadata, "Version")
    if not is_same_project(project, wheel.name.project):
        yield f"{wheel.dist_info}/METADATA: the name {project!r} is not that of the file name"
    if not is_same_version(version, wheel.name.version):
        yield f"{wheel.dist_info}/METADATA: the version {version!r} is not that of the file name"


def _first(headers: Headers, name: str) -> str:
    return next(iter(headers.get(name)), "")


@contextmanager
def _whole(path: Path) -> Iterator[None]:
    """Whatever is wrong with the archive as one named error."""
    try:
        yield
    except ZipError as error:
        raise WheelError(path.name, (f"damaged: {error.fault}",)) from error


def _dist_info(path: Path, name: WheelName, entries: tuple[Entry, ...]) -> str:
    """The one dist-info folder, checked against the file name."""
    inside = [entry[0] for entry in entries if ".dist-info/" in entry[0]]
    tops = sorted({name.partition("/")[0] for name in inside})
    found = [top for top in tops if top.endswith(".dist-info")]
    if len(found) != 1:
        raise WheelError(
            path.name, (f"has {len(found)} dist-info folders, not 1: {', '.join(found)}",)
        )
    project, _, version = found[0].removesuffix(".dist-info").rpartition("-")
    faults = [
        f"{found[0]}/{file} is missing" for file in _FILES if f"{found[0]}/{file}" not in inside
    ]
    if not is_same_project(project, name.project) or not is_same_version(
        version.replace("_", "-"), name.version
    ):
        faults.append(f"{found[0]} does not belong to {name.project} {name.version}")
    if faults:
        raise WheelError(path.name, tuple(faults))
    return found[0]


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


def seconds_of(stamp: tuple[int, int]) -> int:
    """An MS-DOS time and date, read as UTC; a senseless one counts as the oldest there is."""
    time, date = stamp
    try:
        when = datetime(
            1980 + (date >> 9), date >> 5 & 15, date & 31,
            time >> 11, time >> 5 & 63, (time & 31) * 2, tzinfo=UTC,
        )  # fmt: skip
    except ValueError:
        when = datetime(1980, 1, 1, tzinfo=UTC)
    return int(when.timestamp())
