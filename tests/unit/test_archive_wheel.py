from __future__ import annotations

import io
import stat
import struct
import tracemalloc
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builder.archive import record
from builder.archive.refusals import Limits
from builder.archive.wheel import WheelError, WheelName, extract, read_wheel, verify_wheel
from builder.archive.zip import pack
from builder.errors import UsageError

FILE = "Foo.Bar-1.0+cu130-1-cp311-cp311-linux_x86_64.whl"
INFO = "Foo.Bar-1.0+cu130.dist-info"
METADATA = b"Metadata-Version: 2.1\nName: foo-bar\nVersion: 1.0+cu130\n"
WHEEL = b"Wheel-Version: 1.0\nTag: cp311-cp311-linux_x86_64\n"
GOOD = {
    "foo/_x.so": b"\x7fELF",
    f"{INFO}/METADATA": METADATA,
    f"{INFO}/WHEEL": WHEEL,
    f"{INFO}/RECORD": b"",
}


def write(folder: Path, files: dict[str, bytes], name: str = FILE) -> Path:
    path = folder / name
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, data in files.items():
            archive.writestr(member, data)
    return path


def make_sound(folder: Path) -> Path:
    root = folder / "content"
    for path, data in GOOD.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    record.write(root, INFO)
    return pack(root, folder / FILE, epoch=1_700_000_000)


@pytest.mark.parametrize(
    "text",
    [
        "torch_nightly-1.2.0.dev20190731+cu100-cp37-cp37m-linux_x86_64.whl",
        "torch_nightly-1.1.0.dev20190503-cp36-none-macosx_10_7_x86_64.whl",
        "a-1-3b-cp39.cp310-abi3-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
        "Foo.Bar-1.0-py2.py3-none-any.whl",
    ],
)
def test_wheel_name_parse_and_str_are_inverse(text: str) -> None:
    assert str(WheelName.parse(text)) == text.replace("cp39.cp310", "cp310.cp39")


@pytest.mark.parametrize(
    "text", ["a.whl", "a-1-py3-none.whl", "a-1-py3-none-any.zip", "a-x-py3-none-any.whl"]
)
def test_what_is_no_wheel_name_is_refused(text: str) -> None:
    with pytest.raises(WheelError):
        WheelName.parse(text)


def test_tags_are_every_combination() -> None:
    assert WheelName.parse("a-1-py2.py3-none-any.whl").tags == ("py2-none-any", "py3-none-any")


def test_another_version_is_escaped_for_file_names() -> None:
    name = WheelName.parse("a-1-py3-none-any.whl").with_version("1.0+local-part.1")

    assert str(name) == "a-1.0+local.part.1-py3-none-any.whl"


def test_a_sound_wheel_is_read_verified_and_extracted(tmp_path: Path) -> None:
    path = make_sound(tmp_path)

    wheel = read_wheel(path)
    extract(wheel, tmp_path / "out")

    assert wheel.dist_info == INFO
    assert wheel.metadata.get("name") == ("foo-bar",)
    assert wheel.newest == 1_700_000_000
    assert verify_wheel(path) == ()
    assert (tmp_path / "out/foo/_x.so").read_bytes() == b"\x7fELF"
    assert record.verify(tmp_path / "out", INFO) == ()


def symlink(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


def plain(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("x")
    info.filename = name
    return info


@pytest.mark.parametrize(
    ("members", "fault"),
    [
        pytest.param([plain("../evil")], "traversal", id="traversal"),
        pytest.param([plain("a/../../evil")], "traversal", id="inner traversal"),
        pytest.param([plain("/etc/evil")], "absolute", id="absolute"),
        pytest.param([plain("C:evil")], "absolute", id="drive"),
        pytest.param([plain("a\\evil")], "name", id="backslash"),
        pytest.param([plain("a//evil")], "not normal", id="double slash"),
        pytest.param([plain("./evil")], "not normal", id="dot"),
        pytest.param([symlink("link")], "link", id="link"),
        pytest.param([plain("foo/_x.so")], "duplicate", id="duplicate"),
        pytest.param([plain("foo/_x.so/inner")], "conflict", id="file is folder"),
        pytest.param([plain("b-1.dist-info/METADATA")], "has 2 dist-info folders", id="two infos"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_hostile_wheel_is_refused_and_writes_nothing(
    tmp_path: Path, members: list[zipfile.ZipInfo], fault: str
) -> None:
    path = write(tmp_path, GOOD)
    with zipfile.ZipFile(path, "a") as archive:
        for member in members:
            archive.writestr(member, b"evil")

    with pytest.raises(WheelError) as caught:
        extract(read_wheel(path), tmp_path / "out")
    assert fault in "\n".join(caught.value.faults)
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "evil").exists()


def test_names_that_differ_in_case_only_are_fine(tmp_path: Path) -> None:
    path = write(tmp_path, {**GOOD, "a/X": b"1", "a/x": b"2"})

    extract(read_wheel(path), tmp_path / "out")

    assert (tmp_path / "out/a/X").read_bytes() == b"1"


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        pytest.param({f"{INFO}/WHEEL": None}, f"{INFO}/WHEEL is missing", id="no WHEEL"),
        pytest.param({f"{INFO}/RECORD": None}, f"{INFO}/RECORD is missing", id="no RECORD"),
        pytest.param({f"{INFO}/RECORD": b"\xff"}, "RECORD is not UTF-8", id="RECORD bytes"),
        pytest.param(
            {f"{INFO}/METADATA": bytes((16 << 20) + 1)},
            "METADATA has 16777217 bytes, more than there can be",
            id="large METADATA",
        ),
        pytest.param(
            {f"{INFO}/WHEEL": b"Wheel-Version: 2.0\n"}, "has Wheel-Version '2.0'", id="version"
        ),
    ],
)
def test_a_zip_that_is_no_wheel_is_refused(
    tmp_path: Path, changes: dict[str, bytes | None], fault: str
) -> None:
    files = {name: data for name, data in {**GOOD, **changes}.items() if data is not None}

    with pytest.raises(WheelError) as caught:
        read_wheel(write(tmp_path, files))
    assert fault in "\n".join(caught.value.faults)


@pytest.mark.parametrize(
    ("info", "fault"),
    [
        ("other-1.0+cu130.dist-info", "does not belong to Foo.Bar 1.0+cu130"),
        ("foo_bar-2.dist-info", "does not belong to Foo.Bar 1.0+cu130"),
    ],
)
def test_a_dist_info_of_another_project_is_refused(tmp_path: Path, info: str, fault: str) -> None:
    files = {name.replace(INFO, info): data for name, data in GOOD.items()}

    with pytest.raises(WheelError) as caught:
        read_wheel(write(tmp_path, files))
    assert fault in "\n".join(caught.value.faults)


def test_a_dist_info_in_another_spelling_is_fine(tmp_path: Path) -> None:
    info = "foo_bar-1.0+cu130.dist-info"
    files = {name.replace(INFO, info): data for name, data in GOOD.items()}

    assert read_wheel(write(tmp_path, files)).dist_info == info


def test_a_bomb_is_refused_before_anything_is_unpacked(tmp_path: Path) -> None:
    path = write(tmp_path, {**GOOD, "zeros": bytes(1 << 20)})

    with pytest.raises(WheelError) as caught:
        read_wheel(path, limits=Limits(total=1 << 19))
    assert "bomb" in caught.value.faults[0]


@pytest.mark.parametrize(
    "names",
    [["a/" * 32_000 + "x"], [f"{n}/{'a/' * 120}x" for n in range(4000)]],
    ids=["one", "all"],
)
def test_deep_folders_cost_no_more_than_their_names(tmp_path: Path, names: list[str]) -> None:
    path = write(tmp_path, {**GOOD, **dict.fromkeys(names, b"")})

    tracemalloc.start()
    try:
        with suppress(WheelError):
            read_wheel(path)
        assert tracemalloc.get_traced_memory()[1] < 128 << 20
    finally:
        tracemalloc.stop()


def with_central(path: Path, offset: int, value: bytes) -> Path:
    """Overwrite bytes of the first entry of the directory."""
    data = bytearray(path.read_bytes())
    start = data.index(b"PK\x01\x02") + offset
    data[start : start + len(value)] = value
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("offset", "value", "fault"),
    [
        pytest.param(8, struct.pack("<H", 1), "encrypted", id="encrypted"),
        pytest.param(10, struct.pack("<H", 12), "packed with bzip2, not deflate", id="bzip2"),
        pytest.param(24, struct.pack("<L", 9), "damaged", id="size too large"),
        pytest.param(24, struct.pack("<L", 2), "damaged", id="size too small"),
        pytest.param(16, struct.pack("<L", 7), "damaged", id="crc"),
        pytest.param(20, struct.pack("<L", 999), "overlaps", id="overlap"),
    ],
)
def test_a_directory_that_lies_is_refused(
    tmp_path: Path, offset: int, value: bytes, fault: str
) -> None:
    path = with_central(write(tmp_path, GOOD), offset, value)

    with pytest.raises(WheelError) as caught:
        extract(read_wheel(path), tmp_path / "out")
    assert fault in str(caught.value)


def test_extract_wants_an_empty_folder(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)

    with pytest.raises(UsageError, match="is not empty"):
        extract(read_wheel(path), tmp_path)


def test_a_missing_file_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        read_wheel(tmp_path / FILE)


def test_metadata_that_contradicts_the_file_name_is_told(tmp_path: Path) -> None:
    path = make_sound(tmp_path)
    renamed = path.rename(tmp_path / FILE.replace("linux", "manylinux_2_28"))

    assert verify_wheel(renamed) == (
        f"{INFO}/WHEEL: tags cp311-cp311-linux_x86_64 are not those of the file name",
    )


def test_a_version_that_nobody_can_read_is_told(tmp_path: Path) -> None:
    version = b"1" * 5000
    path = write(tmp_path, {**GOOD, f"{INFO}/METADATA": METADATA.replace(b"1.0+cu130", version)})

    assert f"{INFO}/METADATA: the version {version.decode()!r} is not that of the file name" in (
        verify_wheel(path)
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_wheel_is_a_named_error_or_the_same_wheel(
    tmp_path: Path, data: st.DataObject
) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in GOOD.items():
            archive.writestr(member, content)
    damaged = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / FILE
    path.write_bytes(damaged[: data.draw(st.integers(0, len(damaged)))])

    # Whatever was damaged: a list of problems or the one error, and never another exception.
    with suppress(WheelError):
        assert isinstance(verify_wheel(path), tuple)


@pytest.mark.parametrize(
    ("folders", "fault"),
    [
        pytest.param({"foo/": b"", f"{INFO}/": b""}, None, id="told"),
        pytest.param({"foo/": b"", "foo": b""}, "is not a folder", id="also a file"),
        pytest.param({"foo/../": b""}, "traversal", id="leaves"),
        pytest.param({"foo//": b""}, "not normal", id="not normal"),
    ],
)
def test_folders_may_be_members_too(
    tmp_path: Path, folders: dict[str, bytes], fault: str | None
) -> None:
    wheel = write(tmp_path, {**folders, **GOOD})

    if fault is None:
        extract(read_wheel(wheel), tmp_path / "out")
        assert (tmp_path / "out/foo/_x.so").read_bytes() == GOOD["foo/_x.so"]
        return
    with pytest.raises(WheelError) as caught:
        read_wheel(wheel)
    assert any(fault in one for one in caught.value.faults), caught.value.faults
