"""What other people's parsers say about binaries and whole wheels: no code of ours in here."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import posixpath
import re
import struct
import zipfile
from array import array
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from importlib.resources import files
from pathlib import Path

import lief
import pefile
from delvewheel import _dll_list
from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection

__all__ = ["binaries", "layout_problems", "record_problems", "unresolved"]

_MACHO = (b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"\xca\xfe\xba\xbf")
_LOADER = re.compile(r"ld-linux.*|ld64.*|ld-musl.*|libc\.musl-.*|libpython3.*")
_MAC_SYSTEM = ("/usr/lib/", "/System/Library/")
_LONG = 1 << 18
_RUNTIME = ("vcruntime140.dll", "vcruntime140_1.dll")
"""CPython for Windows brings these."""
_SIGNATURE = 0x1D
_PAGES = 0xFADE0C02


def binaries(wheel: Path) -> dict[str, bytes]:
    """Every ELF, Mach-O and PE file of a wheel by its path."""
    found = {}
    with zipfile.ZipFile(wheel) as archive:
        for info in archive.infolist():
            with archive.open(info) as file:
                head = file.read(4)
                if head == b"\x7fELF" or head in _MACHO or head[:2] == b"MZ":
                    found[info.filename] = head + file.read()
    return found


def record_problems(wheel: Path) -> list[str]:
    """What the RECORD of a wheel says and its bytes do not, both ways, and damaged members."""
    problems = []
    with zipfile.ZipFile(wheel) as archive:
        names = [info.filename for info in archive.infolist() if not info.is_dir()]
        if len(names) != len(set(names)):
            problems.append("a member is there twice")
        (itself,) = [name for name in names if re.fullmatch(r"[^/]+\.dist-info/RECORD", name)]
        rows = {row[0]: row for row in csv.reader(io.StringIO(archive.read(itself).decode()))}
        for name in names:
            content = archive.read(name)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
            wanted = [name, f"sha256={digest}", str(len(content))]
            if name != itself and rows.get(name) != wanted:
                problems.append(f"{name}: RECORD says {rows.get(name)}")
        problems += [f"{name}: is only in RECORD" for name in rows if name not in names]
    return problems


def layout_problems(path: str, content: bytes) -> list[str]:
    """What is wrong with one binary, as far as another parser sees."""
    if content[:4] == b"\x7fELF":
        return [f"{path}: {line}" for line in _elf_problems(content)]
    if content[:2] == b"MZ":
        return [f"{path}: {line}" for line in _pe_problems(content)]
    return [f"{path}: {line}" for line in _macho_problems(content)]


def unresolved(found: Mapping[str, bytes], outside: Sequence[str] = ()) -> list[str]:
    """Every library that a binary of a wheel needs and that neither it nor a system has."""
    lines = []
    places = {_installed(path): path for path in found}
    for path, content in found.items():
        if content[:4] == b"\x7fELF":
            missing = _elf_missing(_installed(path), content, places)
        elif content[:2] == b"MZ":
            missing = _pe_missing(_installed(path), content, places)
        else:
            missing = _macho_missing(_installed(path), content, places)
        lines += [
            f"{path}: {name}"
            for name in missing
            if not any(fnmatchcase(posixpath.basename(name), glob) for glob in outside)
        ]
    return lines


def _installed(path: str) -> str:
    return re.sub(r"^[^/]+\.data/(platlib|purelib)/", "", path)


def _elf_dynamic(content: bytes) -> tuple[list[str], list[str]]:
    needed, search = [], []
    for segment in ELFFile(io.BytesIO(content)).iter_segments("PT_DYNAMIC"):
        assert isinstance(segment, DynamicSegment)
        for tag in segment.iter_tags():
            match tag.entry.d_tag:
                case "DT_NEEDED":
                    needed.append(str(vars(tag)["needed"]))
                case "DT_RPATH" | "DT_RUNPATH" as name:
                    search += str(vars(tag)[name.removeprefix("DT_").lower()]).split(":")
    return needed, search


def _elf_system() -> set[str]:
    names = set()
    for table in ("manylinux-policy.json", "musllinux-policy.json"):
        rows = json.loads(files("auditwheel").joinpath("policy", table).read_text("utf-8"))
        names |= {name for row in rows for name in row["lib_whitelist"]}
    return names


def _elf_missing(path: str, content: bytes, places: Mapping[str, str]) -> Iterator[str]:
    needed, search = _elf_dynamic(content)
    folder = posixpath.dirname(path) or "."
    folders = [
        posixpath.normpath(entry.replace("${ORIGIN}", "$ORIGIN").replace("$ORIGIN", folder))
        for entry in search
    ]
    system = _elf_system()
    for name in needed:
        inside = any(posixpath.normpath(f"{one}/{name}") in places for one in folders)
        if not (inside or name in system or _LOADER.fullmatch(name)):
            yield name


def _elf_problems(content: bytes) -> Iterator[str]:
    elf = ELFFile(io.BytesIO(content))
    end = 0
    for segment in elf.iter_segments("PT_LOAD"):
        header = segment.header
        if header.p_align > 1 and (header.p_offset - header.p_vaddr) % header.p_align:
            yield f"segment at {header.p_offset:#x} is not congruent with its address"
        if header.p_offset + header.p_filesz > len(content):
            yield f"segment at {header.p_offset:#x} ends behind the file"
        if header.p_vaddr < end:
            yield f"segment at {header.p_offset:#x} overlaps the one before"
        end = header.p_vaddr + header.p_memsz
    needed, _ = _elf_dynamic(content)
    for section in elf.iter_sections():
        if isinstance(section, GNUVerNeedSection):
            for library, _ in section.iter_versions():
                name = str(library.name)
                if name not in needed and not _LOADER.fullmatch(name):
                    yield f"versions of {name}, which is not needed"
    for section in elf.iter_sections():
        is_there = section.header.sh_type not in {"SHT_NOBITS", "SHT_NULL"}
        if is_there and section.header.sh_offset + section.header.sh_size > len(content):
            yield f"section {section.name} ends behind the file"


def _macho_slices(content: bytes) -> list[lief.MachO.Binary]:
    fat = lief.MachO.parse(io.BytesIO(content))
    assert fat is not None
    _KEPT.append(fat)  # a slice dies with its file
    slices = (fat.at(index) for index in range(fat.size))
    return [one for one in slices if one is not None]


_KEPT: list[lief.MachO.FatBinary] = []


def _macho_missing(path: str, content: bytes, places: Mapping[str, str]) -> Iterator[str]:
    folder = posixpath.dirname(path) or "."
    for binary in _macho_slices(content):
        own = binary[lief.MachO.LoadCommand.TYPE.ID_DYLIB]
        rpaths = [str(rpath.path) for rpath in binary.rpaths]
        for library in binary.libraries:
            name = str(library.name)
            if library.command == lief.MachO.LoadCommand.TYPE.ID_DYLIB or (own and library == own):
                continue
            if name.startswith(_MAC_SYSTEM):
                continue
            entries = [name]
            if name.startswith("@rpath/"):
                entries = [f"{rpath}/{name.removeprefix('@rpath/')}" for rpath in rpaths]
            here = [posixpath.normpath(entry.replace("@loader_path", folder)) for entry in entries]
            if not any(entry in places for entry in here):
                yield name


def _macho_problems(content: bytes) -> Iterator[str]:
    for binary in _macho_slices(content):
        is_fine, why = lief.MachO.check_layout(binary)
        if not is_fine:
            yield f"layout: {why}"
    for start in _macho_starts(content):
        yield from _signature_problems(content, start)


def _macho_starts(content: bytes) -> list[int]:
    if content[:4] == _MACHO[0]:
        return [0]
    wide = content[:4] == _MACHO[2]
    (count,) = struct.unpack_from(">I", content, 4)
    layout = ">IIQQII" if wide else ">IIIII"
    size = struct.calcsize(layout)
    return [struct.unpack_from(layout, content, 8 + size * index)[2] for index in range(count)]


def _signature_problems(content: bytes, start: int) -> Iterator[str]:
    """Every page whose digest is not the signed one; a file for arm64 must be signed."""
    _, cpu, _, _, count, _, _ = struct.unpack_from("<7I", content, start)
    place, signature = start + 32, 0
    for _ in range(count):
        command, size = struct.unpack_from("<II", content, place)
        if command == _SIGNATURE:
            signature = start + struct.unpack_from("<I", content, place + 8)[0]
        place += size
    if not signature:
        if cpu == 0x0100000C:
            yield "no signature"
        return
    (blobs,) = struct.unpack_from(">I", content, signature + 8)
    for index in range(blobs):
        _, offset = struct.unpack_from(">II", content, signature + 12 + 8 * index)
        blob = signature + offset
        if struct.unpack_from(">I", content, blob) != (_PAGES,):
            continue
        hashes, _, _, pages, limit = struct.unpack_from(">5I", content, blob + 16)
        length, kind, _, shift = struct.unpack_from("4B", content, blob + 36)
        algorithm = {1: "sha1", 2: "sha256", 3: "sha256"}[kind]
        for page in range(pages):
            end = min((page + 1) << shift, limit)
            data = content[start + (page << shift) : start + end]
            slot = blob + hashes + page * length
            if hashlib.new(algorithm, data).digest()[:length] != content[slot : slot + length]:
                yield f"page {page} is not as signed"


def _pe_names(content: bytes) -> list[str]:
    pe = pefile.PE(data=content, fast_load=True)  # exports by the thousand take it a minute
    kinds = ("IMAGE_DIRECTORY_ENTRY_IMPORT", "IMAGE_DIRECTORY_ENTRY_DELAY_IMPORT")
    pe.parse_data_directories([pefile.DIRECTORY_ENTRY[kind] for kind in kinds])
    tables = ("DIRECTORY_ENTRY_IMPORT", "DIRECTORY_ENTRY_DELAY_IMPORT")
    return [row.dll.decode() for table in tables for row in getattr(pe, table, [])]


def _pe_missing(path: str, content: bytes, places: Mapping[str, str]) -> Iterator[str]:
    folders = {posixpath.dirname(path), *(posixpath.dirname(place) for place in places)}
    there = {place.lower() for place in places}
    system = {*_RUNTIME, *(name for names in _dll_list.ignore_names.values() for name in names)}
    for name in _pe_names(content):
        small = name.lower()
        if small in system or any(rule.fullmatch(small) for rule in _dll_list.ignore_regexes):
            continue
        if not any(posixpath.join(folder, small).lower() in there for folder in folders):
            yield name


def _sum(pe: pefile.PE, content: bytes) -> int:
    """The checksum word for word, as Windows documents it; pefile takes seconds for a megabyte."""
    field = pe.OPTIONAL_HEADER.get_file_offset() + 64
    words = array("H", content[:field] + bytes(4) + content[field + 4 :] + bytes(len(content) % 2))
    total = sum(words)
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total + len(content)


def _pe_problems(content: bytes) -> Iterator[str]:
    pe = pefile.PE(data=content, fast_load=True)
    stated = pe.OPTIONAL_HEADER.CheckSum
    if stated and stated != (_sum(pe, content) if len(content) > _LONG else pe.generate_checksum()):
        yield "the checksum is stale"
    for section in pe.sections:
        if section.PointerToRawData + section.SizeOfRawData > len(content):
            yield f"section {section.Name!r} ends behind the file"
