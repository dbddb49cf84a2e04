"""Reading an artifact once: names, digests, binaries, and traces of the building machine.

Nothing is unpacked, so a hostile archive does no harm; what makes it hostile is told as faults.
"""

from __future__ import annotations

import re
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import IO

from builder.archive.record import encode_digest
from builder.archive.refusals import Limits, refuse
from builder.archive.refusals import Member as Entry
from builder.binary import Binary, BinaryError, read
from smoke.subject import Content, Leak, Member

__all__ = ["SITE", "read_folder", "read_wheel", "scanner"]

SITE = "lib/python3/site-packages"
"""Where a wheel's root is in the installed layout; the middle folder's name never matters."""

_WINDOW = 1 << 20
_LEAKS_PER_FILE = 3
_MAGIC = b"\x7fELF"
_TEXTS = re.compile(r"^[^/]+\.dist-info/(METADATA|WHEEL|RECORD)$")
_DATA = re.compile(r"^[^/]+\.data/(purelib|platlib|scripts|data|headers)/(.+)$")
_SCHEMES = {
    "purelib": SITE,
    "platlib": SITE,
    "scripts": "bin",
    "data": "",
    "headers": "include/python3",
}

Scan = Callable[[Iterable[bytes]], tuple[Leak, ...]]


def read_wheel(path: Path, build_paths: Sequence[str] = ()) -> Content:
    """Everything in a wheel. A file that is no zip at all gives a Content with that one fault."""
    scan = scanner(build_paths)
    members: list[Member] = []
    damaged: list[str] = []
    texts: dict[str, str] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            faults = list(_hostile(archive.infolist(), path.stat().st_size))
            infos = [info for info in archive.infolist() if not info.is_dir()]
            for info in infos if not faults else ():
                try:
                    with archive.open(info) as stream:
                        member, text, damage = _read_member(
                            info.filename, _installed(info.filename), stream, scan
                        )
                except (zipfile.BadZipFile, NotImplementedError, EOFError, zlib.error) as error:
                    faults.append(f"{info.filename}: {error}")
                    continue
                members.append(member)
                texts |= text
                damaged += damage
    except (zipfile.BadZipFile, OSError) as error:
        faults = [f"{path.name}: {error}"]
    return Content(
        tuple(members), tuple(faults), tuple(damaged), MappingProxyType(dict(sorted(texts.items())))
    )


def read_folder(path: Path, build_paths: Sequence[str] = ()) -> Content:
    """Everything below a folder. Links that leave it are faults."""
    scan = scanner(build_paths)
    root = path.resolve()
    members: list[Member] = []
    damaged: list[str] = []
    faults: list[str] = []
    for file in sorted(root.rglob("*")):
        name = file.relative_to(root).as_posix()
        if file.is_symlink():
            target = file.resolve()
            if target.is_relative_to(root) and target.exists():
                link = target.relative_to(root).as_posix()
                members.append(Member(name, name, 0, "", link=link))
            else:
                faults.append(f"{name}: a link to {file.readlink()}, which is not in the folder")
        elif file.is_file():
            with file.open("rb") as stream:
                member, _, damage = _read_member(name, name, stream, scan)
            members.append(member)
            damaged += damage
    return Content(tuple(members), tuple(faults), tuple(damaged))


def scanner(build_paths: Sequence[str]) -> Scan:
    """A function that finds the first places where one of the paths is written into a stream.

    A path counts as a whole: `/home/me` is neither found in `/home/mere` nor in `/mnt/home/me`.
    """
    needles = sorted({text.rstrip("/").encode() for text in build_paths} - {b""})
    if not needles:
        return lambda _windows: ()
    longest = max(map(len, needles))
    pattern = re.compile(
        rb"(?<![A-Za-z0-9_.-])(?:" + b"|".join(map(re.escape, needles)) + rb")(?![A-Za-z0-9_.-])"
    )

    def scan(windows: Iterable[bytes]) -> tuple[Leak, ...]:
        found: dict[int, Leak] = {}
        for start, window, final in _overlapping(windows, longest + 1):
            for match in pattern.finditer(window):
                # A hit at an inner edge lacks the byte beyond it; the neighbour window has it.
                whole = (final or match.end() < len(window)) and (not start or match.start())
                if whole and len(found) < _LEAKS_PER_FILE:
                    offset = start + match.start()
                    found.setdefault(offset, Leak(offset, _excerpt(window, match.start())))
        return tuple(found.values())

    return scan


def _overlapping(windows: Iterable[bytes], overlap: int) -> Iterator[tuple[int, bytes, bool]]:
    """Each window with the end of the one before it, its offset, and whether it is the last."""
    offset, tail = 0, b""
    pending: tuple[int, bytes] | None = None
    for window in windows:
        if pending:
            yield *pending, False
        pending = (offset - len(tail), tail + window)
        offset += len(window)
        tail = pending[1][-overlap - 1 :]
    if pending:
        yield *pending, True


def _excerpt(window: bytes, start: int) -> str:
    """The text around a hit, as `strings` would show it."""
    end = start
    while end < len(window) and end - start < 120 and 32 <= window[end] < 127:  # noqa: PLR2004  # printable ASCII, a few lines
        end += 1
    while start > 0 and end - start < 160 and 32 <= window[start - 1] < 127:  # noqa: PLR2004  # printable ASCII, a few lines
        start -= 1
    return window[start:end].decode("ascii")


def _read_member(
    name: str, installed: str, stream: IO[bytes], scan: Scan
) -> tuple[Member, dict[str, str], list[str]]:
    """One file as a Member; the text of a metadata file; why a binary does not parse."""
    digest, size = sha256(), 0
    keep = bool(_TEXTS.match(name))
    kept: list[bytes] = []

    def windows() -> Iterator[bytes]:
        nonlocal size, keep
        while window := stream.read(_WINDOW):
            keep = keep or (size == 0 and window.startswith(_MAGIC))
            digest.update(window)
            size += len(window)
            if keep:
                kept.append(window)
            yield window

    read_all = windows()
    leaks = scan(read_all)
    for _ in read_all:
        pass
    content = b"".join(kept)
    binary, damage = _parse(name, content) if content.startswith(_MAGIC) else (None, [])
    text = {name: content.decode("utf-8", "replace")} if _TEXTS.match(name) else {}
    return (
        Member(name, installed, size, encode_digest(digest.digest()), binary, leaks),
        text,
        damage,
    )


def _parse(name: str, content: bytes) -> tuple[Binary | None, list[str]]:
    try:
        return read(content), []
    except BinaryError as error:
        return None, [f"{name}: {error}"]


def _installed(name: str) -> str:
    """Where a member of a wheel ends up below the prefix."""
    if match := _DATA.match(name):
        folder = _SCHEMES[match[1]]
        return f"{folder}/{match[2]}" if folder else match[2]
    return f"{SITE}/{name}"


def _hostile(infos: Sequence[zipfile.ZipInfo], packed: int) -> Iterator[str]:
    """Why this archive must not be unpacked. A clash of case is legal in a wheel for Linux."""
    entries = tuple(
        Entry(
            info.orig_filename,
            "directory" if info.is_dir() else "file",
            info.file_size,
            encrypted=bool(info.flag_bits & 1),
        )
        for info in infos
    )
    for refusal in refuse(entries, packed, Limits()):
        if refusal.rule != "case":
            yield f"{refusal.member}: {refusal.why}"
    for info in infos:
        if stat.S_ISLNK(info.external_attr >> 16):
            yield f"{info.filename}: a symbolic link, which installers write as a text file"
        if {"", "."} & set(info.filename.removesuffix("/").split("/")):
            yield f"{info.filename}: the path is not normal"
