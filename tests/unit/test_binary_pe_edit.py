from __future__ import annotations

import os
import struct
import time
from pathlib import Path
from typing import Any

import lief
import pefile
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.binary import BinaryError, Edit, defined, edited, pe, plan, read
from builder.patch import Patch
from tests.damage import with_words

SOUND = Path(__file__).parent.parent / "data" / "pe" / "sound"
NAMES = tuple(sorted(path.name for path in SOUND.iterdir()))
LONG = "demo-0123456789abcdef0123456789abcdef.dll"
SHORT = Edit(needed=(("demo.dll", "d.dll"),))
LONGER = Edit(needed=(("demo.dll", LONG),))
lief.logging.disable()


def _make(name: str, edit: Edit) -> tuple[bytes, bytes, Patch]:
    """The file, the file with the edit, which was read back, and the patch between them."""
    old = (SOUND / name).read_bytes()
    patch = plan(old, edit)
    new = patch.apply(old)
    assert edited(read(old), read(new), edit) == ()
    assert pe.checksum_problems(memoryview(new)) == ()
    return old, new, patch


def _changed(old: bytes, new: bytes) -> list[int]:
    return [at for at, (one, other) in enumerate(zip(old, new, strict=False)) if one != other]


IN_PLACE = (
    "amd64.dll", "win32.dll", "arm64.dll", "program.exe", "no-lookups.dll", "full.dll",
    "crowded.dll", "symbols.dll", "overlay.dll", "no-checksum.dll",
)  # fmt: skip


@pytest.mark.parametrize("name", IN_PLACE)
@pytest.mark.parametrize("new", ["DEMO.dll", "d.dll", "d"])
def test_a_name_that_is_not_longer_stays_where_it_is(name: str, new: str) -> None:
    old, made, patch = _make(name, Edit(needed=(("demo.dll", new),)))
    place = old.index(b"demo.dll\0")
    checksum = [] if name == "no-checksum.dll" else [152, 153, 154, 155]
    assert len(made) == len(old)
    assert set(_changed(old, made)) <= {*range(place, place + 8), *checksum}
    assert made[place : place + 9] == new.encode().ljust(9, b"\0")
    assert len(patch.pieces) == 1 + bool(checksum)


@pytest.mark.parametrize(
    "name",
    [
        *("amd64.dll", "win32.dll", "arm64.dll", "armv7.dll", "program.exe", "no-lookups.dll"),
        *("delayed.dll", "delayed-32.dll", "delayed-by-address.dll", "symbols.dll"),
        *("overlay.dll", "no-checksum.dll", "cuda.dll", "arm64ec.dll", "spelled.dll"),
    ],
)
def test_a_longer_name_goes_into_the_padding_of_a_section(name: str) -> None:
    old, new, _ = _make(name, LONGER)
    before, after = pefile.PE(data=old), pefile.PE(data=new)
    grown = [
        two.Name.rstrip(b"\0")
        for one, two in zip(before.sections, after.sections, strict=True)
        if one.Misc_VirtualSize != two.Misc_VirtualSize
    ]
    assert grown == [b".rdata"]
    assert len(new) == len(old)
    assert after.OPTIONAL_HEADER.SizeOfImage == before.OPTIONAL_HEADER.SizeOfImage
    assert LONG in [_text(row.dll) for row in _libraries(after)]


@pytest.mark.parametrize(
    "name", ["full.dll", "full-32.dll", "full-signed.dll", "full-symbols.dll", "full-bound.dll",
             "resources.dll"]
)  # fmt: skip
def test_without_padding_a_section_is_added_behind_everything(name: str) -> None:
    old, new, _ = _make(name, LONGER)
    before, after = pefile.PE(data=old), pefile.PE(data=new)
    added = after.sections[-1]
    assert len(after.sections) == len(before.sections) + 1
    assert added.Name.rstrip(b"\0") == b".imports"
    assert added.Characteristics == 0x40000040
    assert added.VirtualAddress == before.OPTIONAL_HEADER.SizeOfImage
    assert after.OPTIONAL_HEADER.SizeOfImage == added.VirtualAddress + 0x1000
    assert added.PointerToRawData % 0x200 == 0
    assert added.PointerToRawData + added.SizeOfRawData == len(new)
    assert after.get_data(added.VirtualAddress, len(LONG) + 1) == LONG.encode() + b"\0"
    assert [one for one in after.get_warnings() if not one.startswith("Byte 0x")] == []
    content = slice(before.sections[0].PointerToRawData, before.sections[-1].PointerToRawData)
    assert 0 < len(_changed(old[content], new[content])) <= 4 + 2 * 8 * ("bound" in name)


def test_the_symbols_behind_the_sections_stay_where_they_are() -> None:
    old, new, _ = _make("full-symbols.dll", LONGER)
    header = pefile.PE(data=new).FILE_HEADER
    assert header.PointerToSymbolTable == pefile.PE(data=old).FILE_HEADER.PointerToSymbolTable
    symbols = slice(header.PointerToSymbolTable, len(old))
    assert new[symbols] == old[symbols]
    assert old[symbols].endswith(b"long_symbol\0")


@pytest.mark.parametrize("name", ["signed.dll", "full-signed.dll"])
@pytest.mark.parametrize("edit", [SHORT, LONGER, Edit(soname="x.dll")])
def test_a_signature_at_the_end_is_cut_off(name: str, edit: Edit) -> None:
    _, new, _ = _make(name, edit)
    assert read(new).signature == ""
    assert b"certificate" not in new
    assert _security(new) == (0, 0)


def test_a_signature_before_something_else_is_only_forgotten() -> None:
    old, new, _ = _make("signed-inside.dll", LONGER)
    assert _security(new) == (0, 0)
    assert new[-8:] == b"archive!"
    assert len(new) == len(old)


def test_bound_imports_are_forgotten() -> None:
    for name in ("bound.dll", "full-bound.dll"):
        _, new, _ = _make(name, LONGER)
        after = pefile.PE(data=new)
        assert after.OPTIONAL_HEADER.DATA_DIRECTORY[11].VirtualAddress == 0
        rows = after.DIRECTORY_ENTRY_IMPORT
        assert [(one.struct.TimeDateStamp, one.struct.ForwarderChain) for one in rows] == [
            (0, 0),
            (0, 0),
        ]
        for row in getattr(after, "DIRECTORY_ENTRY_DELAY_IMPORT", []):
            assert row.struct.dwTimeStamp == 0


@pytest.mark.parametrize("name", ["load-flags.dll", "load-flags-32.dll"])
@pytest.mark.parametrize("new", ["demo.dll", "d.dll", LONG])
def test_with_a_new_import_the_process_says_again_where_to_look(name: str, new: str) -> None:
    _, made, _ = _make(name, Edit(needed=(("demo.dll", new),)))
    assert "loadflags" not in read(made).properties
    config = pefile.PE(data=made).DIRECTORY_ENTRY_LOAD_CONFIG.struct
    assert getattr(config, "DependentLoadFlags", 0) == 0


def test_another_edit_leaves_it_where_to_look() -> None:
    _, made, _ = _make("load-flags.dll", Edit(soname="x.dll"))
    assert "loadflags" in read(made).properties


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "edit",
    [
        Edit(),
        Edit(search_kind="runpath"),
        Edit(soname="self.dll"),
        Edit(needed=(("KERNEL32.DLL", "KERNEL32.dll"),), soname="self.dll"),
    ],
    ids=["empty", "no search", "same name", "same import"],
)
def test_an_edit_that_changes_nothing_touches_nothing(name: str, edit: Edit) -> None:
    binary = read(SOUND / name)
    if edit.needed and ("KERNEL32.dll" not in binary.needed or "loadflags" in binary.properties):
        edit = Edit()
    assert plan(SOUND / name, edit) == Patch((SOUND / name).stat().st_size)


@pytest.mark.parametrize("name", ["amd64.dll", "win32.dll", "full.dll", "signed.dll"])
@pytest.mark.parametrize("soname", ["s.dll", "self-0123456789abcdef.dll"])
def test_the_name_in_the_export_table(name: str, soname: str) -> None:
    _, new, _ = _make(name, Edit(soname=soname))
    assert read(new).soname == soname
    assert pefile.PE(data=new).DIRECTORY_ENTRY_EXPORT.name == soname.encode()
    assert defined(new) == ("one", "two")


def test_the_export_directory_grows_to_its_name() -> None:
    _, new, _ = _make("forwarding.dll", Edit(soname=LONG))
    image = pefile.PE(data=new)
    directory = image.OPTIONAL_HEADER.DATA_DIRECTORY[0]
    name = image.DIRECTORY_ENTRY_EXPORT.struct.Name
    assert name + len(LONG) + 1 == directory.VirtualAddress + directory.Size
    assert pe.forwarded(memoryview(new)) == ("demo", "Other.v2.dll")


def test_the_export_directory_does_not_grow_over_what_is_exported() -> None:
    content = bytearray((SOUND / "no-checksum.dll").read_bytes())
    image = pefile.PE(data=bytes(content))
    directory = image.OPTIONAL_HEADER.DATA_DIRECTORY[0]
    functions = image.DIRECTORY_ENTRY_EXPORT.struct.AddressOfFunctions
    constant = directory.VirtualAddress + directory.Size + 4
    struct.pack_into("<I", content, image.get_offset_from_rva(functions), constant)
    new = plan(bytes(content), Edit(soname=LONG)).apply(bytes(content))
    assert pefile.PE(data=new).OPTIONAL_HEADER.DATA_DIRECTORY[0].Size == directory.Size
    assert (read(new).soname, pe.forwarded(memoryview(new))) == (LONG, ())


def test_the_image_grows_with_its_last_section() -> None:
    content = bytearray((SOUND / "resources.dll").read_bytes())
    last = pefile.PE(data=bytes(content)).sections[-1]
    start, size = last.PointerToRawData, 0x1200
    struct.pack_into("<I", content, 152, 0xDEADBEEF)
    content[start:] = b"\xee" * 0xFF8 + bytes(size - 0xFF8)
    struct.pack_into("<8sIIII", content, last.get_file_offset(),
                     b".last", 0xFF8, last.VirtualAddress, size, start)  # fmt: skip
    new = plan(bytes(content), LONGER).apply(bytes(content))
    assert read(new).needed == ("KERNEL32.dll", LONG)
    assert pefile.PE(data=new).OPTIONAL_HEADER.SizeOfImage == last.VirtualAddress + 0x2000
    assert pe.checksum_problems(memoryview(new)) == ()


def test_a_file_without_exports_has_no_name_to_change() -> None:
    size = (SOUND / "program.exe").stat().st_size
    assert plan(SOUND / "program.exe", Edit(soname="x.exe")) == Patch(size)


def test_names_that_share_their_bytes_are_told_apart() -> None:
    for edit, needed in (
        (Edit(needed=(("demo.dll", "d.dll"),)), ("mydemo.dll", "d.dll")),
        (Edit(needed=(("mydemo.dll", "m.dll"),)), ("m.dll", "demo.dll")),
        (Edit(needed=(("mydemo.dll", "demo.dll"), ("demo.dll", "e.dll"))), ("demo.dll", "e.dll")),
    ):
        _, new, _ = _make("shared.dll", edit)
        assert read(new).needed == needed
    _, new, _ = _make("self.dll", Edit(needed=(("self.dll", "x.dll"),)))
    assert (read(new).needed, read(new).soname) == (("x.dll",), "self.dll")


def test_names_may_change_places() -> None:
    edit = Edit(needed=(("demo.dll", "kernel32.dll"), ("kernel32.DLL", "demo.dll")))
    _, new, _ = _make("amd64.dll", edit)
    assert read(new).needed == ("demo.dll", "kernel32.dll")


def test_all_spellings_of_a_library_are_renamed() -> None:
    _, new, _ = _make("spelled.dll", LONGER)
    assert [_text(row.dll) for row in _libraries(pefile.PE(data=new))] == [LONG, LONG]
    assert new.count(LONG.encode()) == 1
    _, new, _ = _make("delayed.dll", Edit(needed=(("DEMO.DLL", LONG), ("late.dll", "l.dll"))))
    assert read(new).delayed == ("l.dll", LONG)


def test_a_name_that_is_no_text_is_found_as_it_is_shown() -> None:
    _, new, _ = _make("not-utf8.dll", Edit(needed=((r"d\xff.dll", "plain.dll"),)))
    assert read(new).needed == ("plain.dll",)


def test_a_second_edit_uses_the_section_of_the_first() -> None:
    _, once, _ = _make("full.dll", LONGER)
    edit = Edit(needed=((LONG, f"x{LONG}"), ("KERNEL32.dll", "kernel32-longer.dll")))
    twice = plan(once, edit).apply(once)
    assert edited(read(once), read(twice), edit) == ()
    assert len(twice) == len(once)
    assert pefile.PE(data=twice).sections[-1].Misc_VirtualSize > len(LONG) * 2
    assert pe.checksum_problems(memoryview(twice)) == ()


def test_what_fits_no_padding_goes_into_a_section_of_its_own() -> None:
    long = "n" * 600 + ".dll"
    _, new, _ = _make("amd64.dll", Edit(needed=(("demo.dll", long), ("kernel32.dll", LONG))))
    after = pefile.PE(data=new)
    assert [section.Misc_VirtualSize for section in after.sections[3:]] == [605]
    assert read(new).needed == (LONG, long)


def test_padding_that_is_not_empty_is_not_padding() -> None:
    content = bytearray((SOUND / "no-checksum.dll").read_bytes())
    sections = pefile.PE(data=bytes(content)).sections
    for section in sections[1:]:
        content[section.PointerToRawData + section.Misc_VirtualSize + 3] = 1
    new = plan(bytes(content), LONGER).apply(bytes(content))
    assert len(pefile.PE(data=new).sections) == len(sections) + 1


def test_a_section_that_may_go_or_run_is_not_made_larger() -> None:
    for flag in (0x02000000, 0x10000000, 0x20000000):
        content = bytearray((SOUND / "no-checksum.dll").read_bytes())
        for section in pefile.PE(data=bytes(content)).sections[1:]:
            struct.pack_into("<I", content, section.get_file_offset() + 36, 0x40000040 | flag)
        new = plan(bytes(content), LONGER).apply(bytes(content))
        assert pefile.PE(data=new).sections[-1].Name.rstrip(b"\0") == b".imports"


@pytest.mark.parametrize(
    ("name", "edit", "reason", "hint"),
    [
        ("amd64.dll", Edit(search=("x",)), "no search path", "add_dll_directory"),
        ("amd64.dll", Edit(search=()), "no search path", "add_dll_directory"),
        ("amd64.dll", Edit(needed=(("demo.dll", ""),)), "cannot do without `demo.dll`", "link"),
        ("amd64.dll", Edit(needed=(("no.dll", "x"),)), "not import `no.dll`", "32.dll, demo.dll"),
        ("alone.dll", Edit(needed=(("no.dll", "x"),)), "not import `no.dll`", "it imports: -"),
        ("amd64.dll", Edit(needed=(("demo.dll", "a/b.dll"),)), "cannot name a DLL", "folder"),
        ("amd64.dll", Edit(needed=(("demo.dll", "b\0.dll"),)), "cannot name a DLL", "folder"),
        ("amd64.dll", Edit(needed=(("demo.dll", "b" * 5000),)), "cannot name a DLL", "folder"),
        ("amd64.dll", Edit(soname=""), "cannot name a DLL", "folder"),
        (
            "amd64.dll",
            Edit(needed=(("demo.dll", "x"), ("DEMO.dll", "y"))),
            "`DEMO.dll` cannot have two new names",
            "",
        ),
        ("crowded.dll", LONGER, "no room for a longer name", "keep the old name"),
        ("integrity.dll", SHORT, "only loads it with its signature", "INTEGRITYCHECK"),
        ("arm64x.dll", SHORT, "is ARM64X", "one machine"),
        ("bound-for-ever.dll", SHORT, "`KERNEL32.dll` are bound", "link the file anew"),
        ("forwarding.dll", SHORT, "exports are forwarded to `demo`", "keep the name"),
    ],
)
def test_what_cannot_be_done_is_one_named_error(
    name: str, edit: Edit, reason: str, hint: str
) -> None:
    with pytest.raises(BinaryError) as caught:
        plan((SOUND / name).read_bytes(), edit)
    assert reason in caught.value.message
    assert hint in caught.value.hint


def test_an_export_forwarded_to_a_kept_library_is_no_trouble() -> None:
    _, new, _ = _make("forwarding.dll", Edit(needed=(("kernel32.dll", "k.dll"),)))
    assert pe.forwarded(memoryview(new)) == ("demo", "Other.v2.dll")


@pytest.mark.parametrize(
    ("offset", "value", "reason"),
    [
        (88 + 32, 0x200, "cannot get one more section"),
        (88 + 36, 1 << 20, "cannot get one more section"),
        (88 + 60, 328 + 130, "the headers are full"),
        (328 + 80 + 12, 0xFFFFF000, "no room for one more section"),
    ],
    ids=["small pages", "large sectors", "short headers", "end of the address space"],
)
def test_a_section_that_cannot_be_added(offset: int, value: int, reason: str) -> None:
    content = bytearray((SOUND / "full.dll").read_bytes())
    struct.pack_into("<I", content, offset, value)
    if offset == 88 + 32:
        struct.pack_into("<I", content, 328 + 40 + 12, 0x2000)
    with pytest.raises(BinaryError, match=reason):
        plan(bytes(content), LONGER)


def test_a_checksum_that_cannot_be_right_is_made_anew(tmp_path: Path) -> None:
    content = bytearray((SOUND / "overlay.dll").read_bytes().ljust((2 << 20) + 5, b"\xa7"))
    struct.pack_into("<I", content, 152, 0xDEADBEEF)
    path = tmp_path / "x.dll"
    path.write_bytes(content)
    new = plan(path, LONGER).apply(bytes(content))
    assert pe.checksum_problems(memoryview(new)) == ()
    assert plan(bytes(content), LONGER) == plan(path, LONGER)


def test_a_name_in_a_field_that_changes_too_is_refused() -> None:
    content = bytearray((SOUND / "amd64.dll").read_bytes())
    row = pefile.PE(data=bytes(content)).DIRECTORY_ENTRY_IMPORT[1].struct
    place = row.get_file_offset()
    address = pefile.PE(data=bytes(content)).get_rva_from_offset(place)
    content[place + 4 : place + 12] = b"bound.d\0"
    struct.pack_into("<I", content, place + 12, address + 4)
    with pytest.raises(BinaryError, match="tables overlap at 0x"):
        plan(bytes(content), Edit(needed=(("bound.d", "b"),)))


def test_a_checksum_that_is_wrong_by_some_bits_stays_so() -> None:
    content = bytearray((SOUND / "amd64.dll").read_bytes())
    content[152] ^= 1
    new = plan(bytes(content), LONGER).apply(bytes(content))
    stated = struct.unpack_from("<I", new, 152)[0]
    assert abs(stated - pe.checksum(memoryview(new))) == 1


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("new", ["x.dll", LONG])
def test_second_parsers_see_the_change_and_no_other(name: str, new: str) -> None:
    old = (SOUND / name).read_bytes()
    before = read(old)
    edit = Edit(needed=tuple((one, f"{at}{new}") for at, one in enumerate(before.needed)))
    try:
        made = plan(old, edit).apply(old)
    except BinaryError:
        assert name in {"arm64x.dll", "integrity.dll", "bound-for-ever.dll", "forwarding.dll",
                        "crowded.dll"}  # fmt: skip
        return
    names = {one.lower(): f"{at}{new}" for at, one in enumerate(before.needed)}
    assert (
        _pefile_says(made)
        == [
            (names.get(library.lower(), library), symbols) for library, symbols in _pefile_says(old)
        ]
        or name == "not-utf8.dll"
    )
    one, two = lief.PE.parse(list(old)), lief.PE.parse(list(made))
    assert one is not None
    assert two is not None
    if name != "not-utf8.dll":
        assert [str(row.name) for row in two.imports] == [
            names[str(row.name).lower()] for row in one.imports
        ]
    if before.needed and name not in {"no-checksum.dll", "delayed-by-address.dll"}:
        assert pefile.PE(data=made).verify_checksum()


def test_a_large_file_costs_what_changes(tmp_path: Path) -> None:
    path, size = tmp_path / "large.dll", 3 << 30
    content = bytearray((SOUND / "overlay.dll").read_bytes())
    struct.pack_into("<I", content, 152, size + 1)  # a sum that can be right
    path.write_bytes(content)
    os.truncate(path, size)
    start = time.process_time()
    patch = plan(path, LONGER)
    assert time.process_time() - start < 1
    assert patch.size == size
    assert sum(len(piece) for _, piece in patch.pieces) < 100


@given(
    name=st.sampled_from(NAMES),
    changes=st.lists(
        st.tuples(
            st.integers(16, 450),
            st.sampled_from((0, 1, 0x40, 0x2000, 0x2010, 0x21FC, 0x7FFFFFFF, 0xFFFFFFFF)),
        ),
        max_size=3,
    ),
    end=st.one_of(st.none(), st.integers(300, 3000)),
    edit=st.sampled_from((SHORT, LONGER, Edit(soname="x"), Edit(soname=LONG))),
)
def test_damaged_files_raise_nothing_else(
    name: str, changes: list[tuple[int, int]], end: int | None, edit: Edit
) -> None:
    old = with_words((SOUND / name).read_bytes(), changes)[:end]
    try:
        patch = plan(old, edit)
        starts = [0, *(start for piece in patch.pieces for start in (piece[0],))]
        assert starts == sorted(starts)
        assert patch.size <= len(old) + (1 << 18)
        read(patch.apply(old))
    except BinaryError:
        return


def _pefile_says(content: bytes) -> list[tuple[str, list[bytes | int]]]:
    return [
        (_text(row.dll), [one.name or one.ordinal for one in row.imports])
        for row in _libraries(pefile.PE(data=content))
    ]


def _libraries(image: pefile.PE) -> list[Any]:
    delayed = getattr(image, "DIRECTORY_ENTRY_DELAY_IMPORT", [])
    return [*getattr(image, "DIRECTORY_ENTRY_IMPORT", []), *delayed]


def _security(content: bytes) -> tuple[int, int]:
    directory = pefile.PE(data=content).OPTIONAL_HEADER.DATA_DIRECTORY[4]
    return directory.VirtualAddress, directory.Size


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")
