"""Whatever can be looked into, as facts: wheels, conda packages, archives, folders, binaries.

What a file is, its first bytes say; only a wheel is known by its name, which is part of the format.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from builder.archive.file import first_bytes
from builder.archive.zip_entry import looks_like_zip
from builder.binary import BinaryError, looks_like, read
from builder.errors import UsageError
from builder.relink.facts import Facts, scan, scan_folder, scan_stream

if TYPE_CHECKING:
    from builder.archive.file import File
    from builder.archive.refusals import Member
    from builder.archive.tally import Tally
    from builder.archive.tar_source import Content
    from builder.relink.cache import FactCache
    from builder.relink.dll_folders import Registered

__all__ = ["Desk", "Kind", "Looked", "look_into"]

Kind = Literal["wheel", "conda", "archive", "static", "folder", "binary"]

_HEAD: Final = 512
_ZIPS: Final = frozenset({".zip", ".conda"})
_AR: Final = (b"!<arch>\n", b"!<thin>\n")
_LONGEST_INDEX: Final = 4 << 20
_KNOWN: Final = (
    "wheels, conda packages, zip and tar archives, static libraries, folders, and binaries for "
    "Linux, macOS and Windows can be looked into"
)
_CONDA_DLLS: Final = ("", "Library/bin", "Library/usr/bin", "Library/mingw-w64/bin", "DLLs", "bin")
"""Where conda's Python looks for DLLs, below the environment."""


@dataclass(frozen=True, slots=True)
class Desk:
    """Where and how work is done: big members lie in `folder`, of the temporary ones by default."""

    tally: Tally
    cache: FactCache | None = None
    folder: Path | None = None
    threads: int = 1


@dataclass(frozen=True, slots=True)
class Looked:
    """One subject. `claimed` are the platforms it is said to be for, by its name or its content.

    `registered` are the folders that a wheel for Windows hands to the loader.
    """

    kind: Kind
    facts: Facts
    claimed: tuple[str, ...] = ()
    registered: Registered | None = None


_Look = Callable[[Path, Desk], Facts]


def look_into(path: Path, desk: Desk) -> Looked:
    """The facts of one subject. Raises `UsageError` for what cannot be looked into at all."""
    if path.is_dir():
        return Looked("folder", scan_folder(path))
    if not path.is_file():
        raise UsageError(f"`{path}` is no file or folder", hint="check the path")
    if path.suffix == ".whl":
        return _wheel(path, desk)
    kind, look = _way(path)
    if kind == "binary":
        return Looked(kind, look(path, desk))
    facts = _remembered(path, desk, look)
    if kind != "conda" and not facts.claimed:
        return Looked(kind, facts)
    from builder.relink.dll_folders import Registered  # noqa: PLC0415  # of Windows

    registered = Registered(_CONDA_DLLS) if _is_for_windows(facts) else None
    return Looked("conda", facts, facts.claimed, registered)


def _remembered(path: Path, desk: Desk, look: _Look) -> Facts:
    """What the cache knows of an archive, or what it is told now."""
    if desk.cache is None:
        return look(path, desk)
    # Asked before the archive is opened, so that no other file can get its name in between.
    place = desk.cache.look(path)
    if place.facts is not None:
        return place.facts
    facts = look(path, desk)
    desk.cache.keep(place, facts)
    return facts


def _way(path: Path) -> tuple[Kind, _Look]:
    """What a file is by its first bytes, and how to look into it; the rest has to be a binary."""
    head = first_bytes(path, _HEAD)
    if looks_like_zip(head) or path.suffix in _ZIPS:
        return ("conda", _conda) if path.suffix == ".conda" else ("archive", _zip)
    if head.startswith(_AR):
        return "static", _static
    format_ = looks_like(head)
    if format_ == "macho" and _is_universal_static(path):
        return "static", _static
    if format_ is not None:
        return "binary", _binary
    from builder.archive.tar import looks_like_tar  # noqa: PLC0415  # rarely met
    from builder.archive.tar_source import packing_of  # noqa: PLC0415  # as above

    return ("archive", _tar) if packing_of(head) or looks_like_tar(head) else ("binary", _binary)


def _binary(path: Path, _: Desk) -> Facts:
    try:
        return Facts({path.name: read(path)})
    except BinaryError as error:
        raise UsageError(error.message, hint=error.hint or _KNOWN) from error


def _wheel(path: Path, desk: Desk) -> Looked:
    facts = _remembered(path, desk, _judged_wheel)
    words = path.name.removesuffix(".whl").split("-")
    platforms = tuple(sorted(set(words[-1].split("."))))
    if not _is_for_windows(facts):
        return Looked("wheel", facts, platforms)
    from builder.archive.zip_read import Zip  # noqa: PLC0415  # not for what the cache knows
    from builder.relink.dll_folders import registered_folders  # noqa: PLC0415  # Windows only

    with Zip(path, desk.tally) as archive:
        entries = {entry.name: entry for entry in archive.entries}
        folders = registered_folders(
            words[0], facts.binaries, entries, lambda name: archive.read(entries[name])
        )
    return Looked("wheel", facts, platforms, folders)


def _is_for_windows(facts: Facts) -> bool:
    return any(binary.format == "pe" for binary in facts.binaries.values())


def _judged_wheel(path: Path, desk: Desk) -> Facts:
    from builder.archive.wheel import WheelError, WheelName, judge  # noqa: PLC0415  # as above
    from builder.archive.zip_read import Zip, ZipError  # noqa: PLC0415  # as above

    WheelName.parse(path.name)
    try:
        with Zip(path, desk.tally) as archive:
            judge(archive)
            return scan(archive, folder=_folder(desk), threads=desk.threads)
    except ZipError as error:
        raise WheelError(path.name, (f"damaged: {error.fault}",)) from error


def _zip(path: Path, desk: Desk) -> Facts:
    from builder.archive.refusals import Member  # noqa: PLC0415  # as above
    from builder.archive.zip_read import Zip  # noqa: PLC0415  # as above

    with Zip(path, desk.tally) as archive:
        members = [
            Member(entry.name, entry.kind, entry.size, target=archive.target(entry))
            for entry in archive.entries
        ]
        _refuse(path, members, archive.size)
        return scan(archive, folder=_folder(desk), threads=desk.threads)


def _conda(path: Path, desk: Desk) -> Facts:
    from builder.archive.conda import read_conda  # noqa: PLC0415  # as above
    from builder.archive.zip_read import Zip  # noqa: PLC0415  # as above

    with Zip(path, desk.tally) as archive:
        return _tree(path, read_conda(archive), desk)


def _tar(path: Path, desk: Desk) -> Facts:
    from builder.archive.tar import read_tar  # noqa: PLC0415  # as above
    from builder.archive.tar_source import open_source  # noqa: PLC0415  # as above

    with open_source(path) as source:
        return _tree(path, read_tar(source, path.name), desk)


def _tree(path: Path, members: Iterable[tuple[Member, Content]], desk: Desk) -> Facts:
    """The facts of a tree that comes as a stream; a conda package says what it is for."""
    from builder.archive.conda import INDEX, subdir_of  # noqa: PLC0415  # as above

    seen: list[Member] = []
    index = b""

    def noted() -> Iterator[tuple[Member, Content]]:
        nonlocal index
        for member, content in members:
            seen.append(member)
            if member.path == INDEX and member.size <= _LONGEST_INDEX:
                index = content.read(member.size)
            yield member, content

    facts = scan_stream(noted(), _folder(desk), desk.tally)
    _refuse(path, seen, path.stat().st_size)
    return replace(facts, claimed=subdir_of(index))


def _static(path: Path, desk: Desk) -> Facts:
    """The objects of a static library; several of one name are told apart by numbers."""
    from builder.archive.ar import read_ar, universal_parts  # noqa: PLC0415  # as above
    from builder.archive.file import File  # noqa: PLC0415  # as above
    from builder.archive.tar_source import Part  # noqa: PLC0415  # as above

    names: dict[str, int] = {}

    def numbered(file: File) -> Iterator[tuple[Member, Content]]:
        whole = ("", 0, os.fstat(file.descriptor).st_size)
        for machine, place, size in universal_parts(file.read) or (whole,):
            for member, content in read_ar(Part(file, place, size), path.name):
                name = f"{machine}/{member.name}" if machine else member.name
                names[name] = count = names.get(name, 0) + 1
                yield replace(member, name=name if count == 1 else f"{name} ({count})"), content

    with File.open(path) as file:
        facts = scan_stream(numbered(file), _folder(desk), desk.tally, objects=True)
    others = sum(names.values()) - len(facts.binaries) - len(facts.broken)
    notes = (f"{others} of its members are no objects",) if others else ()
    return replace(facts, tops=(), notes=notes)


def _is_universal_static(path: Path) -> bool:
    from builder.archive.ar import universal_parts  # noqa: PLC0415  # as above
    from builder.archive.file import File  # noqa: PLC0415  # as above

    with File.open(path) as file:
        return bool(universal_parts(file.read))


def _refuse(path: Path, members: Sequence[Member], packed: int) -> None:
    """Raise `ArchiveError` for names and sizes that nobody should unpack."""
    from builder.archive.refusals import harm  # noqa: PLC0415  # as above
    from builder.archive.tar_source import ArchiveError  # noqa: PLC0415  # as above

    if faults := tuple(map(str, harm(members, packed))):
        raise ArchiveError(path.name, faults, hint="check where it comes from")


def _folder(desk: Desk) -> Path:
    if desk.folder is not None:
        return desk.folder
    from tempfile import gettempdir  # noqa: PLC0415  # slow to load

    return Path(gettempdir())
