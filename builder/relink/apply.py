"""Write a repaired wheel: every edit planned on the bytes, made, read back; then one archive."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final

from builder.archive import record
from builder.archive.record import Row
from builder.archive.spool import Held, Spooled
from builder.archive.tally import Tally
from builder.archive.workers import Workers, in_order
from builder.archive.zip_format import stamp_of
from builder.archive.zip_read import Entry, Zip
from builder.archive.zip_write import Change, Item, Keep, Late, Put, write_zip
from builder.binary import Binary, BinaryError, Edit, edited, plan, read
from builder.errors import BuilderError
from builder.patch import Patch
from builder.relink.contents import SMALL
from builder.relink.plan import Plan, Subject
from builder.relink.system import Grafted

if TYPE_CHECKING:
    from builder.relink.bill import Bill

__all__ = ["Strip", "write"]

_MOST_EARLY: Final = 2
"""Big edits at once; each needs hardly any memory, and all of the processor."""
Strip = Callable[[Path], None]
"""Takes the debug symbols out of a file."""


def write(
    archive: Zip,
    subject: Subject,
    todo: Plan,
    target: Path,
    *,
    folder: Path,
    epoch: int,
    level: int,
    threads: int,
    tally: Tally,
    strip: Strip | None = None,
    check: Callable[[Zip, Mapping[str, Row]], None] | None = None,
) -> Mapping[str, Row]:
    """Write what was planned to `target`; the rows of RECORD for all that was not just copied.

    `folder` is for files on the way. With `strip`, what is edited or grafted is stripped first.
    `check` may refuse what was written before it gets its name.
    Raises `BuilderError` when a file cannot be edited, or reads back as anything else than planned.
    """
    # What everything else will wait for in the end: big edits, and the digests of them.
    with Workers(_MOST_EARLY) as early:
        items = [
            early.begin(item.run) if isinstance(item, _Job) and item.is_big else item
            for item in _Items(subject, todo, folder, strip, early, tally).of(archive)
        ]
        done = in_order([item.run for item in items if isinstance(item, _Job)], threads)
        made = (
            next(done) if isinstance(item, _Job) else item() if callable(item) else item
            for item in items
        )
        return write_zip(
            archive, target, made, stamp=stamp_of(epoch), level=level, threads=threads,
            tally=tally, check=check,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Job:
    """An edit that is still to be made. A big one takes so long that it is begun at once."""

    run: Callable[[], Item]
    is_big: bool = False


class _Items:
    """Turns a plan into what is written."""

    def __init__(
        self,
        subject: Subject,
        todo: Plan,
        folder: Path,
        strip: Strip | None,
        early: Workers,
        tally: Tally,
    ) -> None:
        self._subject, self._todo, self._folder = subject, todo, folder
        self._strip, self._early, self._tally = strip, early, tally
        self._record = f"{todo.dist_info}/RECORD"
        self._bill = _bill_of(subject, todo)
        self._files = {**todo.files, **(self._bill.files if self._bill else {})}
        self._copies = 0
        self._lock = Lock()
        self._order: dict[str, str] = {}
        """Every file as it lies in the archive, with its old path; none for what is new."""

    def of(self, archive: Zip) -> Iterator[Item | _Job]:
        """Everything in its order: as it was, what is new behind it, the metadata last."""
        grafts = sorted(self._todo.relinked.grafts, key=lambda graft: graft.path)
        info = f"{self._subject.wheel.dist_info}/"
        for entry in archive.entries:
            if not entry.name.startswith(info):
                yield from self._given(entry)
        for graft in grafts:
            self._order[graft.path] = ""
            yield _Job(partial(self._graft, graft))
        yield from self._new(lambda path: not path.startswith(f"{self._todo.dist_info}/"))
        for entry in archive.entries:
            if entry.name.startswith(info):
                yield from self._given(entry)
        yield from self._new(lambda _: True)
        if self._bill is not None:
            self._order[self._bill.path] = ""
            yield Late(self._bill.path, self._bill.render)
        yield Late(self._record, self._rows)

    def _given(self, entry: Entry) -> Iterator[Item | _Job]:
        """A member of the wheel as it came: kept, edited, replaced or put elsewhere."""
        old = entry.name
        path = self._todo.paths.get(old, old)
        if old in self._todo.dropped or path == self._record or path in self._order:
            return
        if entry.kind == "file":
            self._order[path] = old
        edit = self._todo.relinked.edits.get(old)
        if path in self._files:
            yield Put(path, self._files[path], executable=_may_run(entry))
        elif edit is not None:
            yield _Job(partial(self._edited, entry, path, edit), is_big=entry.size > SMALL)
        else:
            yield Keep(entry, path if path != old else "")

    def _new(self, is_wanted: Callable[[str], bool]) -> Iterator[Item | _Job]:
        """Files that the wheel did not have in this place."""
        entries = self._subject.members.entries
        there = {self._todo.paths.get(name, name) for name in entries}
        for path in sorted(self._files):
            if path not in self._order and path not in there and is_wanted(path):
                self._order[path] = ""
                executable = path in entries and _may_run(entries[path])
                yield Put(path, self._files[path], executable=executable)

    def _edited(self, entry: Entry, path: str, edit: Edit) -> Item:
        raw = self._subject.members.of(entry.name)
        before = self._subject.facts.binaries[entry.name]
        if self._strip is None:
            size = raw.size
            patch = self._planned(path, raw.view, edit)
            raw.write(patch)
            self._refuse_if_damaged(path, before, raw.view, edit)
            if path == entry.name:
                digest = partial(raw.digest, self._tally)
                begun = self._early.begin(digest) if raw.size > SMALL else None
                return Change(entry, raw, tuple(patch.touched(size)), size, begun)
            return Put(path, self._copied(raw), executable=_may_run(entry))
        content = self._patched(path, self._copied(raw), before, edit)
        return Put(path, content, executable=_may_run(entry))

    def _graft(self, graft: Grafted) -> Item:
        content = self._subject.sources.content(graft.source)
        before = self._todo.closure.grafts[graft.source]
        try:
            made = self._patched(graft.path, content, before, graft.edit)
        except BuilderError as error:
            if _has_changed(Path(graft.source), before):
                raise BuilderError(
                    f"`{graft.source}` changed while it was read",
                    hint="run the same command again when nothing writes to it",
                ) from error
            raise
        return Put(graft.path, made, executable=True)

    def _patched(
        self, path: str, content: bytes | Path, before: Binary, edit: Edit
    ) -> bytes | Path:
        """New content, stripped if that is wanted, and edited; a file is changed where it is."""
        if self._strip is not None:
            content = self._stripped(path, content, before)
        patch = self._planned(path, content, edit)
        if isinstance(content, Path):
            with content.open("r+b") as file:
                for offset, piece in patch.pieces:
                    file.seek(offset)
                    file.write(piece)
                file.truncate(patch.size)
        else:
            content = patch.apply(content)
        self._refuse_if_damaged(path, before, content, edit)
        return content

    def _stripped(self, path: str, content: bytes | Path, before: Binary) -> Path:
        assert self._strip is not None, "only called when it is wanted"
        file = content if isinstance(content, Path) else self._file()
        if isinstance(content, bytes):
            file.write_bytes(content)
        self._strip(file)
        if replace(read(file), debug_link=None) != replace(before, debug_link=None):
            raise BuilderError(
                f"`{path}` is not the same library after it was stripped",
                hint="leave `--strip` away, or install another version of binutils",
            )
        return file

    def _planned(self, path: str, content: bytes | memoryview | Path, edit: Edit) -> Patch:
        try:
            return plan(content, edit)
        except BinaryError as error:
            raise BuilderError(
                f"`{path}` cannot be edited: {error.message}",
                hint=error.hint or "leave the libraries it needs outside with `--exclude`",
            ) from error

    def _refuse_if_damaged(
        self, path: str, before: Binary, content: bytes | memoryview | Path, edit: Edit
    ) -> None:
        """Read an edited file again: nothing but what was planned may be different."""
        if problems := edited(before, read(content), edit):
            raise BuilderError(
                f"the edit of `{path}` did not come out as planned",
                faults=problems,
                hint="please report it with the file; `--engine auditwheel` may do",
            )

    def _copied(self, raw: Spooled | Held) -> bytes | Path:
        """Content that can be packed under another name: in memory, or in a file."""
        if raw.size <= SMALL:
            return raw.read(0, raw.size)
        copy = self._file()
        with copy.open("wb") as file:
            file.writelines(raw.windows())
        return copy

    def _file(self) -> Path:
        """A new name in the folder for what is on the way."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._lock:
            self._copies += 1
            return self._folder / f"copy-{self._copies}"

    def _rows(self, rows: Mapping[str, Row]) -> bytes:
        """RECORD: what was written anew as it was written, all else as it was."""
        done = [
            rows[path] if path in rows else _called(self._todo.rows[old], path)
            for path, old in self._order.items()
        ]
        return record.render((*done, Row(self._record))).encode()


def _called(row: Row, path: str) -> Row:
    return row if row.path == path else replace(row, path=path)


def _bill_of(subject: Subject, todo: Plan) -> Bill | None:
    if not todo.relinked.grafts:
        return None
    from builder.relink.bill import Bill  # noqa: PLC0415  # only who grafts needs it

    return Bill.of(subject, todo)


def _has_changed(library: Path, before: Binary) -> bool:
    try:
        return read(library) != before
    except (OSError, BinaryError):
        return True


def _may_run(entry: Entry) -> bool:
    return bool(entry.mode & 0o111)
