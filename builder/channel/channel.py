"""Create a channel, add packages to it, make its index: one writer at a time, any number of readers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from builder.archive.conda_package import SUBDIRS
from builder.archive.deliver import deliver
from builder.archive.file import file_digest
from builder.archive.workers import in_order
from builder.channel.package import Listed, PackageError, read_listed
from builder.channel.shelf import Shelf
from builder.errors import BuilderError, UsageError
from builder.stage.lock import exclusive

__all__ = ["Added", "Indexed", "Waiting", "add", "create", "index", "subdirs_of"]

_LOCK: Final = ".builder-channel.lock"

Waiting = Callable[[], None]
"""Called again and again while another process writes to the channel; gives up by raising."""


def _patiently() -> None:
    """Wait for as long as it takes."""


@dataclass(frozen=True, slots=True)
class Added:
    """A package that is in the channel now; `was_there` says that it was before, byte for byte."""

    path: Path
    package: Listed
    was_there: bool


@dataclass(frozen=True, slots=True)
class Indexed:
    """One subdir: how many packages it lists, which files had to be read, which entries went."""

    subdir: str
    packages: int
    read: tuple[str, ...]
    dropped: tuple[str, ...]


def create(
    folder: Path, subdirs: Sequence[str] = (), *, waiting: Waiting = _patiently
) -> tuple[str, ...]:
    """Make an empty channel, with `noarch` and the given subdirs; one that is there stays as it is.

    Gives back its subdirs. Raises `UsageError` for a word that is no subdir.
    """
    if unknown := sorted(set(subdirs) - SUBDIRS.keys()):
        raise UsageError(
            f"no client looks into the subdir `{unknown[0]}`", hint=f"known: {', '.join(SUBDIRS)}"
        )
    with _locked(folder, waiting):
        for subdir in sorted({"noarch", *subdirs}):
            Shelf.load(folder / subdir).write()
    return subdirs_of(folder)


def add(
    folder: Path, packages: Sequence[Path], *, threads: int = 0, waiting: Waiting = _patiently
) -> tuple[Added, ...]:
    """Copy packages into a channel and list them; no other package is read.

    All of them are judged before one is copied. The same bytes under the same name are fine. Raises
    `UsageError` for a file that is no package, or has the name of another one.
    """
    if not (folder / "noarch" / "repodata.json").is_file():
        raise UsageError(f"`{folder}` is no channel", hint=f"builder channel create {folder}")
    listed = _read(packages, threads)
    with _locked(folder, waiting):
        shelves = {name: Shelf.load(folder / name) for name in {row.subdir for row in listed}}
        fresh = {row.file: row for row in listed}
        _refuse_others(listed, fresh, shelves)
        known = {row.file for row in listed if row.file in shelves[row.subdir].entries}
        found = []
        for path, row in zip(packages, listed, strict=True):
            shelf = shelves[row.subdir]
            target = shelf.folder / row.file
            if row.file not in known or not target.is_file():
                deliver(path, shelf.folder)
                shelf.put(row)
            found.append(Added(target, row, row.file in known))
        for shelf in shelves.values():
            shelf.write()
    return tuple(found)


def index(
    folder: Path, *, threads: int = 0, again: bool = False, waiting: Waiting = _patiently
) -> tuple[Indexed, ...]:
    """Make the index of a folder with packages; only what is new or changed is read.

    With `again` everything is. Raises `UsageError` naming each file that is no package or lies in the
    wrong place; then the index stays as it was.
    """
    if not folder.is_dir():
        raise UsageError(f"`{folder}` is no folder", hint=f"builder channel create {folder}")
    with _locked(folder, waiting):
        shelves = [_loaded(folder / name) for name in sorted({*subdirs_of(folder), "noarch"})]
        done = []
        for shelf in shelves:
            files = {path.name: path for path in shelf.files()}
            stale = [files[name] for name in files if again or not shelf.is_known(name)]
            dropped = tuple(sorted(shelf.entries.keys() - files.keys()))
            for row in _read(stale, threads, subdir=shelf.subdir):
                shelf.put(row)
            for name in dropped:
                shelf.drop(name)
            read = tuple(path.name for path in stale)
            done.append(Indexed(shelf.subdir, len(shelf.entries), read, dropped))
        for shelf in shelves:
            shelf.write()
    return tuple(done)


def subdirs_of(folder: Path) -> tuple[str, ...]:
    """The subdirs that a channel has, sorted."""
    return tuple(sorted(name for name in SUBDIRS if (folder / name).is_dir()))


def _loaded(folder: Path) -> Shelf:
    """What is known of a subdir; of a damaged index, nothing is."""
    try:
        return Shelf.load(folder)
    except UsageError:
        return Shelf(folder)


def _read(paths: Iterable[Path], threads: int, subdir: str = "") -> tuple[Listed, ...]:
    """Every package. Raises one error with the faults of all."""
    jobs = (partial(_judged, path, subdir) for path in paths)
    found = tuple(in_order(jobs, threads))
    failed = [row for row in found if isinstance(row, UsageError)]
    if len(failed) == 1:
        raise failed[0]
    if failed:
        raise UsageError(
            f"{len(failed)} files are no packages that a channel can list",
            faults=[line for error in failed for line in error.faults or (error.message,)],
            hint=failed[0].hint,
        )
    return tuple(row for row in found if isinstance(row, Listed))


def _judged(path: Path, subdir: str) -> Listed | UsageError:
    try:
        row = read_listed(path)
        if subdir not in {"", row.subdir}:
            raise PackageError(
                path.name, f"it is for {row.subdir}, and lies in {subdir}"
            )  # one way out
    except UsageError as error:
        return error
    return row


def _refuse_others(
    listed: Sequence[Listed], fresh: dict[str, Listed], shelves: dict[str, Shelf]
) -> None:
    """Raise `UsageError` for a name that another package has, in the channel or in this very call."""
    faults = []
    for row in listed:
        shelf = shelves[row.subdir]
        target = shelf.folder / row.file
        there = {fresh[row.file].sha256}
        if row.file in shelf.entries:
            there.add(str(shelf.entries[row.file].get("sha256")))
        elif target.is_file():  # of a call that was killed, or put there by hand
            there.add(file_digest(target))
        faults += [
            f"{row.subdir}/{row.file}: {old} is there, not {row.sha256}"
            for old in sorted(there - {row.sha256})
        ]
    if faults:
        raise UsageError(
            "a channel has one package of a name, version and build: these have other bytes",
            faults=sorted(set(faults)),
            hint="give it a higher build number: whoever has the old one would never get the new",
        )


@contextmanager
def _locked(folder: Path, waiting: Waiting) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with exclusive(folder / _LOCK, waiting):
            yield
    except OSError as error:
        raise BuilderError(
            f"the channel `{folder}` cannot be written: {error.strerror or error}",
            hint="check its permissions and the space on its disk",
        ) from error
