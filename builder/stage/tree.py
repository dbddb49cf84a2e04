"""A tree: a directory with a manifest and an input key.

Of a file's mode only the executable bit counts; times and owners never do.
"""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from builder.archive.file import file_digest
from builder.errors import BuilderError

__all__ = ["Entry", "Tree", "compare", "scan", "verify"]

_WORKERS = 4
_FEW_FILES = 16
_FEW_BYTES = 1024 * 1024

_ODD_KINDS = {
    stat.S_IFSOCK: "a socket",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFBLK: "a block device",
    stat.S_IFCHR: "a character device",
}


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """One line of a manifest.

    `path` is POSIX and relative; `content` is a sha256 in hex, a link's target, or empty for a
    directory. `size` is in bytes and counts for files only.
    """

    path: str
    kind: Literal["file", "link", "directory"]
    executable: bool
    size: int
    content: str


@dataclass(frozen=True, slots=True)
class Tree:
    """The immutable result of one stage.

    `root` is the folder that holds its content, `key` the digest of the input key that made it,
    `facts` what the stage wants remembered (compiler runs, seconds).
    """

    key: str
    root: Path
    entries: tuple[Entry, ...]
    facts: Mapping[str, object]


def scan(root: Path) -> tuple[Entry, ...]:
    """Everything below `root`, sorted by path, every file's bytes hashed.

    Raises `BuilderError` with all faults: sockets, pipes and devices, links that are absolute or
    leave the tree, names that are not UTF-8, files that cannot be read.
    """
    faults: list[str] = []
    found = list(_walk(root, "", faults))
    entries = [
        Entry(path, "link", executable=False, size=0, content=_target(root, path, faults))
        if stat.S_ISLNK(status.st_mode)
        else Entry(path, "directory", executable=False, size=0, content="")
        for path, status in found
        if not stat.S_ISREG(status.st_mode)
    ]
    files = [(path, status) for path, status in found if stat.S_ISREG(status.st_mode)]
    entries += [
        Entry(path, "file", bool(status.st_mode & stat.S_IXUSR), status.st_size, content)
        for (path, status), content in zip(files, _hash_all(root, files, faults), strict=True)
    ]
    if faults:
        raise BuilderError(
            f"`{root}` cannot be kept as a tree",
            faults=sorted(faults),
            hint="a tree holds files, directories, and relative links that stay inside of it",
        )
    return tuple(sorted(entries))


def verify(tree: Tree) -> tuple[str, ...]:
    """What of a tree does not match its manifest, in both directions; nothing when all does."""
    try:
        return compare(tree.entries, scan(tree.root))
    except BuilderError as error:
        return error.faults


def compare(expected: Sequence[Entry], present: Sequence[Entry]) -> tuple[str, ...]:
    """How what is present differs from what is expected, one line per path."""
    before = {entry.path: entry for entry in expected}
    after = {entry.path: entry for entry in present}
    return tuple(
        f"{path}: {_difference(before.get(path), after.get(path))}"
        for path in sorted(before.keys() | after.keys())
        if before.get(path) != after.get(path)
    )


def _difference(before: Entry | None, after: Entry | None) -> str:
    if before is None or after is None:
        return "is missing" if after is None else "does not belong here"
    if before.kind != after.kind:
        return f"is a {after.kind} and was a {before.kind}"
    if before.content == after.content and before.size == after.size:
        return "has another executable bit"
    if before.kind == "link":
        return f"points to `{after.content}` and pointed to `{before.content}`"
    if before.size != after.size:
        return f"has {after.size} bytes and had {before.size}"
    return "has other bytes of the same length"


def _walk(root: Path, prefix: str, faults: list[str]) -> Iterator[tuple[str, os.stat_result]]:
    """Each path below `root` that a tree may hold, with its status."""
    try:
        with os.scandir(root / prefix) as scanned:
            items = [(item.name, item.stat(follow_symlinks=False)) for item in scanned]
    except OSError as error:
        faults.append(f"{prefix or '.'}: cannot be read: {error.strerror}")
        return
    for name, status in items:
        path = f"{prefix}{name}"
        kind = stat.S_IFMT(status.st_mode)
        if not _speakable(name):
            faults.append(f"{os.fsencode(path)!r}: the name is not UTF-8")
        elif odd := _ODD_KINDS.get(kind):
            faults.append(f"{path}: is {odd}")
        else:
            yield path, status
            if kind == stat.S_IFDIR:
                yield from _walk(root, f"{path}/", faults)


def _speakable(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _target(root: Path, path: str, faults: list[str]) -> str:
    """Where a link points to, as it is written."""
    try:
        target = os.readlink(root / path)  # noqa: PTH115 - as it is written, not as a Path spells it
    except OSError as error:
        faults.append(f"{path}: cannot be read: {error.strerror}")
        return ""
    if not _speakable(target):
        faults.append(f"{path}: the link's target {os.fsencode(target)!r} is not UTF-8")
    elif posixpath.isabs(target):
        faults.append(f"{path}: is a link to the absolute path `{target}`")
    elif not _stays(root, path, target):
        faults.append(f"{path}: is a link to `{target}`, which is outside of the tree")
    return target


def _stays(root: Path, path: str, target: str) -> bool:
    """Whether a link stays in its tree, both as it is spelled and as links on its way lead it."""
    spelled = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
    if spelled == ".." or spelled.startswith("../"):
        return False
    real_root = os.path.realpath(root)
    real = os.path.realpath(os.path.join(real_root, path))  # noqa: PTH118 - strings on both sides
    return real == real_root or real.startswith(real_root + os.sep)


def _hash_all(
    root: Path, files: Sequence[tuple[str, os.stat_result]], faults: list[str]
) -> list[str]:
    def digest(item: tuple[str, os.stat_result]) -> str:
        try:
            return file_digest(root / item[0])
        except OSError as error:
            faults.append(f"{item[0]}: cannot be read: {error.strerror}")
            return ""

    if len(files) <= _FEW_FILES and sum(status.st_size for _, status in files) <= _FEW_BYTES:
        return [digest(item) for item in files]
    with ThreadPoolExecutor(_WORKERS) as pool:
        return list(pool.map(digest, files))
