from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.archive.metadata import Headers, dist_info_of, new_metadata, relabel
from builder.errors import BuilderError, UsageError

METADATA = (
    b"Metadata-Version: 2.1\nName: Foo.Bar\nVersion:  1.0\nLicense: MIT\n        |more\n"
    b"Requires-Dist: numpy (>=1.20)\nRequires-Dist: torch ; extra == 'gpu'\n\n"
    b"Version: 9 is in the body\n"
)
WHEEL = (
    b"Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\n"
    b"Tag: py3-none-any\nTag: py2-none-any\n"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    info = tmp_path / "Foo.Bar-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_bytes(METADATA)
    (info / "WHEEL").write_bytes(WHEEL)
    (tmp_path / "Foo.Bar-1.0.data/scripts").mkdir(parents=True)
    return tmp_path


def test_a_new_version_changes_one_line_and_two_folders(folder: Path) -> None:
    label = relabel(folder, version="1.0+cu130")

    assert label.dist_info == "Foo.Bar-1.0+cu130.dist-info"
    assert label.edited == ("Foo.Bar-1.0+cu130.dist-info/METADATA",)
    assert sorted(path.name for path in folder.iterdir()) == [
        "Foo.Bar-1.0+cu130.data",
        "Foo.Bar-1.0+cu130.dist-info",
    ]
    text = (folder / label.dist_info / "METADATA").read_bytes()
    assert text == METADATA.replace(b"Version:  1.0\n", b"Version: 1.0+cu130\n")


def test_nothing_asked_for_changes_no_byte(folder: Path) -> None:
    label = relabel(folder)

    assert label.edited == ()
    assert (folder / label.dist_info / "METADATA").read_bytes() == METADATA
    assert (folder / label.dist_info / "WHEEL").read_bytes() == WHEEL


@pytest.mark.parametrize(
    ("wanted", "added"),
    [
        pytest.param("numpy>=1.20", "", id="same in another spelling"),
        pytest.param("NumPy", "", id="weaker than what is there"),
        pytest.param("numpy==2.0", "Requires-Dist: numpy==2.0\n", id="other version"),
        pytest.param("torch", "Requires-Dist: torch\n", id="there only for an extra"),
        pytest.param("libfoo", "Requires-Dist: libfoo\n", id="not there"),
    ],
)
def test_a_requirement_is_added_unless_it_is_there(folder: Path, wanted: str, added: str) -> None:
    label = relabel(folder, requires=[wanted, wanted])

    text = (folder / label.dist_info / "METADATA").read_text()
    head, _, tail = METADATA.decode().partition("\n\n")
    assert text == f"{head}\n{added}\n{tail}"


def test_tags_are_sorted_and_make_a_wheel_impure(folder: Path) -> None:
    label = relabel(folder, tags=["cp39-abi3-linux_x86_64", "cp38-abi3-linux_x86_64"])

    assert label.edited == ("Foo.Bar-1.0.dist-info/WHEEL",)
    assert (folder / label.dist_info / "WHEEL").read_text().splitlines() == [
        "Wheel-Version: 1.0",
        "Generator: x",
        "Root-Is-Purelib: false",
        "Tag: cp38-abi3-linux_x86_64",
        "Tag: cp39-abi3-linux_x86_64",
    ]


def test_the_spelling_of_an_impure_wheel_is_kept(folder: Path) -> None:
    wheel = folder / "Foo.Bar-1.0.dist-info/WHEEL"
    wheel.write_bytes(WHEEL.replace(b"true", b"False"))

    relabel(folder, tags=["py3-none-linux_x86_64"])

    assert b"Root-Is-Purelib: False\n" in wheel.read_bytes()


def test_windows_line_ends_are_kept(folder: Path) -> None:
    metadata = folder / "Foo.Bar-1.0.dist-info/METADATA"
    metadata.write_bytes(b"Metadata-Version: 2.1\r\nName: Foo.Bar\r\nVersion: 1.0\r\n\r\nbody")

    relabel(folder, version="2", requires=["a"])

    assert (folder / "Foo.Bar-2.dist-info/METADATA").read_bytes() == (
        b"Metadata-Version: 2.1\r\nName: Foo.Bar\r\nVersion: 2\r\nRequires-Dist: a\r\n\r\nbody"
    )


def test_headers_without_a_last_line_end_can_be_added_to() -> None:
    assert bytes(Headers.parse(b"A: 1").add("B", ("2",))) == b"A: 1\nB: 2\n"


@pytest.mark.parametrize(
    ("line", "count", "left"),
    [(b"B: 1\n", 300_001, 300_001), (b" more\n", 1, 1), (b"A: 1\n", 300_001, 1)],
    ids=["others", "more of one", "the same"],
)
def test_many_lines_cost_no_more_than_their_bytes(line: bytes, count: int, left: int) -> None:
    content = b"A: 1\n" + line * 300_000
    start = time.process_time()

    headers = Headers.parse(content)
    changed = headers.replace("A", ("1",))

    assert time.process_time() - start < 5
    assert (len(headers.lines), len(changed.lines)) == (count, left)


@pytest.mark.parametrize(
    "said",
    [b"numpy (>=1.20", b"a; " + b"(" * 20_000, b"a==" + b"1" * 5000],
    ids=["old", "nested", "a large number"],
)
def test_a_requirement_that_nobody_can_read_is_none(said: bytes) -> None:
    content = b"Requires-Dist: " + said + b"\n"

    assert new_metadata(content, requires=["a==2"]) == content + b"Requires-Dist: a==2\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"version": "not a version"}, "`not a version` is no version"),
        ({"version": "1" * 5000}, "is no version"),
        ({"requires": ["==3"]}, "`==3` is no requirement"),
        ({"requires": ["a; " + "(" * 20_000]}, "is no requirement"),
    ],
)
def test_nonsense_is_refused(folder: Path, arguments: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        relabel(folder, **arguments)


def test_two_dist_info_folders_are_refused(folder: Path) -> None:
    (folder / "other-1.dist-info").mkdir()

    with pytest.raises(BuilderError, match="this one has 2") as caught:
        dist_info_of(folder)
    assert caught.value.faults == ("Foo.Bar-1.0.dist-info", "other-1.dist-info")


@given(st.lists(st.sampled_from([b"A: 1", b"a:2", b" more", b"\ttab", b"", b"B:", b"\r"])))
def test_headers_keep_every_byte(lines: list[bytes]) -> None:
    content = b"\n".join(lines)

    assert bytes(Headers.parse(content)) == content
