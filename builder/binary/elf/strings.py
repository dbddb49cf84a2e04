"""Room for new names in the dynamic string table, best first.

A name that is in the table already needs none. Then comes what nobody refers to: names that the
edit frees, and what earlier edits left. Then the padding of a search path. What is left over has to
be appended, for which the table has to move.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice

from builder.binary.elf.padding import PADDING

__all__ = ["Path", "Placed", "place"]


@dataclass(frozen=True, slots=True)
class Path:
    """A padded search path: its place in the table, and the text that it has or shall have."""

    offset: int
    text: bytes
    is_new: bool


@dataclass(frozen=True, slots=True)
class Placed:
    """Where every name is, what is written into the table for it, and what is put behind it."""

    places: Mapping[bytes, int]
    path: int
    writes: tuple[tuple[int, bytes], ...]
    extra: bytes


def place(
    table: bytes, names: Iterable[bytes], used: Iterable[int] | None, path: Path | None
) -> Placed:
    """A place for each of the names, and for the padded path.

    `used` are the places in the table that something refers to, but for the padded path; none when
    they are not known, so that nothing may be overwritten.
    """
    references = None if used is None else set(used)
    padding = range(path.offset, table.index(b"\0", path.offset) + 1) if path else range(0)
    pool = path
    if path is not None and not _is_pool(table, padding, references):
        pool = None
        names = [*names, path.text] if path.is_new else names
    wanted = sorted(set(names), key=lambda name: (-len(name), name))
    places = {name: found for name in wanted if (found := _find(table, name, padding)) >= 0}
    writes: list[tuple[int, bytes]] = []
    if references is not None and len(places) < len(wanted):
        references.update(places.values())
        if pool is not None or (path is not None and not path.is_new):
            references.add(padding.start)
        writes += _fill(_holes(table, references), wanted, places)
    if pool is not None:
        writes.append(_pooled(padding, pool, wanted, places))
    extra = bytearray()
    for name in wanted:
        if name not in places:
            places[name] = _appended(table, extra, name)
    at = places[path.text] if path and path.is_new and not pool else padding.start
    return Placed(places, at, tuple(writes), bytes(extra))


def _is_pool(table: bytes, padding: range, references: set[int] | None) -> bool:
    """Whether a padded path is no part of another text, and nobody refers to a part of it."""
    if references is None or table[padding.start - 1 : padding.start] != b"\0":
        return False
    return not any(reference in padding for reference in references)


def _find(table: bytes, name: bytes, padding: range) -> int:
    """Where a name is in the table, be it as the end of another; -1 when only a padding has it."""
    found = table.find(name + b"\0")
    while found in padding:
        found = table.find(name + b"\0", found + 1)
    return found


def _holes(table: bytes, used: set[int]) -> list[range]:
    """What no reference covers; nothing when one of them leads out of the table."""
    starts = sorted({0, *used})
    ends: list[int] = []
    end = -1
    for start in starts:
        end = table.find(b"\0", start) if start > end else end
        if end < 0:
            return []
        ends.append(end)
    following = chain(islice(starts, 1, None), (len(table),))
    return [
        range(end + 1, start) for end, start in zip(ends, following, strict=True) if end + 1 < start
    ]


def _fill(
    holes: list[range], wanted: Sequence[bytes], places: dict[bytes, int]
) -> list[tuple[int, bytes]]:
    """Put names where they fit, each into the smallest hole for it."""
    writes = []
    for name in wanted:
        fitting = [hole for hole in holes if len(hole) > len(name)]
        if name in places or not fitting:
            continue
        hole = min(fitting, key=lambda hole: (len(hole), hole.start))
        holes.remove(hole)
        holes.append(range(hole.start + len(name) + 1, hole.stop))
        places[name] = hole.start
        writes.append((hole.start, name + b"\0"))
    return writes


def _pooled(
    padding: range, path: Path, wanted: Sequence[bytes], places: dict[bytes, int]
) -> tuple[int, bytes]:
    """Put names at the end of a padded path, which keeps what is left of its padding."""
    room = len(padding) - len(path.text) - 1
    tail = b""
    for name in wanted:
        if name not in places and len(tail) + len(name) < room:
            tail = name + b"\0" + tail
            places[name] = padding.stop - len(tail)
    left = room - len(tail)
    filling = b"/" * left + b"\0" if left >= PADDING else bytes(left + 1)
    return padding.start, path.text + filling + tail


def _appended(table: bytes, extra: bytearray, name: bytes) -> int:
    found = extra.find(name + b"\0")
    if found < 0:
        found = len(extra)
        extra += name + b"\0"
    return len(table) + found
