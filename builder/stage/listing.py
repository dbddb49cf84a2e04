"""Which files of a folder are its source, and a digest of them that knows no place and no time."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from builder.archive.file import file_digest
from builder.config.machine import Machine
from builder.errors import BuilderError, UsageError
from builder.process import Command, Processes
from builder.stage.key import canonical
from builder.stage.tree import Entry

__all__ = ["JUNK", "describe", "digest", "source_paths", "walk"]

# What tools leave in a source folder; where there is a repository, its own rules decide.
JUNK: Final = frozenset(
    {
        ".git", ".hg", ".svn", ".bzr",
        "__pycache__", ".venv", ".tox", ".nox", ".eggs", "node_modules",
        ".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis",
    }
)  # fmt: skip
# Names that are junk beside the project's own files, but may well be sources further down.
_TOP_JUNK: Final = frozenset({"build", "dist", "wheelhouse", "venv"})
_MARKERS: Final = ("CACHEDIR.TAG", "pyvenv.cfg")
_LIMIT: Final = 600.0


def source_paths(folder: Path, machine: Machine, processes: Processes) -> tuple[str, ...]:
    """The files and links that belong to a source folder, sorted, relative, POSIX.

    In a git checkout these are the tracked files and the new ones that are not ignored. A folder
    that the repository around it ignores, and one outside of git, is walked and `JUNK` left out.
    """
    found = _git_paths(folder, machine, processes)
    paths = tuple(sorted(found)) if found else tuple(walk(folder))
    if not paths:
        raise UsageError(
            f"there is no file in the source folder `{folder}`",
            hint="point `source` at the project",
        )
    return paths


def walk(folder: Path, *, junk: frozenset[str] = JUNK | _TOP_JUNK) -> Iterator[str]:
    """Every file and link below, sorted; of junk, and of empty folders, nothing."""
    pending = [""]
    found: list[str] = []
    while pending:
        below = pending.pop()
        inner = JUNK & junk if below else junk
        for entry in os.scandir(folder / below):
            if entry.name in inner:
                continue
            path = f"{below}/{entry.name}" if below else entry.name
            if entry.is_dir(follow_symlinks=False):
                if not _is_marked(entry.path):
                    pending.append(path)
            else:
                found.append(path)
    return iter(sorted(found))


def _is_marked(folder: str) -> bool:
    """Whether a folder says of itself that it is a cache or a virtual environment."""
    return any(os.path.lexists(os.path.join(folder, name)) for name in _MARKERS)  # noqa: PTH118 - hot path


def describe(root: Path, paths: Iterable[str]) -> tuple[Entry, ...]:
    """One entry for each path: its kind, its executable bit, the sha256 of its bytes."""
    return tuple(_entry(root, path) for path in sorted(paths))


def digest(entries: Iterable[Entry]) -> str:
    """One sha256 over names, kinds, executable bits and contents of files and links.

    Folders do not count, as for git; nor does what an interpreter that ran there has left.
    """
    rows = [
        [entry.path, entry.kind, entry.executable, entry.content]
        for entry in sorted(entries)
        if entry.kind != "directory" and "__pycache__" not in entry.path.split("/")
    ]
    return hashlib.sha256(canonical(rows)).hexdigest()


def _entry(root: Path, path: str) -> Entry:
    file = root / path
    try:
        status = file.lstat()
        if stat.S_ISLNK(status.st_mode):
            target = os.readlink(file)  # noqa: PTH115 - a Path would spell `./a` as `a`
            return Entry(path, "link", executable=False, size=0, content=target)
        if not stat.S_ISREG(status.st_mode):
            raise UsageError(
                f"`{file}` is neither a file nor a link", hint="take it out of the source folder"
            )
        content = file_digest(file)
    except OSError as error:
        raise BuilderError(
            f"`{file}` cannot be read: {error.strerror}", hint="check who may read it"
        ) from error
    return Entry(path, "file", bool(status.st_mode & stat.S_IXUSR), status.st_size, content)


def _git_paths(folder: Path, machine: Machine, processes: Processes) -> set[str]:
    """What git counts as the content of this folder; nothing where git has no say."""
    if not any((parent / ".git").exists() for parent in (folder, *folder.parents)):
        return set()
    # A repository is a stranger's: none of its programs may run, and any owner will do.
    command = Command(
        (
            "git", "-c", "safe.directory=*", "-c", "core.fsmonitor=false",
            "-c", "core.hooksPath=/dev/null", "ls-files",
            "--cached", "--others", "--exclude-standard", "-z",
        ),
        folder,
        {"PATH": ":".join(map(str, machine.path)), "HOME": str(machine.home), "LC_ALL": "C.UTF-8"},
        title="list source",
        timeout=_LIMIT,
    )  # fmt: skip
    try:
        answer = processes.run(command, capture=True, check=False)
    except BuilderError as error:
        if error.exit_code != BuilderError.exit_code:
            raise
        return set()
    if answer.returncode:
        return set()
    found: set[str] = set()
    for path in filter(None, answer.stdout.split("\0")):
        file = folder / path
        if file.is_dir() and not file.is_symlink():
            # A submodule, or a repository inside of this one.
            inner = path.rstrip("/")
            deeper = _git_paths(file, machine, processes) or set(walk(file))
            found |= {f"{inner}/{below}" for below in deeper}
        elif file.is_symlink() or file.exists():
            found.add(path)
    return found
