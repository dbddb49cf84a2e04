from __future__ import annotations

import contextlib
import io
import struct
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import lief
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from macholib.mach_o import LC_RPATH
from macholib.MachO import MachO

from builder.binary import Binary, BinaryError, Edit, edited, plan, read
from builder.binary.macho import signature_problems
from builder.patch import Patch
from tests.damage import with_bytes
from tests.data import make_macho

SOUND = Path(__file__).parent.parent / "data" / "macho" / "sound"
FIXED = {
    *("archive.a", "object.o", "symbols.dSYM", "trailing.dylib"),
    *("no-room.dylib", "little-room.dylib", "used-room.dylib"),
}
"""What cannot be edited at all, or not beyond its room."""
NOT_UTF8 = "not-utf8.dylib"
UNKNOWN_TO_LIEF = {"universal2-64.dylib", NOT_UTF8}
EDITABLE = tuple(path for path in sorted(SOUND.iterdir()) if path.name not in FIXED)

lief.logging.disable()


def _name(path: Path) -> str:
    return path.name


Z, SYSTEM = "@rpath/libz.1.dylib", "/usr/lib/libSystem.B.dylib"
SYMBOLS = (SOUND / "x86_64.dylib").read_bytes().index(struct.pack("<II", 2, 24))
LONG = "@loader_path/../pkg.dylibs/libz-0123456789abcdef.1.dylib"
FULL = make_macho.assemble(replace(make_macho.PLAIN, signature="", text_end=0x1F00))
FILLED = make_macho.fat(
    (make_macho.ARM64, 0, FULL), (make_macho.X86_64, 3, make_macho.assemble(make_macho.INTEL))
)
"""Two images without a gap between them that a signature of the first would fit into."""


def _edit(content: bytes, edit: Edit) -> bytes:
    """The file after an edit, which is what was asked for, and soundly signed."""
    patch = plan(content, edit)
    new = patch.apply(content)
    assert len(new) == patch.size
    assert edited(read(content), read(new), edit) == ()
    assert signature_problems(memoryview(new)) == ()
    return new


@pytest.mark.parametrize(
    ("name", "edit", "differs"),
    [
        ("arm64.dylib", Edit(soname="@rpath/libother.dylib"), {"soname": "@rpath/libother.dylib"}),
        ("arm64.dylib", Edit(needed=((Z, LONG),)), {"needed": (LONG, SYSTEM)}),
        ("arm64.dylib", Edit(needed=((Z, "z"), (SYSTEM, Z))), {"needed": ("z", Z)}),
        ("arm64.dylib", Edit(needed=((Z, SYSTEM),)), {"needed": (SYSTEM,)}),
        ("arm64.dylib", Edit(search=("@loader_path",)), {"rpath": ("@loader_path",)}),
        ("arm64.dylib", Edit(search=("/a", "/opt/lib", "/b")), {"rpath": ("/a", "/opt/lib", "/b")}),
        ("arm64.dylib", Edit(search=()), {"rpath": ()}),
        ("arm64.dylib", Edit(search=("@loader_path/ü",)), {"rpath": ("@loader_path/ü",)}),
        (
            "arm64.dylib",
            Edit(soname="z", needed=((Z, LONG),), search=("/a",)),
            {"soname": "z", "needed": (LONG, SYSTEM), "rpath": ("/a",)},
        ),
        ("arm64-linker.dylib", Edit(search=()), {"rpath": ()}),
        ("arm64-unsigned.dylib", Edit(search=()), {"rpath": (), "signature": "adhoc"}),
        ("arm64-unsigned.dylib", Edit(sign=True), {"signature": "adhoc"}),
        ("arm64-identity.dylib", Edit(search=()), {"rpath": (), "signature": "adhoc"}),
        ("arm64-identity.dylib", Edit(sign=True), {"signature": "adhoc"}),
        ("arm64-identity-full.dylib", Edit(soname="x"), {"soname": "x", "signature": "adhoc"}),
        ("arm64-sha1.dylib", Edit(soname="x"), {"soname": "x"}),
        ("arm64e.dylib", Edit(soname="x"), {"soname": "x"}),
        ("x86_64.dylib", Edit(soname="x"), {"soname": "x"}),
        ("x86_64.dylib", Edit(soname="x", sign=True), {"soname": "x", "signature": "adhoc"}),
        ("x86_64-both.dylib", Edit(soname="x"), {"soname": "x"}),
        ("i386.dylib", Edit(needed=((Z, LONG),)), {"needed": (LONG, SYSTEM)}),
        ("ppc.dylib", Edit(needed=((Z, LONG),)), {"needed": (LONG, SYSTEM)}),
        ("ppc.dylib", Edit(search=("/a",)), {"rpath": ("/a",)}),
        ("bundle.so", Edit(soname="x"), {}),
        ("program", Edit(search=("@executable_path/lib",)), {"rpath": ("@executable_path/lib",)}),
        ("not-utf8.dylib", Edit(needed=((r"/lib\xff.dylib", "/lib"),)), {"needed": ("/lib", Z, SYSTEM)}),
        ("flat.dylib", Edit(needed=((Z, ""),)), {"needed": (SYSTEM,)}),
    ],
)  # fmt: skip
def test_what_an_edit_makes_of_a_file(name: str, edit: Edit, differs: Mapping[str, Any]) -> None:
    content = (SOUND / name).read_bytes()
    assert read(_edit(content, edit)) == replace(read(content), **differs)


@pytest.mark.parametrize(
    ("old", "new", "optional", "delayed"),
    [
        ("@rpath/libplain.1.dylib", "x", ("@rpath/libweak.dylib", "libuseweak.dylib"), None),
        ("@rpath/libweak.dylib", "x", ("x", "libuseweak.dylib"), None),
        ("libuseweak.dylib", "x", ("@rpath/libweak.dylib", "x"), None),
        ("libuselate.dylib", LONG, None, ("@loader_path/liblazy.dylib", LONG)),
        ("@loader_path/liblazy.dylib", "x", None, ("x", "libuselate.dylib")),
        ("/usr/lib/libreexport.dylib", LONG, None, None),
        ("libupward.dylib", "x", None, None),
    ],
)
def test_a_renamed_library_stays_what_it_was(
    old: str, new: str, optional: tuple[str, ...] | None, delayed: tuple[str, ...] | None
) -> None:
    content = (SOUND / "kinds.dylib").read_bytes()
    before, after = read(content), read(_edit(content, Edit(needed=((old, new),))))
    assert after.needed == tuple(new if name == old else name for name in before.needed)
    assert after.optional == (optional or before.optional)
    assert after.delayed == (delayed or before.delayed)


@pytest.mark.parametrize("undefined", [(), (("_printf", 1),), (("_anything", 0xFE), ("_x", 1))])
def test_a_library_without_symbols_behind_it_can_go(undefined: tuple[tuple[str, int], ...]) -> None:
    system = ((make_macho.LOAD, SYSTEM), (make_macho.LOAD, Z))
    content = make_macho.assemble(replace(make_macho.PLAIN, libraries=system, undefined=undefined))
    if not undefined:
        with pytest.raises(BinaryError, match="symbols are bound to it"):
            plan(content, Edit(needed=((Z, ""),)))
        return
    assert read(_edit(content, Edit(needed=((Z, ""),)))).needed == (SYSTEM,)


@pytest.mark.parametrize(
    ("name", "edit", "message"),
    [
        ("arm64.dylib", Edit(needed=(("libm.dylib", "x"),)), "`libm.dylib` is not needed"),
        ("universal2.dylib", Edit(needed=(("libm.dylib", "x"),)), "`libm.dylib` is not needed"),
        ("archive.a", Edit(needed=((Z, "x"),)), f"`{Z}` is not needed"),
        ("arm64.dylib", Edit(needed=((Z, ""),)), f"`{Z}` cannot be removed"),
        ("arm64.dylib", Edit(needed=((SYSTEM, ""),)), f"`{SYSTEM}` cannot be removed"),
        ("stripped.dylib", Edit(needed=((SYSTEM, ""),)), f"`{SYSTEM}` cannot be removed"),
        ("reexports.dylib", Edit(needed=((SYSTEM, ""),)), f"`{SYSTEM}` cannot be removed"),
        (
            "kinds.dylib",
            Edit(needed=(("libuseweak.dylib", "@rpath/libplain.1.dylib"),)),
            "`@rpath/libplain.1.dylib` and `libuseweak.dylib` cannot become one library",
        ),
        ("arm64.dylib", Edit(soname=""), "'' is no name for a load command"),
        ("arm64.dylib", Edit(search=("",)), "'' is no name for a load command"),
        ("arm64.dylib", Edit(search=("a\0b",)), "'a\\x00b' is no name for a load command"),
        ("arm64.dylib", Edit(soname="\udcff"), "'\\udcff' is no name for a load command"),
        ("arm64.dylib", Edit(search=("/a", "/a")), "the new search path has an entry twice, which macOS 15.4"),
        (
            "arm64.dylib",
            Edit(search=("x" * 400,)),
            "header: has no room for the new names: 104 bytes are missing",
        ),
        (
            "universal2.dylib",
            Edit(search=("x" * 400,)),
            "x86_64: header: has no room for the new names: 104 bytes are missing",
        ),
        ("no-room.dylib", Edit(needed=((Z, LONG),)), "header: has no room for the new names: 40 bytes"),
        ("used-room.dylib", Edit(needed=((Z, LONG),)), "header: has no room for the new names: what"),
        ("object.o", Edit(search=("/a",)), "the file is no program, library or plug-in"),
        ("symbols.dSYM", Edit(search=("/a",)), "the file is no program, library or plug-in"),
        ("archive.a", Edit(search=("/a",)), "x86_64: the file is no program, library or plug-in"),
        ("object.o", Edit(sign=True), "the image has no segment `__LINKEDIT`"),
        ("archive.a", Edit(sign=True), "x86_64: the image has no segment `__LINKEDIT`"),
        ("trailing.dylib", Edit(sign=True), "table of machines: bytes follow behind the last image"),
    ],
)  # fmt: skip
def test_what_cannot_be_edited_is_refused(name: str, edit: Edit, message: str) -> None:
    with pytest.raises(BinaryError) as caught:
        plan((SOUND / name).read_bytes(), edit)
    assert caught.value.message.startswith(message)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (0x20 + 64, 99, "segment at 0x20: 99 sections do not fit in it"),
        (SYMBOLS + 16, 0x40, "header: the load commands share bytes with what is at 0x40"),
        (SYMBOLS + 8, 0, "header: the load commands share bytes with what is at 0x0"),
    ],
)
def test_a_damaged_frame_is_refused(place: int, value: int, message: str) -> None:
    content = bytearray((SOUND / "x86_64.dylib").read_bytes())
    struct.pack_into("<I", content, place, value)
    with pytest.raises(BinaryError) as caught:
        plan(bytes(content), Edit(soname="x"))
    assert caught.value.message == message


def test_a_lack_of_room_says_how_to_link() -> None:
    with pytest.raises(BinaryError) as caught:
        plan(SOUND / "no-room.dylib", Edit(needed=((Z, LONG),)))
    assert "-Wl,-headerpad_max_install_names" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "edit"),
    [
        ("no-room.dylib", Edit(needed=((Z, "z"),))),
        ("no-room.dylib", Edit(needed=((Z, LONG),), search=("/a",))),
        ("no-room.dylib", Edit(needed=((Z, LONG),), search=())),
        ("no-room.dylib", Edit(soname="@rpath/libplain.1.0.lib")),
        ("little-room.dylib", Edit(needed=((Z, "@loader_path/libz.dylib"),))),
        ("used-room.dylib", Edit(needed=((Z, "@loader_path/libz.dylib"),))),
    ],
)
def test_what_goes_makes_room_for_what_comes(name: str, edit: Edit) -> None:
    _edit((SOUND / name).read_bytes(), edit)


@pytest.mark.parametrize("path", sorted(SOUND.iterdir()), ids=_name)
def test_an_edit_without_a_change_touches_nothing(path: Path) -> None:
    before = read(path)
    same = tuple((name, name) for name in before.needed)
    for edit in (
        Edit(),
        Edit(search_kind="rpath"),
        Edit(soname=before.soname or None, needed=same, search=before.rpath),
    ):
        assert plan(path, edit) == Patch(path.stat().st_size)
        assert edited(before, before, edit) == ()


EDITS = {
    "soname": Edit(soname="@rpath/x.dylib"),
    "search": Edit(search=("@loader_path/a", "@loader_path/b", "/opt/lib")),
    "nowhere": Edit(search=()),
    "sign": Edit(sign=True),
    "all": Edit(soname="x", search=("@loader_path/../lib/../lib",), sign=True),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
@pytest.mark.parametrize("path", [path for path in EDITABLE if path.name != NOT_UTF8], ids=_name)
def test_macholib_sees_the_edit(path: Path, edit: Edit, tmp_path: Path) -> None:
    target = tmp_path / path.name
    target.write_bytes(_edit(path.read_bytes(), edit))
    assert _rpaths_by_macholib(target) == [list(one.rpath) for one in read(target).each]


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
@pytest.mark.parametrize(
    "path", [path for path in EDITABLE if path.name not in UNKNOWN_TO_LIEF], ids=_name
)
def test_lief_sees_the_edit_and_a_sound_layout(path: Path, edit: Edit, tmp_path: Path) -> None:
    target = tmp_path / path.name
    target.write_bytes(_edit(path.read_bytes(), edit))
    before, after = lief.MachO.parse(path), lief.MachO.parse(target)
    assert before is not None
    assert after is not None
    for old, new, one in zip(before, after, read(target).each, strict=True):
        own = [one.soname] if one.soname else []
        assert list(dict.fromkeys(lib.name for lib in new.libraries)) == [*own, *one.needed]
        assert [rpath.path for rpath in new.rpaths] == list(one.rpath)
        assert new.has_code_signature == bool(one.signature)
        assert lief.MachO.check_layout(new) == lief.MachO.check_layout(old)


def _rpaths_by_macholib(path: Path) -> list[list[str]]:
    with contextlib.redirect_stdout(io.StringIO()):
        headers = MachO(str(path)).headers
    return [
        [data.rstrip(b"\0").decode() for load, _, data in header.commands if load.cmd == LC_RPATH]
        for header in headers
    ]


@pytest.mark.parametrize("path", EDITABLE, ids=_name)
def test_an_edit_and_its_reverse_restore_the_names(path: Path) -> None:
    before = read(path)
    there = Edit(search=("@loader_path/elsewhere",), soname="@rpath/elsewhere.dylib")
    back = Edit(search=before.rpath, soname=before.soname or None)
    content = _edit(_edit(path.read_bytes(), there), back)
    after = read(content)
    assert (after.rpath, after.soname, after.needed) == (before.rpath, before.soname, before.needed)
    if {one.signature for one in before.each} <= {"adhoc", ""} and path.name not in RENEWED:
        assert content == path.read_bytes()


RENEWED = {"arm64-unsigned.dylib", "arm64-sha1.dylib", "universal2-unsigned-first.dylib"}
"""Their signatures are made anew, which stays."""


def test_only_the_header_and_its_digest_change() -> None:
    content = (SOUND / "arm64-large-pages.dylib").read_bytes()
    patch = plan(content, Edit(needed=((Z, LONG),)))
    (header, digest) = patch.pieces
    assert header[0] < digest[0]
    assert header[0] + len(header[1]) < 0x400
    assert len(digest[1]) <= 32
    assert patch.size == len(content)


def test_names_of_one_machine_only_change_there() -> None:
    path = SOUND / "universal2-different.dylib"
    content = path.read_bytes()
    new = _edit(content, Edit(needed=((Z, LONG), ("libupward.dylib", "x"))))
    intel, arm = read(new).slices
    assert intel.needed == (LONG, SYSTEM)
    assert "x" in arm.needed
    only_intel = plan(content, Edit(needed=((Z, LONG),)))
    assert all(place < 0x8000 for place, _ in only_intel.pieces)


def test_an_image_that_grows_moves_those_behind_it() -> None:
    path = SOUND / "universal2-unsigned-first.dylib"
    content = path.read_bytes()
    stays, moves = _edit(content, Edit(search=())), _edit(FILLED, Edit(search=()))
    starts = [[row[2] for row in struct.iter_unpack(">IIIII", raw[8:48])] for raw in (stays, moves)]
    assert starts == [[0x1000, 0x3000], [0x1000, 0x4000]]
    assert [row[2] for row in struct.iter_unpack(">IIIII", FILLED[8:48])] == [0x1000, 0x3000]
    assert read(moves).slices[1] == replace(read(FILLED).slices[1], rpath=())
    assert read(moves).slices[0].signature == "adhoc"


@pytest.mark.parametrize("wide", [False, True])
def test_the_last_image_grows_at_the_end(wide: bool) -> None:
    arm = make_macho.assemble(replace(make_macho.PLAIN, signature=""))
    images = (
        (make_macho.X86_64, 3, make_macho.assemble(make_macho.INTEL)),
        (make_macho.ARM64, 0, arm),
    )
    content = make_macho.fat(*images, wide=wide)
    new = _edit(content, Edit(soname="x"))
    assert len(content) < len(new) < len(content) + 512
    assert [one.signature for one in read(new).slices] == ["", "adhoc"]


def test_a_large_image_is_not_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    # A limit of bytes held in memory: lowered, for a file beyond the real one would be slow to make.
    monkeypatch.setattr("builder.binary.macho.edit._MOST_MOVED", 1000)
    with pytest.raises(BinaryError, match="x86_64: has to move to make place"):
        plan(FILLED, Edit(search=()))


NAMES = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=40
)


@given(
    path=st.sampled_from(EDITABLE),
    search=st.none() | st.lists(NAMES, max_size=4, unique=True),
    soname=st.none() | NAMES,
    new=NAMES,
    sign=st.booleans(),
)
@settings(deadline=None, max_examples=150)
def test_any_names_are_read_back(
    path: Path, search: list[str] | None, soname: str | None, new: str, sign: bool
) -> None:
    content = path.read_bytes()
    needed = tuple((name, new) for name in read(content).needed[:1])
    edit = Edit(soname, needed, None if search is None else tuple(search), sign=sign)
    patch = None
    with contextlib.suppress(BinaryError):
        patch = plan(content, edit)
    if patch is None:
        with pytest.raises(BinaryError, match="no room for the new names"):
            plan(content, edit)
    else:
        _edit(content, edit)


@given(
    path=st.sampled_from(sorted(SOUND.iterdir())),
    edit=st.sampled_from([*EDITS.values(), Edit(needed=((Z, LONG),)), Edit(needed=((Z, ""),))]),
    changes=st.lists(st.tuples(st.integers(0, 0x4FF), st.integers(0, 255)), max_size=4),
    base=st.sampled_from([0, 0x1000, 0x1400, 0x3000]),
)
@settings(deadline=None, max_examples=200)
def test_a_damaged_file_is_refused_or_edited_as_asked(
    path: Path, edit: Edit, changes: list[tuple[int, int]], base: int
) -> None:
    content = with_bytes(path.read_bytes(), changes, base)
    before: Binary
    with contextlib.suppress(BinaryError):
        before = read(content)
        patch = plan(content, edit)
        places = [0, *(end for place, raw in patch.pieces for end in (place, place + len(raw)))]
        assert places == sorted(places)
        assert edited(before, read(patch.apply(content)), edit) == ()
