from __future__ import annotations

import struct
from pathlib import Path

import pytest
from builder_libtorch import examine
from builder_libtorch.examine import examined, exports_of, offers_strings
from builder_libtorch.parts import Part

from builder.errors import BuilderError


def ar(name: bytes, data: bytes) -> bytes:
    """A static library with one member."""
    header = struct.pack(
        "16s12s6s6s8s10s2s", name, b"0", b"0", b"0", b"644", b"%d" % len(data), b"`\n"
    )
    return b"!<arch>\n" + header.replace(b"\0", b" ") + data


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (ar(b"/", (3).to_bytes(4, "big") + bytes(20)), 3),
        (ar(b"/SYM64/", (5).to_bytes(8, "big") + bytes(20)), 5),
        (ar(b"#1/20", b"__.SYMDEF SORTED".ljust(20, b"\0") + struct.pack("<I", 16) + bytes(16)), 2),
        (ar(b"#1/12", b"plain.o".ljust(12, b"\0") + bytes(16)), None),
        (ar(b"#1/xx", bytes(16)), None),
        (ar(b"plain.o/", bytes(20)), None),
        (b"!<arch>\n", None),
        (b"", None),
        (b"\x7fELF and no more", None),
        (b"-- a linker script", None),
    ],
    ids=[
        "system v", "64 bits", "bsd", "bsd without index", "no number", "no index", "empty archive",
        "empty", "damaged", "text",
    ],
)  # fmt: skip
def test_the_index_of_a_static_library_says_what_it_offers(
    tmp_path: Path, content: bytes, wanted: int | None
) -> None:
    (tmp_path / "libx.a").write_bytes(content)

    assert exports_of(content) == wanted
    assert exports_of(tmp_path / "libx.a") == wanted


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        (b"_ZN6sample4nameB5cxx11Ev", True),
        (b"_ZN6sample4takeERKNSt7__cxx1112basic_stringIcEE", True),
        (b"_ZNKSt7__cxx1112basic_stringIcE4sizeEv", False),
        (b"_ZSt7getlineRSt7__cxx1112basic_string", False),
        (b"_ZN6sample3dotEPKdS1_m", False),
    ],
)
def test_strings_of_the_new_abi_are_known_by_names(
    tmp_path: Path, name: bytes, wanted: bool
) -> None:
    library = tmp_path / "libx.a"
    library.write_bytes(ar(b"/", (1).to_bytes(4, "big") + bytes(4) + name + b"\0"))

    assert offers_strings(library) is wanted


@pytest.mark.parametrize("window", [1 << 20, 16, 15])
@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (b"nothing", ()),
        (b"a\nb\nc\nxxxxx /build/x\n", ("f:4: names `/build/x`",)),
        (b"\0\0" + b"y" * 29 + b"/build/x", ("f: names `/build/x` at byte 31",)),
        (b"/home/me\n/build/x", ("f:1: names `/home/me`", "f:2: names `/build/x`")),
        (b"/build/y /home/m", ()),
    ],
)
def test_a_build_folder_is_found_wherever_a_window_ends(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    window: int,
    content: bytes,
    wanted: tuple[str, ...],
) -> None:
    monkeypatch.setattr(examine, "_WINDOW", window)
    (tmp_path / "f").write_bytes(content)

    faults: tuple[str, ...] = ()
    try:
        (item,) = examined([Part("f", tmp_path / "f")], ("/build/x", "/home/me")).values()
        assert item.size == len(content)
    except BuilderError as error:
        faults = tuple(error.faults)

    assert faults == wanted


def test_a_file_that_went_away_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(BuilderError, match="cannot be read"):
        examined([Part("f", tmp_path / "f")], ())
