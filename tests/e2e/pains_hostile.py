"""Wheels that nobody should trust, made with the standard library, and calls of the command that looks at them."""

from __future__ import annotations

import base64
import hashlib
import stat
import struct
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import builder
from tests.data.make_elf import Elf, assemble

__all__ = ["HOSTILE", "NAME", "Call", "Member", "made", "module", "state"]

NAME = "w-1-cp311-cp311-linux_x86_64.whl"
ROOT = Path(builder.__file__).parents[1]
_WHEEL = "Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: cp311-cp311-linux_x86_64\n"
_CENTRAL = b"PK\x01\x02"


@dataclass(frozen=True)
class Member:
    """One member of an archive, and how it is unusual."""

    name: str
    content: bytes = b"x"
    mode: int = stat.S_IFREG | 0o644
    method: int = zipfile.ZIP_DEFLATED


def module(*needed: str, glibc: str = "2.2.5") -> bytes:
    """A library for x86_64 that needs these and the C library."""
    names = (("getrandom", f"GLIBC_{glibc}", "libc.so.6"),)
    return assemble(Elf(needed=(*needed, "libc.so.6"), undefined=names))


def row(member: Member) -> str:
    """The true line of RECORD."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(member.content).digest()).decode().rstrip("=")
    name = member.name
    if set(name) & set(',"'):
        name = '"' + name.replace('"', '""') + '"'
    return f"{name},sha256={digest},{len(member.content)}\n"


def made(
    folder: Path, *more: Member, record: str | None = None, name: str = NAME, tag: str = ""
) -> Path:
    """A wheel with one module and these members; its RECORD is true unless another one is given."""
    info = _WHEEL.replace("linux_x86_64", tag) if tag else _WHEEL
    members = (
        Member("w/x.so", module()),
        *more,
        Member("w-1.dist-info/METADATA", b"Metadata-Version: 2.1\nName: w\nVersion: 1\n"),
        Member("w-1.dist-info/WHEEL", info.encode()),
    )
    itself = "w-1.dist-info/RECORD"
    text = "".join(map(row, members)) + f"{itself},,\n" if record is None else record
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as archive:
        warnings.simplefilter("ignore")  # of names that are there twice
        for member in (*members, Member(itself, text.encode("utf-8", "surrogateescape"))):
            entry = zipfile.ZipInfo(member.name, (2024, 1, 1, 0, 0, 0))
            entry.external_attr = member.mode << 16
            archive.writestr(entry, member.content, member.method)
    return path


def _changed(path: Path, change: Callable[[bytes], bytes]) -> Path:
    path.write_bytes(change(path.read_bytes()))
    return path


def _with(content: bytes, name: bytes, offset: int, layout: str, value: int) -> bytes:
    """The same archive with one number in the directory's entry of a member changed."""
    place = content.rindex(_CENTRAL, 0, content.rindex(name))
    raw = struct.pack(layout, value)
    return content[: place + offset] + raw + content[place + offset + len(raw) :]


def _overlapping(folder: Path) -> Path:
    """Two members that have the same bytes of the archive."""
    path = made(folder, Member("w/one", b"1" * 64), Member("w/two", b"1" * 64))
    with zipfile.ZipFile(path) as archive:
        first = archive.getinfo("w/one").header_offset
    return _changed(path, lambda content: _with(content, b"w/two", 42, "<L", first))


def _short(folder: Path) -> Path:
    """A library that unfolds to more than its archive says."""
    path = made(folder, Member("w/y.so", module() + bytes(1 << 20)))
    return _changed(path, lambda content: _with(content, b"w/y.so", 24, "<L", 4096))


HOSTILE: dict[str, tuple[Callable[[Path], Path], str]] = {
    "empty": (lambda folder: _changed(made(folder), lambda _: b""), "no end record"),
    "no zip": (lambda folder: _changed(made(folder), lambda _: b"no zip" * 99), "no end record"),
    "truncated": (
        lambda folder: _changed(made(folder), lambda content: content[: len(content) * 2 // 3]),
        "no end record",
    ),
    "front is gone": (lambda folder: _changed(made(folder), lambda content: content[99:]), "does not end"),
    "more behind": (lambda folder: _changed(made(folder), lambda it: it + b"more"), "bytes behind"),
    "more before": (lambda folder: _changed(made(folder), lambda it: b"more" + it), "does not end"),
    "damaged member": (
        lambda folder: _changed(made(folder), lambda it: it[:90] + b"\xff" * 40 + it[130:]),
        "w/x.so",
    ),
    "RECORD is no text": (
        lambda folder: made(folder, record="w/x.so,\udcff,\n"), "RECORD is not UTF-8",
    ),
    "name twice": (lambda folder: made(folder, Member("w/x.so", module("libz.so.1"))), "twice"),
    "file and folder": (lambda folder: made(folder, Member("w/x.so/y")), "not a folder"),
    "up and out": (lambda folder: made(folder, Member("../evil.py")), "`..`"),
    "absolute": (lambda folder: made(folder, Member("/tmp/evil.py")), "absolute"),
    "drive": (lambda folder: made(folder, Member("C:/evil.py")), "absolute"),
    "backslash": (
        lambda folder: _changed(
            made(folder, Member("w/..~evil.py")), lambda it: it.replace(b"..~", b"..\\")
        ),
        "backslash",
    ),
    "link that leaves": (
        lambda folder: made(folder, Member("w/l.so", b"../../lib", stat.S_IFLNK | 0o777)),
        "cannot hold links",
    ),
    "link inside": (
        lambda folder: made(folder, Member("w/l.so", b"x.so", stat.S_IFLNK | 0o777)),
        "cannot hold links",
    ),
    "device": (lambda folder: made(folder, Member("w/null", b"", stat.S_IFCHR | 0o666)), "no devices"),
    "bomb": (lambda folder: made(folder, Member("w/zeros", bytes(80 << 20))), "more than 250 times"),
    "bomb that lies": (_short, "w/y.so"),
    "shared bytes": (_overlapping, "w/two"),
    "encrypted": (
        lambda folder: _changed(made(folder), lambda it: _with(it, b"w/x.so", 8, "<H", 1)),
        "password",
    ),
    "unknown method": (
        lambda folder: made(folder, Member("w/y", b"y" * 99, method=zipfile.ZIP_LZMA)),
        "not deflate",
    ),
    "two wheels in one": (
        lambda folder: made(folder, Member("v-2.dist-info/METADATA")), "2 dist-info folders",
    ),
    "no wheel at all": (
        lambda folder: _changed(made(folder), lambda it: it.replace(b"dist-info", b"dist-mess")),
        "0 dist-info folders",
    ),
    "another project": (lambda folder: made(folder, name=NAME.replace("w-1", "v-1")), "belong"),
    "file name of no wheel": (lambda folder: made(folder, name="w.whl"), "w.whl"),
}  # fmt: skip
"""For each kind of trouble: how to make it, and what the error has to say."""


def state(folder: Path) -> dict[str, tuple[int, int, int, bytes]]:
    """Everything below a folder, so exactly that nothing can be touched unseen."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        content = path.read_bytes() if path.is_file() else b""
        found[str(path)] = (status.st_ino, status.st_mtime_ns, status.st_nlink, content)
    return found


@dataclass(frozen=True)
class Call:
    """A call of `builder` in a process of its own, and what it left behind."""

    code: int
    out: str
    err: str

    @classmethod
    def of(cls, words: Iterable[object], temporary: Path, *before: str) -> Call:
        """Call it; `before` are words of a program that starts it."""
        argv = [*before, sys.executable, "-m", "builder", *map(str, words)]
        home = {
            "HOME": str(temporary),
            "TMPDIR": str(temporary),
            "BUILDER_CACHE": str(temporary / "cache"),
        }
        done = subprocess.run(
            argv, capture_output=True, text=True, check=False, cwd=ROOT,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **home},
        )  # fmt: skip
        return cls(done.returncode, done.stdout, done.stderr)

    @property
    def errors(self) -> list[str]:
        """What it complains about: the first line of each complaint."""
        return [line for line in self.err.splitlines() if line.startswith(("error:", "Traceback"))]
