"""The binaries of one archive, read without unpacking it: straight from the zip, or from a stream.

What is a binary is told by first bytes, never by a list that the archive brings along. Small ones
are inflated in memory, big ones into files without a name, so that memory stays small for any size.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from builder.archive.file import BIG
from builder.archive.workers import on_each
from builder.binary import Binary, BinaryError, looks_like, read
from builder.errors import UsageError

if TYPE_CHECKING:
    from builder.archive.refusals import Member
    from builder.archive.spool import Spooled
    from builder.archive.tally import Tally
    from builder.archive.tar_source import Content
    from builder.archive.zip_read import Entry, Zip
    from builder.relink.cache import FactCache

__all__ = ["Facts", "followed", "scan", "scan_folder", "scan_stream", "target_of"]

_HEAD: Final = 8
_MOST_HOPS: Final = 40
_WORTH_A_THREAD: Final = 1 << 20
_MOST_THREADS: Final = 8
"""Each may hold the packed and the raw bytes of a member that is nearly big."""
_DATA: Final = frozenset(
    (".py", ".pyi", ".pyx", ".pxd", ".pxi", ".pyc", ".typed", ".h", ".hh", ".hpp", ".hxx", ".cuh",
     ".inl", ".inc", ".ipp", ".tcc", ".c", ".cc", ".cpp", ".cxx", ".cu", ".f", ".f90", ".js", ".ts",
     ".txt", ".md", ".rst", ".json", ".toml", ".yaml", ".yml", ".cfg", ".ini", ".html", ".css",
     ".map", ".svg", ".png", ".jpg", ".gif", ".ico", ".xml", ".csv", ".qml", ".qmltypes", ".cmake",
     ".pc", ".mo", ".po", ".npz", ".npy", ".mat", ".gz", ".xz", ".bz2", ".zst")
)  # fmt: skip
"""Ends of names that are no binary's: half of the work in a wheel with many headers."""


@dataclass(frozen=True, slots=True)
class Facts:
    """The binaries of one archive by path, and why others could not be read.

    `links` are symbolic links by path, with the path of what they lead to, `tops` the first parts
    of all paths as they are installed. `claimed` are the platforms that the archive itself says it
    is for, `notes` what else a user should know, `held` the contents of big binaries, where they
    were asked for.
    """

    binaries: Mapping[str, Binary]
    broken: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    tops: tuple[str, ...] = ()
    claimed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    held: Mapping[str, Spooled] = field(default_factory=dict)

    def close(self) -> None:
        """Let the held contents go."""
        for spooled in self.held.values():
            spooled.close()


def scan(
    archive: Zip,
    *,
    folder: Path,
    threads: int,
    cache: FactCache | None = None,
    keep: bool = False,
) -> Facts:
    """Read every binary of an open zip; big ones lie in `folder` meanwhile, or stay with `keep`.

    Facts from the `cache` hold nothing. Raises `ZipError` for a member that is damaged.
    """
    place = cache.look(archive.path, archive.file.descriptor) if cache is not None else None
    if place is not None and place.facts is not None:
        return place.facts
    scan = _Scan(archive, folder, keep=keep)
    entries = [entry for entry in archive.entries if _may_be_binary(entry)]
    # What takes longest is begun first.
    entries.sort(key=lambda entry: -entry.size)
    try:
        has_enough = sum(entry.size for entry in entries) >= 2 * _WORTH_A_THREAD
        on_each(scan.look, entries, min(threads, _MOST_THREADS) if has_enough else 1)
        facts = scan.facts()
    except BaseException:
        scan.close()
        raise
    if cache is not None and place is not None:
        cache.keep(place, facts)
    return facts


def scan_stream(
    members: Iterable[tuple[Member, Content]], folder: Path, tally: Tally, *, objects: bool = False
) -> Facts:
    """Read every binary of a stream of members; big ones lie in `folder` meanwhile.

    With `objects` those of Windows, which have no magic, are told by their machine.
    """
    found: dict[str, Binary] = {}
    broken: dict[str, str] = {}
    links: dict[str, str] = {}
    tops: dict[str, None] = {}
    for member, content in members:
        tops[_top(member.path)] = None
        if member.kind in {"link", "hardlink"}:
            links[member.path] = target_of(member)
        if member.kind != "file":
            continue
        tally.add(inflated=member.size)
        head = content.read(_HEAD)
        reader = _reader(head, objects=objects)
        if reader is None:
            continue
        try:
            with content.whole(folder, head) as whole:
                found[member.path] = reader(whole.view)
        except BinaryError as error:
            broken[member.path] = error.message
    return Facts(found, broken, followed(links), tuple(sorted(tops)))


def scan_folder(root: Path) -> Facts:
    """Read every binary below a folder where it lies. What a symbolic link leads to is a link.

    Raises `UsageError` for a folder that cannot be listed.
    """
    found: dict[str, Binary] = {}
    broken: dict[str, str] = {}
    links: dict[str, str] = {}
    for file in _files(root):
        path = file.relative_to(root).as_posix()
        if file.is_symlink():
            links[path] = _joined(posixpath.dirname(path), file.readlink().as_posix())
            continue
        try:
            with file.open("rb") as opened:
                is_binary = looks_like(opened.read(_HEAD)) is not None
            if is_binary:
                found[path] = read(file)
        except BinaryError as error:
            broken[path] = error.message.removeprefix(f"`{file}`: ")
        except OSError as error:
            broken[path] = f"cannot be read: {error.strerror}"
    return Facts(found, broken, followed(links))


class _Scan:
    """What was found in a zip so far; `look` is called from several threads."""

    def __init__(self, archive: Zip, folder: Path, *, keep: bool) -> None:
        self._archive, self._folder, self._keep = archive, folder, keep
        self._found: dict[str, Binary] = {}
        self._broken: dict[str, str] = {}
        self._held: dict[str, Spooled] = {}
        self._links: dict[str, str] = {}

    def look(self, entry: Entry) -> None:
        """Read one member if it is a binary."""
        if entry.kind == "link":
            self._link(entry)
        elif entry.size < _WORTH_A_THREAD:
            content = self._archive.read(entry)
            if looks_like(content[:_HEAD]):
                self._note(entry, memoryview(content))
        elif looks_like(self._archive.head(entry, _HEAD)):
            if entry.size < BIG:
                self._note(entry, memoryview(self._archive.read(entry)))
            else:
                self._spool(entry)

    def facts(self) -> Facts:
        """Everything that was found, in the order of the archive."""
        names = [entry.name for entry in self._archive.entries]
        return Facts(
            {name: self._found[name] for name in names if name in self._found},
            {name: self._broken[name] for name in names if name in self._broken},
            followed(self._links),
            tuple(sorted(set(map(_top, names)))),
            held=self._held,
        )

    def close(self) -> None:
        """Let go what is held."""
        for spooled in self._held.values():
            spooled.close()

    def _link(self, entry: Entry) -> None:
        target = self._archive.target(entry)
        self._links[entry.name] = _joined(posixpath.dirname(entry.name), target)

    def _spool(self, entry: Entry) -> None:
        spooled = self._archive.spool(entry, self._folder, blocks=self._keep)
        if self._keep:
            self._held[entry.name] = spooled
        self._note(entry, spooled.view)
        if not self._keep:
            spooled.close()

    def _note(self, entry: Entry, view: memoryview) -> None:
        try:
            self._found[entry.name] = read(view)
        except BinaryError as error:
            self._broken[entry.name] = error.message


def _may_be_binary(entry: Entry) -> bool:
    if entry.kind == "link":
        return True
    name = entry.name
    dot = name.rfind(".")
    return entry.size >= _HEAD and name[dot:] not in _DATA and entry.kind == "file"


def _top(path: str) -> str:
    """The first part of a path, as wheels are installed: what is in `*.data/platlib` goes beside."""
    top, _, rest = path.partition("/")
    if top.endswith(".data"):
        scheme, _, inner = rest.partition("/")
        if scheme in {"platlib", "purelib"}:
            return inner.partition("/")[0]
    return top


def _reader(head: bytes, *, objects: bool) -> Callable[[memoryview], Binary] | None:
    if looks_like(head) is not None:
        return read
    if objects:
        from builder.binary.coff import looks_like_coff, read_coff  # noqa: PLC0415  # static only

        return read_coff if looks_like_coff(head) else None
    return None


def target_of(member: Member) -> str:
    """Where a link leads, as a path of the archive; a hard link says so itself."""
    folder = posixpath.dirname(member.path) if member.kind == "link" else ""
    return _joined(folder, member.target)


def _joined(folder: str, target: str) -> str:
    return posixpath.normpath(posixpath.join(folder, target))


def followed(links: Mapping[str, str]) -> Mapping[str, str]:
    """Every link with the path it leads to in the end, through others; circles lead nowhere."""
    ends: dict[str, str] = {}
    for path, first in links.items():
        target = first
        for _ in range(_MOST_HOPS):
            if target not in links:
                ends[path] = target
                break
            target = links[target]
    return ends


def _files(root: Path) -> Iterator[Path]:
    """The files and symbolic links below a folder, sorted within each."""
    for folder, folders, names in os.walk(root, onerror=_refuse):
        folders.sort()
        linked = [name for name in folders if os.path.islink(os.path.join(folder, name))]  # noqa: PTH114, PTH118  # many
        for name in sorted((*names, *linked)):
            file = Path(folder, name)
            if file.is_symlink() or file.is_file():
                yield file


def _refuse(error: OSError) -> None:
    raise UsageError(
        f"`{error.filename}` cannot be read: {error.strerror}", hint="check its permissions"
    ) from error
