from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from builder.archive.content import (
    MANIFEST,
    Content,
    Item,
    Role,
    compare,
    is_loss,
    read_content,
    role_of,
)
from builder.archive.tar_write import TarItem, write_tar
from builder.errors import UsageError

LIBRARY = Item("lib/libx.so.1", "library", 100, "a" * 64, exports=12)
LINK = Item("lib/libx.so", "library", link="libx.so.1")
HEADER = Item("include/x.h", "header", 5, "b" * 64)
OLD = Content("libx", "1.0", "linux_x86_64", (HEADER, LINK, LIBRARY), ("libm.so.6",))


def test_a_manifest_reads_back_as_it_was_written() -> None:
    assert Content.parse(bytes(OLD), "x.json") == OLD


def test_a_link_has_neither_size_nor_digest() -> None:
    files = json.loads(bytes(OLD))["files"]
    assert files[1] == {"path": "lib/libx.so", "role": "library", "link": "libx.so.1"}
    assert files[0] == {"path": "include/x.h", "role": "header", "size": 5, "sha256": "b" * 64}


@pytest.mark.parametrize(
    ("path", "role"),
    [
        ("lib/libx.so", "library"),
        ("lib/libx.so.1.2", "library"),
        ("lib/libx.a", "library"),
        ("lib/x.lib", "library"),
        ("bin/x.dll", "library"),
        ("lib/libx.dylib", "library"),
        ("lib/cmake/x/xConfig.cmake", "config"),
        ("lib/pkgconfig/x.pc", "config"),
        ("bin/x-config", "config"),
        ("include/x.hpp", "header"),
        ("include/x/vector", "header"),
        ("src/kernel.cuh", "header"),
        ("bin/tool", "tool"),
        ("bin/tool.exe", "tool"),
        ("share/x/table.txt", "data"),
        ("build-version", "data"),
        ("lib/libx.sorry", "data"),
    ],
)
def test_a_file_is_for_what_its_name_says(path: str, role: Role) -> None:
    assert role_of(path) == role


@pytest.mark.parametrize(
    ("new", "lines"),
    [
        (OLD, ()),
        (replace(OLD, version="1.1", items=(replace(HEADER, sha256="c"), LINK, LIBRARY)), ()),
        (replace(OLD, items=(LINK, LIBRARY)), ("include/x.h: is gone (header)",)),
        (
            replace(OLD, items=(*OLD.items, Item("bin/x", "tool", 1, "d"))),
            ("bin/x: is new (tool)",),
        ),
        (
            replace(OLD, items=(HEADER, Item("lib/libx.so", "library", 100, "a"), LIBRARY)),
            ("lib/libx.so: a link to libx.so.1 became a file",),
        ),
        (
            replace(OLD, items=(HEADER, LINK, replace(LIBRARY, exports=10))),
            ("lib/libx.so.1: exports 10 symbols, 2 fewer",),
        ),
        (replace(OLD, items=(HEADER, LINK, replace(LIBRARY, exports=13))), ()),
        (
            replace(OLD, host=("libm.so.6", "libz.so.1")),
            ("libz.so.1: is now expected on the host",),
        ),
    ],
    ids=["same", "bytes", "gone", "new", "link", "fewer", "more", "host"],
)
def test_a_comparison_says_what_a_user_loses_or_gets(new: Content, lines: tuple[str, ...]) -> None:
    assert compare(OLD, new) == lines


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b'{"schema": 2}',
        b"[" * 5000,
        bytes(OLD).replace(b'"role": "header"', b'"role": "hat"'),
        bytes(OLD).replace(b'"exports": 12', b'"exports": "12"'),
        bytes(OLD).replace(b'"size": 5', b'"size": "many"'),
        bytes(OLD).replace(b'"size": 5', b'"size": Infinity'),
        bytes(OLD).replace(b'"name": "libx"', b'"name": "\\ud800"'),
        bytes(OLD).replace(b'"files"', b'"fields"'),
    ],
)
def test_what_is_no_manifest_is_refused_by_name(text: bytes) -> None:
    with pytest.raises(UsageError, match=r"`old\.json` is no content manifest"):
        Content.parse(text, "old.json")


def test_a_manifest_is_read_from_beside_an_archive_and_from_inside(tmp_path: Path) -> None:
    beside, packed, tarred = tmp_path / "x.json", tmp_path / "x.zip", tmp_path / "x.tar.zst"
    beside.write_bytes(bytes(OLD))
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("x/include/x.h", b"")
        archive.writestr(f"x/{MANIFEST}", bytes(OLD))
    write_tar([TarItem("x/a", b"1"), TarItem(f"x/{MANIFEST}", bytes(OLD))], tarred, epoch=0)

    assert [read_content(path) for path in (beside, packed, tarred)] == [OLD, OLD, OLD]


@pytest.mark.parametrize("name", ["other.zip", "none.json", "bad.json"])
def test_without_a_manifest_there_is_one_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "bad.json").write_bytes(b"[")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr(f"x/y/{MANIFEST}", bytes(OLD))

    with pytest.raises(UsageError, match=r"manifest|cannot be read") as caught:
        read_content(tmp_path / name)

    assert caught.value.hint


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("lib/x.so: is new (library)", False),
        ("lib/x.so: is gone (library)", True),
        ("lib/x.so: exports 3 symbols, 1 fewer", True),
        ("libm.so.6: is now expected on the host", True),
    ],
)
def test_what_is_new_alone_is_no_loss(line: str, wanted: bool) -> None:
    assert is_loss(line) is wanted
