"""Make the tiny ELF files of the tests: `python tests/data/make_elf.py [--compile]`.

Most are put together here, byte by byte, for machines and damages that no compiler at hand makes. `--compile` also
makes again those in `elf/compiled/` (gcc 12 and nvcc 13.0, x86_64), which show what real linkers write.
"""

from __future__ import annotations

import struct
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

HERE = Path(__file__).resolve().parent / "elf"
BASE = 0x10000
NEEDED, HASH, STRTAB, SYMTAB, STRSZ, SYMENT, SONAME, RPATH = 1, 4, 5, 6, 10, 11, 14, 15
TEXTREL, RUNPATH, FLAGS, FLAGS_1 = 22, 29, 30, 0x6FFFFFFB
GNU_HASH, VERSYM, VERNEED, VERNEEDNUM = 0x6FFFFEF5, 0x6FFFFFF0, 0x6FFFFFFE, 0x6FFFFFFF
VERDEF, VERDEFNUM = 0x6FFFFFFC, 0x6FFFFFFD


@dataclass(frozen=True)
class Elf:
    """A file to be made. `undefined` are (name, version, library), the latter two empty for none.

    `versions` are those it defines, after one of its own name; `room` is for that many more entries of the dynamic
    section. `empty` program headers are for nothing, and with `headers` there is one for the program
    headers. `code` is right behind those, and where there are `zeros`, that many variables have no
    bytes in the file and 16 have some.
    """

    bits: int = 64
    order: str = "<"
    machine: int = 62
    type: int = 3
    needed: tuple[str, ...] = ()
    soname: str = ""
    rpath: str | None = None
    runpath: str | None = None
    interpreter: str = ""
    undefined: tuple[tuple[str, str, str], ...] = ()
    defined: tuple[str, ...] = ()
    hash: str = "gnu"
    stack: int | None = 6
    build_id: bytes = b""
    tags: tuple[tuple[int, int], ...] = ()
    dynamic: bool = True
    sections: tuple[tuple[str, bytes], ...] = ()
    properties: tuple[tuple[int, int], ...] = ()
    versions: tuple[str, ...] = ()
    room: int = 0
    empty: int = 0
    headers: bool = False
    code: bytes = b""
    zeros: int = 0


@dataclass
class Maker:
    """The file while it grows; `at` and `size` remember where its parts are."""

    elf: Elf
    body: bytearray = field(default_factory=bytearray)
    strings: bytearray = field(default_factory=lambda: bytearray(b"\0"))
    at: dict[str, int] = field(default_factory=dict)
    size: dict[str, int] = field(default_factory=dict)

    def pack(self, fields: str, *values: int) -> bytes:
        return struct.pack(self.elf.order + fields, *values)

    @property
    def word(self) -> str:
        return "Q" if self.elf.bits == 64 else "I"

    def name(self, text: str) -> int:
        """The offset of a text in the string table; the same text is there once."""
        raw = text.encode() + b"\0"
        place = self.strings.find(b"\0" + raw)
        if place < 0:
            place = len(self.strings) - 1
            self.strings += raw
        return place + 1

    def put(self, name: str, content: bytes) -> None:
        self.body += bytes(-len(self.body) % 8)
        self.at[name], self.size[name] = len(self.body), len(content)
        self.body += content


def assemble(elf: Elf) -> bytes:
    """The bytes of a file; one loaded segment, whose addresses are `BASE` above the offsets."""
    maker = Maker(elf)
    parts = (elf.dynamic, elf.interpreter, elf.build_id, elf.properties, elf.headers, elf.zeros)
    segments = 2 + sum(map(bool, parts)) + elf.empty
    maker.body += bytes(_size(elf, "header") + segments * _size(elf, "segment"))
    if elf.code:
        maker.put(".text", elf.code)
    if elf.interpreter:
        maker.put("interpreter", elf.interpreter.encode() + b"\0")
    if elf.build_id:
        note = maker.pack("III", 4, len(elf.build_id), 3) + b"GNU\0" + elf.build_id
        maker.put("notes", maker.pack("III", 4, 4, 1) + b"GNU\0" + bytes(4) + note)
    if elf.properties:
        maker.put("properties", _properties(maker))
    if elf.dynamic:
        _put_tables(maker)
    for name, content in elf.sections:
        maker.put(name, content)
    loaded = len(maker.body)
    if elf.zeros:
        maker.put("variables", b"0123456789abcdef")
        maker.put(".bss", b"")
        maker.size[".bss"] = elf.zeros
    place, count = _put_sections(maker)
    _put_headers(maker, segments, loaded)
    header = maker.pack(
        "HHI" + maker.word * 3 + "IHHHHHH",
        elf.type, elf.machine, 1, 0, _size(elf, "header"), place, 0,
        _size(elf, "header"), _size(elf, "segment"), segments, 64 if elf.bits == 64 else 40, count, count - 1,
    )  # fmt: skip
    maker.body[:16] = b"\x7fELF" + bytes((elf.bits // 32, 1 + (elf.order == ">"), 1)) + bytes(9)
    maker.body[16 : 16 + len(header)] = header
    return bytes(maker.body)


def _put_tables(maker: Maker) -> None:
    """Symbols, hash table, versions and strings, then the dynamic section that points to them."""
    elf = maker.elf
    fixed = [(NEEDED, maker.name(name)) for name in elf.needed]
    for tag, text in ((SONAME, elf.soname or None), (RPATH, elf.rpath), (RUNPATH, elf.runpath)):
        if text is not None:
            fixed.append((tag, maker.name(text)))
    rows = [(maker.name(name), 0) for name, _, _ in elf.undefined]
    rows += [(maker.name(name), 1) for name in elf.defined]
    symbols = bytes(_size(elf, "symbol"))
    for name, section in rows:
        fields = (
            (name, 0x12, 0, section, 0, 0) if elf.bits == 64 else (name, 0, 0, 0x12, 0, section)
        )
        symbols += maker.pack("IBBHQQ" if elf.bits == 64 else "IIIBBH", *fields)
    maker.put("symbols", symbols)
    maker.put("hash", _hash(maker, 1 + len(rows)))
    _put_versions(maker)
    if elf.versions:
        _put_definitions(maker)
        fixed.append((VERDEFNUM, 1 + len(elf.versions)))
    maker.put("strings", bytes(maker.strings))
    pointers = [(STRTAB, "strings"), (SYMTAB, "symbols")]
    pointers += [(HASH if elf.hash == "sysv" else GNU_HASH, "hash")] if elf.hash else []
    pointers += [(VERSYM, "versym"), (VERNEED, "verneed")] if "verneed" in maker.at else []
    pointers += [(VERDEF, "verdef")] if elf.versions else []
    count = len({library for _, _, library in elf.undefined if library})
    fixed += [(VERNEEDNUM, count)] if count else []
    fixed += [(STRSZ, len(maker.strings)), (SYMENT, _size(elf, "symbol")), *elf.tags]
    fixed += [(tag, BASE + maker.at[name]) for tag, name in pointers]
    entries = b"".join(
        maker.pack(maker.word * 2, *entry) for entry in [*fixed, *[(0, 0)] * (1 + elf.room)]
    )
    maker.put("dynamic", entries)


def _properties(maker: Maker) -> bytes:
    """A note of GNU properties, each a word of 32 bits."""
    padding = bytes(4 if maker.elf.bits == 64 else 0)
    content = b"".join(
        maker.pack("III", type_, 4, bits) + padding for type_, bits in maker.elf.properties
    )
    return maker.pack("III", 4, len(content), 5) + b"GNU\0" + content


def _put_definitions(maker: Maker) -> None:
    elf = maker.elf
    names = (elf.soname, *elf.versions)
    content = b""
    for number, name in enumerate(names):
        following = 28 if number + 1 < len(names) else 0
        content += maker.pack("HHHHIII", 1, int(not number), number + 1, 1, 0, 20, following)
        content += maker.pack("II", maker.name(name), 0)
    maker.put("verdef", content)


def _hash(maker: Maker, count: int) -> bytes:
    """A hash table in one bucket; hash values are made up, as nobody here looks a name up."""
    elf = maker.elf
    first = 1 + len(elf.undefined)
    if elf.hash == "sysv":
        words = "QQQQ" if elf.machine == 22 and elf.bits == 64 else "IIII"
        return maker.pack(words, 1, count, 0, 0) + bytes(struct.calcsize(words[:1]) * (count - 1))
    if elf.hash == "empty":
        return maker.pack("IIII" + maker.word + "I", 1, 1, 1, 0, 0, 0)
    chain = [2] * (count - first - 1) + [3] * (count > first)
    bucket = first if count > first else 0
    head = maker.pack("IIII" + maker.word + "I", 1, first, 1, 6, 0, bucket)
    return head + maker.pack("I" * len(chain), *chain)


def _put_versions(maker: Maker) -> None:
    elf = maker.elf
    pairs = list(dict.fromkeys((row[2], row[1]) for row in elf.undefined if row[1]))
    if not pairs:
        return
    index = {pair: number for number, pair in enumerate(pairs, start=2)}
    numbers = [index.get((library, version), 1) for _, version, library in elf.undefined]
    numbers = [0, *numbers, *(1 for _ in elf.defined)]
    maker.put("versym", maker.pack("H" * len(numbers), *numbers))
    content = b""
    libraries = list(dict.fromkeys(library for library, _ in pairs))
    for library in libraries:
        own = [pair for pair in pairs if pair[0] == library]
        following = 0 if library == libraries[-1] else 16 + 16 * len(own)
        content += maker.pack("HHIII", 1, len(own), maker.name(library), 16, following)
        for pair in own:
            further = 0 if pair == own[-1] else 16
            content += maker.pack("IHHII", 0, 0, index[pair], maker.name(pair[1]), further)
    maker.put("verneed", content)


SECTIONS = {
    "dynamic": (".dynamic", 6, "strings"),
    "symbols": (".dynsym", 11, "strings"),
    "strings": (".dynstr", 3, ""),
    "versym": (".gnu.version", 0x6FFFFFFF, "symbols"),
    "verneed": (".gnu.version_r", 0x6FFFFFFE, "strings"),
    "verdef": (".gnu.version_d", 0x6FFFFFFD, "strings"),
    "hash": (".gnu.hash", 0x6FFFFFF6, "symbols"),
    "interpreter": (".interp", 1, ""),
    "notes": (".note", 7, ""),
    "properties": (".note.gnu.property", 7, ""),
    "variables": (".data", 1, ""),
    ".bss": (".bss", 8, ""),
}
"""What has a section: its name, its type, and the part it links to."""


def _address(part: str, place: int) -> int:
    """Variables are a page further up."""
    return BASE + place + (0x10000 if part in {"variables", ".bss"} else 0)


def _put_sections(maker: Maker) -> tuple[int, int]:
    """Section headers, whose names are the last section; where they are and how many."""
    elf = maker.elf
    parts = [name for name in maker.at if name in SECTIONS or name.startswith((".", "__"))]
    names = [SECTIONS.get(name, (name,))[0] for name in parts]
    texts = b"\0" + b"".join(name.encode() + b"\0" for name in (*names, ".shstrtab"))
    maker.put("section names", texts)
    entries = {"symbols": _size(elf, "symbol"), "versym": 2, "dynamic": elf.bits // 4}
    rows = [(0,) * 10]
    for part, name in zip(parts, names, strict=True):
        _, type_, link = SECTIONS.get(part, ("", 1, ""))
        place = maker.at[part]
        info = len({row[2] for row in elf.undefined if row[2]}) if part == "verneed" else 0
        info = 1 + len(elf.versions) if part == "verdef" else info
        type_ = 5 if part == "hash" and elf.hash == "sysv" else type_
        rows.append(
            (
                texts.index(b"\0" + name.encode() + b"\0") + 1, type_, 2, _address(part, place), place,
                maker.size[part], parts.index(link) + 1 if link else 0, info, 1, entries.get(part, 0),
            )
        )  # fmt: skip
    start = texts.index(b".shstrtab\0")
    rows.append((start, 3, 0, 0, maker.at["section names"], len(texts), 0, 0, 1, 0))
    fields = "IIQQQQIIQQ" if elf.bits == 64 else "IIIIIIIIII"
    maker.put("sections", b"".join(maker.pack(fields, *row) for row in rows))
    return maker.at["sections"], len(rows)


def _put_headers(maker: Maker, segments: int, loaded: int) -> None:
    elf, at = maker.elf, maker.at
    rows = [(1, 5, 0, loaded)]
    if elf.headers:
        rows.insert(0, (6, 4, _size(elf, "header"), segments * _size(elf, "segment")))
    for part, type_ in (
        ("interpreter", 3),
        ("notes", 4),
        ("properties", 0x6474E553),
        ("dynamic", 2),
    ):
        if part in at:
            rows.append((type_, 4, at[part], maker.size[part]))
    rows.append((0x6474E551, elf.stack, 0, 0) if elf.stack is not None else (0, 0, 0, 0))
    rows += [(0, 0, 0, 0)] * elf.empty
    if elf.zeros:
        rows.insert(1 + elf.headers, (1, 6, at["variables"], 16))
    place = _size(elf, "header")
    for type_, flags, offset, size in rows[:segments]:
        address, memory, alignment = BASE + offset, size, 4
        if type_ == 1 and flags == 6:
            address, memory, alignment = _address("variables", offset), size + elf.zeros, 0x10000
        if elf.bits == 64:
            entry = maker.pack(
                "IIQQQQQQ", type_, flags, offset, address, 0, size, memory, alignment
            )
        else:
            entry = maker.pack(
                "IIIIIIII", type_, offset, address, 0, size, memory, flags, alignment
            )
        maker.body[place : place + len(entry)] = entry
        place += len(entry)


def _size(elf: Elf, part: str) -> int:
    return {"header": (52, 64), "segment": (32, 56), "symbol": (16, 24)}[part][elf.bits == 64]


PLAIN = Elf(
    needed=("libm.so.6", "libc.so.6"),
    soname="libplain.so.1",
    undefined=(
        ("pow", "GLIBC_2.29", "libm.so.6"),
        ("printf", "GLIBC_2.2.5", "libc.so.6"),
        ("memcpy", "GLIBC_2.14", "libc.so.6"),
        ("PyModule_Create2", "", ""),
    ),
    defined=("answer", "question"),
    build_id=bytes(range(20)),
)


def container(*entries: tuple[int, int, int]) -> bytes:
    """A CUDA container of (kind, architecture, flags)."""
    content = b""
    for kind, architecture, flags in entries:
        head = struct.pack("<HHIQIIHHIQQ", kind, 0x101, 64, 24, 0, 0, 0, 8, architecture, 0, flags)
        content += head + bytes(64 - len(head)) + b"\xc0de" * 8
    return struct.pack("<IHHQ", 0xBA55ED50, 1, 16, len(content)) + content


CUDA = (
    container((2, 80, 0x11), (2, 90, 0x100011)) + bytes(24)
    + container((2, 80, 0x11), (2, 103, 0x1200011), (1, 120, 0x8011))
)  # fmt: skip


DEBUG_LINK = b"plain.debug\0" + struct.pack("<I", 0x12345678)


def without_sections(elf: bytes) -> bytes:
    """A file whose section headers nobody finds any more."""
    return elf[:40] + bytes(8) + elf[48:60] + bytes(4) + elf[64:]


def with_extended_count(elf: bytes) -> bytes:
    """The numbers of more than 65 000 sections do not fit into the header; here, for a few of them."""
    place, (count, names) = struct.unpack_from("<Q", elf, 40)[0], struct.unpack_from("<HH", elf, 60)
    first = bytes(32) + struct.pack("<QI", count, names) + bytes(20)
    return elf[:60] + struct.pack("<HH", 0, 0xFFFF) + elf[64:place] + first + elf[place + 64 :]


def sound() -> dict[str, bytes]:
    """Files that are as they should be."""
    armv7 = replace(PLAIN, bits=32, machine=40)
    rpath = replace(PLAIN, rpath="$ORIGIN/../lib:/opt/lib")
    return {
        "plain.so": assemble(PLAIN),
        "sysv-hash.so": assemble(replace(PLAIN, hash="sysv")),
        "no-hash.so": assemble(replace(PLAIN, hash="")),
        "empty-hash.so": assemble(replace(PLAIN, hash="empty", defined=())),
        "i686.so": assemble(replace(PLAIN, bits=32, machine=3)),
        "armv7l-sysv.so": assemble(replace(armv7, hash="sysv")),
        "s390x.so": assemble(replace(PLAIN, order=">", machine=22)),
        "s390x-sysv.so": assemble(replace(PLAIN, order=">", machine=22, hash="sysv")),
        "mips-big.so": assemble(replace(PLAIN, bits=32, order=">", machine=8)),
        "rpath.so": assemble(rpath),
        "runpath.so": assemble(replace(PLAIN, runpath="$ORIGIN::/opt/lib")),
        "both-paths.so": assemble(replace(rpath, runpath="$ORIGIN")),
        "empty-path.so": assemble(replace(PLAIN, runpath="")),
        "no-dynamic": assemble(Elf(type=2, dynamic=False)),
        "no-versions.so": assemble(replace(PLAIN, undefined=(("puts", "", ""),))),
        "program": assemble(replace(PLAIN, soname="", interpreter="/lib64/ld-linux-x86-64.so.2")),
        "static-pie": assemble(replace(PLAIN, soname="", needed=(), tags=((FLAGS_1, 0x08000000),))),
        "text-relocations.so": assemble(replace(PLAIN, tags=((TEXTREL, 0),))),
        "text-relocations-flag.so": assemble(replace(PLAIN, tags=((FLAGS, 4),))),
        "executable-stack.so": assemble(replace(PLAIN, stack=7)),
        "silent-stack.so": assemble(replace(PLAIN, stack=None)),
        "not-utf8.so": assemble(PLAIN).replace(b"question\0", b"\xff\xfeestion\0"),
        "cuda.so": assemble(replace(PLAIN, sections=((".nv_fatbin", CUDA),))),
        "cuda-relocatable.so": assemble(replace(PLAIN, sections=(("__nv_relfatbin", container((8, 90, 0x10011))),))),
        "no-sections.so": without_sections(assemble(replace(PLAIN, hash="empty", defined=()))),
        "many-sections.so": with_extended_count(assemble(replace(PLAIN, sections=((".nv_fatbin", CUDA),)))),
        "stale-note.so": assemble(PLAIN).replace(struct.pack("<III", 4, 20, 3), struct.pack("<III", 4, 200, 3)),
        "x86-64-v3.so": assemble(replace(PLAIN, properties=((0xC0000002, 3), (0xC0008002, 7)))),
        "i686-ibt.so": assemble(replace(PLAIN, bits=32, machine=3, properties=((0xC0000002, 1), (0xC0008002, 1)))),
        "aarch64-bti.so": assemble(replace(PLAIN, machine=183, properties=((0xC0000000, 3), (0xC0000002, 3)))),
        "defined-versions.so": assemble(replace(PLAIN, versions=("PLAIN_1.0", "PLAIN_2.0"))),
        "debug-link.so": assemble(replace(PLAIN, sections=((".gnu_debuglink", DEBUG_LINK),))),
        "debug-link-s390x.so": assemble(
            replace(PLAIN, order=">", machine=22, sections=((".gnu_debuglink", DEBUG_LINK[:-4] + DEBUG_LINK[:-5:-1]),))
        ),
        "no-debug-link.so": assemble(replace(PLAIN, sections=((".gnu_debuglink", b"no\0"),))),
        "padded.so": assemble(replace(PLAIN, runpath="$ORIGIN/../lib:/opt/lib" + "/" * 200)),
        "core": assemble(Elf(type=4, dynamic=False)),
    }  # fmt: skip


HASHED = struct.pack("<IIII", 1, 5, 1, 6)
NEED = struct.pack("<HHII", 1, 1, 1, 16)
DEFINITION = struct.pack("<HHHHIII", 1, 1, 1, 1, 0, 20, 28)
CHAINED = struct.pack("<IIII", 1, 7, 0, 0)
CONTAINER = struct.pack("<IHH", 0xBA55ED50, 1, 16)
CODE = struct.pack("<IQ", 64, 24)
BEGINNING = b""
Change = tuple[bytes, int, str, int | bytes]
"""(mark, bytes behind its start, format, value): the mark is where it first stands in the file."""

WRONG: dict[str, dict[str, Change]] = {
    "plain": {
        "bad-magic": (BEGINNING, 3, "B", ord("G")),
        "bad-class": (BEGINNING, 4, "B", 3),
        "bad-order": (BEGINNING, 5, "B", 0),
        "bad-version": (BEGINNING, 6, "B", 9),
        "segments-outside": (BEGINNING, 32, "Q", 1 << 40),
        "segments-huge": (BEGINNING, 56, "H", 0xFFFF),
        "segments-odd": (BEGINNING, 54, "H", 57),
        "sections-huge": (BEGINNING, 60, "H", 0xFFFF),
        "sections-odd": (BEGINNING, 58, "H", 1),
        "section-names-outside": (BEGINNING, 62, "H", 0x7FFF),
        "section-names-of-none": (BEGINNING, 60, "H", 0),
        "hash-huge": (HASHED, 0, "I", 0xFFFFFFFF),
        "hash-bucket-huge": (HASHED, 24, "I", 0xFFFFFF00),
        "verneed-next-outside": (NEED, 12, "I", 0xFFFFFFF0),
        "verneed-version-outside": (NEED, 8, "I", 0x7FFFFFFF),
        "verneed-name-outside": (NEED, 4, "I", 0x7FFFFFFF),
    },
    "chained": {"symbols-huge": (CHAINED, 4, "I", 0xFFFFFFFF)},
    "versioned": {
        "verdef-endless": (DEFINITION, 6, "14s", b"\xff\xff" + bytes(12)),
        "verdef-next-outside": (DEFINITION, 16, "I", 0x7FFFFFFF),
    },
    "cuda": {
        "cuda-no-container": (CONTAINER, 0, "4s", b"nope"),
        "cuda-endless": (CONTAINER, 6, "H", 0),
        "cuda-entry-outside": (CODE, 4, "Q", 1 << 62),
        "cuda-entry-endless": (CODE, 0, "12s", bytes(12)),
    },
}
"""Damages at fixed places, by the file that is damaged."""

WRONG_TAGS: dict[str, tuple[str, int, int]] = {
    "strings-outside": ("plain", STRTAB, 1 << 50),
    "strings-huge": ("plain", STRSZ, 1 << 50),
    "strings-unended": ("plain", STRSZ, 5),
    "needed-outside": ("plain", NEEDED, 1 << 20),
    "soname-outside": ("plain", SONAME, 1 << 60),
    "symbols-outside": ("plain", SYMTAB, 8),
    "symbols-odd": ("plain", SYMENT, 16),
    "verneed-outside": ("plain", VERNEED, 1),
    "verdef-outside": ("versioned", VERDEF, 1),
}
"""Other values in the dynamic section: (file, tag, value)."""


def with_change(base: bytes, change: Change) -> bytes:
    """The file with other bytes in one place."""
    mark, behind, fields, value = change
    place, raw = base.index(mark) + behind, struct.pack("<" + fields, value)
    return base[:place] + raw + base[place + len(raw) :]


def with_tag(base: bytes, tag: int, value: int) -> bytes:
    """The file with another value of the first entry of that tag."""
    entries = range(base.index(struct.pack("<QQ", NEEDED, 1)), len(base), 16)
    place = next(at for at in entries if struct.unpack_from("<Q", base, at)[0] == tag)
    return with_change(base, (BEGINNING, place + 8, "Q", value))


def damaged() -> dict[str, bytes]:
    """Files that are broken in one way each."""
    plain = assemble(PLAIN)
    end = len(plain)
    bases = {
        "plain": plain,
        "chained": assemble(replace(PLAIN, hash="sysv")),
        "versioned": assemble(replace(PLAIN, versions=("PLAIN_1.0",))),
        "cuda": assemble(replace(PLAIN, sections=((".nv_fatbin", CUDA),))),
    }
    return {
        "empty": b"",
        "magic-only": plain[:4],
        "short-header": plain[:40],
        "truncated": plain[: end // 2],
        "sections-outside": with_change(plain, (BEGINNING, 40, "Q", end - 8)),
        "hash-outside": with_tag(plain, GNU_HASH, BASE + end),
        "versym-outside": with_tag(plain, VERSYM, BASE + end - 4),
        **{
            name: with_change(bases[base], change)
            for base, changes in WRONG.items()
            for name, change in changes.items()
        },
        **{
            name: with_tag(bases[base], tag, value)
            for name, (base, tag, value) in WRONG_TAGS.items()
        },
    }


COMPILED = {
    "library.so": (
        '#include <math.h>\n#include <stdio.h>\nint answer(double x){return printf("%f", pow(x, x));}',
        ("gcc", "-O1", "-shared", "-fPIC", "-s", "-nostartfiles", "-Wl,-soname,liblibrary.so.1",
         "-Wl,-z,noseparate-code,-z,norelro,--enable-new-dtags,-rpath,$ORIGIN/../lib", "-x", "c", "-", "-lm"),
    ),
    "program": (
        'int puts(const char *); int main(void) { return puts(""); }',
        ("gcc", "-O1", "-s", "-Wl,-z,noseparate-code,-z,norelro,--disable-new-dtags,-rpath,$ORIGIN", "-x", "c", "-"),
    ),
    "hardened.so": (
        "#include <math.h>\ndouble (*g)(double) = sin; __thread int n = 3; double f(double x) { n++; return g(x); }",
        ("gcc", "-O1", "-shared", "-fPIC", "-s", "-nostartfiles", "-fcf-protection",
         "-Wl,-soname,libhardened.so.1,-z,noseparate-code,-z,relro,-z,now", "-x", "c", "-", "-lm"),
    ),
    "object.o": ("int answer = 42;", ("gcc", "-c", "-x", "c", "-")),
    "kernel.o": (
        "__global__ void add(float *p) { *p += 1; }",
        ("nvcc", "--compress-mode=size", "-c", "-x", "cu", "-gencode", "arch=compute_80,code=sm_80", "-gencode",
         "arch=compute_90a,code=sm_90a", "-gencode", "arch=compute_120,code=compute_120", "-"),
    ),
}  # fmt: skip


def main(arguments: list[str]) -> None:
    """Write all files; those of compilers only when asked to."""
    for folder, files in (("sound", sound()), ("damaged", damaged())):
        (HERE / folder).mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (HERE / folder / name).write_bytes(content)
    if "--compile" in arguments:
        (HERE / "compiled").mkdir(exist_ok=True)
        for name, (source, argv) in COMPILED.items():
            target = ("-o", str(HERE / "compiled" / name))
            subprocess.run((*argv, *target), input=source.encode(), check=True)


if __name__ == "__main__":
    main(sys.argv[1:])
