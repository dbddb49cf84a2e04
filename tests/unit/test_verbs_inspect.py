from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from builder.binary import Binary, VersionNeed
from builder.errors import UsageError
from builder.verbs.inspect import Subject, inspect
from builder.verbs.inspection import highest_versions
from tests.data.make_elf import Elf, assemble

DATA = Path(__file__).parent.parent / "data"
ELF = DATA / "elf"
CLAIMS = "manylinux_2_17_x86_64.manylinux2014_x86_64"


LIBC = ("libc.so.6",)
OLD = (("printf", "GLIBC_2.2.5", "libc.so.6"),)
NEW = (*OLD, ("fcntl64", "GLIBC_2.28", "libc.so.6"))


TEXTS = {
    "demo-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n",
    "demo-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nTag: cp311-cp311-linux_x86_64\n",
    "demo-1.0.dist-info/RECORD": b"",
}


def elf(**fields: Any) -> bytes:
    return assemble(Elf(**{"needed": LIBC, "undefined": OLD, **fields}))


def wheel(folder: Path, files: Mapping[str, bytes], platforms: str = CLAIMS) -> Path:
    path = folder / f"demo-1.0-cp311-cp311-{platforms}.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {**files, **TEXTS}.items():
            archive.writestr(name, content)
    return path


def look(path: Path) -> Subject:
    found = inspect([path])
    assert found.failures == ()
    return found.subjects[0]


WHOLE = {
    "demo/__init__.py": b"",
    "demo/_x.so": elf(
        needed=("libone-12345678.so.1", "libtwo.so", "libnowhere.so.3", "libpython3.11.so.1.0", *LIBC),
        undefined=NEW,
        runpath="$ORIGIN/../demo.libs:$ORIGIN/lib",
    ),
    "demo.libs/libone-12345678.so.1": elf(soname="libone-12345678.so.1"),
    "demo/lib/libtwo.so": elf(soname="libtwo.so", needed=("libnowhere.so.3", *LIBC)),
}  # fmt: skip


def test_a_wheel_is_told_as_the_contract_says(tmp_path: Path) -> None:
    path = wheel(tmp_path, WHOLE)
    document = json.loads(json.dumps(inspect([path]).to_json()))
    subject = document["subjects"][0]
    assert document.keys() == {"schema", "subjects", "failures", "work"}
    assert (document["schema"], document["failures"]) == (1, [])
    # The texts are read as what they are, and looked at as anything without a suffix is.
    inflated = sum(map(len, WHOLE.values())) + 2 * sum(map(len, TEXTS.values()))
    assert document["work"] == {
        "inflated": inflated, "deflated": 0, "copied": 0, "hashed": 0, "processes": 0
    }  # fmt: skip
    assert subject["path"] == str(path)
    assert subject["kind"] == "wheel"
    assert [row["path"] for row in subject["binaries"]] == [name for name in WHOLE if ".so" in name]
    assert subject["binaries"][0] == {
        "path": "demo/_x.so",
        "format": "elf",
        "machine": ["x86_64"],
        "kind": "shared",
        "soname": None,
        "needed": [
            "libone-12345678.so.1",
            "libtwo.so",
            "libnowhere.so.3",
            "libpython3.11.so.1.0",
            "libc.so.6",
        ],
        "optional": [],
        "delayed": [],
        "rpath": [],
        "runpath": ["$ORIGIN/../demo.libs", "$ORIGIN/lib"],
        "interpreter": None,
        "symbol_versions": {"GLIBC": "2.28"},
        "os": None,
        "min_os": None,
        "sdk": None,
        "signature": None,
        "properties": [],
        "build_id": None,
        "cuda_archs": [],
        "slices": [],
    }
    assert subject["unread"] == []


def test_every_needed_library_is_resolved(tmp_path: Path) -> None:
    rows = {row.name: row for row in look(wheel(tmp_path, WHOLE)).external}
    assert {name: row.resolution for name, row in rows.items()} == {
        "libone-12345678.so.1": "grafted",
        "libtwo.so": "inside",
        "libnowhere.so.3": "missing",
        "libpython3.11.so.1.0": "python",
        "libc.so.6": "whitelisted by manylinux_2_5_x86_64",
    }
    assert rows["libnowhere.so.3"].required_by == ("demo/_x.so", "demo/lib/libtwo.so")
    assert rows["libnowhere.so.3"].searched == ("demo.libs", "demo/lib")
    assert rows["libc.so.6"].required_by == tuple(sorted(name for name in WHOLE if ".so" in name))


def test_a_library_that_one_of_two_finds_is_missing_for_the_other(tmp_path: Path) -> None:
    needs = {"needed": ("libtwo.so",), "undefined": ()}
    files = {
        "demo/found.so": elf(**needs, runpath="$ORIGIN/lib"),
        "demo/lost.so": elf(**needs, runpath="$ORIGIN"),
        "demo/lib/libtwo.so": elf(soname="libtwo.so"),
    }
    row = look(wheel(tmp_path, files)).external[-1]
    assert (row.name, row.resolution) == ("libtwo.so", "missing")
    assert row.required_by == ("demo/lost.so",)


@pytest.mark.parametrize(
    ("runpath", "resolution", "tag"),
    [
        ("$ORIGIN/../torch/lib", "sibling", "manylinux_2_5_x86_64"),
        ("$ORIGIN:$ORIGIN/../nvidia/cu13/lib", "sibling", "manylinux_2_5_x86_64"),
        ("$ORIGIN/../demo.libs", "missing", "linux_x86_64"),
        ("$ORIGIN/lib:$ORIGIN", "missing", "linux_x86_64"),
        ("$ORIGIN/../../torch/lib:$ORIGIN/..", "missing", "linux_x86_64"),
        ("/opt/torch/lib", "missing", "linux_x86_64"),
        (None, "missing", "linux_x86_64"),
    ],
)
def test_an_rpath_to_another_wheel_makes_a_sibling(
    tmp_path: Path, runpath: str | None, resolution: str, tag: str
) -> None:
    files = {"demo/a.so": elf(needed=("libc10.so", *LIBC), runpath=runpath), "demo.libs/x": b""}
    subject = look(wheel(tmp_path, files))
    assert subject.external[1].name == "libc10.so"
    assert (subject.external[1].resolution, subject.platform.tag) == (resolution, tag)


@pytest.mark.parametrize(
    ("binaries", "claimed", "tag", "blamed"),
    [
        pytest.param({}, "any", "any", [], id="no binary"),
        pytest.param({"a.so": elf()}, CLAIMS, "manylinux_2_5_x86_64", [], id="the oldest"),
        pytest.param(
            {"a.so": elf(undefined=NEW)},
            "manylinux_2_28_x86_64",
            "manylinux_2_28_x86_64",
            [("manylinux_2_27_x86_64", "a.so", "fcntl64@GLIBC_2.28", "libc.so.6")],
            id="as claimed, and not one lower",
        ),
        pytest.param(
            {"a.so": elf(undefined=NEW), "b.so": elf()},
            CLAIMS,
            "manylinux_2_28_x86_64",
            [
                ("manylinux_2_17_x86_64", "a.so", "fcntl64@GLIBC_2.28", "libc.so.6"),
                ("manylinux_2_27_x86_64", "a.so", "fcntl64@GLIBC_2.28", "libc.so.6"),
            ],
            id="higher than claimed",
        ),
        pytest.param(
            {"a.so": elf(needed=("libfoo.so.1",))},
            "linux_x86_64",
            "linux_x86_64",
            [("manylinux_2_41_x86_64", "a.so", "", "libfoo.so.1")],
            id="a library that no policy promises",
        ),
        pytest.param(
            {"a.so": elf(machine=183, undefined=())},
            "manylinux_2_17_aarch64",
            "manylinux_2_17_aarch64",
            [],
            id="another machine",
        ),
        pytest.param(
            {"a.so": elf(), "b.so": elf(machine=183, undefined=NEW), "c.so": elf(machine=183)},
            "linux_x86_64",
            "manylinux_2_5_x86_64",
            [],
            id="binaries of other machines are not judged",
        ),
        pytest.param(
            {"a.so": elf(needed=("libc.musl-x86_64.so.1",), undefined=())},
            "linux_x86_64",
            "musllinux_1_2_x86_64",
            [],
            id="musl, whose versions no binary tells apart",
        ),
        pytest.param(
            {"a.so": elf(needed=("libc.musl-x86_64.so.1",), undefined=())},
            "musllinux_1_1_x86_64",
            "musllinux_1_1_x86_64",
            [],
            id="an old musl, as nothing speaks against it",
        ),
        pytest.param(
            {"a.so": elf(needed=("libc.musl-x86_64.so.1", "libfoo.so"), undefined=())},
            "musllinux_1_2_x86_64",
            "linux_x86_64",
            [("musllinux_1_2_x86_64", "a.so", "", "libfoo.so")],
            id="a library that no musl policy promises",
        ),
        pytest.param(
            {"a.so": elf(machine=8, bits=32)}, "linux_mips", "linux_mipsel", [], id="no policy"
        ),
        pytest.param({"a.o": elf(type=1, dynamic=False)}, "any", "", [], id="only object files"),
    ],
)
def test_the_tag_and_why_not_a_lower_one(
    tmp_path: Path,
    binaries: Mapping[str, bytes],
    claimed: str,
    tag: str,
    blamed: list[tuple[str, ...]],
) -> None:
    platform = look(wheel(tmp_path, binaries, claimed)).platform
    assert platform.tag == tag
    assert sorted(platform.claimed) == sorted(claimed.split("."))
    assert [(row.tag, row.binary, row.symbol, row.library) for row in platform.blockers] == blamed


def test_a_folder_is_read_without_following_links(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    (root / "lib").mkdir(parents=True)
    (root / "lib" / "liba.so.1").write_bytes(elf(soname="liba.so.1"))
    (root / "lib" / "liba.so").symlink_to("liba.so.1")
    (root / "loop").symlink_to(root)
    (root / "program").write_bytes(elf(needed=("liba.so.1",), rpath="$ORIGIN/lib"))
    (root / "notes.txt").write_text("no binary", encoding="utf-8")
    os.mkfifo(root / "pipe")
    subject = look(root)
    assert [row.path for row in subject.binaries] == ["program", "lib/liba.so.1"]
    assert {row.name: row.resolution for row in subject.external}["liba.so.1"] == "inside"
    assert (subject.kind, subject.platform.claimed) == ("folder", ())


def test_a_single_binary_is_a_subject() -> None:
    subject = look(ELF / "sound" / "cuda.so")
    assert subject.kind == "binary"
    assert [row.path for row in subject.binaries] == ["cuda.so"]
    entry = subject.to_json()["binaries"]
    assert entry == [subject.binaries[0].to_json()]
    assert subject.binaries[0].to_json()["cuda_archs"] == ["sm_80", "sm_90a", "sm_103f", "compute_120"]  # fmt: skip


@pytest.mark.parametrize("kind", ["wheel", "folder"])
def test_what_cannot_be_read_does_not_hide_the_rest(tmp_path: Path, kind: str) -> None:
    files = {
        "a.so": elf(),
        "broken.so": elf()[:40],
        "helper.exe": b"MZ\x90\0" + bytes(60),
        "lib.dylib": (DATA / "macho" / "damaged" / "short-header").read_bytes(),
    }
    path = tmp_path / "tree"
    if kind == "wheel":
        path = wheel(tmp_path, files)
    else:
        path.mkdir()
        for name, content in files.items():
            (path / name).write_bytes(content)
    subject = look(path)
    assert [row.path for row in subject.binaries] == ["a.so"]
    assert {row.path: row.reason for row in subject.unread} == {
        "broken.so": "ELF header: 48 bytes at 0x10 reach past the end at 0x28",
        "helper.exe": "is a DOS program or damaged: no PE header at 0x0",
        "lib.dylib": "header: 28 bytes at 0x0 reach past the end at 0x14",
    }


def make_escaping(folder: Path) -> Path:
    return wheel(folder, {"../escape.so": elf()})


def make_bomb(folder: Path) -> Path:
    return wheel(folder, {"bomb.so": b"\x7fELF" + bytes(80 << 20)})


def make_damaged(folder: Path) -> Path:
    path = wheel(folder, {"a.so": elf() + os.urandom(4096)})
    content = bytearray(path.read_bytes())
    content[1200:1300] = bytes(100)
    path.write_bytes(content)
    return path


def make_file(name: str, content: bytes) -> Any:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return make


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        pytest.param(lambda folder: folder / "absent", "is no file or folder", id="absent"),
        pytest.param(make_escaping, "traversal", id="a path that escapes"),
        pytest.param(make_bomb, "bomb", id="a bomb"),
        pytest.param(make_damaged, "damaged", id="damaged bytes"),
        pytest.param(make_file("a-1-py3-none-any.whl", b"no zip"), "damaged", id="no zip"),
        pytest.param(make_file("a.whl", b"PK"), "`a.whl` is not a sound wheel", id="no wheel name"),
        pytest.param(make_file("a.txt", b"hello"), "is no binary: it begins with", id="text"),
    ],
)
def test_what_cannot_be_looked_into_fails_alone(tmp_path: Path, make: Any, reason: str) -> None:
    bad, good = make(tmp_path), ELF / "sound" / "plain.so"
    found = inspect([bad, good])
    assert [subject.path for subject in found.subjects] == [str(good)]
    assert [failure.path for failure in found.failures] == [str(bad)]
    assert reason in found.failures[0].error
    assert found.failures[0].to_json().keys() == {"path", "error", "hint"}


def test_nothing_to_inspect_is_bad_usage() -> None:
    with pytest.raises(UsageError, match="no file to inspect"):
        inspect([])


def test_names_that_are_not_utf8_can_be_printed(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.so")).write_bytes(elf())
    assert [row.path for row in look(tmp_path).binaries] == ["\\xff.so"]


@pytest.mark.parametrize(
    ("versions", "highest"),
    [
        ((), {}),
        (("GLIBC_2.2.5", "GLIBC_2.17", "GLIBC_2.9"), {"GLIBC": "2.17"}),
        (("GLIBCXX_3.4", "GLIBCXX_3.4.30", "CXXABI_1.3"), {"CXXABI": "1.3", "GLIBCXX": "3.4.30"}),
        (("GLIBC_PRIVATE", "GLIBC_2.4"), {"GLIBC": "2.4", "GLIBC_PRIVATE": ""}),
        (("GLIBC_ABI_DT_RELR",), {"GLIBC_ABI_DT_RELR": ""}),
        (("CXXABI_ARM_1.3.3", "OPENSSL_3.0.0"), {"CXXABI_ARM": "1.3.3", "OPENSSL": "3.0.0"}),
        (("libcudart.so.13",), {"libcudart.so.13": ""}),
    ],
)
def test_the_highest_version_of_each_family(
    versions: tuple[str, ...], highest: Mapping[str, str]
) -> None:
    needs = tuple(VersionNeed("libx.so", version, ()) for version in versions)
    plain = Binary("elf", "x86_64", 64, "little", "shared")
    assert highest_versions(replace(plain, versions_needed=needs)) == highest
