from __future__ import annotations

import contextlib
import io
from dataclasses import replace
from pathlib import Path

import lief
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from macholib.mach_o import LC_RPATH
from macholib.MachO import MachO

from builder.binary import Binary, BinaryError, defined, looks_like, read
from builder.binary.macho import signature_problems
from tests.damage import with_bytes
from tests.data import make_macho

MACHO = Path(__file__).parent.parent / "data" / "macho"
SOUND = tuple(sorted((MACHO / "sound").iterdir()))
DAMAGED = tuple(sorted((MACHO / "damaged").iterdir()))
IMAGES = tuple(path for path in SOUND if path.name != "archive.a")
UNKNOWN_TO_MACHOLIB = {"kinds.dylib", "universal2-different.dylib", "not-utf8.dylib"}
"""It knows no lazy libraries, and no texts that are not UTF-8."""
UNKNOWN_TO_LIEF = {"universal2-64.dylib", "not-utf8.dylib", "symbols.dSYM"}

lief.logging.disable()


def _name(path: Path) -> str:
    return path.name


@pytest.mark.parametrize("folder", ["sound", "damaged"])
def test_samples_are_what_the_script_makes(folder: str) -> None:
    made = getattr(make_macho, folder)()
    assert {path.name: path.read_bytes() for path in (MACHO / folder).iterdir()} == made


PLAIN = Binary(
    format="macho",
    machine="arm64",
    bits=64,
    byte_order="little",
    kind="shared",
    soname="@rpath/libplain.dylib",
    needed=("@rpath/libz.1.dylib", "/usr/lib/libSystem.B.dylib"),
    rpath=("@loader_path/../lib", "/opt/lib"),
    undefined=("_compress", "_printf"),
    platform="macos",
    min_os="11.0",
    sdk="14.5.1",
    build_id=bytes(range(16)).hex(),
    signature="adhoc",
)
INTEL = replace(PLAIN, machine="x86_64", min_os="10.9", sdk="13.0", signature="")
KINDS = replace(
    PLAIN,
    needed=(
        "@rpath/libplain.1.dylib", "@rpath/libweak.dylib", "/usr/lib/libreexport.dylib",
        "@loader_path/liblazy.dylib", "libupward.dylib", "libuseweak.dylib", "libuselate.dylib",
    ),
    optional=("@rpath/libweak.dylib", "libuseweak.dylib"),
    delayed=("@loader_path/liblazy.dylib", "libuselate.dylib"),
    undefined=("_compress", "_anywhere"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "binary"),
    [
        ("arm64.dylib", PLAIN),
        ("arm64-linker.dylib", PLAIN),
        ("arm64-unsigned.dylib", replace(PLAIN, signature="")),
        ("arm64-identity.dylib", replace(PLAIN, signature="identity")),
        ("arm64-sha1.dylib", PLAIN),
        ("arm64e.dylib", replace(PLAIN, machine="arm64e")),
        ("x86_64.dylib", INTEL),
        ("x86_64-both.dylib", replace(INTEL, signature="adhoc")),
        ("i386.dylib", replace(INTEL, machine="i386", bits=32)),
        ("ppc.dylib", replace(INTEL, machine="ppc", bits=32, byte_order="big")),
        ("bundle.so", replace(PLAIN, soname="")),
        (
            "program",
            replace(
                PLAIN,
                kind="executable",
                soname="",
                interpreter="/usr/lib/dyld",
                executable_stack=True,
            ),
        ),
        (
            "object.o",
            replace(INTEL, kind="object", soname="", needed=(), rpath=()),
        ),
        (
            "symbols.dSYM",
            replace(
                PLAIN, kind="other", soname="", needed=(), rpath=(), undefined=(), signature=""
            ),
        ),
        ("stripped.dylib", replace(PLAIN, undefined=())),
        ("kinds.dylib", KINDS),
        ("ios.dylib", replace(PLAIN, platform="ios", min_os="12.1.4", sdk="")),
        ("zippered.dylib", replace(PLAIN, sdk="")),
        (
            "strange-platform.dylib",
            replace(PLAIN, platform="platform99", min_os="1.0", sdk=""),
        ),
        ("no-version.dylib", replace(PLAIN, platform="", min_os="", sdk="", build_id="")),
        ("not-utf8.dylib", replace(PLAIN, needed=(r"/lib\xff.dylib", *PLAIN.needed))),
    ],
)
def test_what_one_image_says(name: str, binary: Binary) -> None:
    assert read(MACHO / "sound" / name) == binary


BOTH = replace(PLAIN, machine="universal2", min_os="", sdk="", slices=(INTEL, PLAIN))
ARCHIVE = Binary("macho", "x86_64", 64, "little", "object")


@pytest.mark.parametrize(
    ("name", "binary"),
    [
        ("universal2.dylib", BOTH),
        ("universal2-64.dylib", BOTH),
        (
            "universal2-different.dylib",
            replace(
                BOTH,
                needed=(*PLAIN.needed, *KINDS.needed),
                optional=KINDS.optional,
                delayed=KINDS.delayed,
                undefined=("_compress", "_printf", "_anywhere"),
                slices=(INTEL, KINDS),
            ),
        ),
        (
            "universal.dylib",
            replace(
                INTEL,
                machine="universal",
                slices=(replace(INTEL, machine="i386", bits=32), INTEL),
            ),
        ),
        ("one-machine.dylib", replace(INTEL, machine="universal", slices=(INTEL,))),
        (
            "archive.a",
            replace(
                ARCHIVE, machine="universal2", slices=(ARCHIVE, replace(ARCHIVE, machine="arm64"))
            ),
        ),
    ],
)
def test_what_a_file_for_several_machines_says(name: str, binary: Binary) -> None:
    assert read(MACHO / "sound" / name) == binary


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("arm64.dylib", ("_answer", "_question")),
        ("ppc.dylib", ("_answer", "_question")),
        ("stripped.dylib", ("_answer", "_question")),
        ("old-exports.dylib", ("_answer", "_question")),
        ("private.dylib", ("_answer", "_question")),
        ("no-names.dylib", ()),
        ("archive.a", ()),
        ("universal2-different.dylib", ("_answer", "_question")),
    ],
)
def test_the_names_offered_to_others(name: str, names: tuple[str, ...]) -> None:
    assert defined(MACHO / "sound" / name) == names


def test_a_name_may_be_long() -> None:
    names = ("_short", "_" + "x" * 3000, "_" + "y" * 300)
    assert (
        defined(make_macho.assemble(replace(make_macho.PLAIN, defined=names, symbols=True)))
        == names
    )


def test_names_that_a_table_of_exports_nests() -> None:
    # A root without a name, `_a` that is itself exported, and `_ab`, `_ac` below it.
    tree = b"\0\1_a\0\6\2\0\1\2b\0\20c\0\24\2\0\1\0\2\0\1\0"
    image = make_macho.assemble(
        replace(make_macho.PLAIN, symbols=False, exports=(("_" + "x" * 20, 0),))
    )
    place = image.index(b"\0\1_xxx")
    assert defined(image[:place] + tree + image[place + len(tree) :]) == ("_a", "_ab", "_ac")


def _macholib(path: Path) -> list[tuple[list[str], list[str]]]:
    """Needed libraries and search path of every image, as another reader sees them."""
    with contextlib.redirect_stdout(io.StringIO()):
        headers = MachO(str(path)).headers
    return [
        (
            [name for _, _, name in header.walkRelocatables()],
            [
                data.rstrip(b"\0").decode()
                for load, _, data in header.commands
                if load.cmd == LC_RPATH
            ],
        )
        for header in headers
    ]


@pytest.mark.parametrize(
    "path", [path for path in IMAGES if path.name not in UNKNOWN_TO_MACHOLIB], ids=_name
)
def test_macholib_sees_the_same(path: Path) -> None:
    assert _macholib(path) == [(list(one.needed), list(one.rpath)) for one in read(path).each]


@pytest.mark.parametrize(
    "path", [path for path in IMAGES if path.name not in UNKNOWN_TO_LIEF], ids=_name
)
def test_lief_sees_the_same(path: Path) -> None:
    fat = lief.MachO.parse(path)
    assert fat is not None
    for theirs, ours in zip(fat, read(path).each, strict=True):
        own = [ours.soname] if ours.soname else []
        libraries = dict.fromkeys(library.name for library in theirs.libraries)
        assert list(libraries) == [*own, *ours.needed]
        assert [rpath.path for rpath in theirs.rpaths] == list(ours.rpath)
        assert [symbol.name for symbol in theirs.imported_symbols] == list(ours.undefined)
        assert theirs.has_code_signature == bool(ours.signature)
        assert (bytes(theirs.uuid.uuid).hex() if theirs.uuid else "") == ours.build_id


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("magic-only", "header: 28 bytes at 0x0 reach past the end at 0x4"),
        ("short-header", "header: 28 bytes at 0x0"),
        ("truncated", "string table: 48 bytes"),
        ("no-image", "table of machines: 0 of them"),
        ("many-machines", "table of machines: 840 bytes at 0x8"),
        ("machine-outside", "image of a machine: "),
        ("machines-overlap", "table of machines: the image at 0x1004 overlaps another"),
        ("machine-in-table", "table of machines: the image at 0x10 overlaps another"),
        ("machine-other", "table of machines: the image at 0x3000 is for arm64, not x86_64"),
        ("machine-no-image", "x86_64: image at 0x1000: begins with 00 00 00 00"),
        ("machine-damaged", "arm64: header: 1073741824 bytes of load commands"),
        ("commands-outside", "load commands: "),
        ("commands-huge", "header: 4294967280 bytes of load commands"),
        ("commands-many", "load commands: 65535 of them do not fit"),
        ("command-empty", "load command 0x19 at 0x20: 0 bytes"),
        ("command-odd", "load command 0x19 at 0x20: 153 bytes"),
        ("command-long", "load command 0x19 at 0x20: 1048576 bytes"),
        ("command-short", "load command 0x32 at 0x188: 12 bytes at 0x8 reach past the end"),
        ("two-signatures", "load commands: 0x1d is there more than once"),
        ("name-outside", "load command 0xc at 0xe8: its text is at 1000"),
        ("name-in-fields", "load command 0xc at 0xe8: its text is at 8"),
        ("uuid-short", "load command of the UUID: 16 bytes"),
        ("symbols-outside", "symbol table: 80 bytes"),
        ("symbols-huge", "symbol table: 68719476720 bytes"),
        ("strings-outside", "string table: 48 bytes"),
        ("strings-huge", "string table: 4294967295 bytes"),
        ("strings-unended", "symbol name 0x24 has no end in the string table"),
        ("groups-outside", "dynamic symbol table: 1 + 1000 of 5 symbols"),
        ("signature-outside", "code signature: "),
        ("signature-no-blob", "code signature: begins with 0x0"),
        ("signature-long", "code signature: 1048576 bytes"),
        ("signature-many", "code signature: begins with 0xfade0cc0 and has 1000 parts"),
        ("signature-part-outside", "part of the code signature: 8 bytes at 0x100000"),
        ("signature-part-long", "part of the code signature: 1048576 bytes"),
        ("signature-no-directory", "code signature: has no code directory"),
        ("signature-scattered", "code directory: is for scattered parts of the image"),
        ("signature-digest", "code directory: digests of kind 9"),
        ("signature-page", "code directory: digests of kind 2 of pages of 2**40 bytes"),
        ("signature-count", "code directory: 1 digests of 32 bytes"),
        ("signature-width", "code directory: 2 digests of 20 bytes"),
        ("signature-special", "code directory: 1000 special digests"),
        ("signature-digests-outside", "code directory: 64 bytes at 0x10000"),
        ("exports-outside", "export table: 32 bytes"),
        ("exports-loop", "export table: its branches meet at 0x0"),
        ("exports-number", "export table: no number ends at 0x0"),
        ("exports-node", "export table: the node before 0x80 reaches out of it"),
        ("exports-unended", "export table: no number ends at 0x20"),
    ],
)
def test_every_damage_is_named(name: str, message: str) -> None:
    path = MACHO / "damaged" / name
    with pytest.raises(BinaryError) as caught:
        defined(path) if name.startswith("exports") else read(path)
    assert caught.value.message.startswith(f"`{path}`: {message}")


def test_every_damaged_sample_is_in_the_table() -> None:
    (table,) = test_every_damage_is_named.pytestmark  # type: ignore[attr-defined]
    assert sorted(name for name, _ in table.args[1]) == [path.name for path in DAMAGED]


@pytest.mark.parametrize("name", ["shared-names", "deep-exports"])
def test_a_small_file_does_not_unfold_to_a_large_one(name: str) -> None:
    with pytest.raises(BinaryError, match=r"beyond reason|branches meet"):
        defined(make_macho.unfolding()[name])


def test_a_mapped_file_and_bytes_say_the_same() -> None:
    path = MACHO / "sound" / "universal2.dylib"
    assert read(path) == read(path.read_bytes()) == read(memoryview(path.read_bytes()))


@pytest.mark.parametrize("name", ["arm64.dylib", "ppc.dylib", "universal2.dylib"])
def test_its_first_bytes_tell_the_format(name: str) -> None:
    assert looks_like((MACHO / "sound" / name).read_bytes()[:8]) == "macho"


def test_a_java_class_is_no_file_for_many_machines() -> None:
    assert looks_like(b"\xca\xfe\xba\xbe\0\0\0\x34") is None


@given(
    path=st.sampled_from(SOUND),
    changes=st.lists(st.tuples(st.integers(0, 0x4FF), st.integers(0, 255)), max_size=6),
    base=st.sampled_from([0, 0x1000, 0x1400, 0x3000]),
    size=st.integers(0, 1 << 16),
)
@settings(deadline=None, max_examples=400)
def test_any_damage_is_one_error(
    path: Path, changes: list[tuple[int, int]], base: int, size: int
) -> None:
    content = with_bytes(path.read_bytes(), changes, base)
    for call in (read, defined, lambda content: signature_problems(memoryview(content))):
        with contextlib.suppress(BinaryError):
            call(content[: size or None])
