"""The RECORD file of a wheel: every file with its digest and size.

Format: the specification "Recording installed projects".
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from builder.archive.listing import list_files
from builder.errors import BuilderError

__all__ = [
    "SIGNATURES",
    "RecordError",
    "Row",
    "compare",
    "encode_digest",
    "is_strong",
    "parse",
    "render",
    "row_of",
    "verify",
    "write",
]

SIGNATURES = ("RECORD.jws", "RECORD.p7s")
"""Files beside a RECORD that cannot be right any more when it changes."""
_STRONG = frozenset({"sha256", "sha384", "sha512"})
_LONGEST_SIZE = 19
"""Digits of the largest file there can be."""
_MOST_ROWS = 400_000
"""No zip that is read here has as many members."""
_URL_SAFE = bytes.maketrans(b"+/", b"-_")


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
    text = b2a_base64(sha256, newline=False).translate(_URL_SAFE, b"=")
    return "sha256=" + text.decode("ascii")


def is_strong(digest: str) -> bool:
    """Whether a digest as RECORD writes it is one that a wheel may have."""
    return digest.partition("=")[0] in _STRONG


def row_of(root: Path, path: str) -> Row:
    """The row of one file below a folder."""
    import hashlib  # noqa: PLC0415  # slow to load, and nobody who reads a RECORD needs it

    file = root / path
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").digest()
    return Row(path, encode_digest(digest), file.stat().st_size)


def parse(text: str) -> tuple[Row, ...]:
    """Read a RECORD. Raises `RecordError` naming the line."""
    table = _table(text)
    return tuple([Row(path, digest, int(size) if size else None) for path, digest, size in table])


def render(rows: Iterable[Row]) -> str:
    """A RECORD as text, in the given order; paths are quoted where CSV asks for it."""
    return "\n".join([*map(_line, rows), ""])


def write(root: Path, dist_info: str) -> tuple[Row, ...]:
    """Write a fresh RECORD for an unpacked wheel and give back its rows.

    Signatures of the old RECORD (`RECORD.jws`, `RECORD.p7s`) are removed: they cannot be right any
    more.
    """
    for name in SIGNATURES:
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

    `itself` is the RECORD's own path, which `found` leaves out. Every problem begins with a path. A
    row without a digest stands for a file that was not hashed.
    """
    sizes = {path: row.size for path, row in found.items()}
    digests = {path: row.digest for path, row in found.items()}
    try:
        table = _table(text)
    except RecordError as error:
        return (f"{itself}: {error.message}",)
    return tuple(_problems(table, sizes, digests, itself))


def _problems(
    table: list[list[str]],
    sizes: Mapping[str, int | None],
    digests: Mapping[str, str],
    itself: str,
) -> Iterator[str]:
    exempt = {itself, *_signed(itself)}
    seen: set[str] = set()
    for path, digest, size in table:
        if (
            size
            and path not in seen
            and sizes.get(path) == int(size)
            and digest[:7] == "sha256="
            and digests.get(path) in {None, "", digest}
        ):
            seen.add(path)  # nearly all are like this
            continue
        if path in seen:
            yield f"{path}: listed twice in RECORD"
        seen.add(path)
        if path in exempt:
            continue
        kind, real = digest.partition("=")[0], digests.get(path)
        if path not in sizes:
            yield f"{path}: listed in RECORD but not in the wheel"
        elif not digest:
            yield f"{path}: has no digest in RECORD"
        elif size and int(size) != sizes[path]:
            yield f"{path}: has {sizes[path]} bytes, RECORD says {size}"
        elif not is_strong(digest):
            yield f"{path}: has a weak digest in RECORD: {kind}"
        elif real and kind == "sha256" and digest != real:
            yield f"{path}: does not have the digest RECORD says"
    if itself not in seen:
        yield f"{itself}: does not list itself"
    for path in sorted(sizes.keys() - seen - exempt):
        yield f"{path}: in the wheel but not listed in RECORD"


def _signed(itself: str) -> tuple[str, ...]:
    """The paths of signatures of a RECORD."""
    return tuple(itself.removesuffix("RECORD") + name for name in SIGNATURES)


def _table(text: str) -> list[list[str]]:
    """Path, digest and size of every row. Raises `RecordError` naming the line."""
    if text.count("\n") > _MOST_ROWS:
        raise RecordError(f"RECORD has more rows than there can be: over {_MOST_ROWS}")
    if '"' not in text and "\r" not in text and text.isascii():
        table = [line.split(",") for line in text.split("\n") if line]
        # Whatever is wrong with it, the slow way says what.
        if {*map(len, table)} <= {3} and _are_sizes([size for _, _, size in table]):
            return table
    import csv  # noqa: PLC0415  # nearly never needed, as are both
    from io import StringIO  # noqa: PLC0415

    reader = csv.reader(StringIO(text, newline=""), strict=True)
    table = []
    try:
        for words in reader:
            if words:
                _refuse_row(words, reader.line_num)
                table.append(words)
    except csv.Error as error:
        raise RecordError(f"RECORD line {reader.line_num} is no CSV: {error}") from error
    return table


def _refuse_row(words: list[str], line: int) -> None:
    if len(words) != 3:  # noqa: PLR2004  # path, digest, size
        raise RecordError(f"RECORD line {line} has {len(words)} fields, not 3")
    if not _are_sizes(words[2:]):
        raise RecordError(f"RECORD line {line} has the size {words[2]!r}")


def _are_sizes(texts: list[str]) -> bool:
    digits = "".join(texts)
    is_number = not digits or (digits.isdigit() and digits.isascii())
    return is_number and max(map(len, texts), default=0) <= _LONGEST_SIZE


def _line(row: Row) -> str:
    return f"{_quoted(row.path)},{row.digest},{'' if row.size is None else row.size}"


def _quoted(path: str) -> str:
    # The csv module leaves a lone carriage return unquoted before Python 3.13, and cannot read it.
    if not path or "," in path or '"' in path or "\n" in path or "\r" in path:
        return '"' + path.replace('"', '""') + '"'
    return path
