from __future__ import annotations

import struct
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import lief
import pefile
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.binary import Binary, BinaryError, defined, pe, read
from tests.damage import with_bytes, with_words
from tests.data import make_pe

PE = Path(__file__).parent.parent / "data" / "pe"
SOUND = tuple(sorted((PE / "sound").iterdir()))
lief.logging.disable()


@pytest.mark.parametrize("folder", ["sound", "damaged", "unlistable", "others"])
def test_samples_are_what_the_script_makes(folder: str) -> None:
    made = getattr(make_pe, folder)()
    assert {path.name: path.read_bytes() for path in (PE / folder).iterdir()} == made


FLAGS = ("dynamicbase", "guardcf", "highentropyva", "nxcompat")
PLAIN: Mapping[str, Any] = {
    "format": "pe",
    "machine": "amd64",
    "bits": 64,
    "byte_order": "little",
    "kind": "shared",
    "soname": "self.dll",
    "needed": ("KERNEL32.dll", "demo.dll"),
    "undefined": ("ExitProcess", "Sleep", "alpha", "#12"),
    "min_os": "6.1",
    "properties": FLAGS,
    "build_id": "030201000504070608090A0B0C0D0E0F2",
}
WIN32 = {"machine": "win32", "bits": 32}
DELAYED = {
    "needed": ("KERNEL32.dll", "demo.dll", "late.dll"),
    "delayed": ("late.dll", "demo.dll"),
    "undefined": (*PLAIN["undefined"], "gamma", "delta"),
}
SIGNED = {"signature": "identity"}


@pytest.mark.parametrize(
    ("name", "differs"),
    [
        ("amd64.dll", {}),
        ("win32.dll", WIN32),
        ("arm64.dll", {"machine": "arm64"}),
        ("armv7.dll", {"machine": "armv7", "bits": 32}),
        ("unknown.dll", {"machine": "machine4660"}),
        ("program.exe", {"kind": "executable", "soname": ""}),
        ("boot.sys", {"kind": "other", "soname": ""}),
        ("alone.dll", {"needed": (), "undefined": (), "build_id": ""}),
        ("delayed.dll", DELAYED),
        ("delayed-32.dll", {**WIN32, **DELAYED}),
        ("delayed-by-address.dll", {**WIN32, **DELAYED}),
        ("no-lookups.dll", {}),
        ("bound.dll", DELAYED),
        ("load-flags.dll", {"properties": tuple(sorted((*FLAGS, "loadflags")))}),
        ("load-flags-32.dll", {**WIN32, "properties": tuple(sorted((*FLAGS, "loadflags")))}),
        ("arm64x.dll", {"machine": "arm64", "properties": ("arm64x", *FLAGS)}),
        ("arm64ec.dll", {"properties": ("arm64ec", *FLAGS)}),
        ("signed.dll", SIGNED),
        ("signed-inside.dll", SIGNED),
        ("integrity.dll", {**SIGNED, "properties": ("dynamicbase", "forceintegrity", *FLAGS[1:])}),
        ("symbols.dll", {}),
        ("overlay.dll", {}),
        ("full.dll", {}),
        ("stale-debug.dll", {"build_id": ""}),
        ("shared.dll", {"needed": ("mydemo.dll", "demo.dll"), "undefined": ("alpha", "beta")}),
        ("self.dll", {"needed": ("self.dll",), "undefined": ("one",)}),
        ("spelled.dll", {"needed": ("Demo.dll",), "undefined": ("alpha", "beta")}),
        ("not-utf8.dll", {"needed": (r"d\xff.dll",), "undefined": ("alpha",)}),
        ("cuda.dll", {"cuda_architectures": ("sm_80", "sm_90")}),
    ],
)
def test_what_a_file_says(name: str, differs: Mapping[str, Any]) -> None:
    assert read(PE / "sound" / name) == Binary(**{**PLAIN, **differs})


def test_only_files_of_64_bits_are_hybrid() -> None:
    content = bytearray((PE / "sound" / "load-flags-32.dll").read_bytes())
    struct.pack_into("<H", content, make_pe.COFF, 0xAA64)
    assert "arm64x" not in read(bytes(content)).properties


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("amd64.dll", ("one", "two")),
        ("win32.dll", ("one", "two")),
        ("forwarding.dll", ("one", "two")),
        ("silent.dll", ()),
        ("program.exe", ()),
    ],
)
def test_what_is_offered_to_others(name: str, names: tuple[str, ...]) -> None:
    assert defined(PE / "sound" / name) == names


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("amd64.dll", {"KERNEL32.dll": ("ExitProcess", "Sleep"), "demo.dll": ("alpha", "#12")}),
        (
            "delayed.dll",
            {
                "KERNEL32.dll": ("ExitProcess", "Sleep"),
                "demo.dll": ("alpha", "#12", "delta"),
                "late.dll": ("gamma",),
            },
        ),
        ("spelled.dll", {"Demo.dll": ("alpha", "beta")}),
        ("alone.dll", {}),
    ],
)
def test_what_is_taken_from_each_library(name: str, wanted: Mapping[str, tuple[str, ...]]) -> None:
    found = pe.imports(_view(name))
    assert found == wanted
    assert tuple(found) == read(PE / "sound" / name).needed


@pytest.mark.parametrize(
    ("name", "libraries"),
    [("forwarding.dll", ("demo", "Other.v2.dll")), ("amd64.dll", ()), ("program.exe", ())],
)
def test_where_exports_are_forwarded_to(name: str, libraries: tuple[str, ...]) -> None:
    assert pe.forwarded(_view(name)) == libraries


DAMAGE = (
    ("empty", "is no binary: it is empty"),
    ("magic-only", "DOS header: 64 bytes at 0x0 reach past the end at 0x2"),
    ("dos-program", "is a DOS program or damaged: no PE header at 0x40"),
    ("header-outside", "no PE header at 0xfffffff0"),
    ("truncated", "optional header: 2 bytes at 0x58 reach past the end"),
    ("truncated-directories", "data directories: 128 bytes at 0xc8 reach past the end"),
    ("bad-optional-header", "optional header: 0x107 is neither PE32 nor PE32+"),
    ("alignment-zero", "an alignment of 0 is no power of two"),
    ("alignment-odd", "an alignment of 513 is no power of two"),
    ("sections-huge", "section table: 2621400 bytes"),
    ("sections-outside", "section table: 120 bytes at 0x10057"),
    ("sections-descend", "section 1: its address 0x1000 is not above the last"),
    ("section-outside", "import directory: no section has bytes of the address"),
    ("section-empty", "import directory: no section has bytes of the address"),
    ("imports-outside", "import directory: no section has bytes of the address 0xfffffff0"),
    ("imports-unended", "import directory: name: no section has bytes of the address 0xcccccccc"),
    ("imports-huge", "import directory: 20 bytes at 0x21f8 reach out of their section"),
    ("import-name-outside", "import directory: name: no section has bytes"),
    ("import-name-unended", "import directory: name at 0x21fc has no end"),
    ("import-name-empty", "import directory: the name at 0x21fc is empty"),
    ("lookups-outside", "import lookup table: no section has bytes of the address 0xffff"),
    ("lookups-unended", "import lookup table at 0x21f0 has no end"),
    ("symbol-outside", "imported name: no section has bytes of the address 0x80000001"),
    ("symbol-beyond-32-bits", "imported name: no section has bytes of the address 0x10000000002"),
    ("delayed-outside", "delay import directory: no section has bytes of the address 0xffff"),
    ("delayed-below", "delay import directory: name: no section has bytes of the address -0x"),
    ("exports-outside", "export directory: no section has bytes of the address 0xffff"),
    ("export-name-outside", "export directory: name: no section has bytes"),
    ("exports-huge", "export directory at 0x20fc: more symbols than there can be"),
    ("debug-outside", "debug directory: no section has bytes of the address 0xffff"),
    ("load-config-outside", "load configuration: no section has bytes of the address 0xffff"),
    ("cuda-outside", "CUDA container: 72 bytes at 0x10 reach past the end"),
)


@pytest.mark.parametrize(("name", "reason"), DAMAGE)
def test_damage_is_one_named_error(name: str, reason: str) -> None:
    with pytest.raises(BinaryError) as caught:
        read(PE / "damaged" / name)
    assert reason in caught.value.message


def test_every_damaged_sample_has_its_row() -> None:
    assert {name for name, _ in DAMAGE} == {path.name for path in (PE / "damaged").iterdir()}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("names-huge", "export tables: 262144 bytes at 0x2134 reach out of their section"),
        ("names-outside", "export tables: no section has bytes of the address 0xffff"),
        ("name-outside", "exported name: no section has bytes of the address 0xffff"),
    ],
)
def test_damaged_exports_only_hurt_who_asks_for_them(name: str, reason: str) -> None:
    path = PE / "unlistable" / name
    assert read(path) == Binary(**PLAIN)
    with pytest.raises(BinaryError, match=reason):
        defined(path)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("import.lib", "is an archive of objects"),
        ("import-entry.obj", "is an entry of an import library"),
        ("amd64.obj", "is a COFF object of amd64, not a PE file"),
        ("win32.obj", "is a COFF object of win32, not a PE file"),
        ("arm64.obj", "is a COFF object of arm64, not a PE file"),
        ("arm64ec.obj", "is a COFF object of arm64ec, not a PE file"),
        ("text.txt", "does not begin with `MZ`"),
    ],
)
def test_what_goes_with_a_library_is_named(name: str, reason: str) -> None:
    with pytest.raises(BinaryError, match=reason):
        pe.read(memoryview((PE / "others" / name).read_bytes()))


@pytest.mark.parametrize(
    ("libraries", "symbols", "name", "reason"),
    [
        (500, 3000, 10, "import lookup tables: more symbols than there can be"),
        (20_000, 1, 1, "import directory at 0x2020: more libraries than there can be"),
        (400, 10, 60_000, "imported name at 0x2002: the names overlap beyond reason"),
        (1, 1, 70_000, "imported name at 0x2002 has no end"),
    ],
)
def test_tables_that_overlap_are_refused_before_they_cost_time(
    libraries: int, symbols: int, name: int, reason: str
) -> None:
    content = make_pe.overlapping(libraries, symbols, name)
    start = time.process_time()
    with pytest.raises(BinaryError, match=reason):
        read(content)
    assert time.process_time() - start < 5


@pytest.mark.parametrize("path", SOUND, ids=lambda path: path.name)
def test_lief_agrees(path: Path) -> None:
    binary, other = read(path), lief.PE.parse(str(path))
    assert other is not None
    libraries = [str(one.name) for one in other.imports]
    if path.name != "not-utf8.dll":  # which lief leaves out
        assert binary.needed[: len(libraries)] == _once(libraries)
    if path.name != "delayed-by-address.dll":  # which lief does not know
        assert [str(one.name).lower() for one in other.delay_imports] == [
            name.lower() for name in binary.delayed
        ]
    export = other.get_export()
    assert (export.name if isinstance(export, lief.PE.Export) else "") == binary.soname
    listed = [str(one.name) for one in export.entries] if export else []
    assert listed == list(defined(path))
    flags = other.optional_header.dll_characteristics_lists
    named = {str(flag.name).lower().replace("_", "") for flag in flags}
    assert set(binary.properties) - {"loadflags", "arm64x", "arm64ec"} == named


@pytest.mark.parametrize("path", SOUND, ids=lambda path: path.name)
def test_pefile_agrees(path: Path) -> None:
    with pefile.PE(str(path)) as other:
        imports = getattr(other, "DIRECTORY_ENTRY_IMPORT", [])
        delayed = getattr(other, "DIRECTORY_ENTRY_DELAY_IMPORT", [])
        exports = getattr(other, "DIRECTORY_ENTRY_EXPORT", None)
        names = [_text(row.dll) for row in (*imports, *delayed)]
        if path.name != "delayed-by-address.dll":  # whose symbols it does not find
            symbols = [
                _text(one.name) if one.name else f"#{one.ordinal}"
                for row in (*imports, *delayed)
                for one in row.imports
            ]
            assert read(path).undefined == tuple(dict.fromkeys(symbols))
        if path.name != "not-utf8.dll":  # which pefile calls invalid
            assert read(path).needed == _once(names)
        assert read(path).delayed == _once(
            [next(n for n in names if n.lower() == _text(row.dll).lower()) for row in delayed]
        )
        listed = exports.symbols if exports else []
        assert defined(path) == tuple(_text(one.name) for one in listed)
        assert pe.checksum(_view(path.name)) == _sum_of_words(path.read_bytes())
        assert pe.checksum_problems(_view(path.name)) == ()


def _once(names: list[str]) -> tuple[str, ...]:
    found: dict[str, str] = {}
    for name in names:
        found.setdefault(name.lower(), name)
    return tuple(found.values())


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")


def _sum_of_words(content: bytes) -> int:
    place: int = struct.unpack_from("<I", content, 0x3C)[0] + 24 + 64
    bare = content[:place] + bytes(4) + content[place + 4 :]
    words = struct.unpack(f"<{(len(bare) + 1) // 2}H", bare + bytes(len(bare) % 2))
    total: int = sum(words)
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total + len(content)


def _view(name: str) -> memoryview:
    return memoryview((PE / "sound" / name).read_bytes())


@pytest.mark.parametrize("size", [(1 << 20) - 1, 1 << 20, (1 << 20) + 3, 3 << 20])
def test_the_checksum_of_a_file_of_many_windows(size: int) -> None:
    content = (PE / "sound" / "overlay.dll").read_bytes().ljust(size, b"\xa7")
    assert pe.checksum(memoryview(content)) == _sum_of_words(content)
    problem = pe.checksum_problems(memoryview(content))[0]
    assert problem.endswith(f"the file's is {_sum_of_words(content):#x}")


SMALL = tuple(path.read_bytes() for path in SOUND)


@given(
    sample=st.sampled_from(SMALL),
    changes=st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 255)), max_size=8),
    end=st.one_of(st.none(), st.integers(0, 3000)),
)
def test_flipped_and_cut_files_raise_nothing_else(
    sample: bytes, changes: list[tuple[int, int]], end: int | None
) -> None:
    _read_all(with_bytes(sample, changes)[:end])


@given(
    sample=st.sampled_from(SMALL),
    changes=st.lists(
        st.tuples(
            st.integers(16, 450),
            st.sampled_from((0, 1, 0x2000, 0x2010, 0x21FC, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)),
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
    view = memoryview(content)
    for reader in (pe.read, pe.defined, pe.imports, pe.forwarded, pe.checksum_problems):
        with suppress(BinaryError):
            reader(view)
