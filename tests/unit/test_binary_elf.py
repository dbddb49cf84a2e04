from __future__ import annotations

import os
import struct
import sys
import sysconfig
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection, GNUVerSymSection
from elftools.elf.sections import SymbolTableSection
from hypothesis import given
from hypothesis import strategies as st

from builder.binary import Binary, BinaryError, VersionNeed, defined, looks_like, read
from tests.damage import with_bytes, with_words
from tests.data import make_elf

ELF = Path(__file__).parent.parent / "data" / "elf"
SAMPLES = tuple(sorted(path for path in ELF.rglob("*") if path.is_file()))
SOUND = tuple(path for path in SAMPLES if path.parent.name != "damaged")
PYTHON = (
    Path(sys.executable).resolve(),
    *sorted(Path(sysconfig.get_config_var("DESTSHARED") or "").glob("_[cs]*.so")),
)


@pytest.mark.parametrize("folder", ["sound", "damaged"])
def test_samples_are_what_the_script_makes(folder: str) -> None:
    made = getattr(make_elf, folder)()
    assert {path.name: path.read_bytes() for path in (ELF / folder).iterdir()} == made


PLAIN: Mapping[str, Any] = {
    "format": "elf",
    "machine": "x86_64",
    "bits": 64,
    "byte_order": "little",
    "kind": "shared",
    "soname": "libplain.so.1",
    "needed": ("libm.so.6", "libc.so.6"),
    "rpath": (),
    "runpath": (),
    "interpreter": "",
    "versions_needed": (
        VersionNeed("libm.so.6", "GLIBC_2.29", ("pow",)),
        VersionNeed("libc.so.6", "GLIBC_2.2.5", ("printf",)),
        VersionNeed("libc.so.6", "GLIBC_2.14", ("memcpy",)),
    ),
    "undefined": ("pow", "printf", "memcpy", "PyModule_Create2"),
    "text_relocations": False,
    "executable_stack": False,
    "build_id": bytes(range(20)).hex(),
    "cuda_architectures": (),
}
NOTHING: Mapping[str, Any] = {
    **PLAIN,
    **dict.fromkeys(("soname", "interpreter", "build_id"), ""),
    **dict.fromkeys(("needed", "versions_needed", "undefined"), ()),
}


@pytest.mark.parametrize(
    ("name", "differs"),
    [
        ("plain.so", {}),
        ("sysv-hash.so", {}),
        ("no-hash.so", {}),
        ("empty-hash.so", {}),
        ("i686.so", {"machine": "i686", "bits": 32}),
        ("armv7l-sysv.so", {"machine": "armv7l", "bits": 32}),
        ("s390x.so", {"machine": "s390x", "byte_order": "big"}),
        ("s390x-sysv.so", {"machine": "s390x", "byte_order": "big"}),
        ("mips-big.so", {"machine": "mips", "byte_order": "big", "bits": 32}),
        ("rpath.so", {"rpath": ("$ORIGIN/../lib", "/opt/lib")}),
        ("runpath.so", {"runpath": ("$ORIGIN", "", "/opt/lib")}),
        ("both-paths.so", {"rpath": ("$ORIGIN/../lib", "/opt/lib"), "runpath": ("$ORIGIN",)}),
        ("empty-path.so", {}),
        ("no-versions.so", {"undefined": ("puts",), "versions_needed": ()}),
        (
            "program",
            {"kind": "executable", "soname": "", "interpreter": "/lib64/ld-linux-x86-64.so.2"},
        ),
        ("static-pie", {"kind": "executable", "soname": "", "needed": ()}),
        ("text-relocations.so", {"text_relocations": True}),
        ("text-relocations-flag.so", {"text_relocations": True}),
        ("executable-stack.so", {"executable_stack": True}),
        ("silent-stack.so", {"executable_stack": True}),
        ("not-utf8.so", {}),
        ("cuda.so", {"cuda_architectures": ("sm_80", "sm_90a", "sm_103f", "compute_120")}),
        (
            "many-sections.so",
            {"cuda_architectures": ("sm_80", "sm_90a", "sm_103f", "compute_120")},
        ),
        ("no-sections.so", {}),
        ("stale-note.so", {"build_id": ""}),
        ("cuda-relocatable.so", {"cuda_architectures": ("lto_90",)}),
        ("x86-64-v3.so", {"properties": ("ibt", "shstk", "x86-64-v3")}),
        ("i686-ibt.so", {"machine": "i686", "bits": 32, "properties": ("ibt",)}),
        ("aarch64-bti.so", {"machine": "aarch64", "properties": ("bti", "pac")}),
        ("defined-versions.so", {"versions_defined": ("PLAIN_1.0", "PLAIN_2.0")}),
        ("debug-link.so", {"debug_link": ("plain.debug", 0x12345678)}),
        (
            "debug-link-s390x.so",
            {"machine": "s390x", "byte_order": "big", "debug_link": ("plain.debug", 0x12345678)},
        ),
        ("no-debug-link.so", {}),
        ("padded.so", {"runpath": ("$ORIGIN/../lib", "/opt/lib")}),
    ],
)
def test_what_a_library_says(name: str, differs: Mapping[str, Any]) -> None:
    assert read(ELF / "sound" / name) == Binary(**{**PLAIN, **differs})


@pytest.mark.parametrize(
    ("name", "differs"),
    [
        ("sound/no-dynamic", {"kind": "executable"}),
        ("sound/core", {"kind": "other"}),
        ("compiled/object.o", {"kind": "object"}),
        (
            "compiled/kernel.o",
            {"kind": "object", "cuda_architectures": ("sm_80", "sm_90a", "compute_120")},
        ),
    ],
)
def test_what_a_file_without_a_dynamic_section_says(name: str, differs: Mapping[str, Any]) -> None:
    assert read(ELF / name) == Binary(**{**NOTHING, **differs})
    assert defined(ELF / name) == ()


def test_what_a_linker_wrote() -> None:
    library, program = read(ELF / "compiled" / "library.so"), read(ELF / "compiled" / "program")
    assert library.soname == "liblibrary.so.1"
    assert library.runpath == ("$ORIGIN/../lib",)
    assert VersionNeed("libm.so.6", "GLIBC_2.29", ("pow",)) in library.versions_needed
    assert len(library.build_id) == 40
    assert program.kind == "executable"
    assert program.rpath == ("$ORIGIN",)
    assert "puts" in program.undefined
    assert program.interpreter == "/lib64/ld-linux-x86-64.so.2"


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("plain.so", ("answer", "question")),
        ("i686.so", ("answer", "question")),
        ("empty-hash.so", ()),
        ("not-utf8.so", ("answer", r"\xff\xfeestion")),
    ],
)
def test_what_is_offered_to_others(name: str, names: tuple[str, ...]) -> None:
    assert defined(ELF / "sound" / name) == names


DAMAGE = (
    ("empty", "is no binary: it is empty"),
    ("magic-only", "ELF header: the file ends after 4 bytes"),
    ("short-header", "ELF header: 48 bytes at 0x10 reach past the end at 0x28"),
    ("truncated", "dynamic section: 192 bytes at 0x300 reach past the end at 0x328"),
    ("bad-magic", "is no binary: it begins with 7f 45 4c 47"),
    ("bad-class", "unknown class, byte order or version"),
    ("bad-order", "unknown class, byte order or version"),
    ("bad-version", "unknown class, byte order or version"),
    ("segments-outside", "program headers: 224 bytes at 0x10000000000"),
    ("segments-huge", "program headers: 3669960 bytes"),
    ("segments-odd", "program headers of 57 bytes"),
    ("sections-outside", "section headers: 576 bytes"),
    ("sections-huge", "section headers: 4194240 bytes"),
    ("sections-odd", "section headers of 1 bytes"),
    ("section-names-outside", "section 32767 of 9 has the section names"),
    ("section-names-of-none", "section 8 of 0 has the section names"),
    ("strings-outside", "dynamic string table: no segment loads the address 0x4000000000000"),
    ("strings-huge", "dynamic string table: 1125899906842624 bytes"),
    ("strings-unended", "name 0x1 has no end in the string table (5 bytes)"),
    ("needed-outside", "name 0x100000 has no end in the string table"),
    ("soname-outside", "name 0x1000000000000000 has no end in the string table"),
    ("symbols-outside", "dynamic symbols: no segment loads the address 0x8"),
    ("symbols-odd", "dynamic section: symbols of 16 bytes"),
    ("symbols-huge", "dynamic symbols: 103079215080 bytes"),
    ("hash-outside", "GNU hash table: no segment loads the address"),
    ("hash-huge", "GNU hash table: 17179869180 bytes"),
    ("hash-bucket-huge", "GNU hash chain: 4 bytes at 0x3fffffe08"),
    ("versym-outside", "symbol versions: no segment loads the address"),
    ("verneed-outside", "version needs: no segment loads the address 0x1"),
    ("verneed-next-outside", "version need: 16 bytes at 0x10000"),
    ("verneed-version-outside", "version need: 16 bytes at 0x8000"),
    ("verneed-name-outside", "version name 0x7fffffff has no end"),
    ("verdef-outside", "version definitions: no segment loads the address 0x1"),
    ("verdef-endless", "version definition: "),
    ("verdef-next-outside", "version definition: 20 bytes at 0x8000"),
    ("cuda-no-container", "CUDA section: no container begins at 0x0"),
    ("cuda-endless", "CUDA section: no container begins at 0x0"),
    ("cuda-entry-outside", "CUDA container entry at 0x10 reaches out of its container"),
    ("cuda-entry-endless", "CUDA container entry at 0x10 reaches out of its container"),
)


@pytest.mark.parametrize(("name", "reason"), DAMAGE)
def test_damage_is_one_named_error(name: str, reason: str) -> None:
    path = ELF / "damaged" / name
    with pytest.raises(BinaryError) as caught:
        read(path)
    assert caught.value.message.startswith(f"`{path}`: ")
    assert reason in caught.value.message


def test_every_damaged_sample_has_its_row() -> None:
    assert {name for name, _ in DAMAGE} == {path.name for path in (ELF / "damaged").iterdir()}


def test_names_that_all_overlap_are_refused_before_they_fill_the_memory() -> None:
    long = "n" * 40_000
    plain = make_elf.assemble(
        replace(make_elf.PLAIN, undefined=((long, "", ""),) * 3000, hash="sysv")
    )
    start = plain.index(struct.pack("<IBBH", plain.index(long.encode()), 0x12, 0, 0)[4:])
    table = bytearray(plain)
    first = struct.unpack_from("<I", plain, start - 4)[0]
    for index in range(3000):
        struct.pack_into("<I", table, start - 4 + 24 * index, first + index)
    with pytest.raises(BinaryError, match="overlap beyond reason"):
        read(bytes(table))


def test_more_versions_than_there_are_numbers_for_are_refused() -> None:
    row = struct.pack("<IHHII", 0, 0, 2, 1, 16)
    needs = struct.pack("<HHIII", 1, 0xFFFF, 1, 16, 0) + row * 0x10000
    tags = ((make_elf.VERNEED, 1 << 40), (make_elf.VERNEEDNUM, 1))
    elf = make_elf.assemble(make_elf.Elf(needed=("x",), sections=((".needs", needs),), tags=tags))
    place = struct.pack("<QQ", make_elf.VERNEED, make_elf.BASE + elf.index(needs))
    with pytest.raises(BinaryError, match=r"version needs at 0x.*: more than there can be"):
        read(elf.replace(struct.pack("<QQ", *tags[0]), place))


def test_bytes_and_file_say_the_same() -> None:
    path = ELF / "sound" / "plain.so"
    content = path.read_bytes()
    assert read(path) == read(content) == read(memoryview(bytearray(content)))


def test_what_is_no_file_is_a_named_error(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, reason in (("pipe", "no regular file"), ("", "no regular file"), ("no", "No such")):
        with pytest.raises(BinaryError, match=reason):
            read(tmp_path / name)


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"\x7fELF", "elf"),
        (b"\xcf\xfa\xed\xfe", "macho"),
        (b"\xfe\xed\xfa\xce", "macho"),
        (b"\xca\xfe\xba\xbe", "macho"),
        (b"\xca\xfe\xba\xbe\0\0\0\2", "macho"),
        (b"\xca\xfe\xba\xbe\0\0\0\x34", None),
        (b"MZ\x90\0", "pe"),
        (b"#!/b", None),
        (b"", None),
    ],
)
def test_formats_are_told_by_their_first_bytes(head: bytes, name: str | None) -> None:
    assert looks_like(head) == name


WITH_SECTIONS = tuple(path for path in SOUND if path.name != "no-sections.so")


@pytest.mark.parametrize("path", [*WITH_SECTIONS, *PYTHON], ids=lambda path: path.name)
def test_pyelftools_agrees(path: Path) -> None:
    binary = read(path)
    assert _facts(binary, defined(path)) == _as_pyelftools_says(path)


def _facts(binary: Binary, offered: tuple[str, ...]) -> dict[str, object]:
    return {
        "NEEDED": list(binary.needed),
        "SONAME": binary.soname,
        "RPATH": ":".join(binary.rpath),
        "RUNPATH": ":".join(binary.runpath),
        "versions": {(need.library, need.version): need.symbols for need in binary.versions_needed},
        "undefined": list(binary.undefined),
        "defined": [name for name in offered if "\\x" not in name],
    }


def _as_pyelftools_says(path: Path) -> dict[str, object]:
    """The same facts, found by way of section headers."""
    facts: dict[str, Any] = {"NEEDED": [], "SONAME": "", "RPATH": "", "RUNPATH": ""}
    names: dict[int, tuple[str, str]] = {}
    versions: list[int] = []
    symbols: list[Any] = []
    with path.open("rb") as file:
        for section in ELFFile(file).iter_sections():
            match section:
                case DynamicSection():
                    for tag in section.iter_tags():
                        kind = str(tag.entry.d_tag).removeprefix("DT_")
                        if kind == "NEEDED":
                            facts[kind].append(tag.needed)  # type: ignore[attr-defined]  # made on the fly
                        elif kind in facts:
                            facts[kind] = getattr(tag, kind.lower()).removesuffix("/" * 200)
                case GNUVerNeedSection():
                    for library, inner in section.iter_versions():
                        names |= {row["vna_other"]: (library.name, row.name) for row in inner}
                case GNUVerSymSection():
                    versions = [row["ndx"] for row in section.iter_symbols()]
                case SymbolTableSection() if section["sh_type"] == "SHT_DYNSYM":
                    symbols = list(section.iter_symbols())
    own: dict[tuple[str, str], list[str]] = {pair: [] for pair in names.values()}
    for number, symbol in zip(versions, symbols, strict=bool(versions)):
        if symbol["st_shndx"] == "SHN_UNDEF" and number in names:
            own[names[number]].append(symbol.name)
    undefined = [row.name for row in symbols if row["st_shndx"] == "SHN_UNDEF" and row.name]
    outer = {"STB_GLOBAL", "STB_WEAK", "STB_LOOS"}
    offered = [
        row.name
        for row in symbols
        if row["st_shndx"] != "SHN_UNDEF" and row["st_info"]["bind"] in outer and row.name.isascii()
    ]
    facts["versions"] = {pair: tuple(rows) for pair, rows in own.items()}
    facts["undefined"] = list(dict.fromkeys(undefined))
    facts["defined"] = list(dict.fromkeys(offered))
    return facts


SMALL = tuple(path.read_bytes() for path in SOUND)


@given(
    sample=st.sampled_from(SMALL),
    changes=st.lists(st.tuples(st.integers(0, 9000), st.integers(0, 255)), max_size=8),
    end=st.one_of(st.none(), st.integers(0, 9000)),
)
def test_flipped_and_cut_files_raise_nothing_else(
    sample: bytes, changes: list[tuple[int, int]], end: int | None
) -> None:
    _read_all(with_bytes(sample, changes)[:end])


@given(
    sample=st.sampled_from(SMALL),
    changes=st.lists(
        st.tuples(
            st.integers(0, 1100), st.sampled_from((0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF))
        ),
        min_size=1,
        max_size=4,
    ),
)
def test_senseless_numbers_raise_nothing_else(
    sample: bytes, changes: list[tuple[int, int]]
) -> None:
    _read_all(with_words(sample, changes))


def _read_all(content: bytes) -> None:
    for reader in (read, defined):
        with suppress(BinaryError):
            reader(content)
