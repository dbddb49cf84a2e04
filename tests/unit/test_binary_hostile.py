"""Files made to cost more than they are worth: what they may cost is bounded by their size."""

from __future__ import annotations

import struct
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace

import pytest

from builder.binary import BinaryError, Edit, defined, plan, read
from tests.data import make_elf, make_macho, make_pe

LONG = Edit(soname="lib-with-a-name-that-is-longer-than-any-hole.so.1")
SECONDS, MEMORY = 5, 96 << 20

SEGMENT, SECTION, ENTRY = "<IIQQQQQQ", "<IIQQQQIIQQ", "<QQ"
NOTE, DEVICE_CODE = 4, b".nv_fatbin"


def elf(
    segments: list[tuple[int, ...]], content: bytes, sections: int = 0, names: int = 0
) -> bytes:
    """A file of segments, then content that ends with section headers, of which one has the names."""
    table = 64 + 56 * len(segments) + len(content) - 64 * sections
    head = struct.pack(
        "<HHIQQQIHHHHHH", 3, 62, 1, 0, 64, table if sections else 0, 0, 64, 56, len(segments), 64,
        sections, names,
    )  # fmt: skip
    rows = b"".join(struct.pack(SEGMENT, *segment) for segment in segments)
    return b"\x7fELF\2\1\1" + bytes(9) + head + rows + content


def overlapping_notes() -> bytes:
    count, size = 2000, 200_000
    row = (NOTE, 4, 64 + 56 * count, 0, 0, size, size, 4)
    return elf([row] * count, bytes(size))


def large_note() -> bytes:
    size = 100 << 20
    note = struct.pack("<III", 4, size, 3) + b"GNU\0" + bytes(size)
    return elf([(NOTE, 4, 120, 0, 0, len(note), len(note), 4)], note)


def device_code(content: bytes, names: bytes, count: int) -> bytes:
    """`count` sections of device code, which are all the same bytes."""
    start = 64 + len(content)
    rows = [(0,) * 10, (0, 3, 0, 0, start, len(names), 0, 0, 1, 0)]
    rows += [(1, 1, 0, 0, 64, len(content), 0, 0, 1, 0)] * count
    table = b"".join(struct.pack(SECTION, *row) for row in rows)
    return elf([], content + names + table, len(rows), 1)


def many_architectures() -> bytes:
    kind = struct.Struct("<HHIQIIHHIQQ")
    rows = [kind.pack(2, 0, 48, 0, 0, 0, 0, 0, number, 0, 0)[:48] for number in range(100_000)]
    head = struct.pack("<IHHQ", 0xBA55ED50, 1, 16, 48 * len(rows))
    return device_code(head + b"".join(rows), b"\0" + DEVICE_CODE + b"\0", 1)


def with_symbols(symbols: bytes, strings: bytes) -> bytes:
    """A library of a symbol table and its names."""
    count, dynamic = len(symbols) // 24, 64 + 2 * 56
    table = dynamic + 128 + len(symbols)
    start, end = table + 8, table + 8 + len(strings)
    tags = [(5, start), (6, dynamic + 128), (10, len(strings)), (11, 24), (4, table), *[(0, 0)] * 3]
    return elf(
        [(1, 5, 0, 0, 0, end, end, 4), (2, 4, dynamic, dynamic, 0, 128, 128, 8)],
        b"".join(struct.pack(ENTRY, *tag) for tag in tags) + symbols + struct.pack("<II", 0, count)
        + strings,
    )  # fmt: skip


def long_names() -> bytes:
    """Names that all have the same end, far away: to find it for each costs more than to read all."""
    rows = (struct.pack("<IBBHQQ", at, 0x12, 0, 0, 0, 0) for at in range(100_000))
    return with_symbols(b"".join(rows), b"a" * (8 << 20) + b"\0")


def many_names(section: int) -> bytes:
    rows = (struct.pack("<IBBHQQ", 8 * at, 0x12, 0, section, 0, 0) for at in range(530_000))
    return with_symbols(b"".join(rows), b"".join(b"%07x\0" % at for at in range(530_000)))


def without_hash(sections: int) -> bytes:
    """A file in which only a section says how many symbols there are, and that is the last one."""
    plain = make_elf.assemble(replace(make_elf.PLAIN, hash=""))
    place = struct.unpack_from("<Q", plain, 40)[0]
    count = struct.unpack_from("<H", plain, 60)[0]
    rows = plain[place : place + 64 * count]
    first = bytes(32) + struct.pack("<QI", count + sections, count - 1) + bytes(20)
    table = first + rows[64:] + bytes(64 * sections)
    head = plain[:60] + struct.pack("<HH", 0, 0xFFFF) + plain[64:place]
    return head + table


def many_segments() -> bytes:
    """Program headers of a kind that nobody knows, none of which is free for another one."""
    made = make_elf.assemble(replace(make_elf.PLAIN, empty=20_000))
    rest = (0, 0, make_elf.BASE, 0, 0, 0, 4)
    assert made.count(struct.pack(SEGMENT, 0, *rest)) == 20_000
    return made.replace(struct.pack(SEGMENT, 0, *rest), struct.pack(SEGMENT, 0x70001234, *rest))


def with_path(path: str) -> bytes:
    return make_elf.assemble(replace(make_elf.PLAIN, runpath=path))


def wide_exports() -> bytes:
    """A table of exports in which many long names wait for their turn."""
    size = 2 + 250 * (2 + 5)
    begin = 2 + 500_000 + 1 + 5
    places = [begin + size * depth for depth in range(6)]
    tree = b"\0\1" + b"x" * 500_000 + b"\0" + _padded_number(begin)
    for place in places:
        numbers = [place + size, *range(1 << 30, (1 << 30) + 249)]
        tree += b"\0" + bytes([250]) + b"".join(b"y\0" + _padded_number(one) for one in numbers)
    return make_macho.assemble(replace(make_macho.PLAIN, symbols=False, tree=tree, signature=""))


def _padded_number(number: int) -> bytes:
    """A number in LEB128 of five bytes."""
    return bytes(number >> 7 * at & 0x7F | (0x80 if at < 4 else 0) for at in range(5))


def many_symbols(group: int) -> bytes:
    """A group of symbols, those that are defined or those that are not, behind the image."""
    image = bytearray(make_macho.assemble(replace(make_macho.PLAIN, signature="")))
    kind, count, start = (0x0F, 0x01)[group], 530_000, len(image)
    table = b"".join(struct.pack("<IBBHQ", 8 * at, kind, 0, 256, 0) for at in range(count))
    names = b"".join(b"%07x\0" % at for at in range(count))
    place = image.index(struct.pack("<II", 2, 24))
    struct.pack_into("<IIII", image, place + 8, start, count, start + len(table), len(names))
    groups = (0, 0, 0, count, 0, 0) if group == 0 else (0, 0, 0, 0, 0, count)
    struct.pack_into("<6I", image, image.index(struct.pack("<II", 0xB, 80)) + 8, *groups)
    return bytes(image) + table + names


def many_commands() -> bytes:
    count = 1 << 17
    head = struct.pack("<8I", 0xFEEDFACF, make_macho.ARM64, 0, 6, count, 8 * count, 0, 0)
    image = head + struct.pack("<II", 0x99, 8) * count
    return make_macho.fat(*[(make_macho.ARM64, 0, image)] * 16)


def device_code_of_a_dll() -> bytes:
    """Sections of device code which are all the same bytes, told by headers behind these."""
    content, count = make_elf.container(*[(2, 80, 0)] * 2000), 3000
    image = bytearray(make_pe.assemble(make_pe.PLAIN))
    start, size = len(image), len(content)
    header = bytearray(image[make_pe.COFF - 4 : make_pe.SECTIONS + 120])
    struct.pack_into("<H", header, 4 + 2, 3 + count)
    struct.pack_into("<I", image, 0x3C, start + size)
    rows = (
        (b".nv_fatb", size, 0x100000 + 0x1000 * at, size, start, 0, 0, 0, 0, make_pe.READ_DATA)
        for at in range(count)
    )
    table = b"".join(struct.pack("<8sIIIIIIHHI", *row) for row in rows)
    return bytes(image) + content + bytes(header) + table


def large_certificate() -> bytes:
    image = bytearray(make_pe.assemble(replace(make_pe.PLAIN, certificate=b"x")))
    place = make_pe.DIRECTORIES + 8 * make_pe.CERTIFICATE
    start = struct.unpack_from("<I", image, place)[0]
    struct.pack_into("<I", image, place + 4, 200 << 20)
    return bytes(image[:start]) + bytes(200 << 20)


COSTLY: dict[str, tuple[Callable[[], bytes], str]] = {
    "ELF, notes that overlap": (overlapping_notes, ""),
    "ELF, a large note": (large_note, ""),
    "ELF, sections of device code that overlap": (
        lambda: device_code(bytes(160_000), b"\0" + DEVICE_CODE + b"\0", 3000),
        "sections overlap",
    ),
    "ELF, device code of zeros": (
        lambda: device_code(bytes(50 << 20), b"\0" + DEVICE_CODE + b"\0", 1), "",
    ),
    "ELF, many names of sections": (
        lambda: device_code(b"", b"\0" + (DEVICE_CODE + b"\0") * 3_000_000, 1), "",
    ),
    "ELF, many architectures": (many_architectures, "more architectures than there are"),
    "ELF, names with one end": (long_names, "names overlap beyond reason"),
    "ELF, many undefined names": (lambda: many_names(0), "over 524288 undefined ones cannot be"),
    "ELF, many defined names": (lambda: many_names(1), "over 524288 defined ones cannot be"),
    "ELF, a search path of colons": (lambda: with_path(":" * 8_000_000), "8000001 folders"),
    "Mach-O, exports with long names": (wide_exports, "beyond reason"),
    "Mach-O, many defined names": (lambda: many_symbols(0), "over 524288 names cannot be"),
    "Mach-O, many undefined names": (lambda: many_symbols(1), "over 524288 names cannot be"),
    "Mach-O, many load commands": (many_commands, "load commands: more than"),
    "PE, sections of device code that overlap": (device_code_of_a_dll, "CUDA sections overlap"),
    "PE, a large certificate": (large_certificate, ""),
    "ELF, many sections": (lambda: without_hash(1_000_000), ""),
    "ELF, many segments": (many_segments, ""),
}  # fmt: skip


@pytest.mark.parametrize(("make", "reason"), COSTLY.values(), ids=COSTLY)
def test_no_file_costs_more_than_it_is_worth(make: Callable[[], bytes], reason: str) -> None:
    content = make()
    start = time.process_time()

    found = {_told(call, content) for call in (read, defined, _planned)}

    assert time.process_time() - start < SECONDS
    assert any(reason in told for told in found), found


@pytest.mark.parametrize("make", [make for make, _ in COSTLY.values()], ids=COSTLY)
def test_no_file_needs_more_memory_than_it_is_worth(make: Callable[[], bytes]) -> None:
    content = make()
    tracemalloc.start(1)
    try:
        for call in (read, defined, _planned):
            _told(call, content)
        assert tracemalloc.get_traced_memory()[1] < MEMORY
    finally:
        tracemalloc.stop()


def _told(call: Callable[[bytes], object], content: bytes) -> str:
    try:
        call(content)
    except BinaryError as error:
        return error.message
    return ""


def _planned(content: bytes) -> None:
    patch = plan(content, LONG)
    assert patch.size < len(content) + (1 << 20)


def test_a_section_at_the_end_of_all_addresses_has_no_room() -> None:
    image = bytearray(make_pe.assemble(make_pe.PLAIN))
    rows = make_pe.SECTIONS
    struct.pack_into("<I", image, rows + 40 + 36, make_pe.CODE)
    struct.pack_into("<I", image, rows + 80 + 12, 0xFFFFF000)
    struct.pack_into("<I", image, rows + 80 + 36, make_pe.READ_DATA)
    with pytest.raises(BinaryError, match="has no room for one more section"):
        plan(bytes(image), Edit(needed=(("demo.dll", "a-name-that-is-longer-than-that.dll"),)))


def with_aligned_segments(**shape: object) -> bytes:
    """A file whose segments claim to begin at multiples of a number that no file reaches."""
    made = bytearray(make_elf.assemble(replace(make_elf.PLAIN, **shape)))  # type: ignore[arg-type]  # a table
    for number in range(struct.unpack_from("<H", made, 56)[0]):
        struct.pack_into("<Q", made, 64 + 56 * number + 48, 1 << 40)
    return bytes(made)


@pytest.mark.parametrize("shape", [{}, {"zeros": 64, "code": b"\x90" * 64}], ids=["plain", "full"])
def test_no_alignment_makes_a_file_grow_without_end(shape: dict[str, object]) -> None:
    assert _told(_planned, with_aligned_segments(**shape)) is not None
