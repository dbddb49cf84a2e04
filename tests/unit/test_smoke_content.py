from __future__ import annotations

import io
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.archive.content import Content as Content_
from builder.archive.record import encode_digest
from smoke.content import SITE, Reading, read_content
from smoke.subject import Content, Kind
from smoke.traces import scanner, secrets

BINARY = (Path(__file__).parent.parent / "data/elf/sound/aarch64-bti.so").read_bytes()


def read_wheel(path: Path) -> Content:
    return read_content(path, "wheel", Reading())


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
    first = next(member for member in content.members if member.name == "a/__init__.py")
    assert (first.size, first.digest) == (6, digest)


def test_metadata_texts_are_kept(tmp_path: Path) -> None:
    wheel = _write(
        tmp_path / "a-1-py3-none-any.whl",
        {
            "a-1.dist-info/WHEEL": b"Tag: py3-none-any\n",
            "a-1.dist-info/LICENSE.txt": b"free",
            "a-1.dist-info/top_level.txt": b"a",
            "a/LICENSE.txt": b"free",
        },
    )

    assert dict(read_wheel(wheel).texts) == {
        "a-1.dist-info/LICENSE.txt": "free",
        "a-1.dist-info/WHEEL": "Tag: py3-none-any\n",
    }


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

    content = read_content(tmp_path, "folder", Reading())

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


FILES = {
    "lib/libone.so.1.2": BINARY,
    "include/one.h": b"int one(void);\n",
    "share/one/one-config.cmake": b"set(one 1)\n",
}


def _zip(path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in FILES.items():
            archive.writestr(f"one/{name}", content)
        link = zipfile.ZipInfo("one/lib/libone.so")
        link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, b"libone.so.1.2")
    return path


def _tar(path: Path, top: str = "one/") -> Path:
    with tarfile.open(path, "w:bz2") as archive:
        for name, content in FILES.items():
            info = tarfile.TarInfo(f"{top}{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        link = tarfile.TarInfo(f"{top}lib/libone.so")
        link.type, link.linkname = tarfile.SYMTYPE, "libone.so.1.2"
        archive.addfile(link)
    return path


@pytest.mark.parametrize(("make", "name"), [(_zip, "one-1.zip"), (_tar, "one-1.tar")])
def test_any_archive_is_read_with_its_links(
    tmp_path: Path, make: Callable[[Path], Path], name: str
) -> None:
    content = read_content(make(tmp_path / name), "archive", Reading())

    assert content.faults == ()
    assert [(member.name, member.size, member.link) for member in content.members] == [
        ("one/include/one.h", 15, ""),
        ("one/lib/libone.so", 0, "one/lib/libone.so.1.2"),
        ("one/lib/libone.so.1.2", len(BINARY), ""),
        ("one/share/one/one-config.cmake", 11, ""),
    ]
    assert [member.name for member, _ in content.binaries] == ["one/lib/libone.so.1.2"]
    assert dict(content.texts) == {"one/share/one/one-config.cmake": "set(one 1)\n"}


def test_an_archive_says_what_it_expects_on_the_host(tmp_path: Path) -> None:
    manifest = Content_("one", "1", "x", (), ("libgomp.so.1",))
    path = _write(tmp_path / "one.zip", {"one/build-content.json": bytes(manifest)})

    assert read_content(path, "archive", Reading()).host == ("libgomp.so.1",)


def test_a_conda_package_says_what_it_is_for(tmp_path: Path) -> None:
    path = tmp_path / "one-1-0.tar.bz2"
    with tarfile.open(path, "w:bz2") as archive:
        info = tarfile.TarInfo("info/index.json")
        text = b'{"subdir": "linux-64"}'
        info.size = len(text)
        archive.addfile(info, io.BytesIO(text))

    content = read_content(path, "conda", Reading())

    assert content.claimed == ("linux-64",)
    assert content.texts["info/index.json"] == text.decode()


def test_a_single_library_is_an_artifact(tmp_path: Path) -> None:
    path = tmp_path / "libone.so"
    path.write_bytes(BINARY)

    content = read_content(path, "binary", Reading())

    assert [(member.name, one.format) for member, one in content.binaries] == [("libone.so", "elf")]


@pytest.mark.parametrize(
    ("kind", "name", "word"),
    [
        ("conda", "a-1-0.conda", "no end record"),
        ("conda", "a-1-0.tar.bz2", "no header"),
        ("archive", "a.tar", "no header"),
    ],
)
def test_what_is_not_what_its_name_says_is_one_fault(
    tmp_path: Path, kind: Kind, name: str, word: str
) -> None:
    (tmp_path / name).write_bytes(b"hello" * 200)

    content = read_content(tmp_path / name, kind, Reading())

    assert content.members == ()
    assert [word in fault for fault in content.faults] == [True]


def test_links_that_leave_a_tar_are_faults(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        link = tarfile.TarInfo("a/b")
        link.type, link.linkname = tarfile.SYMTYPE, "../../etc/passwd"
        archive.addfile(link)

    assert read_content(tmp_path / "a.tar", "archive", Reading()).faults


def test_a_big_member_lies_in_a_file_and_is_read_all_the_same(tmp_path: Path) -> None:
    big = BINARY + bytes(9 << 20) + b" /made/here "
    wheel = _write(tmp_path / "a-1-py3-none-any.whl", {"a.so": big, "b.py": b"/made/too"})
    spool = tmp_path / "spool"

    content = read_content(wheel, "wheel", Reading(("/made",), spool, 2))

    first, second = content.members
    assert (first.size, first.digest) == (len(big), encode_digest(sha256(big).digest()))
    assert [trace.offset for trace in first.traces] == [len(big) - 11]
    assert [trace.text for trace in second.traces] == ["/made/too"]
    assert [member.name for member, _ in content.binaries] == ["a.so"]
    assert list(spool.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (b"-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA", "-----BEGIN R..."),
        (rb'"-----BEGIN EC PRIVATE KEY-----\nMIIEpAIBAAKCAQEA', "-----BEGIN E..."),
        (b"key = 'AKIAABCDEFGHIJKLMNOP'", "AKIAABCDEFGH..."),
        (b"AKIAABCDEFGHIJKLMNOPQ", None),
        (b"XAKIAABCDEFGHIJKLMNOP", None),
        (b"token: ghp_" + b"a1" * 18, "ghp_a1a1a1a1..."),
        (b"ghp_short", None),
        (b"//registry/:_authToken=npm_" + b"a" * 36, "npm_aaaaaaaa..."),
        (b"-----BEGIN PUBLIC KEY-----\nMIIEpAIBAAKCAQEA", None),
    ],
)
def test_secrets_are_known_by_their_form(text: bytes, shown: str | None) -> None:
    assert [(one.kind, one.text) for one in secrets(text)] == ([("secret", shown)] if shown else [])


FORMS = {
    "key": b"-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA",
    "plain key": b"-----BEGIN PRIVATE KEY-----\r\nMIIEpAIBAAKCAQEA",
    "AWS": b"AKIAABCDEFGHIJKLMNOP",
    "GitHub personal": b"ghp_" + b"a1" * 18,
    "GitHub OAuth": b"gho_" + b"a1" * 18,
    "GitHub server": b"ghs_" + b"a1" * 18,
    "GitHub fine": b"github_pat_" + b"A1b2C3d4E5f_" * 6 + b"A1b2C3d4E5",
    "GitLab": b"glpat-" + b"a-1_" * 5,
    "npm": b"npm_" + b"a1" * 18,
    "PyPI": b"pypi-AgE" + b"a-1_" * 15,
    "Slack bot": b"xoxb-1234567890-abcdefghij",
    "Slack user": b"xoxp-123456789012-abcdefghij",
    "Stripe": b"sk_live_" + b"a1" * 12,
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize(
    "before",
    [b"", b"\n", b"_a -", b"x = '", b"----- __init__ A_KEY-\n_", b"-" * 90 + b"_" * 90 + b" "],
    ids=["start", "line", "dash", "quote", "like one", "lines"],
)
@pytest.mark.parametrize(
    "after", [b"", b"\n", b"' + _next", b" -----END"], ids=["end", "line", "quote", "more"]
)
def test_every_form_of_a_secret_is_found_where_it_stands(
    form: bytes, before: bytes, after: bytes
) -> None:
    assert [one.offset for one in secrets(before + form + after)] == [len(before)]


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("letter", [b"a", b"Z", b"0"])
def test_no_form_of_a_secret_is_found_behind_a_letter(form: bytes, letter: bytes) -> None:
    assert secrets(b"# " + letter + form) == ()


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_no_form_of_a_secret_is_found_cut_off(form: bytes) -> None:
    assert secrets(form[:-1]) == ()
    assert secrets(form[: len(form) // 2] + b" " + form[len(form) // 2 :]) == ()
