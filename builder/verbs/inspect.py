"""`builder inspect`: what is in a wheel, a folder or a single binary, and which tag it deserves.

Nothing is unpacked, started, or looked up on this machine: the answer depends on the bytes alone.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from glob import escape
from pathlib import Path
from typing import IO

from builder.archive.refusals import Member
from builder.archive.wheel import Wheel, read_wheel, visit_files
from builder.binary import Binary, BinaryError, looks_like, read
from builder.errors import BuilderError, UsageError
from builder.relink.closure import Need, Rules, installed, resolve
from builder.relink.host import Host
from builder.relink.policy import Policy, blockers, lowest, policies, whitelist
from builder.relink.scan import Members, arch_of
from builder.verbs.inspection import (
    External,
    Failure,
    Found,
    Inspection,
    Kind,
    Platform,
    Subject,
    Unread,
)

__all__ = ["External", "Failure", "Found", "Inspection", "Platform", "Subject", "Unread", "inspect"]

_HEAD = 8
_CHUNK = 1 << 20
_LIBPYTHON = "libpython*.so*"
_LOADED = frozenset({"shared", "executable"})
_LATER = {
    ".conda": "a conda package",
    ".tar.bz2": "a conda package",
    ".tar": "an archive",
    ".tar.gz": "an archive",
    ".tgz": "an archive",
    ".tar.xz": "an archive",
    ".zip": "an archive",
    ".a": "a static library",
}


def inspect(paths: Sequence[Path]) -> Inspection:
    """Look into wheels, folders and single ELF binaries.

    A path that cannot be looked into (no wheel, hostile, damaged, of another kind) is a `Failure`
    and does not stop the others; so is a single file in a wheel or folder, as `Unread` of its
    subject. Raises `UsageError` when no path is given.
    """
    if not paths:
        raise UsageError("no file to inspect was given", hint="see `builder inspect --help`")
    subjects: list[Subject] = []
    failures: list[Failure] = []
    for path in paths:
        try:
            subjects.append(_look_into(path))
        except BuilderError as error:
            lines = (error.message, *error.faults)
            failures.append(Failure(_shown(path), "\n".join(lines), error.hint))
    return Inspection(tuple(subjects), tuple(failures))


def _look_into(path: Path) -> Subject:
    if path.is_dir():
        return _judge(path, "folder", _folder(path))
    if not path.is_file():
        raise UsageError(f"`{path}` is no file or folder", hint="check the path")
    if path.suffix == ".whl":
        wheel = read_wheel(path)
        tops = {installed(member.path).split("/", 1)[0] for member in wheel.members}
        return _judge(path, "wheel", _wheel(wheel), wheel.name.platforms, tops)
    later = next((what for end, what in _LATER.items() if path.name.endswith(end)), None)
    if later is not None:
        raise UsageError(
            f"`{path}` is {later}: not yet readable",
            hint="wheels, folders and single ELF files are; unpack it and give the folder",
        )
    return _judge(path, "binary", [Found(path.name, read(path))])


def _wheel(wheel: Wheel) -> tuple[Found | Unread, ...]:
    """The binaries of a wheel, read straight from the archive, one in memory at a time."""
    seen: list[Found | Unread] = []

    def visit(member: Member, file: IO[bytes]) -> None:
        head = file.read(_HEAD)
        match looks_like(head):
            case "elf":
                seen.append(_read(member.path, _rest(head, file)))
            case "macho" | "pe":
                seen.append(_read(member.path, head))

    visit_files(wheel, visit)
    return tuple(seen)


def _rest(head: bytes, file: IO[bytes]) -> memoryview:
    """Everything in a file whose head was read, without a second copy of it on the way."""
    content = bytearray(head)
    while chunk := file.read(_CHUNK):
        content += chunk
    return memoryview(content)


def _folder(root: Path) -> Iterator[Found | Unread]:
    """The binaries below a folder; what a symbolic link points to is looked at where it is."""
    for folder, folders, names in os.walk(root, onerror=_refuse):
        folders.sort()
        for name in sorted(names):
            file = Path(folder, name)
            path = _shown(file.relative_to(root))
            if file.is_symlink() or not file.is_file():
                continue
            try:
                with file.open("rb") as opened:
                    is_binary = looks_like(opened.read(_HEAD)) is not None
            except OSError as error:
                yield Unread(path, f"cannot be read: {error.strerror}")
                continue
            if is_binary:
                yield _read(path, file)


def _refuse(error: OSError) -> None:
    raise UsageError(
        f"`{error.filename}` cannot be read: {error.strerror}", hint="check its permissions"
    ) from error


def _read(path: str, source: Path | bytes | memoryview) -> Found | Unread:
    try:
        return Found(path, read(source))
    except BinaryError as error:
        own = f"`{source}`: " if isinstance(source, Path) else ""
        return Unread(path, error.message.removeprefix(own))


def _judge(
    path: Path,
    kind: Kind,
    seen: Iterable[Found | Unread],
    claimed: tuple[str, ...] = (),
    tops: Collection[str] = (),
) -> Subject:
    """Where everything the binaries need comes from, and what they deserve.

    `tops` are the names that a wheel puts into site-packages; what is next to them is another's.
    """
    everything = tuple(seen)
    found = tuple(row for row in everything if isinstance(row, Found))
    unread = tuple(row for row in everything if isinstance(row, Unread))
    if unread and not found:
        raise UsageError(
            f"`{path}` holds {len(unread)} binar{'y' if len(unread) == 1 else 'ies'}, "
            "none of which can be read",
            faults=[f"{row.path}: {row.reason}" for row in unread],
            hint="Mach-O and PE files are not yet readable; a damaged file has to be made again",
        )
    dynamic = {row.path: row.binary for row in found if row.binary.kind in _LOADED}
    members = Members(arch := _arch(dynamic, claimed), _of_machine(dynamic, arch))
    known = policies(arch, "musl" if members.is_musl else "glibc")
    external = tuple(_external(members.own, known, tops))
    if members.own:
        siblings = tuple(escape(row.name) for row in external if row.resolution == "sibling")
        platform = _platform(members, known, claimed, (_LIBPYTHON, *siblings))
    else:
        platform = Platform("any" if kind == "wheel" and not found else "", claimed)
    return Subject(_shown(path), kind, found, unread, external, platform)


def _arch(dynamic: Mapping[str, Binary], claimed: Iterable[str]) -> str:
    """The machine that is judged: the claimed one if any binary is for it, else the most common."""
    machines = [binary.machine for binary in dynamic.values()]
    said = arch_of(claimed)
    return said if said in machines else max(sorted(set(machines)), key=machines.count, default="")


def _of_machine(dynamic: Mapping[str, Binary], arch: str) -> Mapping[str, Binary]:
    return {path: binary for path, binary in dynamic.items() if binary.machine == arch}


def _platform(
    members: Members, known: Sequence[Policy], claimed: tuple[str, ...], outside: tuple[str, ...]
) -> Platform:
    """The verdict on binaries of one machine; `known` are its policies, the oldest first."""
    deserved = lowest(members.own, known, outside)
    too_low = known[: known.index(deserved)] if deserved else known
    asked = [policy for policy in too_low if not set(policy.tags).isdisjoint(claimed)]
    blamed = dict.fromkeys(policy.name for policy in (*asked, *too_low[-1:]))
    return Platform(
        deserved.name if deserved else f"linux_{members.arch}",
        claimed,
        tuple(
            blocker
            for policy in too_low
            if policy.name in blamed
            for blocker in blockers(members.own, policy, outside)
        ),
    )


def _external(
    own: Mapping[str, Binary], known: Sequence[Policy], tops: Collection[str]
) -> Iterator[External]:
    """Every needed library by name, found as a loader would in the installed subject."""
    nowhere = Host((), ())
    closure = resolve(own, Rules(system=whitelist(known)), nowhere, only_inside=True)
    by_name: dict[str, list[Need]] = {}
    for need in closure.needs:
        by_name.setdefault(need.name, []).append(need)
    for name, needs in sorted(by_name.items()):
        missing = [need for need in needs if need.outcome == "missing"]
        searched = dict.fromkeys(folder for need in missing for folder in need.searched)
        resolution = _resolution((missing or needs)[0], known)
        if missing and tops and all(_leads_out(need, tops) for need in missing):
            resolution = "sibling"
        requirers = tuple(sorted({need.requirer for need in missing or needs}))
        yield External(name, requirers, resolution, tuple(searched))


def _leads_out(need: Need, tops: Collection[str]) -> bool:
    """Whether an rpath of the requirer leads to what another wheel puts into site-packages."""
    firsts = {folder.split("/", 1)[0] for folder in need.searched}
    return not firsts <= {*tops, "", ".", ".."}


def _resolution(need: Need, known: Sequence[Policy]) -> str:
    match need.outcome:
        case "inside":
            folder = need.place.rpartition("/")[0]
            return "grafted" if folder.endswith(".libs") else "inside"
        case "system":
            promised = [policy.name for policy in known if need.name in policy.libraries]
            return f"whitelisted by {promised[0] if promised else 'every policy'}"
        case other:
            return other


def _shown(path: Path) -> str:
    """A path as text that can always be printed, whatever bytes the file system has in it."""
    return os.fsencode(path.as_posix()).decode("utf-8", "backslashreplace")
