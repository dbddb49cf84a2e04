"""The files of a repaired wheel beside its binaries: metadata, RECORD, and what goes elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from builder.archive import record
from builder.archive.metadata import new_info, new_metadata, new_stem
from builder.archive.record import Row
from builder.errors import BuilderError
from builder.relink.closure import installed
from builder.relink.plan import Subject, Wanted
from builder.relink.system import Relinked

__all__ = ["dropped", "labels", "moved", "recorded"]


def moved(subject: Subject, wanted: Wanted, relinked: Relinked) -> Mapping[str, str]:
    """The members that go to another path, by their old one.

    What is below `NAME.data/platlib` goes to where it is installed, for relative rpaths are only
    right there; a new version renames two folders. Raises `BuilderError` when two files meet.
    """
    dist_info = subject.wheel.dist_info
    old = dist_info.removesuffix(".dist-info")
    new = new_stem(dist_info, wanted.version) if wanted.version else old
    has_binaries = bool(subject.own)
    found: dict[str, str] = {}
    for path in subject.members.entries:
        place = relinked.moves.get(path, installed(path) if has_binaries else path)
        for suffix in (".dist-info/", ".data/"):
            if place.startswith(old + suffix):
                place = new + place[len(old) :]
        if place != path and not path.endswith("/"):
            found[path] = place
    places: dict[str, str] = {}
    for path in subject.members.entries:
        place = found.get(path, path)
        if (other := places.setdefault(place, path)) != path:
            raise BuilderError(
                f"`{other}` and `{path}` are installed in the same place",
                hint="build the wheel with only one of them",
            )
    return found


def dropped(subject: Subject, paths: Mapping[str, str]) -> frozenset[str]:
    """The old paths of what is left out: signatures of the old RECORD, folders that were moved."""
    return frozenset(_dropped(subject, paths))


def labels(
    subject: Subject,
    version: str,
    requires: tuple[str, ...],
    tags: tuple[str, ...],
    dist_info: str,
) -> Mapping[str, bytes]:
    """The METADATA and WHEEL that change, by their new path."""
    old, texts = subject.wheel.dist_info, subject.members.text
    metadata, info = texts(f"{old}/METADATA"), texts(f"{old}/WHEEL")
    found = {
        f"{dist_info}/METADATA": (metadata, new_metadata(metadata, version or None, requires)),
        f"{dist_info}/WHEEL": (info, new_info(info, tags)),
    }
    return {path: new for path, (old, new) in found.items() if new != old}


def recorded(subject: Subject, *, check: bool) -> tuple[Mapping[str, Row], tuple[str, ...]]:
    """The row of every member, by its old path, and what is wrong with the RECORD.

    A digest is believed when the size is right, unless `check` wants every byte to be read; what
    has no digest is hashed.
    """
    wheel, members = subject.wheel, subject.members
    itself = f"{wheel.dist_info}/RECORD"
    try:
        said = {row.path: row for row in record.parse(wheel.record)}
    except record.RecordError:
        said = {}
    rows: dict[str, Row] = {}
    for path, entry in members.entries.items():
        if path == itself or entry.kind != "file":
            continue
        row = said.get(path, Row(path))
        if check or row.size != entry.size or not record.is_strong(row.digest):
            row = Row(path, record.encode_digest(members.sha256(path)), entry.size)
        rows[path] = row
    problems = record.compare(wheel.record, rows, itself)
    return rows, tuple(f"RECORD was wrong: {problem}" for problem in problems)


def _dropped(subject: Subject, paths: Mapping[str, str]) -> Iterator[str]:
    for name in record.SIGNATURES:
        path = f"{subject.wheel.dist_info}/{name}"
        if path in subject.members.entries:
            yield path
    left = {path.rsplit("/", 1)[0] + "/" for path in paths}
    for path in subject.members.entries:
        if path.endswith("/") and any(folder.startswith(path) for folder in left):
            yield path
