"""Reading an artifact once: names, digests, binaries, metadata, and traces of the building machine.

Nothing is unpacked, so a hostile archive does no harm; what makes it hostile is told as faults. The
bytes of one member are in memory when they are few, else in a file that nobody sees.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from tempfile import gettempdir
from types import MappingProxyType
from typing import Final, Protocol

from builder.archive.conda import INDEX, open_package, subdir_of
from builder.archive.content import MANIFEST
from builder.archive.content import Content as Manifest
from builder.archive.file import BIG, File, first_bytes
from builder.archive.record import encode_digest
from builder.archive.refusals import Limits, harm
from builder.archive.refusals import Member as Listed
from builder.archive.tar import read_tar
from builder.archive.tar_source import Content as Stream
from builder.archive.tar_source import open_source
from builder.archive.wheel_rules import member_of, refusals
from builder.archive.workers import on_each
from builder.archive.zip_entry import looks_like_zip
from builder.archive.zip_read import Entry, Zip, ZipError
from builder.binary import Binary, BinaryError, Flaw, flaws, looks_like, read
from builder.errors import BuilderError
from builder.relink.dll_folders import Registered, registered_folders
from builder.relink.facts import followed, target_of
from smoke.subject import Content, Kind, Member, Trace
from smoke.traces import Scan, scanner, secrets

__all__ = ["SITE", "Reading", "read_content"]

SITE: Final = "lib/python3/site-packages"
"""Where a wheel's root is in the installed layout; the middle folder's name never matters."""

_HEAD: Final = 8
_LONGEST_TEXT: Final = 64 << 20
_MOST_THREADS: Final = 8
_WORTH_A_THREAD: Final = 1 << 20
_TEXTS: Final = re.compile(
    r"[^/]+\.dist-info/(METADATA|WHEEL|RECORD|entry_points\.txt|sboms/.+\.json|licenses/.+"
    r"|(?:LICEN[CS]E|COPYING|NOTICE|AUTHORS)[^/]*)"
    r"|info/(index|about|paths|run_exports)\.json|info/recipe/.+\.yaml"
    r"|(.+/)?build-[a-z-]+(\.json)?"
    r"|.+\.(cmake|pc)|(.+/)?[^/]+-config"
)
_DATA: Final = re.compile(r"[^/]+\.data/(purelib|platlib|scripts|data|headers)/(.+)")
_SCHEMES: Final = {
    "purelib": SITE,
    "platlib": SITE,
    "scripts": "bin",
    "data": "",
    "headers": "include/python3",
}


@dataclass(frozen=True, slots=True)
class Reading:
    """How an artifact is read: what it may not name, and where its big members lie meanwhile."""

    build_paths: tuple[str, ...] = ()
    folder: Path = field(default_factory=lambda: Path(gettempdir()))
    threads: int = field(default_factory=lambda: min(_MOST_THREADS, os.cpu_count() or 1))


class _Raw(Protocol):
    """The bytes of one member: `Held`, `Spooled`, or a file where it lies."""

    @property
    def size(self) -> int: ...

    def read(self, offset: int, size: int, /) -> bytes: ...

    def windows(self) -> Iterator[bytes]: ...


_Source = Callable[[], Path | memoryview]


@dataclass(slots=True)
class _Found:
    """What was read so far; threads only append."""

    scan: Scan
    members: list[Member] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)

    def note(self, name: str, installed: str, raw: _Raw, digest: bytes, source: _Source) -> None:
        """One file and its sha256. `source` is what is read as a binary if it begins like one."""
        traces = self.scan(raw.windows())
        binary, wrong = None, tuple[Flaw, ...]()
        if looks_like(raw.read(0, _HEAD)):
            binary, wrong = self._parsed(name, source())
        else:
            traces += self._words(name, raw)
        row = encode_digest(digest)
        self.members.append(Member(name, installed, raw.size, row, binary, traces, flaws=wrong))

    def content(self, claimed: tuple[str, ...] = ()) -> Content:
        """All of it, sorted by name: threads finish in any order."""
        return Content(
            tuple(sorted(self.members, key=lambda member: member.name)),
            tuple(self.faults),
            tuple(sorted(self.damaged)),
            MappingProxyType(dict(sorted(self.texts.items()))),
            claimed,
        )

    def _parsed(
        self, name: str, source: Path | memoryview
    ) -> tuple[Binary | None, tuple[Flaw, ...]]:
        """What is in a binary and what is wrong with it; of a damaged one, what is fatal."""
        try:
            binary = read(source)
        except BinaryError as error:
            self.damaged.append(f"{name}: {error.message}")
            try:
                return None, tuple(flaw for flaw in flaws(source) if flaw.fatal)
            except BinaryError:
                return None, ()
        return binary, flaws(source)

    def _words(self, name: str, raw: _Raw) -> tuple[Trace, ...]:
        """The secrets in a text; its words are kept when it is metadata."""
        is_metadata = _TEXTS.fullmatch(name) is not None and raw.size <= _LONGEST_TEXT
        if raw.size > BIG and not is_metadata:
            return ()
        content = raw.read(0, raw.size)
        if is_metadata:
            self.texts[name] = content.decode("utf-8", "replace")
        return secrets(content)


def read_content(path: Path, kind: Kind, reading: Reading) -> Content:
    """Everything in a wheel, a conda package, another archive, a folder or a single binary.

    A file that is not what its name says gives a Content with that one fault.
    """
    found = _Found(scanner(reading.build_paths))
    look = {"wheel": _wheel, "conda": _conda, "archive": _archive, "binary": _binary}.get(
        kind, _folder
    )
    try:
        return look(path, found, reading)
    except ZipError as error:
        faults: tuple[str, ...] = (error.fault,)
    except BuilderError as error:
        faults = tuple(error.faults) or (error.message,)
    return Content((), tuple(f"{path.name}: {fault}" for fault in faults))


def _binary(path: Path, found: _Found, _: Reading) -> Content:
    _on_disk(path, path.name, found)
    return found.content()


def _wheel(path: Path, found: _Found, reading: Reading) -> Content:
    platforms = tuple(sorted(set(path.stem.rsplit("-", 1)[-1].split("."))))
    with Zip(path) as archive:
        found.faults += _not_for_wheels(archive)
        if found.faults:
            return found.content(platforms)
        _members(archive, found, reading, _installed)
        content = found.content(platforms)
        if any(binary.format == "pe" for _, binary in content.binaries):
            return replace(content, registered=_registered(archive, content, path))
        return content


def _registered(archive: Zip, content: Content, path: Path) -> Registered:
    """The folders of DLLs that a wheel hands to Windows, in the installed layout."""
    entries = {entry.name: entry for entry in archive.entries}
    folders = registered_folders(
        path.name.split("-", 1)[0],
        [member.name for member, _ in content.binaries],
        entries,
        lambda name: archive.read(entries[name]),
    )
    return replace(folders, folders=tuple(f"{SITE}/{folder}" for folder in folders.folders))


def _conda(path: Path, found: _Found, reading: Reading) -> Content:
    with open_package(path) as members:
        _stream(path, members, found, reading)
    return found.content(subdir_of(found.texts.get(INDEX, "").encode()))


def _archive(path: Path, found: _Found, reading: Reading) -> Content:
    if looks_like_zip(first_bytes(path, 4)):
        with Zip(path) as archive:
            listed = [
                replace(member_of(entry), target=archive.target(entry)) for entry in archive.entries
            ]
            found.faults += _faults(listed, path)
            if not found.faults:
                _members(archive, found, reading, str)
                _links(listed, found)
    else:
        with open_source(path) as source:
            _stream(path, read_tar(source, path.name), found, reading)
    return replace(found.content(), host=_expected(found.texts))


def _expected(texts: Mapping[str, str]) -> tuple[str, ...] | None:
    """The libraries that the list of contents in an archive expects on the host; None without one."""
    for name, text in texts.items():
        if posixpath.basename(name) == MANIFEST and name.count("/") == 1:
            try:
                return Manifest.parse(text.encode(), name).host
            except BuilderError:
                return None
    return None


def _members(archive: Zip, found: _Found, reading: Reading, place: Callable[[str], str]) -> None:
    """Every file of a zip, big ones several at once, what takes longest first."""
    entries = [entry for entry in archive.entries if entry.kind == "file"]
    entries.sort(key=lambda entry: -entry.size)

    def look(entry: Entry) -> None:
        digest = sha256()
        try:
            with archive.content(entry, reading.folder, digest.update) as raw:
                name = entry.name
                found.note(name, place(name), raw, digest.digest(), lambda: raw.view)
        except ZipError as error:
            found.faults.append(f"{entry.name}: {error.fault}")

    # Small ones keep the interpreter busy: threads would only wait for each other.
    worth = [entry for entry in entries if entry.size >= _WORTH_A_THREAD]
    on_each(look, worth, reading.threads)
    on_each(look, entries[len(worth) :], 1)
    found.faults.sort()


def _stream(
    path: Path, members: Iterable[tuple[Listed, Stream]], found: _Found, reading: Reading
) -> None:
    """Every member of a tree that comes front to back."""
    listed: list[Listed] = []
    for member, stream in members:
        listed.append(member)
        if member.kind == "file":
            digest = sha256()
            with stream.whole(reading.folder, also=digest.update) as raw:
                name, done = member.path, digest.digest()
                found.note(name, name, raw, done, lambda raw=raw: raw.view)  # type: ignore[misc]  # mypy#1484
    found.faults += _faults(listed, path)
    if not found.faults:
        _links(listed, found)


def _links(listed: Sequence[Listed], found: _Found) -> None:
    """The links of an archive as members, with what they lead to in the end."""
    first = {
        member.path: target_of(member) for member in listed if member.kind in {"link", "hardlink"}
    }
    for name, target in followed(first).items():
        found.members.append(Member(name, name, 0, "", link=target))


def _folder(root: Path, found: _Found, reading: Reading) -> Content:
    """Everything below a folder. Links that leave it are faults."""
    real = root.resolve()
    files: list[tuple[Path, str]] = []
    for file in sorted(real.rglob("*")):
        name = file.relative_to(real).as_posix()
        if file.is_symlink():
            target = file.resolve()
            if target.is_relative_to(real) and target.exists():
                link = target.relative_to(real).as_posix()
                found.members.append(Member(name, name, 0, "", link=link))
            else:
                found.faults.append(
                    f"{name}: a link to {file.readlink()}, which is not in the folder"
                )
        elif file.is_file():
            files.append((file, name))
    on_each(lambda one: _on_disk(one[0], one[1], found), files, reading.threads)
    return found.content()


class _Lying:
    """A file where it lies, as the bytes of a member."""

    def __init__(self, file: File) -> None:
        self.size = os.fstat(file.descriptor).st_size
        self.read, self._file = file.read, file

    def windows(self) -> Iterator[bytes]:
        return self._file.windows(0, self.size)


def _on_disk(path: Path, name: str, found: _Found) -> None:
    try:
        file = File.open(path)
    except OSError as error:
        found.faults.append(f"{name}: cannot be read: {error.strerror}")
        return
    with file:
        raw, digest = _Lying(file), sha256()
        for window in raw.windows():
            digest.update(window)
        found.note(name, name, raw, digest.digest(), lambda: path)


def _installed(name: str) -> str:
    """Where a member of a wheel ends up below the prefix."""
    if match := _DATA.fullmatch(name):
        folder = _SCHEMES[match[1]]
        return f"{folder}/{match[2]}" if folder else match[2]
    return f"{SITE}/{name}"


def _faults(listed: Sequence[Listed], path: Path) -> Iterator[str]:
    """Why an archive must not be unpacked."""
    return (f"{one.member}: {one.why}" for one in harm(listed, path.stat().st_size))


def _not_for_wheels(archive: Zip) -> Iterator[str]:
    """Why a wheel must not be installed."""
    if not refusals(archive, Limits()):
        return  # it obeys rules that are stricter, and quicker to look at
    yield from _faults([member_of(entry) for entry in archive.entries], archive.path)
    for entry in archive.entries:
        if entry.kind == "link":
            yield f"{entry.name}: a symbolic link, which installers write as a text file"
        if {"", "."} & set(entry.name.removesuffix("/").split("/")):
            yield f"{entry.name}: the path is not normal"
