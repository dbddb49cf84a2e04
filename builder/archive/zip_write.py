"""Write a zip out of what is kept of another one, what is changed in it, and what is new.

What is new is packed on every core. The file appears under its name whole or not at all, and only
after it lies on the disk and its directory and every header in it were read again.
"""

from __future__ import annotations

import os
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Final, NamedTuple

from builder.archive.deflate import Piece, deflate_bytes
from builder.archive.deliver import staged
from builder.archive.file import File
from builder.archive.record import Row
from builder.archive.tally import Tally
from builder.archive.workers import Workers
from builder.archive.zip_entry import DEFLATED, STORED, Entry
from builder.archive.zip_format import Packed
from builder.archive.zip_items import (
    Change,
    Item,
    Keep,
    Late,
    Link,
    Put,
    blank_of,
    content_of,
    size_of,
)
from builder.archive.zip_read import Zip
from builder.archive.zip_verify import WORTH_A_THREAD, verified
from builder.archive.zip_writer import Writer

if TYPE_CHECKING:
    from builder.archive.spool import Digest

__all__ = ["Change", "Item", "Keep", "Late", "Link", "Put", "write_zip"]

_SMALL = 4 << 20
"""Bytes of a member up to which it is packed in memory, ahead of the writer."""
_AHEAD: Final = 32 << 20
_WORTH_THREADS: Final = 256 << 10
_MOST_CHANGED: Final = 0.5
"""The share of a member from which on packing all of it again beats splicing."""

_Now = Keep | Put | Link | Change


def write_zip(
    source: Zip | None,
    target: Path,
    items: Iterable[Item],
    *,
    stamp: tuple[int, int],
    level: int = 6,
    threads: int = 0,
    tally: Tally | None = None,
    check: Callable[[Zip, Mapping[str, Row]], None] | None = None,
) -> Mapping[str, Row]:
    """Write an archive of the items, in their order, and give back the rows of what was not kept.

    `stamp` is the MS-DOS time and date of what is new. `level` is 0 (store) to 9; what is no
    smaller when it is packed is stored. `threads` 0 means one per core; it never changes the bytes.
    Items that are `Late` come last. `check` may raise while the archive still has another name: it
    gets that archive, and the rows. Raises `BuilderError` when it cannot be written or does not
    read back; then nothing is left behind.
    """
    with staged(target) as path, File.create(path) as out:
        count = threads or os.cpu_count() or 1
        with (
            Writer(
                source, out, stamp, level=level, threads=count, tally=tally or Tally()
            ) as writer,
            Workers(count, _WORTH_THREADS, trifle=WORTH_A_THREAD) as workers,
        ):
            _write(writer, items, workers)
            writer.finish()
            with _flushed(writer, out), verified(path, writer.planned, writer.tally) as archive:
                if check is not None:
                    check(archive, writer.rows)
    return writer.rows


def _write(writer: Writer, items: Iterable[Item], workers: Workers) -> None:
    """Write everything in order, while workers pack what comes next."""
    line: deque[_Ready] = deque()
    waiting = 0
    late: list[Late] = []
    for step in _steps(items):
        if isinstance(step, Late):
            late.append(step)
            continue
        assert not late, "what is late comes last"
        line.append(_begun(writer, step, workers))
        waiting += line[-1].held
        while line and (waiting > _AHEAD or line[-1].is_big):
            ready = line.popleft()
            ready.write()
            waiting -= ready.held
    for ready in line:
        ready.write()
    writer.settle()
    for item in late:
        writer.add(*_pack(writer, Put(item.name, item.make(writer.rows))))
        writer.settle()


class _Ready(NamedTuple):
    """What writes a member; the bytes that wait in memory meanwhile, and whether it is too big."""

    write: Callable[[], None]
    held: int = 0
    is_big: bool = False


def _begun(writer: Writer, step: list[Entry] | _Now, workers: Workers) -> _Ready:
    """Begin to pack a small member, or to hash a changed one."""
    if isinstance(step, list):
        return _Ready(partial(writer.keep, step))
    if isinstance(step, Keep):
        return _Ready(partial(writer.rename, step))
    size = size_of(step)
    if isinstance(step, Change) and _splices(writer, step):
        hashing = step.digest or workers.begin(partial(step.raw.digest, writer.tally), size)
        if size > _SMALL:
            pieces = writer.pieces(step, writer.threads)
            return _Ready(partial(writer.splice, step, pieces, hashing), is_big=True)
        spliced = workers.begin(partial(_spliced, writer, step), size)
        return _Ready(partial(_add_spliced, writer, step, spliced, hashing), held=size)
    if size > _SMALL:
        return _Ready(partial(writer.stream, step, size), is_big=True)
    packing = workers.begin(partial(_pack, writer, step), size)
    return _Ready(partial(_add, writer, packing), held=size)


def _steps(items: Iterable[Item]) -> Iterator[list[Entry] | Item]:
    """The items, with neighbours that are kept as one run."""
    run: list[Entry] = []
    for item in items:
        if isinstance(item, Keep) and item.name in {"", item.entry.name}:
            run.append(item.entry)
            continue
        if run:
            yield run
            run = []
        yield item
    if run:
        yield run


def _splices(writer: Writer, item: Change) -> bool:
    """Whether most of the packed bytes of a changed member can be kept."""
    entry, raw = item.entry, item.raw
    # What lies behind the old end is new, whether it is said to be touched or not.
    old = item.old_size
    changed = sum(min(end, old) - start for start, end in item.touched if start < old)
    changed += max(0, raw.size - old)
    return (
        raw.blocks is not None
        and entry.method == DEFLATED
        and writer.level > 0
        and changed <= _MOST_CHANGED * raw.size
    )


def _pack(writer: Writer, item: Put | Link | Change) -> tuple[Packed, bytes]:
    """A small member and its packed bytes."""
    raw = content_of(item)
    blank = blank_of(item, writer.stamp, len(raw))._replace(crc=zlib.crc32(raw))
    if writer.level and raw and not isinstance(item, Link):
        stream = deflate_bytes(raw, level=writer.level, tally=writer.tally)
        if len(stream) < len(raw):
            return blank._replace(packed=len(stream)), stream
    return blank._replace(method=STORED, packed=len(raw)), raw


def _spliced(writer: Writer, item: Change) -> tuple[Piece, ...]:
    return tuple(writer.pieces(item, 1))


def _add_spliced(
    writer: Writer,
    item: Change,
    spliced: Callable[[], Iterable[Piece]],
    hashing: Callable[[], Digest],
) -> None:
    writer.splice(item, spliced(), hashing)


def _add(writer: Writer, packed: Callable[[], tuple[Packed, bytes]]) -> None:
    writer.add(*packed())


@contextmanager
def _flushed(writer: Writer, out: File) -> Iterator[None]:
    """Wait until all is written, then bring it to the disk while something else is done."""
    writer.copied()
    faults: list[OSError] = []

    def flush() -> None:
        try:
            os.fsync(out.descriptor)
        except OSError as error:
            faults.append(error)

    thread = Thread(target=flush)
    thread.start()
    try:
        yield
    finally:
        thread.join()
    if faults:
        raise faults[0]
