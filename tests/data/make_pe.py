"""Make the tiny PE files of the tests, byte by byte: `python tests/data/make_pe.py`.

A file has the sections `.text` (four bytes of code), `.rdata` (all tables) and `.data`; each begins in the file a
sector of 512 bytes, and in memory a page of 4096 bytes after the last.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

HERE = Path(__file__).resolve().parent / "pe"
SECTOR, PAGE = 0x200, 0x1000
HEADERS = 2 * SECTOR
BASE = 0x400000
TABLES = 0x2000
"""The address of `.rdata`."""
READ_DATA, WRITE_DATA, CODE = 0x40000040, 0xC0000040, 0x60000020
COFF, OPTIONAL, DIRECTORIES, SECTIONS = 68, 88, 200, 328
"""Where the headers of a file of 64 bits are."""
EXPORT, IMPORT, CERTIFICATE, DEBUG, LOAD_CONFIG, BOUND, DELAYED = 0, 1, 4, 6, 10, 11, 13

Libraries = tuple[tuple[str, tuple[str | int, ...]], ...]


@dataclass(frozen=True)
class Pe:
    """A file to be made. Symbols are names, or numbers for ordinals."""

    bits: int = 64
    machine: int = 0x8664
    characteristics: int = 0x2022
    flags: int = 0x4160
    imports: Libraries = (
        ("KERNEL32.dll", ("ExitProcess", "Sleep")),
        ("demo.dll", ("alpha", 12)),
    )
    delayed: Libraries = ()
    by_address: bool = False
    lookups: bool = True
    soname: str = "self.dll"
    exported: tuple[str, ...] = ("one", "two")
    forwarders: tuple[str, ...] = ()
    bound: bool = False
    load_flags: int = 0
    hybrid: int = 0
    identity: bool = True
    certificate: bytes = b""
    overlay: bytes = b""
    behind: bytes = b""
    symbols: bool = False
    padded: bool = True
    crowded: bytes = b""
    checksum: bool = True
    shared: bool = False
    more: tuple[tuple[bytes, bytes, int], ...] = ()
    subsystem: tuple[int, int] = (6, 1)


@dataclass
class Tables:
    """The content of `.rdata` while it grows."""

    pe: Pe
    body: bytearray = field(default_factory=bytearray)
    directories: dict[int, tuple[int, int]] = field(default_factory=dict)
    named: dict[str, int] = field(default_factory=dict)

    def put(self, content: bytes, unit: int = 2) -> int:
        """Add some bytes; their address."""
        self.body += bytes(-len(self.body) % unit)
        self.body += content
        return TABLES + len(self.body) - len(content)

    def name(self, text: str) -> int:
        """The address of the name of a library; at its end, `shared` ones share their bytes."""
        if self.pe.shared:
            for known, address in self.named.items():
                if known.endswith(text):
                    return address + len(known) - len(text)
        self.named[text] = self.put(text.encode("utf-8", "surrogateescape") + b"\0")
        return self.named[text]

    def words(self, values: list[int]) -> int:
        letter = "Q" if self.pe.bits == 64 else "I"
        return self.put(struct.pack(f"<{len(values)}{letter}", *values), 8)

    def lookups(self, symbols: tuple[str | int, ...], base: int) -> int:
        """The address of a lookup table, ended by a zero."""
        entries = []
        for symbol in symbols:
            if isinstance(symbol, int):
                entries.append(symbol | 1 << (self.pe.bits - 1))
            else:
                entries.append(base + self.put(b"\0\0" + symbol.encode() + b"\0"))
        return self.words([*entries, 0])


def assemble(pe: Pe) -> bytes:
    """The bytes of a file."""
    tables = Tables(pe)
    _put_imports(tables)
    _put_delayed(tables)
    _put_exports(tables)
    _put_identity(tables)
    _put_load_config(tables)
    if not pe.padded:
        tables.body += b"\xcc" * (-len(tables.body) % SECTOR)
    contents = [
        (b".text", b"\xc3" * (4 if pe.padded else SECTOR), CODE),
        (b".rdata", bytes(tables.body), READ_DATA),
        (b".data", b"\xdd" * (16 if pe.padded else SECTOR), WRITE_DATA),
        *pe.more,
    ]
    directories = tables.directories
    sections, body, place, address = b"", b"", HEADERS, PAGE
    for name, content, flags in contents:
        stored = content + bytes(-len(content) % SECTOR)
        sections += struct.pack(
            "<8sIIIIIIHHI", name, len(content), address, len(stored), place, 0, 0, 0, 0, flags
        )
        body, place, address = body + stored, place + len(stored), address + PAGE
    body += pe.overlay
    symbols = HEADERS + len(body) if pe.symbols else 0
    if symbols:
        body += struct.pack("<8sIHHBB", b"\0\0\0\0\4", 0x10, 1, 0x20, 2, 0) + struct.pack("<I", 16)
        body += b"long_symbol\0"
    if pe.certificate:
        body += bytes(-len(body) % 8)
        content = struct.pack("<IHH", 8 + len(pe.certificate), 0x200, 2) + pe.certificate
        directories[CERTIFICATE] = (HEADERS + len(body), len(content))
        body += content + bytes(-len(content) % 8)
    body += pe.behind
    header = _header(pe, directories, len(contents), address, symbols) + sections
    if pe.bound:
        start = len(header)
        header += struct.pack("<IHH", 0x5F000000, 16, 0) + bytes(8) + b"demo.dll\0"
        directories[BOUND] = (start, len(header) - start)
        header = _header(pe, directories, len(contents), address, symbols) + header[start - len(sections):]  # fmt: skip
    header += pe.crowded
    assert len(header) <= HEADERS
    whole = header.ljust(HEADERS, b"\0") + body
    return _with_checksum(whole) if pe.checksum else whole


def _header(
    pe: Pe, directories: Mapping[int, tuple[int, int]], sections: int, end: int, symbols: int
) -> bytes:
    """Everything before the section headers."""
    dos = (b"MZ" + bytes(58) + struct.pack("<I", 64)).ljust(64, b"\0")
    size = 240 if pe.bits == 64 else 224
    coff = struct.pack(
        "<HHIIIHH", pe.machine, sections, 0x5F000000, symbols, int(pe.symbols), size, pe.characteristics
    )  # fmt: skip
    optional = struct.pack(
        "<HBBIIIII", 0x10B if pe.bits == 32 else 0x20B, 14, 0, SECTOR, SECTOR, 0, PAGE, PAGE
    )
    optional += struct.pack("<II", TABLES, BASE) if pe.bits == 32 else struct.pack("<Q", BASE)
    optional += struct.pack(
        "<IIHHHHHHIIIIHH", PAGE, SECTOR, 6, 0, 0, 0, *pe.subsystem, 0, end, HEADERS, 0, 3, pe.flags
    )  # fmt: skip
    letter = "Q" if pe.bits == 64 else "I"
    optional += struct.pack(f"<4{letter}II", 0x100000, 0x1000, 0x100000, 0x1000, 0, 16)
    for which in range(16):
        optional += struct.pack("<II", *directories.get(which, (0, 0)))
    return dos + b"PE\0\0" + coff + optional


def _put_imports(tables: Tables) -> None:
    pe, rows = tables.pe, b""
    for library, symbols in pe.imports:
        name = tables.name(library)
        lookups = tables.lookups(symbols, 0)
        addresses = tables.lookups(symbols, 0)
        time = 0xFFFFFFFF if pe.bound else 0
        rows += struct.pack("<5I", lookups if pe.lookups else 0, time, time, name, addresses)
    if rows:
        tables.directories[IMPORT] = (tables.put(rows + bytes(20), 4), len(rows) + 20)


def _put_delayed(tables: Tables) -> None:
    pe, rows = tables.pe, b""
    base = BASE if pe.by_address else 0
    for library, symbols in pe.delayed:
        name = tables.name(library)
        lookups = tables.lookups(symbols, base)
        time = 0x5F000000 if pe.bound else 0
        rows += struct.pack(
            "<8I", int(not pe.by_address), base + name, 0x3000 + base, 0x3008 + base, base + lookups, 0, 0, time
        )  # fmt: skip
    if rows:
        tables.directories[DELAYED] = (tables.put(rows + bytes(32), 4), len(rows) + 32)


def _put_exports(tables: Tables) -> None:
    """Forwarders, like all in the reach of the directory, are texts and not functions."""
    pe = tables.pe
    if not pe.soname:
        return
    count = len(pe.exported)
    start = tables.put(bytes(40), 4)
    functions = tables.put(bytes(4 * count), 4)
    names = tables.put(
        b"".join(struct.pack("<I", tables.put(one.encode() + b"\0")) for one in pe.exported), 4
    )
    ordinals = tables.put(struct.pack(f"<{count}H", *range(count)))
    targets = [tables.put(text.encode() + b"\0") for text in pe.forwarders]
    targets += [PAGE] * (count - len(targets))
    name = tables.name(pe.soname)
    row = struct.pack("<IIHHIIIIIII", 0, 0, 0, 0, name, 1, count, count, functions, names, ordinals)
    for address, content in ((start, row), (functions, struct.pack(f"<{count}I", *targets))):
        tables.body[address - TABLES : address - TABLES + len(content)] = content
    tables.directories[EXPORT] = (start, TABLES + len(tables.body) - start)


def _put_identity(tables: Tables) -> None:
    """What names the debug information: a directory of two entries, of which the second counts."""
    if not tables.pe.identity:
        return
    content = b"RSDS" + bytes(range(16)) + struct.pack("<I", 2) + b"self.pdb\0"
    address = tables.put(content, 4)
    place = HEADERS + SECTOR + address - TABLES
    rows = struct.pack("<IIHHIIII", 0, 0, 0, 0, 16, 0, 0, 0)
    rows += struct.pack("<IIHHIIII", 0, 0, 0, 0, 2, len(content), address, place)
    tables.directories[DEBUG] = (tables.put(rows, 4), len(rows))


def _put_load_config(tables: Tables) -> None:
    pe = tables.pe
    if not pe.load_flags and not pe.hybrid:
        return
    size, place = (208, 78) if pe.bits == 64 else (72, 54)
    content = bytearray(struct.pack("<I", size).ljust(size, b"\0"))
    content[place : place + 2] = struct.pack("<H", pe.load_flags)
    if pe.hybrid:
        content[200:208] = struct.pack("<Q", pe.hybrid)
    tables.directories[LOAD_CONFIG] = (tables.put(bytes(content), 8), size)


def _with_checksum(whole: bytes) -> bytes:
    """Word by word, as Microsoft describes it."""
    place, total = OPTIONAL + 64, 0
    whole = whole[:place] + bytes(4) + whole[place + 4 :]
    for at in range(0, len(whole), 2):
        total += int.from_bytes(whole[at : at + 2], "little")
        total = (total & 0xFFFF) + (total >> 16)
    return whole[:place] + struct.pack("<I", total + len(whole)) + whole[place + 4 :]


PLAIN = Pe()
LATE: Libraries = (("late.dll", ("gamma",)), ("DEMO.dll", ("delta",)))
CODE_OF_DEVICES = b"".join(
    struct.pack("<IHHQ", 0xBA55ED50, 1, 16, 64 + 8)
    + struct.pack("<HHIQIIHHIQQ", 2, 0, 64, 8, 0, 0, 0, 0, number, 0, 0).ljust(64, b"\0")
    + bytes(8)
    for number in (80, 90)
)


def sound() -> dict[str, bytes]:
    """Files that a loader takes, by name."""
    files = {
        "amd64.dll": PLAIN,
        "win32.dll": replace(PLAIN, bits=32, machine=0x14C),
        "arm64.dll": replace(PLAIN, machine=0xAA64),
        "armv7.dll": replace(PLAIN, bits=32, machine=0x1C4),
        "unknown.dll": replace(PLAIN, machine=0x1234),
        "program.exe": replace(PLAIN, characteristics=0x22, soname="", exported=()),
        "boot.sys": replace(PLAIN, characteristics=0x20, soname="", exported=()),
        "alone.dll": replace(PLAIN, imports=(), identity=False),
        "silent.dll": replace(PLAIN, exported=()),
        "delayed.dll": replace(PLAIN, delayed=LATE),
        "delayed-32.dll": replace(PLAIN, bits=32, machine=0x14C, delayed=LATE),
        "delayed-by-address.dll": replace(PLAIN, bits=32, machine=0x14C, delayed=LATE, by_address=True),
        "no-lookups.dll": replace(PLAIN, lookups=False),
        "bound.dll": replace(PLAIN, bound=True, delayed=LATE),
        "bound-for-ever.dll": replace(PLAIN, bound=True, lookups=False),
        "load-flags.dll": replace(PLAIN, load_flags=0x800),
        "load-flags-32.dll": replace(PLAIN, bits=32, machine=0x14C, load_flags=0x800),
        "arm64x.dll": replace(PLAIN, machine=0xAA64, hybrid=BASE + TABLES),
        "arm64ec.dll": replace(PLAIN, hybrid=BASE + TABLES),
        "forwarding.dll": replace(PLAIN, forwarders=("demo.alpha", "Other.v2.dll.#3")),
        "signed.dll": replace(PLAIN, certificate=b"\x30\x82certificate"),
        "signed-inside.dll": replace(PLAIN, certificate=b"\x30\x82certificate", behind=b"archive!"),
        "integrity.dll": replace(PLAIN, certificate=b"\x30\x82certificate", flags=0x41E0),
        "symbols.dll": replace(PLAIN, symbols=True),
        "overlay.dll": replace(PLAIN, overlay=b"archive"),
        "no-checksum.dll": replace(PLAIN, checksum=False),
        "full.dll": replace(PLAIN, padded=False),
        "full-32.dll": replace(PLAIN, padded=False, bits=32, machine=0x14C),
        "full-signed.dll": replace(PLAIN, padded=False, certificate=b"\x30\x82certificate" * 200),
        "full-symbols.dll": replace(PLAIN, padded=False, symbols=True),
        "full-bound.dll": replace(PLAIN, padded=False, bound=True),
        "crowded.dll": replace(PLAIN, padded=False, crowded=b"\x01"),
        "shared.dll": replace(PLAIN, imports=(("mydemo.dll", ("alpha",)), ("demo.dll", ("beta",)))
                              , shared=True),
        "self.dll": replace(PLAIN, imports=(("self.dll", ("one",)),), shared=True),
        "spelled.dll": replace(PLAIN, imports=(("Demo.dll", ("alpha",)), ("demo.DLL", ("beta", "alpha")))),
        "not-utf8.dll": replace(PLAIN, imports=(("d\udcff.dll", ("alpha",)),)),
        "cuda.dll": replace(PLAIN, more=((b".nv_fatb", CODE_OF_DEVICES, READ_DATA),)),
        "resources.dll": replace(PLAIN, padded=False, more=((b".rsrc", b"icon", READ_DATA),)),
    }  # fmt: skip
    made = {name: assemble(pe) for name, pe in files.items()}
    stale = made["amd64.dll"]
    stale = _with(stale, _place(stale, DEBUG) + 28 + 24, "<I", 0xFFFFFF)
    return {**made, "stale-debug.dll": _with_checksum(stale)}


def damaged() -> dict[str, bytes]:
    """Files that no reader can take, by name: what is wrong with each is one number."""
    plain, full = assemble(PLAIN), assemble(replace(PLAIN, padded=False))
    late = assemble(replace(PLAIN, delayed=LATE))
    rows = _place(plain, IMPORT)
    lookups = _offset(struct.unpack_from("<I", plain, rows)[0])
    exports = _place(plain, EXPORT)
    end = TABLES + SECTOR
    return {
        "empty": b"",
        "magic-only": b"MZ",
        "dos-program": _with(plain, 64, "<I", 0),
        "header-outside": _with(plain, 0x3C, "<I", 0xFFFFFFF0),
        "truncated": plain[:OPTIONAL],
        "truncated-directories": plain[:SECTIONS - 8],
        "bad-optional-header": _with(plain, OPTIONAL, "<H", 0x107),
        "alignment-zero": _with(plain, OPTIONAL + 32, "<I", 0),
        "alignment-odd": _with(plain, OPTIONAL + 36, "<I", 0x201),
        "sections-huge": _with(plain, COFF + 2, "<H", 0xFFFF),
        "sections-outside": _with(plain, COFF + 16, "<H", 0xFFFF),
        "sections-descend": _with(plain, SECTIONS + 40 + 12, "<I", PAGE),
        "section-outside": _with(plain, SECTIONS + 40 + 20, "<I", 0xFFFFFE00),
        "section-empty": _with(plain, SECTIONS + 40 + 16, "<I", 0),
        "imports-outside": _with(plain, DIRECTORIES + 8 * IMPORT, "<I", 0xFFFFFFF0),
        "imports-unended": _with(full, DIRECTORIES + 8 * IMPORT, "<I", end - 20),
        "imports-huge": _with(plain, DIRECTORIES + 8 * IMPORT, "<I", end - 8),
        "import-name-outside": _with(plain, rows + 12, "<I", 0xFFFF),
        "import-name-unended": _with(full, rows + 12, "<I", end - 4),
        "import-name-empty": _with(plain, rows + 12, "<I", end - 4),
        "lookups-outside": _with(plain, rows, "<I", 0xFFFF),
        "lookups-unended": _with(full, rows, "<I", end - 16),
        "symbol-outside": _with(plain, lookups, "<Q", 0x7FFFFFFF),
        "symbol-beyond-32-bits": _with(plain, lookups, "<Q", 1 << 40),
        "delayed-outside": _with(plain, DIRECTORIES + 8 * DELAYED, "<I", 0xFFFF),
        "delayed-below": _with(late, _place(late, DELAYED), "<I", 0),
        "exports-outside": _with(plain, DIRECTORIES + 8 * EXPORT, "<I", 0xFFFF),
        "export-name-outside": _with(plain, exports + 12, "<I", 0xFFFF),
        "exports-huge": _with(plain, exports + 20, "<I", 1 << 20),
        "debug-outside": _with(plain, DIRECTORIES + 8 * DEBUG, "<I", 0xFFFF),
        "load-config-outside": _with(plain, DIRECTORIES + 8 * LOAD_CONFIG, "<I", 0xFFFF),
        "cuda-outside": _with(
            assemble(replace(PLAIN, more=((b".nv_fatb", CODE_OF_DEVICES[:24], READ_DATA),))),
            SECTIONS + 120 + 16, "<I", 24,
        ),
    }  # fmt: skip


def unlistable() -> dict[str, bytes]:
    """Files that can be read, but not what they export."""
    plain = assemble(PLAIN)
    exports = _place(plain, EXPORT)
    names = _offset(struct.unpack_from("<I", plain, exports + 32)[0])
    return {
        "names-huge": _with(plain, exports + 24, "<I", 0x10000),
        "names-outside": _with(plain, exports + 32, "<I", 0xFFFF),
        "name-outside": _with(plain, names, "<I", 0xFFFF),
    }


def others() -> dict[str, bytes]:
    """Files that go with DLLs and are none."""
    return {
        "import.lib": b"!<arch>\n/               0",
        "import-entry.obj": struct.pack("<HHHHI", 0, 0xFFFF, 0, 0x8664, 0),
        "amd64.obj": struct.pack("<HHIII", 0x8664, 1, 0, 0, 0),
        "win32.obj": struct.pack("<HHIII", 0x14C, 1, 0, 0, 0),
        "arm64.obj": struct.pack("<HHIII", 0xAA64, 1, 0, 0, 0),
        "arm64ec.obj": struct.pack("<HHIII", 0xA641, 1, 0, 0, 0),
        "text.txt": b"a text that is none of these",
    }


def overlapping(libraries: int, symbols: int, name: int) -> bytes:
    """A file whose libraries all have the same table, and whose symbols all have the same name."""
    tables = Tables(PLAIN)
    address = tables.put(b"\0\0" + b"x" * name + b"\0")
    lookups = tables.words([address] * symbols + [0])
    rows = struct.pack("<5I", lookups, 0, 0, tables.put(b"a.dll\0"), lookups) * libraries
    start = tables.put(rows + bytes(20), 4)
    content = bytes(tables.body)
    whole = HEADERS + len(content) + -len(content) % SECTOR
    section = struct.pack(
        "<8sIIIIIIHHI", b".rdata", len(content), TABLES, whole - HEADERS, HEADERS, 0, 0, 0, 0, READ_DATA
    )  # fmt: skip
    header = _header(PLAIN, {IMPORT: (start, 0)}, 1, TABLES + (1 << 24), 0) + section
    return header.ljust(HEADERS, b"\0") + content.ljust(whole - HEADERS, b"\0")


def _offset(address: int) -> int:
    return address - TABLES + HEADERS + SECTOR if address < TABLES + PAGE else address


def _place(whole: bytes, which: int) -> int:
    """The offset of a table of a file of 64 bits."""
    return _offset(struct.unpack_from("<I", whole, DIRECTORIES + 8 * which)[0])


def _with(whole: bytes, offset: int, layout: str, value: int) -> bytes:
    raw = struct.pack(layout, value)
    return whole[:offset] + raw + whole[offset + len(raw) :]


def main() -> None:
    makers: tuple[Callable[[], dict[str, bytes]], ...] = (sound, damaged, unlistable, others)
    for make in makers:
        folder = HERE / make.__name__
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.iterdir():
            path.unlink()
        for name, content in make().items():
            (folder / name).write_bytes(content)


if __name__ == "__main__":
    main()
