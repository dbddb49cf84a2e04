from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from elftools.elf.dynamic import DynamicSection, DynamicSegment
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerDefSection, GNUVerNeedSection
from elftools.elf.sections import StringTableSection, SymbolTableSection
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.binary import Binary, BinaryError, Edit, defined, edited, plan, read
from builder.binary.elf import padded
from builder.patch import Patch
from tests.damage import with_bytes, with_words
from tests.data import make_elf

LONG = "a-name-that-is-longer-than-any-hole"


def elf(**differs: Any) -> bytes:
    """The plain library of the reader's tests with some differences."""
    return make_elf.assemble(replace(make_elf.PLAIN, **differs))


def apply(old: bytes, edit: Edit) -> bytes:
    """The file after an edit, which nobody reads otherwise than it was meant."""
    patch = plan(old, edit)
    new = patch.apply(old)
    before, after = read(old), read(new)
    assert edited(before, after, edit) == ()
    assert defined(new) == defined(old)
    check_sections(new, after)
    check_segments(new)
    check_patch(old, patch)
    return new


def check_patch(old: bytes, patch: Patch) -> None:
    """Pieces are in order, apart, and begin and end with bytes that differ."""
    end = -1
    for offset, content in patch.pieces:
        assert offset > end
        end = offset + len(content)
        was = old[offset:end]
        assert not was or was[0] != content[0]
        assert len(was) < len(content) or was[-1] != content[-1]
    assert end <= patch.size


def check_sections(new: bytes, binary: Binary) -> None:
    """By way of section headers, pyelftools finds the same names."""
    found: dict[str, list[str]] = {
        "DT_NEEDED": [],
        "DT_SONAME": [],
        "DT_RPATH": [],
        "DT_RUNPATH": [],
    }
    needs, versions = set(), []
    file = ELFFile(io.BytesIO(new))
    for section in file.iter_sections():
        match section:
            case DynamicSection():
                strings = file.get_section(section["sh_link"])
                assert isinstance(strings, StringTableSection)
                for tag in section.iter_tags():
                    if tag.entry.d_tag in found:
                        found[tag.entry.d_tag].append(strings.get_string(tag.entry.d_val))
            case GNUVerNeedSection():
                for library, inner in section.iter_versions():
                    needs |= {(library.name, row.name) for row in inner}
            case GNUVerDefSection():
                versions = [next(iter(rows)).name for _, rows in section.iter_versions()]
    if not file.num_sections():
        return
    assert tuple(dict.fromkeys(found["DT_NEEDED"])) == binary.needed
    assert found["DT_SONAME"] == [binary.soname] * bool(binary.soname)
    for kind, path in (("DT_RPATH", binary.rpath), ("DT_RUNPATH", binary.runpath)):
        assert [text.rstrip("/") for text in found[kind] if text] == [":".join(path)] * bool(path)
    assert needs == {(need.library, need.version) for need in binary.versions_needed}
    assert versions[1:] == list(binary.versions_defined)
    if versions and binary.soname:
        assert versions[0] == binary.soname


def check_segments(new: bytes) -> None:
    """Segments are loaded apart and in order; pyelftools finds the dynamic section by them."""
    file = ELFFile(io.BytesIO(new))
    loads = list(file.iter_segments("PT_LOAD"))
    for load in loads[1:]:
        assert load["p_align"] == 0x10000
        assert (load["p_vaddr"] - load["p_offset"]) % load["p_align"] == 0
        assert load["p_offset"] + load["p_filesz"] <= len(new)
    ends = [load["p_vaddr"] + load["p_memsz"] for load in loads]
    starts = [load["p_vaddr"] - load["p_vaddr"] % 0x10000 for load in loads]
    assert all(start >= end for start, end in zip(starts[1:], ends, strict=False))
    for segment in file.iter_segments("PT_PHDR"):
        assert segment["p_filesz"] == file["e_phnum"] * file["e_phentsize"]
    for segment in file.iter_segments():
        assert not isinstance(segment, DynamicSegment) or list(segment.iter_tags())


def load_count(content: bytes) -> int:
    return len(list(ELFFile(io.BytesIO(content)).iter_segments("PT_LOAD")))


MACHINES: Mapping[str, Mapping[str, Any]] = {
    "x86_64": {},
    "i686": {"bits": 32, "machine": 3},
    "aarch64": {"machine": 183},
    "s390x": {"order": ">", "machine": 22, "hash": "sysv"},
    "mips": {"bits": 32, "order": ">", "machine": 8},
}
SHAPES: Mapping[str, Mapping[str, Any]] = {
    "notes to displace": {},
    "nothing small to displace": {"build_id": b""},
    "empty header": {"empty": 1},
    "header of headers": {"headers": True},
    "program": {"headers": True, "soname": "", "interpreter": "/lib64/ld-linux-x86-64.so.2"},
    "room": {"room": 3},
    "search path": {"runpath": "$ORIGIN"},
    "both search paths": {"runpath": "$ORIGIN", "rpath": "/opt/lib"},
    "versions": {"versions": ("PLAIN_1.0",)},
    "properties": {"properties": ((0xC0000002, 3),)},
    "code behind the headers": {"code": b"code", "zeros": 5000},
    "variables": {"zeros": 5000},
}
KINDS = {**MACHINES, **SHAPES}
EDITS: Mapping[str, Edit] = {
    "rename": Edit(needed=(("libm.so.6", LONG),)),
    "rename all": Edit(needed=(("libm.so.6", LONG), ("libc.so.6", LONG + "2"))),
    "swap": Edit(needed=(("libm.so.6", "libc.so.6"), ("libc.so.6", "libm.so.6"))),
    "shorter": Edit(needed=(("libm.so.6", "m"),)),
    "remove": Edit(needed=(("libm.so.6", ""),)),
    "remove the second": Edit(needed=(("libc.so.6", ""),)),
    "remove all": Edit(needed=(("libm.so.6", ""), ("libc.so.6", ""))),
    "remove and rename": Edit(needed=(("libm.so.6", ""), ("libc.so.6", LONG))),
    "soname": Edit(soname=LONG),
    "no soname": Edit(soname=""),
    "search": Edit(search=("$ORIGIN/../lib", "", "/opt/elsewhere")),
    "search as rpath": Edit(search=(LONG,), search_kind="rpath"),
    "search as runpath": Edit(search=(LONG,), search_kind="runpath"),
    "no search": Edit(search=()),
    "to rpath": Edit(search_kind="rpath"),
    "to runpath": Edit(search_kind="runpath"),
    "all": Edit(soname=LONG, needed=(("libm.so.6", LONG + "m"), ("libc.so.6", "")), search=(LONG,)),
}  # fmt: skip


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_an_edit_changes_what_it_says(kind: Mapping[str, Any], edit: Edit) -> None:
    old = elf(**kind)
    new = apply(old, edit)
    again = plan(new, replace(edit, needed=()))
    assert (again.size, again.pieces) == (len(new), ())
    grows = len(new) > len(old) and "code" not in kind
    assert load_count(new) - load_count(old) == grows


def test_variables_without_bytes_get_zeros_where_the_headers_have_no_room() -> None:
    new = apply(elf(code=b"code", zeros=5000), Edit(soname=LONG))
    file = ELFFile(io.BytesIO(new))
    load = list(file.iter_segments("PT_LOAD"))[-1]
    assert load.data()[:16] == b"0123456789abcdef"
    assert load.data()[16:5016] == bytes(5000)
    assert load.data().endswith(LONG.encode() + b"\0")
    assert load["p_memsz"] == load["p_filesz"]
    zeros = file.get_section_by_name(".bss")
    assert zeros is not None
    assert (zeros["sh_type"], zeros.data()) == ("SHT_PROGBITS", bytes(5000))
    assert zeros["sh_offset"] - load["p_offset"] == zeros["sh_addr"] - load["p_vaddr"] == 16
    size = len(new)
    assert len(apply(new, Edit(soname=LONG * 2))) - size == len(LONG * 2) + 1


@pytest.mark.parametrize("kind", ["code behind the headers", "notes to displace"])
def test_a_segment_that_strip_moved_to_the_front_is_put_at_the_end_again(kind: str) -> None:
    new = apply(elf(**SHAPES[kind]), Edit(soname=LONG)) + b"what strip puts behind it"
    again = apply(new, Edit(soname=LONG * 2))
    assert load_count(again) == load_count(new)
    assert LONG.encode() not in again[: len(new)]


@pytest.mark.parametrize("machine", MACHINES.values(), ids=MACHINES)
def test_a_file_that_grew_once_only_grows_in_the_same_place(machine: Mapping[str, Any]) -> None:
    new = apply(elf(**machine), EDITS["all"])
    segments = load_count(new)
    for length in (2, 4, 9):
        size = len(new)
        new = apply(new, Edit(search=(LONG * length,)))
        assert 0 < len(new) - size < 400
        assert load_count(new) == segments


IN_PLACE: Mapping[str, tuple[Mapping[str, Any], Edit]] = {
    "shorter name": ({}, Edit(needed=(("libm.so.6", "libm.so"),))),
    "same length": ({}, Edit(soname="libother.so.1")),
    "end of itself": ({}, Edit(soname="so.1")),
    "a name that is there": ({}, Edit(soname="PyModule_Create2")),
    "the end of one": ({}, Edit(soname="Create2")),
    "one for two": (
        {"soname": "libm.so.6"},
        Edit(soname="libx.so.6", needed=(("libm.so.6", "libx.so.6"),)),
    ),
    "removed library": ({}, Edit(needed=(("libc.so.6", ""),))),
    "search path in room": ({"room": 1, "soname": LONG}, Edit(soname="", search=("$ORIGIN",))),
    "one for another": ({"runpath": "/opt/a"}, Edit(search=("/opt/b",), search_kind="rpath")),
    "another kind": ({"rpath": "/opt/a"}, Edit(search_kind="runpath")),
    "search path removed": ({"rpath": "/opt/a"}, Edit(search=())),
    "search path for a name": (
        {"runpath": "$ORIGIN/" + LONG},
        Edit(search=(), needed=(("libm.so.6", LONG),)),
    ),
}


@pytest.mark.parametrize(("differs", "edit"), IN_PLACE.values(), ids=IN_PLACE)
def test_an_edit_that_has_room_moves_nothing(differs: Mapping[str, Any], edit: Edit) -> None:
    old = elf(**differs)
    new = apply(old, edit)
    assert len(new) == len(old)
    assert sum(a != b for a, b in zip(old, new, strict=True)) < 120


SETTLED: Mapping[str, tuple[bytes, Edit]] = {
    "no edit": (elf(), Edit()),
    "the same soname": (elf(), Edit(soname="libplain.so.1")),
    "a soname of a file that has none": (elf(soname=""), Edit(soname="libnew.so")),
    "the same names": (elf(), Edit(needed=(("libm.so.6", "libm.so.6"),))),
    "the same search path": (elf(rpath="/a:/b"), Edit(search=("/a", "/b"))),
    "the same kind": (elf(rpath="/a:/b"), Edit(search_kind="rpath")),
    "the same padded path": (elf(runpath=padded("/a")), Edit(search=("/a",))),
    "no path where none is": (elf(), Edit(search=())),
    "kind of a path that is not there": (elf(), Edit(search_kind="rpath")),
    "static": (make_elf.assemble(make_elf.Elf(type=2, dynamic=False)), Edit(soname="x", search=())),
    "signature": (elf(), Edit(sign=True)),
}


@pytest.mark.parametrize(("content", "edit"), SETTLED.values(), ids=SETTLED)
def test_an_edit_that_changes_nothing_is_no_patch(content: bytes, edit: Edit) -> None:
    assert plan(content, edit) == Patch(len(content))


REFUSED: Mapping[str, tuple[bytes, Edit, str]] = {
    "not needed": (elf(), Edit(needed=(("libx.so", "liby.so"),)), "does not need `libx.so`"),
    "colon": (elf(), Edit(search=("/a:/b",)), "cannot be written as a search path"),
    "only an empty folder": (elf(), Edit(search=("",)), "cannot be written as a search path"),
    "padding": (elf(), Edit(search=("/a" + "/" * 40,)), "cannot be written as a search path"),
    "zero": (elf(), Edit(soname="a\0b"), "a zero ends a text"),
    "surrogate": (elf(), Edit(soname="\udc80"), "cannot be written as UTF-8"),
    "static": (
        make_elf.assemble(make_elf.Elf(type=2, dynamic=False)),
        Edit(search=("/a",)),
        "has no dynamic section",
    ),
    "one version of one library twice": (
        elf(undefined=(("pow", "V_1", "libm.so.6"), ("printf", "V_1", "libc.so.6"))),
        Edit(needed=(("libm.so.6", "libc.so.6"),)),
        "both are asked for the version `V_1`",
    ),
    "no section headers": (
        make_elf.without_sections(elf(hash="empty", defined=())),
        Edit(soname=LONG),
        "nothing that tells how many symbols it has",
    ),
    "no section headers, but a count": (
        make_elf.without_sections(elf(hash="sysv")),
        Edit(soname=LONG),
        "no section headers that tell what follows its program headers",
    ),
    "code behind the headers": (
        elf(code=b"code"),
        Edit(soname=LONG),
        "has no room for another program header",
    ),
}


@pytest.mark.parametrize(("content", "edit", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_done_is_refused(content: bytes, edit: Edit, reason: str) -> None:
    with pytest.raises(BinaryError) as caught:
        plan(content, edit)
    assert reason in caught.value.message
    assert caught.value.hint or reason.startswith(("both", "a zero", "cannot be written as UTF"))


def test_nobody_loses_a_name_that_is_the_end_of_a_freed_one() -> None:
    old = elf()
    table = old.index(b"\0libm.so.6\0")
    own, inner = old.index(b"answer\0") - table, old.index(b"plain.so.1\0") - table
    row = struct.pack("<IBBH", own, 0x12, 0, 1)
    shared = old.replace(row, struct.pack("<IBBH", inner, 0x12, 0, 1))
    assert defined(shared) == ("plain.so.1", "question")
    new = apply(shared, Edit(soname="libother.so.1"))
    assert defined(new) == ("plain.so.1", "question")
    assert len(new) > len(old)


POOL = elf(runpath=padded("$ORIGIN/lib", 120))
POOLED: Mapping[str, Edit] = {
    "longer path": Edit(search=("$ORIGIN/lib", "$ORIGIN/" + LONG)),
    "shorter path": Edit(search=("/a",)),
    "name": Edit(soname=LONG),
    "names": Edit(soname=LONG, needed=(("libm.so.6", LONG + "m"), ("libc.so.6", LONG))),
    "path and name": Edit(soname=LONG, search=("/a", "/b")),
    "nearly all": Edit(search=("x" * 131,)),
    "all but a few": Edit(search=("x" * 110,)),
    "kind": Edit(soname=LONG, search_kind="rpath"),
}


@pytest.mark.parametrize("edit", POOLED.values(), ids=POOLED)
def test_a_padded_search_path_is_room_for_names(edit: Edit) -> None:
    assert len(apply(POOL, edit)) == len(POOL)


def test_a_padded_search_path_is_room_again_and_again() -> None:
    new = POOL
    for number in range(20):
        new = apply(
            new, Edit(soname=f"lib-{number:02}-{LONG}.so", search=("$ORIGIN", f"/{number}"))
        )
    assert len(new) == len(POOL)
    assert b"/" * 32 in new
    assert len(apply(new, Edit(search=("x" * 140,)))) > len(POOL)


def test_a_padded_path_that_a_symbol_points_into_is_no_room() -> None:
    table = POOL.index(b"\0libm.so.6\0")
    own = POOL.index(b"answer\0") - table
    inner = POOL.index(b"/" * 120) - table + 100
    row = struct.pack("<IBBH", own, 0x12, 0, 1)
    shared = POOL.replace(row, struct.pack("<IBBH", inner, 0x12, 0, 1))
    for edit in POOLED.values():
        new = apply(shared, edit)
        assert defined(new) == ("/" * 20, "question")
    assert len(apply(shared, Edit(soname=LONG))) > len(POOL)


@pytest.mark.parametrize(
    ("path", "entries"),
    [
        ("$ORIGIN" + "/" * 32, ("$ORIGIN",)),
        ("$ORIGIN" + "/" * 31, ("$ORIGIN" + "/" * 31,)),
        ("/a:/" + "/" * 40, ("/a", "/")),
        ("/" * 40, ("/",)),
        ("/a/:/b" + "/" * 40, ("/a/", "/b")),
    ],
)
def test_padding_is_no_part_of_a_path(path: str, entries: tuple[str, ...]) -> None:
    assert read(elf(runpath=path)).runpath == entries
    assert read(elf(runpath=padded(path))).runpath == entries or "/" * 31 in entries[0]


def test_the_old_string_table_is_cleared_unless_another_section_is_there() -> None:
    old = elf(sections=((".other", b"something"),))
    assert b"libm.so.6" not in apply(old, Edit(soname=LONG))[: len(old)]
    place, start = old.index(b"something"), old.index(b"\0libm.so.6\0")
    row, moved = (struct.pack("<QQ", make_elf.BASE + at, at) for at in (place, start))
    assert b"libm.so.6" in apply(old.replace(row, moved), Edit(soname=LONG))[: len(old)]


def test_symbols_of_what_is_displaced_follow_it() -> None:
    old = elf()
    file = ELFFile(io.BytesIO(old))
    note = next(at for at, section in enumerate(file.iter_sections()) if section.name == ".note")
    row = struct.pack("<IBBHQ", old.index(b"answer\0") - old.index(b"\0libm.so.6\0"), 0x12, 0, 1, 0)
    address = file.get_section(note)["sh_addr"]
    told = old.replace(row, row[:6] + struct.pack("<HQ", note, address + 4))
    new = ELFFile(io.BytesIO(apply(told, Edit(soname=LONG))))
    assert new.get_section(note)["sh_addr"] != address
    symbols = new.get_section_by_name(".dynsym")
    assert isinstance(symbols, SymbolTableSection)
    symbol = next(row for row in symbols.iter_symbols() if row.name == "answer")
    assert symbol["st_value"] == new.get_section(note)["sh_addr"] + 4


def test_mips_finds_its_map_from_where_the_entry_moved() -> None:
    tag = 0x70000035
    old = elf(bits=32, order=">", machine=8, tags=((tag, 0x1000),))
    new = apply(old, Edit(search=("$ORIGIN",)))

    def target(content: bytes) -> int:
        file = ELFFile(io.BytesIO(content))
        segment = next(iter(file.iter_segments("PT_DYNAMIC")))
        assert isinstance(segment, DynamicSegment)
        tags = [(entry.entry.d_tag, entry.entry.d_val) for entry in segment.iter_tags()]
        place = next(at for at, (name, _) in enumerate(tags) if name == "DT_MIPS_RLD_MAP_REL")
        return int(segment["p_vaddr"] + 8 * place + tags[place][1]) % 2**32

    assert target(new) == target(old)


def test_an_edit_of_a_large_table_touches_little() -> None:
    names = tuple(f"symbol_number_{number}" for number in range(6000))
    old = elf(defined=names, runpath=padded("$ORIGIN"))
    patch = plan(old, Edit(soname=LONG, search=("/a/" + LONG,)))
    assert patch.size == len(old)
    assert sum(len(content) for _, content in patch.pieces) < 500
    assert len(apply(old, Edit(soname=LONG * 20))) - len(old) < 150_000


edits = st.builds(
    Edit,
    soname=st.sampled_from((None, "", "x", LONG, LONG * 9)),
    needed=st.lists(
        st.tuples(st.sampled_from(("libm.so.6", "libc.so.6")), st.sampled_from(("", "y", LONG))),
        max_size=2,
    ).map(tuple),
    search=st.sampled_from((None, (), ("/a",), ("$ORIGIN", LONG), (LONG * 9,))),
    search_kind=st.sampled_from(("keep", "rpath", "runpath")),
)  # fmt: skip
SAMPLES = tuple(
    elf(**{**shape, **machine}) for machine in MACHINES.values() for shape in SHAPES.values()
)


@settings(max_examples=50)
@given(sample=st.sampled_from((*SAMPLES, POOL)), chain=st.lists(edits, min_size=1, max_size=5))
def test_any_edits_one_after_another_are_made_or_refused(sample: bytes, chain: list[Edit]) -> None:
    content = sample
    for edit in chain:
        try:
            patch = plan(content, edit)
        except BinaryError:
            continue
        new = patch.apply(content)
        assert edited(read(content), read(new), edit) == ()
        assert defined(new) == defined(content)
        check_segments(new)
        content = new


@given(
    sample=st.sampled_from((*SAMPLES, POOL)),
    edit=edits,
    flips=st.lists(st.tuples(st.integers(0, 9000), st.integers(0, 255)), max_size=6),
    end=st.one_of(st.none(), st.integers(0, 9000)),
)
def test_an_edit_of_a_damaged_file_is_made_or_refused(
    sample: bytes, edit: Edit, flips: list[tuple[int, int]], end: int | None
) -> None:
    made_or_refused(with_bytes(sample, flips)[:end], edit)


@given(
    sample=st.sampled_from((*SAMPLES, POOL)),
    edit=edits,
    numbers=st.lists(
        st.tuples(
            st.integers(0, 2000),
            st.sampled_from((0, 1, 0x40, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)),
        ),
        min_size=1,
        max_size=3,
    ),
)
def test_an_edit_among_senseless_numbers_is_made_or_refused(
    sample: bytes, edit: Edit, numbers: list[tuple[int, int]]
) -> None:
    made_or_refused(with_words(sample, numbers), edit)


def made_or_refused(content: bytes, edit: Edit) -> None:
    """Whatever the file says: no error but ours, and no growth without end.

    What a damaged file is read as afterwards can be something else than was asked for, when tables
    lie about where they are. The read-back tells that, by an error or a difference.
    """
    with suppress(BinaryError):
        before, patch = read(content), plan(content, edit)
        assert patch.size < len(content) + 0x40000
        found = edited(before, read(patch.apply(content)), edit)
        assert all(" is " in difference for difference in found)
