from __future__ import annotations

import stat
import tempfile
import zipfile
from collections.abc import Callable
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.archive.record import encode_digest
from smoke.content import SITE, read_folder, read_wheel, scanner


def _write(path: Path, entries: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


def test_members_have_digest_size_and_installed_place(tmp_path: Path) -> None:
    wheel = _write(
        tmp_path / "a-1-py3-none-any.whl",
        {
            "a/__init__.py": b"x = 1\n",
            "a-1.data/scripts/run": b"#!python\n",
            "a-1.data/purelib/b.py": b"",
            "a-1.data/data/share/a.txt": b"",
            "a-1.data/headers/a.h": b"",
        },
    )

    content = read_wheel(wheel)

    assert content.faults == ()
    assert {member.name: member.installed for member in content.members} == {
        "a/__init__.py": f"{SITE}/a/__init__.py",
        "a-1.data/scripts/run": "bin/run",
        "a-1.data/purelib/b.py": f"{SITE}/b.py",
        "a-1.data/data/share/a.txt": "share/a.txt",
        "a-1.data/headers/a.h": "include/python3/a.h",
    }
    digest = encode_digest(sha256(b"x = 1\n").digest())
    assert (content.members[0].size, content.members[0].digest) == (6, digest)


def test_metadata_texts_are_kept(tmp_path: Path) -> None:
    wheel = _write(
        tmp_path / "a-1-py3-none-any.whl",
        {"a-1.dist-info/WHEEL": b"Tag: py3-none-any\n", "a-1.dist-info/LICENSE": b"free"},
    )

    assert dict(read_wheel(wheel).texts) == {"a-1.dist-info/WHEEL": "Tag: py3-none-any\n"}


def test_a_cut_off_binary_is_damaged_and_its_wheel_still_readable(tmp_path: Path) -> None:
    wheel = _write(tmp_path / "a-1-py3-none-any.whl", {"a.so": b"\x7fELF\x02\x01", "b.py": b""})

    content = read_wheel(wheel)

    assert content.faults == ()
    assert content.binaries == ()
    assert [text.split(":")[0] for text in content.damaged] == ["a.so"]


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("/etc/passwd", "absolute"),
        ("C:/windows/x", "absolute"),
        ("a\\b.py", "backslash"),
        ("../x.py", "`..`"),
        ("a/../../x.py", "`..`"),
        ("./a.py", "not normal"),
        ("a//b.py", "not normal"),
        ("a\nb.py", "control character"),
    ],
)
def test_hostile_names_are_faults(tmp_path: Path, name: str, word: str) -> None:
    wheel = _write(tmp_path / "a-1-py3-none-any.whl", {name: b"", "b.py": b""})

    content = read_wheel(wheel)

    assert any(word in fault for fault in content.faults)
    assert content.members == ()


def _twice(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.py", b"1")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a.py", b"2")


def _link(path: Path) -> None:
    info = zipfile.ZipInfo("a.so")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(info, b"b.so")


def _file_and_folder(path: Path) -> None:
    _write(path, {"a": b"", "a/b.py": b""})


def _damaged(path: Path) -> None:
    _write(path, {"a.py": b"x = 1\n" * 100})
    whole = bytearray(path.read_bytes())
    whole[40] ^= 0xFF
    path.write_bytes(whole)


def _encrypted(path: Path) -> None:
    _write(path, {"a.py": b"x"})
    whole = bytearray(path.read_bytes())
    whole[whole.rindex(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(whole)


def _truncated(path: Path) -> None:
    _write(path, {"a.py": b"x"})
    path.write_bytes(path.read_bytes()[:-30])


def _no_zip(path: Path) -> None:
    path.write_bytes(b"hello")


@pytest.mark.parametrize(
    "make",
    [_twice, _link, _file_and_folder, _damaged, _encrypted, _truncated, _no_zip],
    ids=lambda make: make.__name__.strip("_"),
)
def test_broken_archives_are_faults(tmp_path: Path, make: Callable[[Path], None]) -> None:
    wheel = tmp_path / "a-1-py3-none-any.whl"
    make(wheel)

    assert read_wheel(wheel).faults


@given(data=st.binary(max_size=300), disguised=st.booleans())
def test_any_bytes_are_read_or_refused(*, data: bytes, disguised: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a-1-py3-none-any.whl"
        _write(path, {"a.py": b"x"})
        path.write_bytes(data + path.read_bytes() if disguised else data)

        content = read_wheel(path)

    assert content.faults or disguised


def test_a_folder_is_read_with_its_links(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "a.txt").write_text("hello")
    (tmp_path / "lib" / "b.txt").symlink_to("a.txt")
    (tmp_path / "lib" / "gone.txt").symlink_to("nothing")
    (tmp_path / "lib" / "host.txt").symlink_to("/usr")

    content = read_folder(tmp_path)

    assert [(member.name, member.link) for member in content.members] == [
        ("lib/a.txt", ""),
        ("lib/b.txt", "lib/a.txt"),
    ]
    assert [fault.split(":")[0] for fault in content.faults] == ["lib/gone.txt", "lib/host.txt"]


@pytest.mark.parametrize(
    ("text", "offsets"),
    [
        (b"/made/store/x.c", [0]),
        (b"see /made/store", [4]),
        (b"/made/stored/x.c", []),
        (b"/home/made/store", []),
        (b"a/made/store", []),
        (b"\0/made/store\0/made/store/\0", [1, 13]),
        (b"/made/store " * 9, [0, 12, 24]),
    ],
)
def test_paths_are_found_whole(text: bytes, offsets: list[int]) -> None:
    scan = scanner(["/made/store/"])

    assert [leak.offset for leak in scan([text])] == offsets


@given(
    st.lists(st.sampled_from([b"/ab", b"/a", b"b", b"/", b".", b"\0", b"/ab/c"]), max_size=30),
    st.lists(st.integers(0, 90), max_size=10),
)
def test_windows_do_not_change_what_is_found(parts: list[bytes], cuts: list[int]) -> None:
    scan = scanner(["/ab", "/ab/c"])
    text = b"".join(parts)
    edges = [0, *sorted(cut for cut in cuts if cut < len(text)), len(text)]
    windows = [text[start:end] for start, end in pairwise(edges)]

    found = scan(window for window in windows if window)

    assert [leak.offset for leak in found] == [leak.offset for leak in scan([text])]


def test_the_excerpt_is_the_string_around_the_hit() -> None:
    leaks = scanner(["/made"])([b"\0\0built in /made/a/b.c ok\0more"])

    assert leaks[0].text == "built in /made/a/b.c ok"


def test_nothing_to_look_for_finds_nothing() -> None:
    assert scanner(["", "/"])([b"/ / /"]) == ()
