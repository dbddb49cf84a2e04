"""What is wrong with a binary by its bytes: a sound file, broken in exactly one way at a time."""

from __future__ import annotations

import hashlib
import importlib.util
import struct
import sys
import tracemalloc
from contextlib import suppress
from pathlib import Path
from types import ModuleType

import pefile
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.binary import BinaryError, Flaw, FlawKind, flaws

DATA = Path(__file__).parent.parent / "data"
HARDENED = (DATA / "elf/compiled/hardened.so").read_bytes()
LOAD, DYNAMIC, TLS, PROPERTY, RELRO = 1, 2, 7, 0x6474E553, 0x6474E552
NEEDED, STRTAB, SYMTAB, RELA, RELASZ, STRSZ, SONAME = 1, 5, 6, 7, 8, 10, 14
GNU_HASH, VERSYM, VERNEED = 0x6FFFFEF5, 0x6FFFFFF0, 0x6FFFFFFE
OFFSET, ADDRESS, SIZE, MEMORY, ALIGNMENT = 8, 16, 32, 40, 48
"""Fields of a program header."""
STRINGS = 0x378
"""Where the string table is, in memory and in the file."""


def _load_maker(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"{name}_sound", DATA / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[f"{name}_sound"] = module
    spec.loader.exec_module(module)
    return module


ELF, PE = _load_maker("make_elf"), _load_maker("make_pe")


def _patched(content: bytes, place: int, fields: str, *values: int) -> bytes:
    raw = struct.pack("<" + fields, *values)
    return content[:place] + raw + content[place + len(raw) :]


def _segment(content: bytes, type_: int, number: int = 0) -> int:
    """Where the program header of a segment is."""
    table: int = struct.unpack_from("<Q", content, 32)[0]
    count: int = struct.unpack_from("<H", content, 56)[0]
    places = (table + 56 * row for row in range(count))
    found = [place for place in places if struct.unpack_from("<I", content, place)[0] == type_]
    return found[number]


def _with_segment(type_: int, field: int, value: int, number: int = 0) -> bytes:
    return _patched(HARDENED, _segment(HARDENED, type_, number) + field, "Q", value)


def _with_tag(tag: int, value: int) -> bytes:
    place, found = struct.unpack_from("<Q", HARDENED, _segment(HARDENED, DYNAMIC) + OFFSET)[0], -1
    while found != tag:
        (found,) = struct.unpack_from("<Q", HARDENED, place)
        place += 16
    return _patched(HARDENED, place - 8, "Q", value)


def _swapped_loads() -> bytes:
    first, second = _segment(HARDENED, LOAD), _segment(HARDENED, LOAD, 1)
    assert second == first + 56
    rows = HARDENED[first : first + 112]
    return HARDENED[:first] + rows[56:] + rows[:56] + HARDENED[first + 112 :]


def _with_section(number: int, field: int, value: int) -> bytes:
    (table,) = struct.unpack_from("<Q", HARDENED, 40)
    return _patched(HARDENED, table + 64 * number + field, "Q", value)


def _without_relro() -> bytes:
    return _patched(HARDENED, _segment(HARDENED, RELRO), "I", 0)


def _for_aarch64(alignment: int) -> bytes:
    """A file of one load, which fits pages of any size."""
    plain = ELF.assemble(ELF.Elf(machine=183, needed=("libc.so.6",)))
    place = _segment(plain, LOAD)
    size = struct.unpack_from("<Q", plain, place + MEMORY)[0]
    plain = _patched(plain, place + MEMORY, "QQ", size, alignment)
    return _patched(plain, _segment(plain, 0x6474E551), "I", RELRO)


WRONG_ELF: dict[str, tuple[bytes, FlawKind, str]] = {
    "not congruent": (
        _with_segment(LOAD, OFFSET, 0xE2C, 1),
        "layout",
        "load 1 (address 0x1e24): is at 0xe2c of the file, which is another place in a page",
    ),
    "not congruent for its alignment": (
        _with_segment(LOAD, ALIGNMENT, 0x10000, 1),
        "layout",
        "another place in a page of 0x10000 bytes",
    ),
    "no alignment": (
        _with_segment(LOAD, ALIGNMENT, 0x20, 1),
        "layout",
        "an alignment of 0x20 is not one of pages",
    ),
    "odd alignment": (
        _with_segment(LOAD, ALIGNMENT, 0x1001, 1),
        "layout",
        "an alignment of 0x1001 is not one of pages",
    ),
    "unsorted": (_swapped_loads(), "layout", "load 1 (address 0x0): is below the one before it"),
    "overlapping": (
        _with_segment(LOAD, MEMORY, 0x1E28),
        "layout",
        "load at address 0x1e24: the one before it reaches to 0x1e28",
    ),
    "one page for two": (
        _patched(HARDENED, _segment(HARDENED, LOAD) + SIZE, "QQ", 0x1100, 0x1100),
        "layout",
        "load at address 0x1e24: takes the last page of the one before it",
    ),
    "larger than its memory": (
        _with_segment(LOAD, MEMORY, 0x100, 1),
        "layout",
        "0x1e4 bytes of the file for 0x100 of memory",
    ),
    "cut off": (
        _patched(HARDENED, _segment(HARDENED, LOAD, 1) + SIZE, "QQ", 0x2000, 0x2000),
        "layout",
        "ends at 0x2e24, the file at 0x1638",
    ),
    "dynamic section elsewhere in memory": (
        _with_segment(DYNAMIC, ADDRESS, 0x1E30),
        "layout",
        "which is not loaded to its address 0x1e30",
    ),
    "dynamic section not in memory": (
        _with_segment(DYNAMIC, ADDRESS, 0x90000),
        "layout",
        "the dynamic section at address 0x90000 is in nothing that is loaded",
    ),
    "thread-local values": (
        _with_segment(TLS, ADDRESS, 0x90000),
        "layout",
        "thread-local variables at address 0x90000",
    ),
    "RELRO": (_with_segment(RELRO, ADDRESS, 0x900), "layout", "what becomes read-only at address"),
    "string table": (_with_tag(STRTAB, 0x90000), "layout", "the string table at address 0x90000"),
    "symbol table": (_with_tag(SYMTAB, 0x90000), "layout", "the symbol table at address 0x90000"),
    "hash": (_with_tag(GNU_HASH, 0x5D4), "layout", "the GNU hash table at address 0x5d4"),
    "versions": (_with_tag(VERSYM, 0x90000), "layout", "the table of symbol versions at address"),
    "needed versions": (_with_tag(VERNEED, 0x90000), "layout", "the needed versions at address"),
    "relocations": (_with_tag(RELA, 0x90000), "layout", "the relocations (RELA) at address"),
    "size of relocations": (_with_tag(RELASZ, 1 << 60), "layout", "the relocations (RELA) at"),
    "needed name": (
        _with_tag(NEEDED, 0x71),
        "layout",
        "the name of a needed library is at 0x71 of a string table of 0x5e bytes",
    ),
    "own name": (_with_tag(SONAME, 1 << 63), "layout", "its own name is at 0x8000000000000000"),
    "short string table": (_with_tag(STRSZ, 4), "layout", "of a string table of 0x4 bytes"),
    "needed versions of a library that is not needed": (
        _with_tag(NEEDED, HARDENED.index(b"ld-linux") - STRINGS),
        "layout",
        "needs versions of `libm.so.6`, and does not need that library",
    ),
    "section": (_with_section(3, 24, 0x9000), "layout", "section 3: ends at 0x"),
    "no RELRO": (_without_relro(), "relro", "has no RELRO segment"),
    "4 KiB pages on aarch64": (
        _for_aarch64(0x1000),
        "pages",
        "is aligned to 4 KiB: machines with pages of 64 KiB cannot load it",
    ),
}


def _as_lld_writes_it() -> bytes:
    """RELRO to the end of a page, with zeros that are in memory only."""
    relro = _patched(HARDENED, _segment(HARDENED, RELRO) + SIZE, "QQ", 0x800, 0x800)
    return _patched(relro, _segment(HARDENED, LOAD, 1) + MEMORY, "Q", 0x800)


@pytest.mark.parametrize(
    "content",
    [HARDENED, _for_aarch64(0x10000), _as_lld_writes_it()],
    ids=["x86_64", "aarch64", "lld"],
)
def test_a_sound_file_has_no_flaws(content: bytes) -> None:
    assert flaws(content) == ()


@pytest.mark.parametrize(("content", "kind", "text"), WRONG_ELF.values(), ids=WRONG_ELF)
def test_what_is_wrong_with_an_elf_file(content: bytes, kind: FlawKind, text: str) -> None:
    found = flaws(content)

    assert {flaw.kind for flaw in found} == {kind}
    assert any(text in flaw.text for flaw in found), found
    assert {flaw.fatal for flaw in found} == {kind == "layout"}


def test_objects_and_device_code_are_mapped_by_others() -> None:
    device = _patched(_without_relro(), 18, "H", 190)

    assert flaws(device) == ()
    assert flaws((DATA / "elf/compiled/object.o").read_bytes()) == ()


def test_many_sections_beyond_the_end_are_told_in_few_lines() -> None:
    (table,) = struct.unpack_from("<Q", HARDENED, 40)
    content = HARDENED
    for number in range(1, 9):
        content = _patched(content, table + 64 * number + 24, "Q", 1 << 40)

    texts = [flaw.text for flaw in flaws(content)]

    assert len(texts) == 5
    assert texts[-1] == "and 4 more sections end there"


MACHO = DATA / "macho"


def test_signatures_of_all_samples_are_right() -> None:
    wrong = {path.name for path in (MACHO / "sound").iterdir() if flaws(path)}

    assert wrong == {"arm64-unsigned.dylib", "trailing.dylib", "universal2-unsigned-first.dylib"}


def _changed(name: str, place: int) -> bytes:
    content = bytearray((MACHO / "sound" / name).read_bytes())
    content[place] ^= 0xFF
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "flaw"),
    [
        (
            _changed("arm64.dylib", 0x900),
            Flaw(
                "signature",
                "1 of 2 pages are not what was signed, the first of them at 0x0",
            ),
        ),
        (
            _changed("x86_64-both.dylib", 0x900),
            Flaw(
                "signature",
                "1 of 2 pages are not what was signed, the first of them at 0x0",
                fatal=False,
            ),
        ),
        (
            (MACHO / "sound/arm64-unsigned.dylib").read_bytes(),
            Flaw("signature", "has no signature, and no system loads it without one"),
        ),
        (
            (MACHO / "damaged/signature-no-directory").read_bytes(),
            Flaw("signature", "code signature: has no code directory"),
        ),
    ],
    ids=["page", "page on Intel", "absent", "damaged"],
)
def test_what_is_wrong_with_a_signature(content: bytes, flaw: Flaw) -> None:
    assert flaw in flaws(content)
    assert {one.kind for one in flaws(content)} == {"signature"}


def test_a_special_part_that_was_changed_is_not_what_was_signed() -> None:
    content = (MACHO / "sound/arm64.dylib").read_bytes()
    place = content.index(struct.pack(">III", 0xFADE0C01, 12, 0)) + 8

    (flaw,) = flaws(content[:place] + b"\1" + content[place + 1 :])

    assert flaw == Flaw("signature", "part 2 of the signature is not what was signed")


def test_a_flaw_of_one_machine_names_it() -> None:
    content = (MACHO / "sound/universal2.dylib").read_bytes()
    place = content.rindex(b"\xcf\xfa\xed\xfe") + 0x900

    texts = [flaw.text for flaw in flaws(content[:place] + b"!" + content[place + 1 :])]

    assert len(texts) == 1
    assert texts[0].startswith("arm64: 1 of 2 pages")


def _signed_pe(tail: bytes = b"") -> bytes:
    """A DLL whose certificate has the digest of the rest; as `pefile` finds the places."""
    blank = PE.assemble(PE.replace(PE.PLAIN, certificate=bytes(64)))
    parsed = pefile.PE(data=blank, fast_load=True)
    optional = parsed.OPTIONAL_HEADER
    own = optional.get_field_absolute_offset("CheckSum")
    entry = optional.DATA_DIRECTORY[4].get_file_offset()
    place = optional.DATA_DIRECTORY[4].VirtualAddress
    rest = blank[:own] + blank[own + 4 : entry] + blank[entry + 8 : place]
    signed = bytes.fromhex("608648016503040201") + hashlib.sha256(rest).digest() + tail
    new = blank[: place + 8] + signed.ljust(64, b"\0") + blank[place + 72 :]
    parsed = pefile.PE(data=new, fast_load=True)
    return _patched(new, own, "I", parsed.generate_checksum())


def test_a_checksum_and_a_signature_for_these_bytes_are_right() -> None:
    assert flaws(_signed_pe()) == ()
    assert flaws((DATA / "pe/sound/no-checksum.dll").read_bytes()) == ()


def test_a_changed_pe_file_has_a_stale_checksum_and_signature() -> None:
    content = bytearray(_signed_pe())
    content[0x50] ^= 1
    assert not pefile.PE(data=bytes(content), fast_load=True).verify_checksum()

    found = flaws(bytes(content))

    assert [(flaw.kind, flaw.fatal) for flaw in found] == [
        ("checksum", False),
        ("signature", False),
    ]
    assert found[1].text == "the signature is for other bytes than these"


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("Size", 1 << 20, "1048576 bytes at 0xa00, reach past the end"),
        ("length", 7, "says that it has 7 bytes of 72"),
        ("length", 73, "says that it has 73 bytes of 72"),
    ],
)
def test_certificates_that_do_not_add_up_are_fatal(field: str, value: int, text: str) -> None:
    content = _signed_pe()
    directory = pefile.PE(data=content, fast_load=True).OPTIONAL_HEADER.DATA_DIRECTORY[4]
    place = directory.get_file_offset() + 4 if field == "Size" else int(directory.VirtualAddress)

    found = flaws(_patched(content, place, "I", value))

    assert any(text in flaw.text and flaw.fatal for flaw in found), found


@pytest.mark.parametrize(
    "path",
    sorted(path for path in DATA.rglob("*") if path.is_file() and "damaged" in path.parts),
    ids=lambda path: f"{path.parent.parent.name}-{path.name}",
)
def test_damaged_files_have_flaws_or_one_named_error(path: Path) -> None:
    with suppress(BinaryError):
        assert len(flaws(path)) < 30


@given(
    base=st.sampled_from([HARDENED, (MACHO / "sound/universal2.dylib").read_bytes(), _signed_pe()]),
    changes=st.lists(st.tuples(st.integers(0, 0x700), st.binary(min_size=1, max_size=8))),
)
def test_no_bytes_raise_anything_else(base: bytes, changes: list[tuple[int, bytes]]) -> None:
    content = bytearray(base)
    for place, piece in changes:
        content[place : place + len(piece)] = piece
    try:
        found = flaws(bytes(content))
    except BinaryError:
        return
    assert all(flaw.text for flaw in found)


def test_a_large_elf_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.so"
    path.write_bytes(HARDENED)
    with path.open("r+b") as file:
        file.truncate(4 << 30)

    tracemalloc.start()
    found = flaws(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert found == ()
    assert peak < 1 << 20
