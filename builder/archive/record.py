"""The RECORD file of a wheel: every file with its digest and size.

Format: the specification "Recording installed projects".
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from builder.archive.listing import list_files
from builder.errors import BuilderError

__all__ = [
    "RecordError",
    "Row",
    "compare",
    "encode_digest",
    "parse",
    "render",
    "row_of",
    "verify",
    "write",
]

_SIGNATURES = ("RECORD.jws", "RECORD.p7s")
_STRONG = ("sha256", "sha384", "sha512")


class RecordError(BuilderError):
    """A RECORD that is no table of path, digest and size."""


@dataclass(frozen=True, slots=True, order=True)
class Row:
    """One line of a RECORD. `digest` is `sha256=<urlsafe base64 without padding>`, `size` in bytes.

    Both are empty, and None, for the RECORD itself.
    """

    path: str
    digest: str = ""
    size: int | None = None


def encode_digest(sha256: bytes) -> str:
    """A raw SHA-256 digest as RECORD writes it."""
    return "sha256=" + base64.urlsafe_b64encode(sha256).rstrip(b"=").decode("ascii")


def row_of(root: Path, path: str) -> Row:
    """The row of one file below a folder."""
    file = root / path
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").digest()
    return Row(path, encode_digest(digest), file.stat().st_size)


def parse(text: str) -> tuple[Row, ...]:
    """Read a RECORD. Raises `RecordError` naming the line."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        return tuple(_row(words, reader.line_num) for words in reader if words)
    except csv.Error as error:
        raise RecordError(f"RECORD line {reader.line_num} is no CSV: {error}") from error


def render(rows: Iterable[Row]) -> str:
    """A RECORD as text, in the given order; paths are quoted where CSV asks for it."""
    # The csv module leaves a lone carriage return unquoted before Python 3.13, and cannot read it.
    return "".join(
        f"{_quoted(row.path)},{row.digest},{'' if row.size is None else row.size}\n" for row in rows
    )


def write(root: Path, dist_info: str) -> tuple[Row, ...]:
    """Write a fresh RECORD for an unpacked wheel and give back its rows.

    Signatures of the old RECORD (`RECORD.jws`, `RECORD.p7s`) are removed: they cannot be right any
    more.
    """
    for name in _SIGNATURES:
        (root / dist_info / name).unlink(missing_ok=True)
    itself = f"{dist_info}/RECORD"
    rows = tuple(row_of(root, path) for path in list_files(root) if path != itself)
    rows = (*rows, Row(itself))
    (root / itself).write_bytes(render(rows).encode("utf-8"))
    return rows


def verify(root: Path, dist_info: str) -> tuple[str, ...]:
    """What is wrong between the RECORD of an unpacked wheel and its files, in both directions."""
    itself = f"{dist_info}/RECORD"
    try:
        text = (root / itself).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return (f"{itself}: cannot be read: {error}",)
    found = {path: row_of(root, path) for path in list_files(root) if path != itself}
    return compare(text, found, itself)


def compare(text: str, found: Mapping[str, Row], itself: str) -> tuple[str, ...]:
    """What is wrong between the text of a RECORD and the rows of the files that are really there.

    `itself` is the RECORD's own path, which `found` leaves out. Every problem begins with a path.
    """
    try:
        rows = parse(text)
    except RecordError as error:
        return (f"{itself}: {error.message}",)
    return tuple(_problems(rows, found, itself))


def _problems(rows: tuple[Row, ...], found: Mapping[str, Row], itself: str) -> Iterator[str]:
    exempt = {itself, *(itself.removesuffix("RECORD") + name for name in _SIGNATURES)}
    seen: set[str] = set()
    for row in rows:
        if row.path in seen:
            yield f"{row.path}: listed twice in RECORD"
        seen.add(row.path)
        real = found.get(row.path)
        if row.path in exempt:
            continue
        if real is None:
            yield f"{row.path}: listed in RECORD but not in the wheel"
        elif not row.digest:
            yield f"{row.path}: has no digest in RECORD"
        elif row.size is not None and row.size != real.size:
            yield f"{row.path}: has {real.size} bytes, RECORD says {row.size}"
        elif row.digest.split("=", 1)[0] not in _STRONG:
            yield f"{row.path}: has a weak digest in RECORD: {row.digest.split('=', 1)[0]}"
        elif row.digest.startswith("sha256=") and row.digest != real.digest:
            yield f"{row.path}: does not have the digest RECORD says"
    if itself not in seen:
        yield f"{itself}: does not list itself"
    for path in sorted(found.keys() - seen - exempt):
        yield f"{path}: in the wheel but not listed in RECORD"


def _row(words: list[str], line: int) -> Row:
    if len(words) != 3:  # noqa: PLR2004  # path, digest, size
        raise RecordError(f"RECORD line {line} has {len(words)} fields, not 3")
    path, digest, size = words
    if size and not (size.isascii() and size.isdigit()):
        raise RecordError(f"RECORD line {line} has the size {size!r}")
    return Row(path, digest, int(size) if size else None)


def _quoted(path: str) -> str:
    if not path or any(mark in path for mark in ',"\r\n'):
        return '"' + path.replace('"', '""') + '"'
    return path
