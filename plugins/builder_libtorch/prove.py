"""Prove a written archive on its own bytes: complete, self-contained, and loadable from anywhere."""

from __future__ import annotations

import hashlib
import mmap
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from builder.archive.content import Content, role_of
from builder.archive.file import file_digest
from builder.archive.record import Row, encode_digest
from builder.archive.spool import Spooled
from builder.archive.tar import read_tar
from builder.archive.tar_source import Content as Stream
from builder.archive.tar_source import open_source
from builder.archive.zip_read import Zip
from builder.binary import Binary, BinaryError, looks_like, read
from builder.binary.macho.codesign import signature_problems
from builder.config.target import Target
from builder.errors import BuilderError
from builder.relink.closure import Rules
from builder.relink.dyld import expand_entry
from builder.relink.sibling import leaving
from builder.relink.system import System
from builder_libtorch.bundle import literal, with_aliases
from builder_libtorch.interface import expected_of_parts
from builder_libtorch.parts import Part
from builder_libtorch.suits import strangers

__all__ = ["Proof", "faults_of_tree", "refuse_if_unsound"]

_HEAD = 8
_WINDOW = 1 << 20
_CHANGED = "changed while it was packed"
_OTHER = "does not have the bytes that the manifest says"


@dataclass(frozen=True, slots=True)
class Proof:
    """What a written archive is measured by.

    `content` is the manifest that lies in it below `top`, under the name `manifest`. `rows` are the
    digests of what was packed anew, by path. `work` is for big members.
    """

    content: Content
    manifest: str
    top: str
    system: System
    work: Path
    rows: Mapping[str, Row] = field(default_factory=dict)


def refuse_if_unsound(path: Path, proof: Proof) -> None:
    """Raise `BuilderError` with everything that is wrong with a written archive.

    It holds what the manifest says and nothing else, every need is met inside of it or named in the
    manifest, no rpath leaves it, and the signatures of Mach-O files fit their pages.
    """
    seen = _Seen(proof)
    if path.name.endswith(".zip"):
        _look_into_zip(path, seen)
    else:
        _look_into_tar(path, seen)
    problems = [*seen.problems, *_differences(seen, proof), *_unmet(seen, proof)]
    problems += [*_leaving(seen)]
    if problems:
        raise BuilderError(
            f"the archive `{path.name}` is not sound",
            faults=problems,
            hint="if a file changed while it was packed, run the same command again; "
            "otherwise this is a fault of ours, please report it",
        )


def faults_of_tree(root: Path, proof: Proof) -> tuple[str, ...]:
    """Everything that is wrong with an archive that was unpacked: as above, and what goes beyond it.

    Nobody wrote it just now, so every digest is compared, the list of what it expects of the host
    may not be longer than what is needed, and its binaries are those of its target.
    """
    seen = _Seen(proof)
    for path in sorted(root.rglob("*")):
        inner = path.relative_to(root).as_posix()
        if path.is_symlink():
            seen.links[inner] = str(path.readlink())
        elif path.is_file():
            seen.digests[inner] = file_digest(path)
            if path.stat().st_size >= _HEAD and role_of(inner) not in {"header", "config"}:
                _look_at_file(inner, path, seen)
    target = Target.parse(proof.content.target)
    return (
        *seen.problems, *_differences(seen, proof, _OTHER), *_unmet(seen, proof), *_leaving(seen),
        *_idle(seen, proof, target, root), *strangers(seen.binaries, target),
    )  # fmt: skip


def _look_at_file(inner: str, path: Path, seen: _Seen) -> None:
    with (
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
        memoryview(mapped) as view,
    ):
        if looks_like(bytes(view[:_HEAD])):
            seen.look(inner, view)


def _idle(seen: _Seen, proof: Proof, target: Target, root: Path) -> Iterator[str]:
    """What the archive expects of the host and does not need, or is linked by and does not name."""
    needed = {name for binary in seen.binaries.values() for name in binary.needed}
    parts = [Part(path, root / path) for path in seen.digests]
    linked = set(expected_of_parts(parts, target))
    for name in sorted(set(proof.content.host) - needed - linked):
        yield f"{name}: is expected of the host, and nothing in the archive needs it"
    for name in sorted(linked - set(proof.content.host)):
        yield f"{name}: is linked by its package files, and not declared"


class _Seen:
    """What was found in a written archive; paths are below its top."""

    def __init__(self, proof: Proof) -> None:
        self._proof = proof
        self.work = proof.work
        self.links: dict[str, str] = {}
        self.digests: dict[str, str] = {}
        self.binaries: dict[str, Binary] = {}
        self.problems: list[str] = []

    def inner(self, name: str) -> str:
        """The path below the top folder; another one is a problem."""
        below = f"{self._proof.top}/"
        if not name.startswith(below):
            self.problems.append(f"{name}: is not in `{below}`")
        return name.removeprefix(below)

    def look(self, path: str, view: memoryview) -> None:
        """Read one binary."""
        try:
            binary = read(view)
            if binary.format == "macho":
                self.problems += [f"{path}: {fault}" for fault in signature_problems(view)]
        except BinaryError as error:
            self.problems.append(f"{path}: {error.message}")
            return
        if binary.is_loaded:
            self.binaries[path] = binary


def _look_into_zip(path: Path, seen: _Seen) -> None:
    with Zip(path) as archive:
        for entry in archive.entries:
            inner = seen.inner(entry.name)
            if entry.kind == "link":
                seen.links[inner] = archive.target(entry)
                continue
            seen.digests[inner] = ""
            may_be_binary = entry.size >= _HEAD and role_of(inner) not in {"header", "config"}
            if may_be_binary and looks_like(archive.head(entry, _HEAD)):
                with archive.content(entry, seen.work) as content:
                    seen.look(inner, content.view)


def _look_into_tar(path: Path, seen: _Seen) -> None:
    with open_source(path) as source:
        for member, stream in read_tar(source, path.name):
            inner = seen.inner(member.path)
            if member.kind == "link":
                seen.links[inner] = member.target
            elif member.kind == "file":
                _look_at_stream(inner, stream, seen)
            else:
                seen.problems.append(f"{inner}: is a {member.kind}")


def _look_at_stream(path: str, stream: Stream, seen: _Seen) -> None:
    digest = hashlib.sha256()
    spooled: Spooled | None = None
    head = window = stream.read(_WINDOW)
    if looks_like(head[:_HEAD]):
        spooled = Spooled(seen.work)
    try:
        while window:
            digest.update(window)
            if spooled is not None:
                spooled.append(window)
            window = stream.read(_WINDOW)
        if spooled is not None:
            seen.look(path, spooled.view)
    finally:
        if spooled is not None:
            spooled.close()
    seen.digests[path] = digest.hexdigest()


def _differences(seen: _Seen, proof: Proof, other: str = _CHANGED) -> Iterator[str]:
    """What the manifest says and the archive does not, and the other way round."""
    items = {item.path: item for item in proof.content.items}
    for path in sorted(items.keys() - (seen.links.keys() | seen.digests.keys())):
        yield f"{path}: is not in the archive"
    for path in sorted((seen.links.keys() | seen.digests.keys()) - {*items, proof.manifest}):
        yield f"{path}: is in the archive and not in its manifest"
    for path, item in items.items():
        row = proof.rows.get(f"{proof.top}/{path}")
        if seen.links.get(path, "") != item.link:
            yield f"{path}: is a link to `{seen.links.get(path, '')}`, not `{item.link}`"
        digests = {seen.digests.get(path, ""), row.digest if row is not None else ""}
        wanted = {"", item.sha256, encode_digest(bytes.fromhex(item.sha256))}
        if not item.link and digests - wanted:
            yield f"{path}: {other}"


def _unmet(seen: _Seen, proof: Proof) -> Iterator[str]:
    ends = {
        path: posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
        for path, target in seen.links.items()
    }
    rules = Rules(exclude=tuple(map(literal, proof.content.host)))
    members = with_aliases(seen.binaries, ends)
    nothing = proof.system.libraries(())
    closure = proof.system.resolve(members, rules, nothing, only_inside=True)
    for need in closure.of("missing", "python"):
        yield f"{need.requirer}: {need.name} is not in the archive, and not declared"
    for path, end in sorted(ends.items()):
        if end not in seen.digests and end not in ends:
            yield f"{path}: is a link to `{end}`, which is not in the archive"


def _leaving(seen: _Seen) -> Iterator[str]:
    for path, binary in seen.binaries.items():
        if binary.format == "elf":
            entries = leaving(path, binary)
        else:
            entries = tuple(entry for entry in binary.rpath if _leads_out(path, entry))
        for entry in entries:
            yield f"{path}: rpath entry {entry} leaves the archive"


def _leads_out(path: str, entry: str) -> bool:
    folder = posixpath.dirname(path)
    place = expand_entry(entry, folder, folder)
    return place.startswith(("/", "../")) or place in {"", ".."}
