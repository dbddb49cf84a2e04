"""Make the tiny Mach-O files of the tests: `python tests/data/make_macho.py`.

All are put together here, byte by byte, for there is no linker for them at hand.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, field, replace
from pathlib import Path

HERE = Path(__file__).resolve().parent / "macho"
ARM64, X86_64, I386, PPC = 0x0100000C, 0x01000007, 7, 18
LOAD, WEAK, REEXPORT, LAZY, UPWARD = 0xC, 0x80000018, 0x8000001F, 0x20, 0x80000023
USE = 0x1A741800
BUILD_VERSION, MIN_MACOS, MIN_IOS = 0x32, 0x24, 0x25
TEXT_END = 0x1000
SUPERBLOB, DIRECTORY, REQUIREMENTS, WRAPPER = 0xFADE0CC0, 0xFADE0C02, 0xFADE0C01, 0xFADE0B01


@dataclass(frozen=True)
class Macho:
    """An image to be made. `libraries` are (load command, name), `undefined` (name, number of the library)."""

    bits: int = 64
    order: str = "<"
    cpu: int = ARM64
    model: int = 0
    type: int = 6
    flags: int = 0x85
    id: str = ""
    libraries: tuple[tuple[int, str], ...] = ()
    rpaths: tuple[str, ...] = ()
    interpreter: str = ""
    versions: tuple[tuple[int, ...], ...] = ()
    uuid: bytes = b""
    undefined: tuple[tuple[str, int], ...] = ()
    defined: tuple[str, ...] = ()
    symbols: bool = True
    exports: tuple[tuple[str, int], ...] = ()
    tree: bytes = b""
    old_exports: bool = False
    room: int = 256
    rest: bytes = b""
    signature: str = ""
    space: int = 0
    page: int = 12
    linkedit: bool = True
    text_end: int = TEXT_END


@dataclass
class Maker:
    """The image while it grows."""

    macho: Macho
    commands: list[bytes] = field(default_factory=list)
    data: bytearray = field(default_factory=bytearray)

    def pack(self, fields: str, *values: object) -> bytes:
        return struct.pack(self.macho.order + fields, *values)

    @property
    def wide(self) -> bool:
        return self.macho.bits == 64

    def add(self, kind: int, body: bytes) -> None:
        body += bytes(-len(body) % (self.macho.bits // 8))
        self.commands.append(self.pack("II", kind, 8 + len(body)) + body)

    def segment(
        self, name: str, offset: int, size: int, sections: bytes = b"", count: int = 0
    ) -> None:
        memory = size + -size % 0x1000
        word = "QQQQ" if self.wide else "IIII"
        allowed = 5 if name == "__TEXT" else 1
        body = self.pack(
            "16s" + word + "IIII",
            name.encode(),
            offset,
            memory,
            offset,
            size,
            allowed,
            allowed,
            count,
            0,
        )
        self.add(0x19 if self.wide else 1, body + sections)

    def put(self, content: bytes) -> tuple[int, int]:
        """Content of `__LINKEDIT`: where it is in the image, and its size."""
        content += bytes(-len(content) % (self.macho.bits // 8))
        self.data += content
        return self.macho.text_end + len(self.data) - len(content), len(content)


def trie(exports: tuple[tuple[str, int], ...]) -> bytes:
    """A flat table of exports: one branch for each name; the numbers stay below 128."""
    root = 2 + sum(len(name) + 2 for name, _ in exports)
    head, leaves = bytes([0, len(exports)]), b""
    for name, flags in exports:
        head += name.encode() + b"\0" + bytes([root + len(leaves)])
        leaves += bytes([2, flags, 1, 0])
    return head + leaves


def symbols(maker: Maker) -> None:
    """The symbol table: a private name, those for others, those from elsewhere."""
    macho = maker.macho
    if not macho.symbols:
        maker.add(0xB, bytes(72))
        return
    rows = [("local", 0x0E, 1, 0, 8), *((name, 0x0F, 1, 0, 16) for name in macho.defined)]
    rows += [(name, 0x01, 0, number << 8, 0) for name, number in macho.undefined]
    strings, table = b" \0", b""
    for name, kind, section, description, value in rows:
        table += maker.pack(
            "IBBH" + ("Q" if maker.wide else "I"), len(strings), kind, section, description, value
        )
        strings += (name if isinstance(name, bytes) else name.encode()) + b"\0"
    place, _ = maker.put(table)
    start, size = maker.put(strings)
    maker.add(0x2, maker.pack("IIII", place, len(rows), start, size))
    counts = (0, 1, 1, len(macho.defined), 1 + len(macho.defined), len(macho.undefined))
    maker.add(0xB, maker.pack("18I", *counts, *[0] * 12))


def directory(image: bytes, macho: Macho, kind: int, flags: int, requirements: bytes) -> bytes:
    """A code directory of everything in `image`."""
    digest, width = (hashlib.sha1, 20) if kind == 1 else (hashlib.sha256, 32)
    step = 1 << macho.page
    pages = [digest(image[at : at + step]).digest() for at in range(0, len(image), step)]
    special = digest(requirements).digest() + bytes(width) if requirements else b""
    name = b"libplain\0"
    start = 88 + len(name) + len(special)
    head = struct.pack(
        ">9IBBBBIIIIQQQQ", DIRECTORY, start + width * len(pages), 0x20400, flags, start, 88, len(special) // width,
        len(pages), len(image), width, kind, 0, macho.page, 0, 0, 0, 0, 0, 0, macho.text_end, 0,
    )  # fmt: skip
    return head + name + special + b"".join(pages)


def superblob(image: bytes, macho: Macho) -> bytes:
    """A signature: `linker`, `adhoc`, `both` (also SHA-1), `sha1`, or `identity`."""
    if macho.signature == "linker":
        parts = [(0, directory(image, macho, 2, 0x20002, b""))]
    else:
        requirements = struct.pack(">III", REQUIREMENTS, 12, 0)
        cms = b"a signature of a developer" if macho.signature == "identity" else b""
        flags = 0x10000 if cms else 2
        kinds = {"both": (1, 2), "sha1": (1,)}.get(macho.signature, (2,))
        parts = [
            ((0, 0x1000)[at], directory(image, macho, kind, flags, requirements))
            for at, kind in enumerate(kinds)
        ]
        parts[1:1] = [(2, requirements)]
        parts.append((0x10000, struct.pack(">II", WRAPPER, 8 + len(cms)) + cms))
    place = 12 + 8 * len(parts)
    table = b""
    for slot, part in parts:
        table += struct.pack(">II", slot, place)
        place += len(part)
    return (
        struct.pack(">III", SUPERBLOB, place, len(parts))
        + table
        + b"".join(part for _, part in parts)
    )


def names(maker: Maker) -> None:
    """The load commands with names in them."""
    macho = maker.macho
    if macho.id:
        maker.add(0xD, maker.pack("IIII", 24, 1, 0x10203, 0x10000) + macho.id.encode() + b"\0")
    for kind, name in macho.libraries:
        if kind >> 8 == USE >> 8 and kind != LOAD:  # flags in the lowest byte of the mark
            fields = maker.pack("IIIII", 28, USE, 0x10000, 0x10000, kind & 0xFF)
            maker.add(LOAD, fields + name.encode() + b"\0")
        else:
            maker.add(
                kind, maker.pack("IIII", 24, 2, 0x10000, 0x10000) + name.encode("latin-1") + b"\0"
            )
    for name in macho.rpaths:
        maker.add(0x8000001C, maker.pack("I", 12) + name.encode() + b"\0")
    if macho.interpreter:
        maker.add(0xE, maker.pack("I", 12) + macho.interpreter.encode() + b"\0")
        maker.add(0x80000028, maker.pack("QQ", macho.text_end - 16, 0))
    for kind, *fields in macho.versions:
        maker.add(kind, maker.pack(f"{len(fields)}I", *fields))
    if macho.uuid:
        maker.add(0x1B, macho.uuid)


def assemble(macho: Macho) -> bytes:
    """The bytes of an image: header, room, code, tables, signature."""
    maker = Maker(macho)
    names(maker)
    if macho.exports or macho.tree:
        place = maker.put(macho.tree or trie(macho.exports))
        if macho.old_exports:
            maker.add(0x80000022, maker.pack("10I", *[0] * 8, *place))
        else:
            maker.add(0x80000033, maker.pack("II", *place))
    symbols(maker)
    maker.data += bytes(-len(maker.data) % 16 if macho.signature else 0)
    end = macho.text_end + len(maker.data)
    tail, space = b"", 0
    if macho.signature:
        space = macho.space or len(superblob(bytes(end), macho))
        maker.add(0x1D, maker.pack("II", end, space))
    if macho.linkedit:
        maker.segment("__LINKEDIT", macho.text_end, len(maker.data) + space)
    size = (
        {64: 32, 32: 28}[macho.bits]
        + sum(map(len, maker.commands))
        + {64: 152, 32: 124}[macho.bits]
    )
    code = size + macho.room
    word = "QQ" if maker.wide else "II"
    section = maker.pack(
        "16s16s" + word + "IIIIIII", b"__text", b"__TEXT", code, macho.text_end - code, code, 2, 0, 0, 0x80000400, 0, 0
    ) + bytes(4 if maker.wide else 0)  # fmt: skip
    maker.segment("__TEXT", 0, macho.text_end, section, 1)
    maker.commands.insert(0, maker.commands.pop())
    magic = 0xFEEDFACF if maker.wide else 0xFEEDFACE
    row = (
        magic,
        macho.cpu,
        macho.model,
        macho.type,
        len(maker.commands),
        sum(map(len, maker.commands)),
        macho.flags,
    )
    head = maker.pack("7I", *row) + bytes(4 if maker.wide else 0) + b"".join(maker.commands)
    assert len(head) == size
    assert code < macho.text_end
    image = (head + macho.rest).ljust(code, b"\0").ljust(macho.text_end, b"\x1f") + bytes(
        maker.data
    )
    if macho.signature:
        tail = superblob(image, macho).ljust(space, b"\0")
    return image + tail


def fat(*images: tuple[int, int, bytes], wide: bool = False, power: int = 12) -> bytes:
    """A file for several machines, from (machine, model, image)."""
    step, row = 1 << power, ">IIQQII" if wide else ">IIIII"
    place = 8 + struct.calcsize(row) * len(images)
    table, body = b"", b""
    for cpu, model, image in images:
        body += bytes(-(place + len(body)) % step)
        fields = (cpu, model, place + len(body), len(image), power, *([0] if wide else []))
        table += struct.pack(row, *fields)
        body += image
    magic = 0xCAFEBABF if wide else 0xCAFEBABE
    return struct.pack(">II", magic, len(images)) + table + body


PLAIN = Macho(
    id="@rpath/libplain.dylib",
    libraries=((LOAD, "@rpath/libz.1.dylib"), (LOAD, "/usr/lib/libSystem.B.dylib")),
    rpaths=("@loader_path/../lib", "/opt/lib"),
    versions=((BUILD_VERSION, 1, 11 << 16, 14 << 16 | 5 << 8 | 1, 0),),
    uuid=bytes(range(16)),
    undefined=(("_compress", 1), ("_printf", 2)),
    defined=("_answer", "_question"),
    signature="adhoc",
)
INTEL = replace(
    PLAIN, cpu=X86_64, model=3, signature="", versions=((MIN_MACOS, 10 << 16 | 9 << 8, 13 << 16),)
)
KINDS = replace(
    PLAIN,
    libraries=(
        (LOAD, "@rpath/libplain.1.dylib"), (WEAK, "@rpath/libweak.dylib"), (REEXPORT, "/usr/lib/libreexport.dylib"),
        (LAZY, "@loader_path/liblazy.dylib"), (UPWARD, "libupward.dylib"), (USE | 1, "libuseweak.dylib"),
        (USE | 8, "libuselate.dylib"), (LOAD, "@rpath/libplain.1.dylib"),
    ),
    undefined=(("_compress", 1), ("_anywhere", 0xFE)),
)  # fmt: skip
EXPORTS = (("_answer", 0), ("_question", 0))
STRANGE = replace(PLAIN, libraries=((LOAD, "/lib\xff.dylib"), *PLAIN.libraries))


def sound() -> dict[str, bytes]:
    """Files that are as they should be."""
    arm64, intel = assemble(PLAIN), assemble(INTEL)
    unsigned = assemble(replace(PLAIN, signature=""))
    i386 = assemble(replace(INTEL, bits=32, cpu=I386))
    stripped = replace(PLAIN, symbols=False, exports=EXPORTS)
    archive = b"!<arch>\n" + bytes(24)
    x86_64 = (X86_64, 3, intel)
    return {
        "arm64.dylib": arm64,
        "arm64-linker.dylib": assemble(replace(PLAIN, signature="linker")),
        "arm64-unsigned.dylib": unsigned,
        "arm64-identity.dylib": assemble(replace(PLAIN, signature="identity", space=2048)),
        "arm64-identity-full.dylib": assemble(replace(PLAIN, signature="identity", libraries=(), undefined=())),
        "arm64-sha1.dylib": assemble(replace(PLAIN, signature="sha1")),
        "arm64-large-pages.dylib": assemble(replace(PLAIN, page=14, text_end=0x8000)),
        "arm64e.dylib": assemble(replace(PLAIN, model=0x80000002)),
        "x86_64.dylib": intel,
        "x86_64-both.dylib": assemble(replace(INTEL, signature="both")),
        "i386.dylib": i386,
        "ppc.dylib": assemble(replace(INTEL, bits=32, order=">", cpu=PPC, model=0)),
        "bundle.so": assemble(replace(PLAIN, type=8, id="")),
        "program": assemble(replace(PLAIN, type=2, id="", interpreter="/usr/lib/dyld", flags=0x20085)),
        "object.o": assemble(replace(INTEL, type=1, id="", libraries=(), rpaths=(), linkedit=False)),
        "symbols.dSYM": assemble(replace(PLAIN, type=10, id="", libraries=(), rpaths=(), undefined=(), signature="")),
        "stripped.dylib": assemble(stripped),
        "old-exports.dylib": assemble(replace(stripped, old_exports=True)),
        "private.dylib": assemble(replace(PLAIN, defined=(), undefined=(), exports=EXPORTS)),
        "no-names.dylib": assemble(replace(PLAIN, symbols=False)),
        "kinds.dylib": assemble(KINDS),
        "flat.dylib": assemble(replace(PLAIN, flags=0x5)),
        "reexports.dylib": assemble(replace(PLAIN, exports=(("_other", 8),))),
        "ios.dylib": assemble(replace(PLAIN, versions=((MIN_IOS, 12 << 16 | 1 << 8 | 4, 0),))),
        "zippered.dylib": assemble(
            replace(PLAIN, versions=((BUILD_VERSION, 6, 14 << 16, 0, 0), (BUILD_VERSION, 1, 11 << 16, 0, 0)))
        ),
        "strange-platform.dylib": assemble(replace(PLAIN, versions=((BUILD_VERSION, 99, 1 << 16, 0, 0),))),
        "no-version.dylib": assemble(replace(PLAIN, versions=(), uuid=b"")),
        "not-utf8.dylib": assemble(STRANGE),
        "no-room.dylib": assemble(replace(PLAIN, room=0)),
        "little-room.dylib": assemble(replace(PLAIN, room=8)),
        "used-room.dylib": assemble(replace(PLAIN, rest=b"\0" * 8 + b"used")),
        "universal2.dylib": fat(x86_64, (ARM64, 0, arm64)),
        "universal2-64.dylib": fat(x86_64, (ARM64, 0, arm64), wide=True),
        "universal2-unsigned-first.dylib": fat((ARM64, 0, unsigned), x86_64),
        "universal2-different.dylib": fat(x86_64, (ARM64, 0, assemble(KINDS)), power=14),
        "universal.dylib": fat((I386, 3, i386), x86_64, power=4),
        "one-machine.dylib": fat(x86_64),
        "archive.a": fat((X86_64, 3, archive), (ARM64, 0, archive), power=4),
        "trailing.dylib": fat((ARM64, 0, unsigned)) + b"more",
    }  # fmt: skip


BEGINNING = b""
BLOB, CODE = struct.pack(">I", SUPERBLOB), struct.pack(">I", DIRECTORY)
IMAGE = struct.pack("<II", 0xFEEDFACF, ARM64)
NAMES = trie(EXPORTS)
SYMTAB, GROUPS, LIBRARY, UUID, SIGNATURE, EXPORTED = 2, 0xB, 0xC, 0x1B, 0x1D, 0x80000033
Change = tuple[bytes | int, int, str, tuple[int | bytes, ...]]
"""(mark, bytes behind its start, format, values): the mark is a load command, or bytes where they first stand."""

WRONG: dict[str, dict[str, tuple[Change, ...]]] = {
    "both": {
        "machines-overlap": ((BEGINNING, 36, ">I", (0x1004,)),),
        "machine-in-table": ((BEGINNING, 16, ">I", (16,)),),
        "machine-other": ((BEGINNING, 28, ">I", (X86_64,)),),
        "machine-no-image": ((BEGINNING, 0x1000, ">I", (0,)),),
        "machine-damaged": ((IMAGE, 20, "<I", (1 << 30,)),),
    },
    "plain": {
        "commands-huge": ((BEGINNING, 20, "<I", (0xFFFFFFF0,)),),
        "commands-many": ((BEGINNING, 16, "<I", (0xFFFF,)),),
        "command-empty": ((BEGINNING, 36, "<I", (0,)),),
        "command-odd": ((BEGINNING, 36, "<I", (153,)),),
        "command-long": ((BEGINNING, 36, "<I", (1 << 20,)),),
        "command-short": ((BUILD_VERSION, 4, "<I", (16,)), (BUILD_VERSION, 16, "<II", (0, 8))),
        "two-signatures": ((LIBRARY, 0, "<I", (SIGNATURE,)),),
        "name-outside": ((LIBRARY, 8, "<I", (1000,)),),
        "name-in-fields": ((LIBRARY, 8, "<I", (8,)),),
        "uuid-short": ((UUID, 4, "<I", (16,)), (UUID, 16, "<II", (1, 8))),
        "symbols-huge": ((SYMTAB, 12, "<I", (0xFFFFFFFF,)),),
        "strings-huge": ((SYMTAB, 20, "<I", (0xFFFFFFFF,)),),
        "strings-unended": ((SYMTAB, 20, "<I", (40,)),),
        "groups-outside": ((GROUPS, 24, "<II", (1, 1000)),),
        "signature-no-blob": ((BLOB, 0, ">I", (0,)),),
        "signature-long": ((BLOB, 4, ">I", (1 << 20,)),),
        "signature-many": ((BLOB, 8, ">I", (1000,)),),
        "signature-part-outside": ((BLOB, 16, ">I", (1 << 20,)),),
        "signature-part-long": ((CODE, 4, ">I", (1 << 20,)),),
        "signature-no-directory": ((CODE, 0, ">I", (REQUIREMENTS,)),),
        "signature-scattered": ((CODE, 44, ">I", (1,)),),
        "signature-digest": ((CODE, 37, ">B", (9,)),),
        "signature-page": ((CODE, 39, ">B", (40,)),),
        "signature-count": ((CODE, 28, ">I", (1,)),),
        "signature-width": ((CODE, 36, ">B", (20,)),),
        "signature-special": ((CODE, 24, ">I", (1000,)),),
        "signature-digests-outside": ((CODE, 16, ">I", (1 << 16,)),),
    },
    "stripped": {
        "exports-outside": ((EXPORTED, 8, "<I", (1 << 20,)),),
        "exports-loop": ((NAMES, 2 + 8, "B", (0,)),),
        "exports-number": ((NAMES, 0, "10s", (b"\xff" * 10,)),),
        "exports-node": ((NAMES, 0, "B", (0x7F,)),),
        "exports-unended": ((NAMES, 1, "B", (0x7F,)),),
    },
}
"""Damages at fixed places, by the file that is damaged."""


def with_changes(base: bytes, *changes: Change) -> bytes:
    """The file with other bytes in some places; places are those of the whole file."""
    image = bytearray(base)
    for mark, behind, fields, values in changes:
        start = _command(base, mark) if isinstance(mark, int) else base.index(mark)
        struct.pack_into(fields, image, start + behind, *values)
    return bytes(image)


def _command(image: bytes, kind: int) -> int:
    """Where the first load command of that kind is."""
    place = 32
    while struct.unpack_from("<I", image, place)[0] != kind:
        place += struct.unpack_from("<I", image, place + 4)[0]
    return place


def damaged() -> dict[str, bytes]:
    """Files that are broken in one way each."""
    plain = assemble(PLAIN)
    both = fat((X86_64, 3, assemble(INTEL)), (ARM64, 0, plain))
    stripped = assemble(replace(PLAIN, symbols=False, exports=EXPORTS))
    bases, end = {"plain": plain, "both": both, "stripped": stripped}, (len(plain),)
    return {
        "magic-only": plain[:4],
        "short-header": plain[:20],
        "truncated": plain[: len(plain) // 2],
        "no-image": b"\xca\xfe\xba\xbe" + bytes(4),
        "many-machines": b"\xca\xfe\xba\xbe\x00\x00\x00\x2a" + bytes(30),
        "machine-outside": with_changes(both, (BEGINNING, 36, ">I", (len(both),))),
        "commands-outside": with_changes(plain, (BEGINNING, 20, "<I", end)),
        "symbols-outside": with_changes(plain, (SYMTAB, 8, "<I", end)),
        "strings-outside": with_changes(plain, (SYMTAB, 16, "<I", end)),
        "signature-outside": with_changes(plain, (SIGNATURE, 8, "<I", end)),
        **{
            name: with_changes(bases[base], *changes)
            for base, table in WRONG.items()
            for name, changes in table.items()
        },
    }


def unfolding() -> dict[str, bytes]:
    """Files whose names would fill a memory; made when they are needed."""
    long = assemble(
        replace(PLAIN, defined=("_" + "x" * 4000, *(f"_{n:04}" for n in range(1000))), signature="")
    )
    row = long.index(struct.pack("<IBBHQ", 8, 0x0F, 1, 0, 16))
    shared = bytearray(long)
    for number in range(1, 1001):
        struct.pack_into("<I", shared, row + 16 * number, 8 + number)
    nodes, node = b"", b"\0\1" + b"x" * 300 + b"\0"
    for number in range(1, 101):
        place = number * (len(node) + 3)
        nodes += node + bytes([place & 0x7F | 0x80, place >> 7 & 0x7F | 0x80, place >> 14])
    return {
        "shared-names": bytes(shared),
        "deep-exports": assemble(replace(PLAIN, symbols=False, tree=nodes)),
    }


def main() -> None:
    """Write all files."""
    for folder, files in (("sound", sound()), ("damaged", damaged())):
        (HERE / folder).mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (HERE / folder / name).write_bytes(content)


if __name__ == "__main__":
    main()
