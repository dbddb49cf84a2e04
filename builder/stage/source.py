"""Sources at stable paths: folder, git revision, sdist or archive, each named after its content.

The digest says what the files are, never where they came from or when: the same files through
another door are the same source.
"""

from __future__ import annotations

import email.parser
import os
import re
import shutil
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, assert_never
from urllib.parse import urlsplit

from builder.archive.file import file_digest
from builder.archive.unpack import unpack
from builder.config.machine import Machine
from builder.config.recipe import Archive, Folder, GitRevision, IndexSdist, Source
from builder.errors import BuilderError, UsageError
from builder.process import Processes
from builder.stage import git
from builder.stage.download import download, known_download, without_login
from builder.stage.listing import describe, digest, source_paths
from builder.stage.published import find_sdist
from builder.stage.store import TreeStore
from builder.stage.tree import scan

__all__ = ["SourceTree", "fetch", "version_of"]

# 1980-01-01, the first moment a zip can hold: the date of everything that has none of its own.
_EPOCH: Final = 315532800
# A day later, so that it is 1980 in every time zone. With one time for all, nothing looks outdated.
_FILE_TIME: Final = _EPOCH + 24 * 60 * 60


@dataclass(frozen=True, slots=True)
class SourceTree:
    """The files of one source, at a path that follows from `digest`; read-only by agreement.

    `revision` says what was pinned: a commit, a version, an archive's sha256, or nothing for a
    folder. `epoch` is the `SOURCE_DATE_EPOCH` of what is built from it, and belongs in the key.
    """

    root: Path
    digest: str
    revision: str
    epoch: int

    def copy(self, folder: Path) -> Path:
        """A copy in the new folder `folder` that a build may write into."""
        junk = shutil.ignore_patterns("__pycache__")
        return Path(shutil.copytree(self.root, folder, symlinks=True, ignore=junk))


def fetch(source: Source, store: TreeStore, machine: Machine, processes: Processes) -> SourceTree:
    """The files of a source. Only a moving git revision needs the network a second time.

    A finished wheel is one file and stays packed.

    Raises `BuilderError` when it cannot be had or has other bytes than the recipe says.
    """
    match source:
        case Folder():
            return _folder(source, store, machine, processes)
        case GitRevision():
            return _revision(source, store, machine, processes)
        case IndexSdist():
            label = f"{source.project} {source.version}"

            def archive() -> Path:
                kept = known_download(source.sha256, store)
                url = "" if kept else find_sdist(source, store, machine, processes)
                return kept or download(url, source.sha256, store, machine)

            root, content = _unpacked(label, source.sha256, archive, store)
            return SourceTree(root, content, source.version, _EPOCH)
        case Archive(location=location) if location.endswith(".whl"):
            wheel = _archive(source, store, machine)
            return SourceTree(wheel, source.sha256, source.sha256, _EPOCH)
        case Archive():
            label = without_login(source.location)
            root, content = _unpacked(
                label, source.sha256, lambda: _archive(source, store, machine), store
            )
            return SourceTree(root, content, source.sha256, _EPOCH)
    assert_never(source)


def version_of(folder: Path) -> str:
    """The version a source tree states without being built, or nothing.

    Looked for in `PKG-INFO`, `[project]` of `pyproject.toml`, and `version.txt` (without its `a0`).
    """
    info, project, text = folder / "PKG-INFO", folder / "pyproject.toml", folder / "version.txt"
    try:
        if info.is_file():
            fields = email.parser.HeaderParser().parsestr(info.read_text("utf-8"))
            if version := fields.get("Version", ""):
                return str(version).strip()
        if project.is_file():
            table = tomllib.loads(project.read_text("utf-8")).get("project", {})
            if isinstance(table, dict) and isinstance(table.get("version"), str):
                return str(table["version"])
        if text.is_file():
            first = text.read_text("utf-8").strip().partition("\n")[0].strip().removesuffix("a0")
            return first if re.fullmatch(r"\d[\w.+!-]*", first) else ""
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(
            f"the version of `{folder}` cannot be read: {error}",
            hint="correct the file, or set `version.number` in the recipe",
        ) from error
    return ""


def _folder(source: Folder, store: TreeStore, machine: Machine, processes: Processes) -> SourceTree:
    if not source.path.is_dir():
        raise UsageError(
            f"there is no source folder `{source.path}`", hint="check `source` in the recipe"
        )
    paths = source_paths(source.path, machine, processes)
    content = digest(describe(source.path, paths))

    def copy(target: Path) -> None:
        for path in paths:
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source.path / path, target / path, follow_symlinks=False)

    root, copied = _kept(store, f"folder-{content[:16]}", content, copy)
    if copied != content:
        raise BuilderError(
            f"the source folder `{source.path}` changed while it was read",
            hint="run the same command again when nothing writes there",
        )
    # A commit's date is no fact about a folder: the same files may be committed twice or never.
    return SourceTree(root, content, "", _EPOCH)


def _revision(
    source: GitRevision, store: TreeStore, machine: Machine, processes: Processes
) -> SourceTree:
    mirror, commit = git.pin(source.url, source.revision, store, machine, processes)
    root, content = _kept(
        store, f"git-{commit}", "", lambda target: git.checkout(mirror, commit, target)
    )
    return SourceTree(root, content, commit, git.commit_date(mirror, commit))


def _archive(source: Archive, store: TreeStore, machine: Machine) -> Path:
    if urlsplit(source.location).scheme not in {"", "file"}:
        return download(source.location, source.sha256, store, machine)
    path = Path(source.location)
    if source.location.startswith("file:"):
        return download(source.location, source.sha256, store, machine)
    if not path.is_file():
        raise UsageError(f"there is no archive `{path}`", hint="check `source` in the recipe")
    if (actual := file_digest(path)) != source.sha256:
        raise BuilderError(
            f"`{path}` has other bytes than the recipe says",
            faults=[f"expected sha256 {source.sha256}", f"it has sha256    {actual}"],
            hint="find out why it changed before you change the recipe",
        )
    return path


def _unpacked(
    label: str, sha256: str, archive: Callable[[], Path], store: TreeStore
) -> tuple[Path, str]:
    if not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise UsageError(
            f"the sha256 of {label} is not 64 hexadecimal digits",
            hint="`sha256sum` prints it; the package index shows it beside the file",
        )
    return _kept(store, f"archive-{sha256}", "", lambda target: _unpack(archive(), target))


def _unpack(archive: Path, target: Path) -> None:
    target.rmdir()
    unpack(archive, target)


def _kept(
    store: TreeStore, label: str, expected: str, fill: Callable[[Path], None]
) -> tuple[Path, str]:
    """The stored copy of one source and the digest of its content; `fill` makes what is not there.

    A copy whose files no longer are what they were is made again.
    """
    record = store.sources / f"{label}.txt"
    content = expected or _recorded(record)
    root = store.sources / content[:16]
    if content and _is_whole(root, content):
        return root, content
    with store.exclusive(f"source-{label}"):
        content = expected or _recorded(record)
        if content and _is_whole(store.sources / content[:16], content):
            return store.sources / content[:16], content
        staging = store.sources / f".{label}.part"
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir()
        try:
            fill(staging)
            content = digest(scan(staging))
            _settle(staging)
            root = store.sources / content[:16]
            with store.exclusive(f"source-{content[:16]}"):
                _place(staging, root, content)
            partial = record.with_suffix(".part")
            partial.write_text(content, "ascii")
            partial.replace(record)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return root, content


def _recorded(record: Path) -> str:
    try:
        return record.read_text("ascii")
    except OSError:
        return ""


def _is_whole(root: Path, content: str) -> bool:
    try:
        return root.is_dir() and digest(scan(root)) == content
    except BuilderError:
        return False


def _place(staging: Path, root: Path, content: str) -> None:
    """Let the copy appear under its name, unless another door brought the same files before."""
    if _is_whole(root, content):
        return
    damaged = root.with_name(f".{root.name}.damaged")
    shutil.rmtree(damaged, ignore_errors=True)
    if root.exists():
        root.rename(damaged)
    staging.rename(root)
    shutil.rmtree(damaged, ignore_errors=True)


def _settle(folder: Path) -> None:
    """Give every file the same time and a plain mode: a build sees nothing of the original's."""
    for place, folders, files in os.walk(folder, topdown=False):
        for name in files:
            path = Path(place, name)
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
                os.utime(path, (_FILE_TIME, _FILE_TIME))
        for name in (name for name in folders if not Path(place, name).is_symlink()):
            os.utime(Path(place, name), (_FILE_TIME, _FILE_TIME))
        Path(place).chmod(0o755)
    os.utime(folder, (_FILE_TIME, _FILE_TIME))
