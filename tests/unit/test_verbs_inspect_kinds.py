"""What each kind of subject is read as, and what a damaged one is refused for: a row each."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import struct
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import zstandard

from builder.relink.cache import FactCache
from builder.verbs.inspect import Subject, inspect
from tests.data import make_macho, make_pe
from tests.data.make_elf import Elf
from tests.data.make_elf import assemble as elf

Files = Mapping[str, bytes | str]
"""The content of each file, or where a symbolic link leads."""
Make = Callable[[Path], Path]

LIBC = Elf(needed=("libc.so.6",), undefined=(("printf", "GLIBC_2.17", "libc.so.6"),))
USER = replace(LIBC, needed=("libfoo.so.1", "libc.so.6"), runpath="$ORIGIN/../lib")
LINUX: dict[str, bytes | str] = {
    "bin/program": elf(USER),
    "lib/libfoo.so.1": elf(replace(LIBC, soname="libfoo.so.1")),
}
LINKED = {
    **LINUX,
    "lib/libfoo.so.1": "libfoo.so.1.2",
    "lib/libfoo.so.1.2": LINUX["lib/libfoo.so.1"],
}
SYSTEM = ((make_macho.LOAD, "/usr/lib/libSystem.B.dylib"),)
ARM = make_macho.assemble(replace(make_macho.PLAIN, id="@rpath/liba.dylib", libraries=SYSTEM))
INTEL = make_macho.assemble(replace(make_macho.INTEL, id="@rpath/liba.dylib", libraries=SYSTEM))
BOTH = make_macho.fat((make_macho.X86_64, 3, INTEL), (make_macho.ARM64, 0, ARM))
FAR = make_macho.assemble(
    replace(make_macho.PLAIN, libraries=((make_macho.LOAD, "@rpath/far.dylib"),))
)
DLL = make_pe.assemble(make_pe.Pe(imports=(("KERNEL32.dll", ("Sleep",)), ("demo.dll", ("a",)))))
DEMO = make_pe.assemble(make_pe.Pe(imports=(), soname="demo.dll"))
WIN32 = make_pe.assemble(make_pe.Pe(bits=32, machine=0x14C, imports=()))
OBJECT = elf(Elf(type=1, dynamic=False))

COFF = struct.pack("<HHIIIHH", 0x8664, 0, 0, 0, 0, 0, 0)


def tar(files: Files) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as opened:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            if isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                opened.addfile(info)
            else:
                info.size = len(content)
                opened.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def zipped(files: Files, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as opened:
        for name, content in files.items():
            opened.writestr(name, content)
    return buffer.getvalue()


def ar(files: Files) -> bytes:
    rows = [
        (name.encode(), content) for name, content in files.items() if isinstance(content, bytes)
    ]
    return b"!<arch>\n" + b"".join(
        b"%-16s%-12d%-6d%-6d%-8o%-10d`\n" % (name + b"/", 0, 0, 0, 0o644, len(content))
        + content
        + b"\n" * (len(content) % 2)
        for name, content in rows
    )  # fmt: skip


def conda(files: Files, subdir: str) -> bytes:
    pack = zstandard.ZstdCompressor().compress
    parts = {
        "metadata.json": b"{}",
        "pkg-a.tar.zst": pack(tar(files)),
        "info-a.tar.zst": pack(tar(index(subdir))),
    }
    return zipped(parts, zipfile.ZIP_STORED)


def index(subdir: str) -> dict[str, bytes | str]:
    return {"info/index.json": json.dumps({"subdir": subdir}).encode()}


def wheel(files: Files) -> bytes:
    info = "demo-1.0.dist-info"
    texts = {
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nTag: cp311-cp311-any\n",
        f"{info}/RECORD": b"",
    }
    return zipped({**files, **texts})


def put(name: str, content: bytes) -> Make:
    def make(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(content)
        return path

    return make


def unfold(files: Files) -> Make:
    def make(folder: Path) -> Path:
        for name, content in files.items():
            path = folder / "tree" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, str):
                path.symlink_to(content)
            else:
                path.write_bytes(content)
        return folder / "tree"

    return make


def look(path: Path, cache: FactCache | None = None) -> Subject:
    found = inspect([path], cache=cache)
    assert found.failures == ()
    return found.subjects[0]


AR = ar({"a.o": OBJECT})
WHEEL = "demo-1.0-cp311-cp311"
MAC = {"demo/a.so": BOTH, "demo/.dylibs/liba.dylib": ARM}
WINDOWS = {"demo/a.pyd": DLL, "demo/demo.dll": DEMO}
FOO = {"libc.so.6": "whitelisted by manylinux_2_5_x86_64", "libfoo.so.1": "inside"}

APPLE = {"/usr/lib/libSystem.B.dylib": "system"}

KINDS = {
    "conda": (put("a-1-0.conda", conda(LINUX, "linux-64")), "conda", "manylinux_2_17_x86_64", ("linux-64",), FOO),
    "conda for Windows": (
        put("a-1-0.conda", conda({"Library/bin/demo.dll": DEMO, "DLLs/a.pyd": DLL}, "win-64")),
        "conda", "win_amd64", ("win-64",), {"KERNEL32.dll": "system", "demo.dll": "inside"},
    ),
    "conda for macOS": (
        put("a-1-0.conda", conda({"lib/a.so": ARM}, "osx-arm64")),
        "conda", "macosx_11_0_arm64", ("osx-arm64",), APPLE,
    ),
    "old conda": (
        put("a-1-0.tar.bz2", bz2.compress(tar(index("linux-64") | LINUX))),
        "conda", "manylinux_2_17_x86_64", ("linux-64",), FOO,
    ),
    "conda that needs others": (
        put("a-1-0.conda", conda({"lib/a.so": elf(replace(USER, runpath="$ORIGIN"))}, "linux-64")),
        "conda", "manylinux_2_17_x86_64", ("linux-64",), {**FOO, "libfoo.so.1": "sibling"},
    ),
    "zip": (put("a.zip", zipped(LINUX)), "archive", "manylinux_2_17_x86_64", (), FOO),
    "zip of another name": (put("a.pth", zipped(LINUX)), "archive", "manylinux_2_17_x86_64", (), FOO),
    "tar": (put("a.tar", tar(LINUX)), "archive", "manylinux_2_17_x86_64", (), FOO),
    "tar with links": (put("a.tar", tar(LINKED)), "archive", "manylinux_2_17_x86_64", (), FOO),
    "tar.gz": (put("a.tgz", gzip.compress(tar(LINUX))), "archive", "manylinux_2_17_x86_64", (), FOO),
    "tar.bz2": (put("a.tar.bz2", bz2.compress(tar(LINUX))), "archive", "manylinux_2_17_x86_64", (), FOO),
    "tar.xz": (put("a.txz", lzma.compress(tar(LINUX))), "archive", "manylinux_2_17_x86_64", (), FOO),
    "tar.zst": (
        put("a.tar.zst", zstandard.ZstdCompressor().compress(tar(LINUX))),
        "archive", "manylinux_2_17_x86_64", (), FOO,
    ),
    "folder": (unfold(LINUX), "folder", "manylinux_2_17_x86_64", (), FOO),
    "folder with links": (unfold(LINKED), "folder", "manylinux_2_17_x86_64", (), FOO),
    "static library": (put("liba.a", ar({"a.o": OBJECT, "b.o": OBJECT})), "static", "", (), {}),
    "static library of Windows": (
        put("a.lib", ar({"a.obj": COFF})),
        "static", "", (), {},
    ),
    "static library of nothing": (put("liba.a", b"!<arch>\n"), "static", "", (), {}),
    "universal static library": (
        put("liba.a", make_macho.fat((make_macho.ARM64, 0, AR), (make_macho.X86_64, 3, AR))),
        "static", "", (), {},
    ),
    "wheel for macOS": (
        put(f"{WHEEL}-macosx_11_0_arm64.whl", wheel(MAC)),
        "wheel", "macosx_11_0_arm64", ("macosx_11_0_arm64",), APPLE,
    ),
    "wheel for Windows": (
        put(f"{WHEEL}-win_amd64.whl", wheel(WINDOWS)),
        "wheel", "win_amd64", ("win_amd64",), {"KERNEL32.dll": "system", "demo.dll": "inside"},
    ),
    "library of macOS": (put("a.dylib", ARM), "binary", "macosx_11_0_arm64", (), APPLE),
    "library of macOS that needs another": (
        put("a.dylib", FAR), "binary", "macosx_11_0_arm64", (), {"@rpath/far.dylib": "missing"},
    ),
    "universal library": (put("a.dylib", BOTH), "binary", "macosx_10_9_universal2", (), APPLE),
    "library of Windows": (
        put("a.dll", DLL), "binary", "win_amd64", (), {"KERNEL32.dll": "system", "demo.dll": "missing"},
    ),
    "library of old Windows": (put("a.dll", WIN32), "binary", "win32", (), {}),
    "object": (put("a.o", OBJECT), "binary", "", (), {}),
}  # fmt: skip


@pytest.mark.parametrize(
    ("make", "kind", "tag", "claimed", "origins"), list(KINDS.values()), ids=list(KINDS)
)
def test_each_kind_is_read_and_judged(
    tmp_path: Path,
    make: Make,
    kind: str,
    tag: str,
    claimed: tuple[str, ...],
    origins: Mapping[str, str],
) -> None:
    subject = look(make(tmp_path))
    assert (subject.kind, subject.unread) == (kind, ())
    assert (subject.platform.tag, subject.platform.claimed) == (tag, claimed)
    assert {row.name: row.resolution for row in subject.external} == origins


@pytest.mark.parametrize("name", list(KINDS))
def test_what_is_remembered_is_what_was_said(tmp_path: Path, name: str) -> None:
    path = KINDS[name][0](tmp_path)
    cache = FactCache(tmp_path / "facts", settled=0)
    first, again = inspect([path], cache=cache), inspect([path], cache=cache)
    assert again.subjects == first.subjects == inspect([path]).subjects
    assert again.work.to_json() == {**first.work.to_json(), "inflated": 0} or path.is_dir()


def test_objects_of_one_name_are_told_apart(tmp_path: Path) -> None:
    path = put("liba.a", ar({"a.o": OBJECT, "notes.txt": b"text"}) + ar({"a.o": OBJECT})[8:])(
        tmp_path
    )
    subject = look(path)
    assert [row.path for row in subject.binaries] == ["a.o", "a.o (2)"]
    assert subject.notes == ("1 of its members are no objects",)


@pytest.mark.parametrize(
    ("files", "claim", "tag", "blamed"),
    [
        ({"a.so": ARM}, "macosx_11_0_arm64", "macosx_11_0_arm64", []),
        ({"a.so": ARM}, "macosx_12_0_arm64", "macosx_11_0_arm64", []),
        (
            {"a.so": BOTH},
            "macosx_10_9_universal2",
            "macosx_10_9_universal2",
            [("macosx_10_9_universal2", "a.so", "macOS 10.9 on x86_64")],
        ),
        (
            {"a.so": BOTH, "b.so": ARM},
            "macosx_10_9_universal2",
            "macosx_11_0_arm64",
            [("macosx_10_9_universal2", "b.so", "code for x86_64, which it has not")],
        ),
        ({"a.pyd": WIN32}, "win32", "win32", []),
        (
            {"a.pyd": WIN32},
            "win_amd64",
            "win32",
            [("win_amd64", "a.pyd", "a machine of kind win32")],
        ),
    ],
)
def test_claims_for_other_systems_are_judged_too(
    tmp_path: Path, files: Files, claim: str, tag: str, blamed: list[tuple[str, ...]]
) -> None:
    platform = look(put(f"{WHEEL}-{claim}.whl", wheel(files))(tmp_path)).platform
    assert platform.tag == tag
    assert [(row.tag, row.binary, row.library) for row in platform.blockers] == blamed


@pytest.mark.parametrize(
    ("files", "claim", "note"),
    [
        (
            {"a.so": elf(LIBC), "b.dll": DLL, "c.dll": DLL, "d.dylib": ARM},
            "manylinux_2_17_x86_64",
            [
                "b.dll and 1 more are for Windows amd64, and not judged",
                "d.dylib is for macOS arm64, and not judged",
            ],
        ),
        (
            {"bin/a": elf(replace(USER, runpath="$ORIGIN")), "lib/libfoo.so.1": LINUX["lib/libfoo.so.1"]},
            "manylinux_2_17_x86_64",
            ["lib/libfoo.so.1 is needed by files that look elsewhere; the tag does not count that"],
        ),
        (
            {"a.so": elf(USER)},
            "linux_x86_64",
            ["with all that is missing it would deserve manylinux_2_17_x86_64"],
        ),
    ],
    ids=["for other systems", "not where it is looked for", "but for what is missing"],
)  # fmt: skip
def test_what_a_verdict_leaves_out_is_noted(
    tmp_path: Path, files: Files, claim: str, note: list[str]
) -> None:
    assert list(look(put(f"{WHEEL}-{claim}.whl", wheel(files))(tmp_path)).notes) == note


def test_a_conda_package_for_another_machine_is_noted(tmp_path: Path) -> None:
    subject = look(put("a-1-0.conda", conda(LINUX, "linux-aarch64"))(tmp_path))
    assert subject.notes == ("linux-aarch64 is claimed, but the binaries are for x86_64",)


def cut(name: str, content: bytes, keep: int) -> Make:
    return put(name, content[:keep])


def flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :]


CONDA = conda(LINUX, "linux-64")
PACKED = gzip.compress(tar(LINUX))
BOMB = {"lib/a.so": b"\x7fELF" + bytes(70 << 20)}

DAMAGED = {
    "conda cut": (cut("a-1-0.conda", CONDA, len(CONDA) // 2), "is not a sound zip"),
    "conda without parts": (put("a-1-0.conda", zipped(LINUX)), "is no conda package"),
    "conda of packed noise": (
        put("a-1-0.conda", zipped({"pkg-a.tar.zst": b"noise", "info-a.tar.zst": b"noise"}, 0)),
        "damaged:",
    ),
    "conda flipped": (put("a-1-0.conda", flipped(CONDA, CONDA.index(b"pkg-a.tar.zst") + 60)), "damaged:"),
    "old conda cut": (cut("a-1-0.tar.bz2", bz2.compress(tar(LINUX)), 200), "end too early"),
    "zip cut": (cut("a.zip", zipped(LINUX), 300), "is not a sound zip"),
    "zip flipped": (put("a.zip", flipped(zipped(LINUX), 80)), "bin/program"),
    "zip of the end alone": (put("a.zip", b"PK\x05\x06"), "is not a sound zip"),
    "zip with a path that escapes": (put("a.zip", zipped({"../a.so": b"\x7fELF"})), "traversal"),
    "tar cut": (cut("a.tar", tar(LINUX), 700), "ends within 'bin/program'"),
    "tar with a damaged header": (
        put("a.tar", flipped(tar(LINUX), tar(LINUX).index(b"lib/libfoo.so.1"))),
        "no header where one must be",
    ),
    "tar with a path that escapes": (put("a.tar", tar({"../a.so": b"\x7fELF"})), "traversal"),
    "tar with a link that escapes": (put("a.tar", tar({"a.so": "../../x"})), "link"),
    "tar.gz cut": (cut("a.tar.gz", PACKED, len(PACKED) // 2), "damaged:"),
    "tar.gz with a wrong digest": (put("a.tar.gz", flipped(PACKED, len(PACKED) - 8)), "damaged:"),
    "tar.xz cut": (cut("a.tar.xz", lzma.compress(tar(LINUX)), 200), "damaged:"),
    "tar.zst of noise": (put("a.tar.zst", b"\x28\xb5\x2f\xfd" + bytes(99)), "damaged:"),
    "tar.gz of a text": (put("a.txt.gz", gzip.compress(b"text")), "no header where one must be"),
    "a bomb": (put("a.tar.gz", gzip.compress(tar(BOMB), 9)), "bomb"),
    "ar cut": (cut("liba.a", ar({"a.o": OBJECT}), 100), "ends within"),
    "ar with a damaged header": (cut("liba.a", ar({"a.o": OBJECT}), 40), "no header where"),
    "ar with a wrong size": (
        put("liba.a", ar({"a.o": OBJECT}).replace(b"%-10d`" % len(OBJECT), b"9999999999`")),
        "ends within",
    ),
    "a thin ar": (put("liba.a", b"!<thin>\n"), "thin archive"),
    "Mach-O cut": (cut("a.dylib", ARM, 40), "a.dylib"),
    "universal file cut": (cut("a.dylib", BOTH, 4200), "a.dylib"),
    "PE cut": (cut("a.dll", DLL, 100), "a.dll"),
    "wheel for macOS, cut library": (
        put(f"{WHEEL}-macosx_11_0_arm64.whl", wheel({"a.so": ARM[:40]})),
        "holds 1 binary, none of which can be read",
    ),
    "wheel for Windows, cut libraries": (
        put(f"{WHEEL}-win_amd64.whl", wheel({"a.pyd": DLL[:99], "b.dll": DLL[:99]})),
        "holds 2 binaries, none of which can be read",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("make", "reason"), list(DAMAGED.values()), ids=list(DAMAGED))
def test_what_is_damaged_is_one_clear_failure(tmp_path: Path, make: Make, reason: str) -> None:
    path = make(tmp_path)
    found = inspect([path], cache=FactCache(tmp_path / "facts", settled=0))
    assert found.subjects == ()
    assert [failure.path for failure in found.failures] == [str(path)]
    assert reason in found.failures[0].error
    assert found.failures[0].hint
