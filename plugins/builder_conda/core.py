"""The core tree as files of a conda package: what belongs to it, relinked, and fit for any prefix."""

from __future__ import annotations

import mmap
import posixpath
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from builder.archive.conda_package import CondaFile
from builder.binary import Binary, BinaryError, Edit, looks_like, read
from builder.config.recipe import CppArchive
from builder.errors import BuilderError
from builder.relink.copies import changed_copy
from builder.stage.tree import Entry, Tree
from builder_conda.linked import offered
from builder_conda.prefix import leaks, mode_of, occurrences
from builder_conda.scripts import PLACEHOLDER

__all__ = ["Core", "head_of"]

_HEAD: Final = 8
_WINDOW: Final = 1 << 20
_LONGEST_TEXT: Final = 16 << 20
_SHOWN: Final = 10


@dataclass(frozen=True, slots=True)
class Core:
    """The chosen part of a core tree. `links` lead to the paths of files in it, or to other links.

    `prefix` is what the tree was configured to be installed to.
    """

    root: Path
    files: Mapping[str, Entry]
    links: Mapping[str, str]
    texts: Mapping[str, str]
    binaries: Mapping[str, Binary]
    prefix: str

    @classmethod
    def of(cls, tree: Tree, archive: CppArchive) -> Core:
        """What `keep` and `leave` of `[archive]` choose. Raises `BuilderError` when that is nothing."""
        chosen = [
            entry
            for entry in tree.entries
            if entry.kind != "directory" and archive.takes(entry.path)
        ]
        if not chosen:
            raise BuilderError(
                f"there is nothing to package in the core tree: no file matches {', '.join(archive.keep)}",
                hint="set `archive.keep` in the recipe to what belongs to the library",
            )
        files = {entry.path: entry for entry in chosen if entry.kind == "file"}
        texts = {entry.path: entry.content for entry in chosen if entry.kind == "link"}
        links = {
            path: posixpath.normpath(posixpath.join(posixpath.dirname(path), text))
            for path, text in texts.items()
        }
        folders = {parent for path in files for parent in _parents(path)}
        if lost := [path for path, end in links.items() if end not in {*files, *links, *folders}]:
            raise BuilderError(
                "links of the core tree lead to what is not packaged",
                faults=[f"{path}: leads to `{texts[path]}`" for path in lost],
                hint="leave them out with `archive.leave` of the recipe, or keep where they lead to",
            )
        prefix = str(tree.facts.get("prefix", ""))
        return cls(tree.root, files, links, texts, _binaries(tree.root, files), prefix)

    @property
    def beside(self) -> Mapping[str, str]:
        """Every name that one of its libraries can be needed by, with its folder."""
        return dict(offered(self.binaries, self.ends))

    @property
    def ends(self) -> Mapping[str, str]:
        """The file that each link leads to in the end."""
        return {path: self._end(path) for path in self.links}

    def needed_by(self, binaries: Mapping[str, Binary]) -> frozenset[str]:
        """The paths of the libraries, and of the links to them, that some binaries need."""
        places = {posixpath.basename(path): path for path in (*self.binaries, *self.links)}
        for path, binary in self.binaries.items():
            places.setdefault(binary.soname, path)
        wanted = [name for binary in binaries.values() for name in binary.needed]
        found: set[str] = set()
        while wanted:
            path = places.get(wanted.pop(), "")
            while path and path not in found:
                found.add(path)
                wanted += self.binaries[path].needed if path in self.binaries else ()
                path = self.links.get(path, "")
        return frozenset(found)

    def packed(
        self, edits: Mapping[str, Edit], work: Path, only: Collection[str] | None = None
    ) -> Iterator[CondaFile]:
        """Its files and links, or `only` some, with edits made on copies in `work`."""
        for path, text in self.texts.items():
            if only is None or path in only:
                yield CondaFile(path, link=text)
        for path, entry in self.files.items():
            if only is not None and path not in only:
                continue
            content: bytes | Path = self.root / path
            digest = entry.content
            if path in edits:
                content = changed_copy(
                    path, content, self.binaries[path], edits[path], work / "edited" / path,
                    leave_out="conda.host",
                )  # fmt: skip
                digest = ""
            self._refuse_pieces(path, content)
            yield self._placed(path, content, entry, digest)

    def _placed(self, path: str, content: bytes | Path, entry: Entry, digest: str) -> CondaFile:
        """One file, with the prefix in it told: in a text as long as conda's own, in a binary as it is."""
        old = self.prefix.encode()
        if not old or not occurrences(_windows(content), old):
            return CondaFile(path, content, entry.executable, sha256=digest)
        size = len(content) if isinstance(content, bytes) else content.stat().st_size
        whole = b"" if size > _LONGEST_TEXT else b"".join(_windows(content))
        if not whole or mode_of(whole) == "binary":
            return CondaFile(
                path, content, entry.executable, placeholder=self.prefix, mode="binary"
            )
        text = whole.replace(old, PLACEHOLDER.encode())
        return CondaFile(path, text, entry.executable, placeholder=PLACEHOLDER)

    def _refuse_pieces(self, path: str, content: bytes | Path) -> None:
        """Raise `BuilderError` for a prefix that the compiler cut up: no installer finds it."""
        if not self.prefix or path not in self.binaries:
            return
        if found := leaks(_view(content), self.prefix):
            raise BuilderError(
                f"`{path}` looks where it was built",
                faults=[f"{path}: {leak}" for leak in found[:_SHOWN]],
                hint="find it at run time, from the library's own place (`dladdr`)",
            )

    def _end(self, path: str) -> str:
        for _ in range(len(self.links)):
            if path not in self.links:
                break
            path = self.links[path]
        return path


def _view(content: bytes | Path) -> memoryview:
    """The content, mapped and not copied; it lives as long as somebody looks at it."""
    if isinstance(content, bytes):
        return memoryview(content)
    with content.open("rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def head_of(path: Path) -> bytes:
    """The first bytes of a file. Raises `BuilderError`."""
    try:
        with path.open("rb") as file:
            return file.read(_HEAD)
    except OSError as error:
        raise BuilderError(
            f"`{path}` cannot be read: {error.strerror}", hint="build the tree again"
        ) from error


def _parents(path: str) -> Iterator[str]:
    while path := posixpath.dirname(path):
        yield path


def _binaries(root: Path, files: Mapping[str, Entry]) -> Mapping[str, Binary]:
    """What a loader has to do with, by path. Raises `BuilderError` for what is damaged."""
    found: dict[str, Binary] = {}
    faults: list[str] = []
    for path in files:
        if looks_like(head_of(root / path)) is None:
            continue
        try:
            binary = read(root / path)
        except BinaryError as error:
            faults.append(f"{path}: {error.message.removeprefix(f'`{root / path}`: ')}")
            continue
        if binary.is_loaded:
            found[path] = binary
    if faults:
        raise BuilderError(
            "binaries of the core tree cannot be read",
            faults=faults,
            hint="leave them out with `archive.leave` of the recipe, or build them again",
        )
    return found


def _windows(content: bytes | Path) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    with content.open("rb", buffering=0) as file:
        while window := file.read(_WINDOW):
            yield window
