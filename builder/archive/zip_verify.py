"""Prove what was written on its bytes: members from the file itself, then the whole directory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from builder.archive.deflate import DeflateError, crc32, inflate, inflate_bytes
from builder.archive.file import File
from builder.archive.record import Row, encode_digest
from builder.archive.tally import Tally
from builder.archive.workers import in_order
from builder.archive.zip_entry import DEFLATED
from builder.archive.zip_format import Packed
from builder.archive.zip_read import Zip, ZipError
from builder.errors import BuilderError

__all__ = ["WORTH_A_THREAD", "Planned", "Proven", "read_back", "verified", "written"]

_HELD = 1 << 20
_WORTH_THREADS = 1 << 20
WORTH_A_THREAD: Final = 16 << 10
"""Bytes from which on handing a work to another thread costs less than it saves."""

Planned = tuple[str, int, int, int, int, int, int]
"""What the directory has to say about a member: the first fields of an `Entry`, its place last."""


class Proven(NamedTuple):
    """A member whose stream was inflated and compared while it was made, before it was written.

    `begin` is the place of its packed bytes, `crc` their CRC-32, `sha256` that of the raw ones.
    """

    packed: Packed
    begin: int
    crc: int
    sha256: bytes


def read_back(
    file: File, members: Iterable[tuple[Packed, int]], threads: int, tally: Tally
) -> Mapping[str, Row]:
    """Unpack members from where they were written, and give their rows.

    With each comes the place of its packed bytes. Raises `BuilderError` for one whose bytes are not
    those that were packed.
    """
    rows: list[Row] = []
    jobs: list[Callable[[], Row]] = []
    sizes = 0
    for packed, begin in members:
        if packed.size < WORTH_A_THREAD:
            rows.append(_row(file, packed, begin, tally))
        else:
            jobs.append(partial(_row, file, packed, begin, tally))
            sizes += packed.size
    rows += in_order(jobs, threads if sizes >= _WORTH_THREADS else 1)
    return {row.path: row for row in rows}


def written(file: File, members: Iterable[Proven]) -> Mapping[str, Row]:
    """The rows of proven members, whose packed bytes were compared with those in the file.

    Raises `BuilderError` for one that is not as it was proven.
    """
    rows: dict[str, Row] = {}
    for packed, begin, crc, sha256 in members:
        found = 0
        for window in file.windows(begin, packed.packed):
            found = crc32(window, found)
        if found != crc:
            raise _unsound(f"{packed.path!r} does not have the bytes it was packed with")
        rows[packed.path] = Row(packed.path, encode_digest(sha256), packed.size)
    return rows


@contextmanager
def verified(path: Path, planned: Sequence[Planned], tally: Tally) -> Iterator[Zip]:
    """Open an archive that was written, its directory and every header compared with the plan.

    Members have to lie one behind the other without a gap, in the planned order, up to the
    directory. Raises `BuilderError`.
    """
    try:
        with Zip(path, tally) as archive:
            found = [entry[:7] for entry in archive.entries]
            if found != list(planned):
                pairs = zip(found, planned, strict=False)
                wrong = [one[0] for one, other in pairs if one != other]
                raise _unsound(f"{(wrong or ['the last member'])[0]!r} is not what was written")
            ends = archive.ends(archive.entries)
            if [0, *ends] != [*archive.offsets, archive.start]:
                raise _unsound("there is something between its members")
            yield archive
    except ZipError as error:
        raise _unsound(error.fault) from error


def _row(file: File, packed: Packed, begin: int, tally: Tally) -> Row:
    from hashlib import sha256  # noqa: PLC0415  # slow to load

    digest = sha256()
    crc = size = 0
    try:
        if packed.method != DEFLATED:
            for window in file.windows(begin, packed.packed):
                digest.update(window)
                crc, size = crc32(window, crc), size + len(window)
        elif packed.size <= _HELD:
            raw = inflate_bytes(file.read(begin, packed.packed), packed.size, tally)
            digest.update(raw)
            crc, size = crc32(raw), len(raw)
        else:
            windows = file.windows(begin, packed.packed)
            done = inflate(windows, digest.update, size=packed.size, tally=tally)
            crc, size = done.crc, done.size
    except DeflateError as error:
        raise _unsound(f"{packed.path!r}: {error.message}") from error
    if (crc, size) != (packed.crc, packed.size):
        raise _unsound(f"{packed.path!r} does not have the bytes it was packed with")
    tally.add(hashed=size)
    return Row(packed.path, encode_digest(digest.digest()), size)


def _unsound(fault: str) -> BuilderError:
    return BuilderError(
        f"what was written does not read back: {fault}",
        hint="check the disk, then run the same command again",
    )
