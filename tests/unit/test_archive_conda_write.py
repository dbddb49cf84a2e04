"""The writer of conda packages, held against readers of others: `zipfile`, `tarfile`, `zstandard`."""

from __future__ import annotations

import bz2
import hashlib
import io
import json
import tarfile
import zipfile
from pathlib import Path
from random import Random

import pytest
import zstandard

from builder.archive.conda import open_package
from builder.archive.conda_package import CondaFile, CondaPackage, Streamed
from builder.archive.conda_write import Format, Profile, write_conda
from builder.errors import BuilderError, UsageError

EPOCH = 1_500_000_000
PACKAGE = CondaPackage(
    "widget", "1.2.0", "py311_0", "linux-64",
    depends=("python 3.11.*",),
    license="MIT",
    about={"summary": "a widget", "home": "https://example.org"},
    run_exports={"weak": ("widget >=1.2.0,<2.0a0",), "strong": ()},
    info=(CondaFile("licenses/LICENSE", b"do as you like"), CondaFile("test/run_test.sh", b"true")),
)  # fmt: skip
PREFIX = "/opt/" + "placehold_" * 25


def noise_of(seed: int) -> Random:
    return Random(seed)  # noqa: S311  # the same bytes in every run


def poured(content: bytes, piece: int) -> Streamed:
    def pour(sink: object) -> None:
        assert callable(sink)
        for start in range(0, len(content), piece):
            sink(memoryview(content)[start : start + piece])

    return Streamed(len(content), pour)


def files(folder: Path) -> tuple[CondaFile, ...]:
    big = folder / "big"
    big.write_bytes(noise_of(1).randbytes(1 << 16) * 3)
    script = f"#!{PREFIX}/bin/python\n".encode()
    return (
        CondaFile("lib/libw.so", link="libw.so.1"),
        CondaFile("lib/libw.so.1", big),
        CondaFile("bin/w", script, executable=True, placeholder=PREFIX),
        CondaFile("lib/data", poured(b"x" * 40 + PREFIX.encode() + b"\0", 7), placeholder=PREFIX, mode="binary"),
        CondaFile("lib/out.so", link="libother.so.2"),
    )  # fmt: skip


def read(path: Path) -> dict[str, tuple[tarfile.TarInfo, bytes]]:
    """Every member, by the tools of others."""
    found = {}
    if path.suffix == ".conda":
        with zipfile.ZipFile(path) as archive:
            assert {row.compress_type for row in archive.infolist()} == {zipfile.ZIP_STORED}
            assert {row.date_time for row in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
            stem = path.stem
            names = ["metadata.json", f"pkg-{stem}.tar.zst", f"info-{stem}.tar.zst"]
            assert archive.namelist() == names
            assert json.loads(archive.read("metadata.json")) == {"conda_pkg_format_version": 2}
            streams = [unpacked(archive.read(name)) for name in names[1:]]
    else:
        streams = [bz2.decompress(path.read_bytes())]
    for stream in streams:
        with tarfile.open(fileobj=io.BytesIO(stream)) as members:
            for info in members:
                file = members.extractfile(info) if info.isfile() else None
                found[info.name] = (info, file.read() if file else b"")
    return found


def unpacked(packed: bytes) -> bytes:
    """The first frame, and the proof that there is no other."""
    engine = zstandard.ZstdDecompressor().decompressobj()
    content = engine.decompress(packed)
    assert engine.unused_data == b""
    return content


@pytest.mark.parametrize("file_format", ["conda", "tar.bz2"])
def test_others_read_what_was_written(tmp_path: Path, file_format: Format) -> None:
    made = write_conda(
        tmp_path / "out", PACKAGE, files(tmp_path), epoch=EPOCH, file_format=file_format
    )
    assert made == tmp_path / "out" / f"widget-1.2.0-py311_0.{file_format}"
    assert list(made.parent.iterdir()) == [made]
    found = read(made)
    assert list(found) == [
        "bin/w", "lib/data", "lib/libw.so", "lib/libw.so.1", "lib/out.so",
        "info/about.json", "info/index.json", "info/licenses/LICENSE", "info/paths.json",
        "info/run_exports.json", "info/test/run_test.sh",
    ]  # fmt: skip
    assert found["lib/libw.so.1"][1] == (tmp_path / "big").read_bytes()
    assert (found["lib/libw.so"][0].type, found["lib/libw.so"][0].linkname) == (
        tarfile.SYMTYPE,
        "libw.so.1",
    )
    infos = [info for info, _ in found.values()]
    assert {(i.mtime, i.uid, i.gid, i.uname, i.gname) for i in infos} == {(EPOCH, 0, 0, "", "")}
    assert (found["bin/w"][0].mode, found["lib/data"][0].mode) == (0o755, 0o644)
    with open_package(made) as ours:
        assert sorted(member.name for member, _ in ours) == sorted(found)


def test_the_documents_say_what_is_inside(tmp_path: Path) -> None:
    found = read(write_conda(tmp_path / "out", PACKAGE, files(tmp_path), epoch=EPOCH))
    assert json.loads(found["info/index.json"][1]) == {
        "arch": "x86_64", "build": "py311_0", "build_number": 0, "depends": ["python 3.11.*"],
        "license": "MIT", "name": "widget", "platform": "linux", "subdir": "linux-64",
        "timestamp": EPOCH * 1000, "version": "1.2.0",
    }  # fmt: skip
    assert json.loads(found["info/run_exports.json"][1]) == {"weak": ["widget >=1.2.0,<2.0a0"]}
    document = json.loads(found["info/paths.json"][1])
    paths = {row.pop("_path"): row for row in document["paths"]}
    digest = {name: hashlib.sha256(content).hexdigest() for name, (_, content) in found.items()}
    assert document["paths_version"] == 1
    assert paths == {
        "bin/w": {
            "path_type": "hardlink", "sha256": digest["bin/w"], "file_mode": "text",
            "size_in_bytes": len(found["bin/w"][1]), "prefix_placeholder": PREFIX,
        },
        "lib/data": {
            "path_type": "hardlink", "sha256": digest["lib/data"], "file_mode": "binary",
            "size_in_bytes": 41 + len(PREFIX), "prefix_placeholder": PREFIX,
        },
        "lib/libw.so": {
            "path_type": "softlink", "sha256": digest["lib/libw.so.1"], "size_in_bytes": 3 << 16,
        },
        "lib/libw.so.1": {
            "path_type": "hardlink", "sha256": digest["lib/libw.so.1"], "size_in_bytes": 3 << 16,
        },
        "lib/out.so": {
            "path_type": "softlink", "sha256": hashlib.sha256().hexdigest(), "size_in_bytes": 0,
        },
    }  # fmt: skip


def test_a_noarch_package_says_its_entry_points(tmp_path: Path) -> None:
    package = CondaPackage(
        "click", "8.1", "py_0", "noarch", noarch="python", entry_points=("c = click:main",)
    )
    found = read(write_conda(tmp_path, package, [], epoch=0))
    assert json.loads(found["info/link.json"][1]) == {
        "noarch": {"entry_points": ["c = click:main"], "type": "python"},
        "package_metadata_version": 1,
    }
    index = json.loads(found["info/index.json"][1])
    assert (index["noarch"], index["platform"], index["arch"]) == ("python", None, None)


@pytest.mark.parametrize("profile", ["fast", "default"])
def test_the_bytes_depend_neither_on_threads_nor_on_order(tmp_path: Path, profile: Profile) -> None:
    noise = noise_of(2)
    words = [noise.randbytes(40) for _ in range(5000)]
    content = b"".join(noise.choices(words, k=450_000))
    members = (*files(tmp_path), CondaFile("lib/large", content))
    assert len(content) > 17 << 20  # more than one job at any of these levels
    made = [
        write_conda(tmp_path / str(threads), PACKAGE, given, epoch=EPOCH, profile=profile, threads=threads).read_bytes()
        for threads, given in ((1, members), (3, members[::-1]))
    ]  # fmt: skip
    assert made[0] == made[1]


def test_pieces_of_any_size_give_the_same_bytes(tmp_path: Path) -> None:
    content = noise_of(3).randbytes(1 << 20) * 2
    given = [CondaFile("x", content)]
    given += [CondaFile("x", poured(content, piece)) for piece in (1000, 333_333)]
    made = [
        write_conda(tmp_path / str(at), PACKAGE, [file], epoch=0).read_bytes()
        for at, file in enumerate(given)
    ]
    assert made[0] == made[1] == made[2]


@pytest.mark.parametrize(
    ("file", "fault"),
    [
        pytest.param(CondaFile("../x"), "traversal", id="traversal"),
        pytest.param(CondaFile("/x"), "absolute", id="absolute"),
        pytest.param(CondaFile("a\nb"), "control character", id="control"),
        pytest.param(CondaFile("bin/x", link="/usr/bin/x"), "not a relative path", id="link"),
        pytest.param(CondaFile("bin/x", link="../../x"), "outside", id="link out"),
        pytest.param(CondaFile("bin/w"), "it is there twice", id="twice"),
        pytest.param(CondaFile("bin/w/x"), "is not a folder", id="below a file"),
        pytest.param(CondaFile("conda-meta/history"), "`conda-meta/` is not", id="conda-meta"),
        pytest.param(CondaFile("info/index.json"), "`info/` is not for files", id="info"),
        pytest.param(CondaFile("\udc80"), "not UTF-8", id="no text"),
    ],
)
@pytest.mark.parametrize("file_format", ["conda", "tar.bz2"])
def test_members_that_harm_are_refused(
    tmp_path: Path, file_format: Format, file: CondaFile, fault: str
) -> None:
    with pytest.raises(UsageError, match=fault):
        write_conda(
            tmp_path / "out", PACKAGE, [CondaFile("bin/w"), file], epoch=0, file_format=file_format
        )
    assert not (tmp_path / "out").exists()


def test_names_that_differ_in_case_are_refused_where_the_system_folds_them(tmp_path: Path) -> None:
    given = [CondaFile("share/A", b"1"), CondaFile("share/a", b"2")]
    assert write_conda(tmp_path, PACKAGE, given, epoch=0).exists()
    package = CondaPackage("w", "1", "0", "osx-arm64")
    with pytest.raises(UsageError, match="case"):
        write_conda(tmp_path, package, given, epoch=0)


@pytest.mark.parametrize(
    ("package", "fault"),
    [
        pytest.param(CondaPackage("W", "1", "0", "linux-64"), "the name 'W'", id="name"),
        pytest.param(CondaPackage("../w", "1", "0", "linux-64"), "the name", id="path"),
        pytest.param(CondaPackage("w", "1-2", "0", "linux-64"), "the version '1-2'", id="version"),
        pytest.param(CondaPackage("w", "1", "a/b", "linux-64"), "the build string", id="build"),
        pytest.param(CondaPackage("w", "1", "0", "linux-x"), "the subdir 'linux-x'", id="subdir"),
        pytest.param(CondaPackage("w", "1", "0", "noarch"), "noarch '' does not go", id="noarch"),
        pytest.param(
            CondaPackage("w", "1", "0", "linux-64", noarch="generic"), "does not go", id="native"
        ),
        pytest.param(
            CondaPackage("w", "1", "0", "linux-64", depends=("a\nb",)), "requirement", id="spec"
        ),
        pytest.param(
            CondaPackage("w", "1", "0", "linux-64", about={"channels": ["x"]}), "'channels'", id="channels"
        ),
        pytest.param(
            CondaPackage("w", "1", "0", "linux-64", about={"home": "file:///srv/chan"}), "place", id="url"
        ),
        pytest.param(
            CondaPackage("w", "1", "0", "linux-64", about={"extra": {"a": ["/home/me"]}}), "place", id="local"
        ),
        pytest.param(
            CondaPackage("w", "1", "0", "linux-64", run_exports={"week": ("w",)}), "'week'", id="exports"
        ),
        pytest.param(
            CondaPackage("w", "1", "0", "linux-64", info=(CondaFile("index.json"),)), "it is made", id="document"
        ),
    ],
)  # fmt: skip
def test_packages_that_others_would_misread_are_refused(
    tmp_path: Path, package: CondaPackage, fault: str
) -> None:
    with pytest.raises(UsageError, match=fault):
        write_conda(tmp_path / "out", package, [], epoch=0)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("file_format", ["conda", "tar.bz2"])
@pytest.mark.parametrize(
    ("file", "fault"),
    [
        pytest.param(CondaFile("x", b"abc", sha256="0" * 64), "the digest", id="digest"),
        pytest.param(CondaFile("x", b"abc", placeholder=PREFIX), "the prefix", id="prefix"),
        pytest.param(
            CondaFile("x", Streamed(9, lambda sink: sink(memoryview(b"abc")))), "3 bytes, not 9", id="size"
        ),
        pytest.param(CondaFile("x", Path("/nowhere/at/all")), "nowhere", id="gone"),
    ],
)  # fmt: skip
def test_content_that_is_not_what_was_said_leaves_nothing_behind(
    tmp_path: Path, file_format: Format, file: CondaFile, fault: str
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(BuilderError, match=fault):
        write_conda(out, PACKAGE, [file], epoch=0, file_format=file_format)
    assert list(out.iterdir()) == []


def test_a_known_digest_is_taken(tmp_path: Path) -> None:
    digest = hashlib.sha256(b"abc").hexdigest()
    made = write_conda(tmp_path, PACKAGE, [CondaFile("x", b"abc", sha256=digest)], epoch=0)
    (row,) = json.loads(read(made)["info/paths.json"][1])["paths"]
    assert row["sha256"] == digest


@pytest.mark.parametrize("file_format", ["conda", "tar.bz2"])
def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path, file_format: Format) -> None:
    (tmp_path / "out").write_bytes(b"")
    with pytest.raises(BuilderError, match="cannot be written"):
        write_conda(tmp_path / "out", PACKAGE, [], epoch=0, file_format=file_format)
