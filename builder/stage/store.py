"""The store of trees: a folder in which every input key has at most one tree, whole or not at all.

trees/DIGEST/{content/,manifest.json}   appear by one rename, never change
work/                                   what is being made; nothing in it is ever a result
locks/ logs/ sources/ environments/     as their names say
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from builder.errors import BuilderError, Interrupted, UsageError
from builder.events import Event, Events, ignore
from builder.process import Processes
from builder.stage import lock, manifest
from builder.stage.key import InputKey
from builder.stage.tree import Tree, scan, verify

__all__ = ["TreeStore", "Workspace"]

_FOLDERS = ("trees", "work", "locks", "logs", "sources", "environments")
_TAG = "CACHEDIR.TAG"
_TAG_TEXT = """Signature: 8a477f597d28d172789f06886806bc55
# This folder is a store of `builder`: everything in it can be made again.
# Backup programs skip it, see https://bford.info/cachedir/
"""
_SHOWN_PROBLEMS = 5
_DAY = 24 * 60 * 60
_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, slots=True)
class Workspace:
    """Where one tree is made. `root` is the same for the same key, so that compiler caches hit.

    What lies in `content` at the end becomes the tree. `log` is kept, whatever comes of it.
    """

    root: Path
    content: Path
    log: Path


class TreeStore:
    """Finds and makes trees; safe to share between threads, and its folder between processes.

    `processes` are told of the locks that are held, so that a lock outlives a killed `builder`
    until its commands are gone; and their being stopped ends the waiting for a lock. `keep` leaves
    the workspace of what failed in its place.
    """

    def __init__(
        self,
        root: Path,
        *,
        events: Events = ignore,
        processes: Processes | None = None,
        keep: bool = False,
    ) -> None:
        self.root = root.absolute()
        self._events = events
        self._processes = processes
        self._keep = keep

    @property
    def sources(self) -> Path:
        """The folder of unpacked sources."""
        return self.root / "sources"

    @property
    def environments(self) -> Path:
        """The folder of build environments."""
        return self.root / "environments"

    @property
    def locks(self) -> Path:
        """The folder of lock files."""
        return self.root / "locks"

    def contains(self, key: InputKey | str) -> bool:
        """Whether there is a tree of this key (or digest of one); its bytes are not looked at."""
        return (self._folder(_digest(key)) / "manifest.json").is_file()

    def find(self, key: InputKey | str) -> Tree | None:
        """The tree of this key (or digest of one), its bytes compared with its manifest.

        A damaged tree is told of by a warning, removed, and not there.
        """
        digest = _digest(key)
        tree, problems = self._load(digest)
        if not problems:
            return tree
        with self.exclusive(digest):
            return self._recheck(digest)

    def make(
        self, key: InputKey, build: Callable[[Workspace], Mapping[str, object]]
    ) -> tuple[Tree, bool]:
        """The tree of this key, and whether it was there already.

        If not, `build` fills the content of a workspace and returns facts (JSON values) to keep.
        Two callers at once, in threads or processes, end with one tree: the later one waits. Raises
        what `build` raises, and `BuilderError` for a store that cannot be written.
        """
        if tree := self.find(key):
            self._clean_up(key)
            return tree, True
        with self.exclusive(key.digest):
            if tree := self._recheck(key.digest):
                return tree, True
            return self._make(key, build), False

    @contextmanager
    def exclusive(self, name: str) -> Iterator[None]:
        """Exclude everybody else, in this process or another, from what `name` stands for."""
        self._prepare()
        told = False

        def waiting() -> None:
            nonlocal told
            if self._processes is not None and self._processes.stopped:
                raise Interrupted(f"stopped while waiting for another builder that makes {name}")
            if not told:
                told = True
                text = f"waiting for another builder that makes {name[:16]}"
                self._events(Event("note", "store", text))

        with ExitStack() as stack:
            with _told(self.root):
                path = self.locks / f"{name}.lock"
                descriptor = stack.enter_context(lock.exclusive(path, waiting))
            if self._processes is not None:
                stack.enter_context(self._processes.holding(descriptor))
            yield

    def explain(self, key: InputKey) -> tuple[str, ...]:
        """How `key` differs from the most similar stored key of its stage, a line per difference.

        Nothing when there is none, or the very same.
        """
        best: tuple[str, ...] | None = None
        for path in sorted((self.root / "trees").glob("*/manifest.json")):
            try:
                stored = manifest.read_key(path)
            except manifest.DamagedManifest:
                continue
            if stored.stage != key.stage:
                continue
            lines = stored.differences(key)
            if best is None or len(lines) < len(best):
                best = lines
        return best or ()

    def scratch(self) -> Path:
        """A new empty folder for throwaway files. Those of a day ago are removed on the way."""
        self._prepare()
        with _told(self.root):
            folder = Path(tempfile.mkdtemp(prefix="scratch-", dir=self.root / "work"))
            now = folder.stat().st_mtime
            for other in folder.parent.glob("scratch-*"):
                with suppress(FileNotFoundError):
                    if now - other.stat().st_mtime > _DAY:
                        _remove(other)
        return folder

    def _work(self, key: InputKey) -> Path:
        return self.root / "work" / key.digest[:16]

    def _clean_up(self, key: InputKey) -> None:
        """Remove the workspace of a run that was killed after its tree had appeared."""
        work = self._work(key)
        if work.exists() and os.access(work.parent, os.W_OK):
            with self.exclusive(key.digest):
                _remove(work)

    def _folder(self, digest: str) -> Path:
        return self.root / "trees" / digest

    def _load(self, digest: str) -> tuple[Tree | None, tuple[str, ...]]:
        """The tree, or what is wrong with it; neither when there is none."""
        folder = self._folder(digest)
        if not folder.exists():
            return None, ()
        try:
            tree = manifest.read_tree(folder / "manifest.json", folder / "content")
        except manifest.DamagedManifest as error:
            return None, (f"manifest.json: {error}",)
        problems = verify(tree)
        if tree.key != digest:
            problems = (f"manifest.json: is that of {tree.key}", *problems)
        return (None if problems else tree), problems

    def _recheck(self, digest: str) -> Tree | None:
        """With the lock held: the tree, or None after a damaged one was removed."""
        tree, problems = self._load(digest)
        if problems:
            shown = "; ".join(problems[:_SHOWN_PROBLEMS])
            more = len(problems) - _SHOWN_PROBLEMS
            self._events(
                Event(
                    "warning",
                    "store",
                    f"tree {digest[:16]} is damaged and will be made again: {shown}"
                    + (f"; and {more} more" if more > 0 else ""),
                )
            )
            with _told(self.root):
                aside = self.root / "work" / f"{digest[:16]}.damaged"
                _remove(aside)
                self._folder(digest).rename(aside)
            _remove(aside)
        return tree

    def _make(self, key: InputKey, build: Callable[[Workspace], Mapping[str, object]]) -> Tree:
        name = key.digest[:16]
        root = self._work(key)
        workspace = Workspace(root, root / "content", self.root / "logs" / f"{name}.log")
        with _told(self.root):
            _remove(root)  # of a run that was killed, or kept
            workspace.content.mkdir(parents=True)
            workspace.log.unlink(missing_ok=True)
        made = False
        try:
            facts = _call(build, workspace, self.root)
            entries = scan(workspace.content)
            with _told(self.root):
                self._put(key, workspace, manifest.compose(key, entries, facts))
            made = True
        finally:
            if made or not self._keep:
                _remove(root)
            else:
                self._events(Event("note", "store", f"kept the work folder `{root}`"))
        folder = self._folder(key.digest)
        return manifest.read_tree(folder / "manifest.json", folder / "content")

    def _put(self, key: InputKey, workspace: Workspace, text: bytes) -> None:
        """Let the tree appear: everything is in place and on disk before the last rename."""
        staging = workspace.root / "tree"
        _remove(staging)
        staging.mkdir()
        workspace.content.chmod(0o755)
        workspace.content.rename(staging / "content")
        with (staging / "manifest.json").open("wb") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        _sync(staging)
        folder = self._folder(key.digest)
        staging.rename(folder)
        _sync(folder.parent)

    def _prepare(self) -> None:
        """Make the layout. A folder that is full of other things is not taken for a store."""
        with _told(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            tag = self.root / _TAG
            if not tag.exists():
                present = {path.name for path in self.root.iterdir()}
                if present and not present & {_TAG, *_FOLDERS}:
                    raise UsageError(
                        f"`{self.root}` is not empty and is not a store",
                        hint="choose an empty or a new folder with `--store`",
                    )
                tag.write_text(_TAG_TEXT, encoding="ascii")
            for name in _FOLDERS:
                (self.root / name).mkdir(exist_ok=True)


def _digest(key: InputKey | str) -> str:
    return key if isinstance(key, str) else key.digest


def _call(
    build: Callable[[Workspace], Mapping[str, object]], workspace: Workspace, store: Path
) -> Mapping[str, object]:
    """Call `build`; an error that knows no log is given the workspace's."""
    try:
        return build(workspace)
    except BuilderError as error:
        if not error.log and workspace.log.exists():
            error.log = str(workspace.log)
        raise
    except OSError as error:
        if error.errno in _FULL:
            raise _storage_error(store, error) from error
        raise


@contextmanager
def _told(store: Path) -> Iterator[None]:
    """Turn what the system says of the store into what its user can do."""
    try:
        yield
    except OSError as error:
        raise _storage_error(store, error) from error


def _storage_error(store: Path, error: OSError) -> BuilderError:
    if error.errno in _FULL:
        return BuilderError(
            f"the disk of the store `{store}` is full",
            hint="free some space (whatever lies in the store can be made again), "
            "or choose another folder with `--store`",
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return BuilderError(
            f"the store `{store}` cannot be written: {error.strerror}: `{error.filename}`",
            hint="make it writable for you, or choose another folder with `--store`",
        )
    if store.exists() and not store.is_dir():
        return UsageError(
            f"the store `{store}` is not a folder", hint="choose another with `--store`"
        )
    return BuilderError(f"the store `{store}` cannot be used: {error}")


def _remove(folder: Path) -> None:
    """Remove a folder, also one whose folders were made read-only. What resists even so stays."""
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return
    except OSError:
        for place, names, _ in os.walk(folder):
            for path in (Path(place, name) for name in ("", *names)):
                if not path.is_symlink():
                    path.chmod(0o700)
        shutil.rmtree(folder, ignore_errors=True)


def _sync(folder: Path) -> None:
    """Have the names in a folder on disk; Windows has no way to ask for that."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
