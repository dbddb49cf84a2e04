"""Take a published wheel apart again: the wheel as its build left it, and the libraries it lacks.

`auditwheel` and `delvewheel` add a digest to the names of what they graft and `delocate` makes up
install names; all of that is taken back with tools that are not ours, so the result is honest input
for a repair. Members that need no change keep their compressed bytes.
"""

from __future__ import annotations

import base64
import copy
import csv
import hashlib
import io
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Literal

import pefile
from repairwheel.macos.machosign import ad_hoc_sign

__all__ = ["drop", "unbundle", "vendored"]

_Format = Literal["elf", "macho", "pe"]

_GRAFTED = re.compile(r"(?:[^/]+\.data/platlib/)?[^/]+\.libs/.*|(?:[^/]+/)*[^/]*\.dylibs/.*")
_HASHED = re.compile(r"(?P<stem>[^.]+)-(?:[0-9a-f]{8}|[0-9a-f]{32})(?P<suffix>\..+)")
_PATCH = re.compile(
    rb'(?:"""""" )?# start delvewheel patch\r?\n.*?# end delvewheel patch\r?\n(?:\r?\n)?', re.DOTALL
)
_TRACES = re.compile(r"[^/]+\.dist-info/(?:DELVEWHEEL|sboms/auditwheel\.cdx\.json)")
_SIGNED = re.compile(r"[^/]+\.dist-info/RECORD\.(?:jws|p7s)")
_RECORD = re.compile(r"[^/]+\.dist-info/RECORD")

_ONCE_AT = "/opt/lib"
"""Where Mach-O libraries are said to have been: shorter than any name `delocate` makes up."""

_MACHO_LITTLE = {b"\xcf\xfa\xed\xfe": 32, b"\xce\xfa\xed\xfe": 28}
_MACHO_FAT = {b"\xca\xfe\xba\xbe": (">IIIII", 2), b"\xca\xfe\xba\xbf": (">IIQQII", 2)}
_LIBRARIES = frozenset({0xC, 0xD, 0x80000018, 0x8000001F, 0x20, 0x80000023})
_CODE_SIGNATURE = 0x1D


def vendored(wheel: Path) -> tuple[str, ...]:
    """The members that a repair tool grafted into a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return tuple(name for name in archive.namelist() if _is_library(name, archive))


def unbundle(
    wheel: Path, out_wheel_dir: Path, libs_dir: Path, names: Mapping[str, str] | None = None
) -> Path:
    """Write the wheel as it was before its repair, under the same name, and what it had grafted.

    `names` gives a grafted library its former name where its own does not tell. Raises `ValueError`
    when nothing was grafted.
    """
    grafted = vendored(wheel)
    if not grafted:
        raise ValueError(f"`{wheel.name}` has nothing to take out")
    former = {**_former(PurePosixPath(path).name for path in grafted), **(names or {})}
    libs_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        bench = _Bench(wheel, Path(work), former, {str(PurePosixPath(p).parent) for p in grafted})
        bench.take_out(grafted, libs_dir)
        return bench.write(out_wheel_dir, lambda name: bool(_GRAFTED.fullmatch(name)))


def drop(wheel: Path, out_wheel_dir: Path, libs_dir: Path, *globs: str) -> Path:
    """Write a wheel without the members that match, which go to `libs_dir`; nothing else changes."""
    libs_dir.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(wheel) as archive:
        gone = {
            name
            for name in archive.namelist()
            if any(fnmatchcase(name, glob) for glob in globs) and not name.endswith("/")
        }
        if not gone:
            raise ValueError(f"`{wheel.name}` has nothing like {', '.join(globs)}")
        for name in gone:
            _extract(archive, name, libs_dir / PurePosixPath(name).name)
    with tempfile.TemporaryDirectory() as work:
        bench = _Bench(wheel, Path(work), {}, set())
        return bench.write(out_wheel_dir, gone.__contains__)


@dataclass(frozen=True, slots=True)
class _Bench:
    """One wheel that is taken apart; `former` has the former names, `folders` held the grafts."""

    wheel: Path
    work: Path
    former: Mapping[str, str]
    folders: set[str]

    def take_out(self, grafted: Iterable[str], target: Path) -> None:
        """Put the grafted libraries into a folder under their former names."""
        with zipfile.ZipFile(self.wheel) as archive:
            places = {
                path: target / self.former[PurePosixPath(path).name]
                for path in dict.fromkeys(grafted)
            }
            for path, place in places.items():
                _extract(archive, path, place)
        self._restore({place: path for path, place in places.items()})

    def write(self, folder: Path, is_gone: Callable[[str], bool]) -> Path:
        """Pack what stays, changed where it has to be, with its RECORD."""
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / self.wheel.name
        with zipfile.ZipFile(self.wheel) as archive, zipfile.ZipFile(target, "w") as out:
            members = [
                info
                for info in archive.infolist()
                if not is_gone(info.filename)
                and not (self.former and _TRACES.fullmatch(info.filename))
                and not _SIGNED.fullmatch(info.filename)
            ]
            changed = self._changed(archive, members) if self.former else {}
            rows = {row[0]: row for row in _rows(archive)}
            for info in members:
                if _RECORD.fullmatch(info.filename):
                    continue
                if info.filename in changed:
                    content = changed[info.filename].read_bytes()
                    rows[info.filename] = _row(info.filename, content)
                    out.writestr(_like(info), content)
                else:
                    _splice(archive, info, out)
            record = next(info for info in members if _RECORD.fullmatch(info.filename))
            there = {info.filename for info in members}
            text = io.StringIO()
            csv.writer(text, lineterminator="\n").writerows(
                row for path, row in rows.items() if path in there
            )
            out.writestr(_like(record), text.getvalue())
        return target

    def _changed(
        self, archive: zipfile.ZipFile, members: Iterable[zipfile.ZipInfo]
    ) -> Mapping[str, Path]:
        """The members that name what was grafted, with all of that taken back, by path."""
        found: dict[str, Path] = {}
        for number, info in enumerate(members):
            if not info.is_dir() and _may_refer(archive, info):
                found[info.filename] = self.work / str(number)
                _extract(archive, info.filename, found[info.filename])
        before = {name: hashlib.sha256(path.read_bytes()).digest() for name, path in found.items()}
        self._restore({path: name for name, path in found.items()})
        return {
            name: path
            for name, path in found.items()
            if hashlib.sha256(path.read_bytes()).digest() != before[name]
        }

    def _restore(self, files: Mapping[Path, str]) -> None:
        """Take the traces of a repair out of files, which are given with their path in the wheel."""
        with ThreadPoolExecutor(max_workers=2) as pool:
            for future in [pool.submit(self._restore_one, *one) for one in files.items()]:
                future.result()

    def _restore_one(self, file: Path, path: str) -> None:
        with file.open("rb") as opened:
            head = opened.read(8)
        match _format(head):
            case "elf":
                _restore_elf(file, path, self.former, self.folders)
            case "macho":
                _restore_macho(file, self.former)
            case "pe":
                _restore_pe(file, self.former)
            case None:
                content = file.read_bytes()
                file.write_bytes(_PATCH.sub(b"", content))


def _former(names: Iterable[str]) -> dict[str, str]:
    """The names without their digests, which stay where two would be the same without."""
    plain = {
        name: f"{found['stem']}{found['suffix']}" if (found := _HASHED.fullmatch(name)) else name
        for name in dict.fromkeys(names)
    }
    taken = list(plain.values())
    return {name: new if taken.count(new) == 1 else name for name, new in plain.items()}


def _is_library(name: str, archive: zipfile.ZipFile) -> bool:
    if not _GRAFTED.fullmatch(name) or name.endswith("/"):
        return False
    with archive.open(name) as file:
        return _format(file.read(8)) is not None


def _may_refer(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bool:
    if info.filename.endswith(".py"):
        return b"# start delvewheel patch" in archive.read(info)
    with archive.open(info) as file:
        return _format(file.read(8)) is not None


def _format(head: bytes) -> _Format | None:
    if head[:4] == b"\x7fELF":
        return "elf"
    if head[:4] in _MACHO_LITTLE:
        return "macho"
    if head[:4] in _MACHO_FAT and int.from_bytes(head[4:8], "big") < 40:  # else a Java class
        return "macho"
    return "pe" if head[:2] == b"MZ" else None


def _restore_elf(file: Path, path: str, former: Mapping[str, str], folders: set[str]) -> None:
    """Names and rpaths, with one call that writes. `patchelf` changes nothing it is not told to."""
    needed = _patchelf("--print-needed", file).split()
    words = [
        word
        for name in needed
        if former.get(name, name) != name
        for word in ("--replace-needed", name, former[name])
    ]
    soname = _patchelf("--print-soname", file).strip() if ".so" in path else ""
    if former.get(soname, soname) != soname:
        words += ["--set-soname", former[soname]]
    search = [entry for entry in _patchelf("--print-rpath", file).strip().split(":") if entry]
    parent = PurePosixPath(path).parent
    kept = [entry for entry in search if _lands(entry, parent) not in folders]
    if kept != search:
        words += ["--set-rpath", ":".join(kept)] if kept else ["--remove-rpath"]
    if words:
        subprocess.run([_tool("patchelf"), *words, str(file)], check=True)


def _lands(entry: str, parent: PurePosixPath) -> str:
    """The folder in the wheel that an rpath entry leads to."""
    parts: list[str] = []
    for part in PurePosixPath(entry.replace("$ORIGIN", str(parent))).parts:
        if part == "..":
            parts[-1:] = []
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


def _patchelf(word: str, file: Path) -> str:
    done = subprocess.run(
        [_tool("patchelf"), word, str(file)], capture_output=True, text=True, check=False
    )
    return done.stdout if done.returncode == 0 else ""  # no dynamic section: nothing to take back


def _tool(name: str) -> str:
    beside = Path(sys.executable).with_name(name)
    return str(beside) if beside.is_file() else name


def _restore_macho(file: Path, former: Mapping[str, str]) -> None:
    """Write shorter names into their load commands, and sign anew where it was signed."""
    content = bytearray(file.read_bytes())
    is_changed = is_signed = False
    for start in _slices(content):
        for offset, command, size in _commands(content, start):
            is_signed |= command == _CODE_SIGNATURE
            if command not in _LIBRARIES:
                continue
            begin = offset + struct.unpack_from("<I", content, offset + 8)[0]
            name = bytes(content[begin : offset + size]).split(b"\0", 1)[0].decode()
            leaf = PurePosixPath(name).name
            if ".dylibs/" not in name and not name.startswith(("/DLC/", "@loader_path/")):
                continue
            if leaf in former:
                new = f"{_ONCE_AT}/{former[leaf]}".encode()
                assert len(new) < offset + size - begin, name
                content[begin : offset + size] = new.ljust(offset + size - begin, b"\0")
                is_changed = True
    if is_changed:
        file.write_bytes(content)
        if is_signed:
            ad_hoc_sign(str(file))


def _slices(content: bytearray) -> Iterator[int]:
    """Where the Mach-O headers of a file begin."""
    fat = _MACHO_FAT.get(bytes(content[:4]))
    if fat is None:
        yield 0
        return
    row = struct.Struct(fat[0])
    for number in range(int.from_bytes(content[4:8], "big")):
        yield row.unpack_from(content, 8 + number * row.size)[fat[1]]


def _commands(content: bytearray, start: int) -> Iterator[tuple[int, int, int]]:
    """(offset, command, size) of every load command."""
    offset = start + _MACHO_LITTLE[bytes(content[start : start + 4])]
    for _ in range(struct.unpack_from("<I", content, start + 16)[0]):
        command, size = struct.unpack_from("<II", content, offset)
        yield offset, command, size
        offset += size


def _restore_pe(file: Path, former: Mapping[str, str]) -> None:
    """Write shorter names over those in the import tables, and the right checksum."""
    short = {old.lower().encode(): new.encode() for old, new in former.items()}
    content = bytearray(file.read_bytes())
    image = pefile.PE(data=bytes(content), fast_load=True)
    image.parse_data_directories([1, 13])
    tables = (
        *getattr(image, "DIRECTORY_ENTRY_IMPORT", ()),
        *getattr(image, "DIRECTORY_ENTRY_DELAY_IMPORT", ()),
    )
    is_changed = False
    for table in tables:
        new = short.get(table.dll.lower(), table.dll)
        if new != table.dll:
            rva = getattr(table.struct, "Name", 0) or table.struct.szName
            at = image.get_offset_from_rva(rva)
            content[at : at + len(table.dll)] = new.ljust(len(table.dll), b"\0")
            is_changed = True
    if is_changed:
        renewed = pefile.PE(data=bytes(content), fast_load=True)
        at = renewed.OPTIONAL_HEADER.get_file_offset() + 64
        content[at : at + 4] = struct.pack("<I", renewed.generate_checksum())
        file.write_bytes(content)


def _extract(archive: zipfile.ZipFile, name: str, target: Path) -> None:
    with archive.open(name) as source, target.open("wb") as out:
        shutil.copyfileobj(source, out, 1 << 20)


def _splice(archive: zipfile.ZipFile, info: zipfile.ZipInfo, out: zipfile.ZipFile) -> None:
    """Copy one member with its compressed bytes; `zipfile` has no way to ask for that."""
    source, target = archive.fp, out.fp
    assert source is not None
    assert target is not None
    source.seek(info.header_offset)
    lengths = struct.unpack_from("<HH", source.read(30), 26)
    source.seek(sum(lengths), 1)
    new = copy.copy(info)
    new.extra, new.flag_bits = b"", info.flag_bits & ~0x8
    new.header_offset = target.tell()
    target.write(new.FileHeader())
    left = info.compress_size
    while left:
        chunk = source.read(min(left, 1 << 20))
        left -= len(chunk)
        target.write(chunk)
    out.filelist.append(new)
    out.NameToInfo[new.filename] = new
    out.start_dir = target.tell()


def _like(info: zipfile.ZipInfo) -> zipfile.ZipInfo:
    new = zipfile.ZipInfo(info.filename, info.date_time)
    new.external_attr, new.compress_type = info.external_attr, zipfile.ZIP_DEFLATED
    return new


def _rows(archive: zipfile.ZipFile) -> list[list[str]]:
    name = next(name for name in archive.namelist() if _RECORD.fullmatch(name))
    return list(csv.reader(archive.read(name).decode().splitlines()))


def _row(path: str, content: bytes) -> list[str]:
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return [path, f"sha256={digest}", str(len(content))]
