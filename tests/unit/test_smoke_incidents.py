"""Incidents that reached users of PyTorch, each rebuilt small: a named check sees it before anything is published.

The numbers are those of issues of pytorch/pytorch, unless another project is named.
"""

from __future__ import annotations

import zipfile
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import pytest

from builder.config.recipe import Checks, CxxAbi, Sizes
from smoke.previous import read_release
from smoke.report import Report
from smoke.runner import Request, check_artifact, subject_of
from smoke.subject import Expectations
from smoke.together import check_together
from tests.data import make_elf, make_pe
from tests.data.make_elf import Elf
from tests.data.make_pe import Pe

LINUX = "own-1.0-cp311-cp311-manylinux_2_28_x86_64.whl"
WINDOWS = "own-1.0-cp311-cp311-win_amd64.whl"
ARM64 = 0xAA64
OLD = "_ZN3own1fESs"
NEW = "_ZN3own1fENSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE"
SYSTEM = ("libc.so.6",)

Files = Mapping[str, bytes]


def elf(
    *needed: str, soname: str = "", runpath: str | None = None, offers: tuple[str, ...] = (),
    words: bytes = b"", opens: bool = False, versions: tuple[tuple[str, str, str], ...] = (),
) -> bytes:  # fmt: skip
    """One small library for Linux."""
    return make_elf.assemble(
        Elf(
            needed=(*needed, *SYSTEM),
            soname=soname,
            runpath=runpath,
            defined=offers,
            undefined=(*versions, *((("dlopen", "", ""),) if opens else ())),
            sections=((".rodata", b"\0" + words + b"\0"),) if words else (),
        )
    )


def dll(*needed: str, machine: int = 0x8664) -> bytes:
    imports = tuple((name, ("function",)) for name in ("KERNEL32.dll", *needed))
    return make_pe.assemble(Pe(imports=imports, machine=machine))


def wheel(folder: Path, name: str, files: Files, *, record: str = "") -> Path:
    """A wheel whose metadata and RECORD are true, unless another RECORD is given."""
    info = "own-1.0.dist-info"
    tags = name.removesuffix(".whl").split("-", 2)[2]
    whole = {
        **files,
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: own\nVersion: 1.0\n",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {tags}\n".encode(),
    } | {path: content for path, content in files.items() if path.endswith("/METADATA")}
    rows = "".join(f"{path},{_digest(content)},{len(content)}\n" for path, content in whole.items())
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / name, "w") as archive:
        for path, content in whole.items():
            archive.writestr(path, content)
        archive.writestr(f"{info}/RECORD", record or f"{rows}{info}/RECORD,,\n")
    return folder / name


def _digest(content: bytes) -> str:
    return f"sha256={urlsafe_b64encode(sha256(content).digest()).decode().rstrip('=')}"


def zipped(folder: Path, name: str, files: Files) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / name, "w") as archive:
        for path, content in files.items():
            archive.writestr(path, content)
    return folder / name


@dataclass(frozen=True)
class Incident:
    """What was shipped, the check that sees it, and words of what it says. `before` was the release before."""

    files: Files
    check: str
    words: str
    name: str = LINUX
    before: Files = field(default_factory=dict)
    checks: Checks = field(default_factory=Checks)
    record: str = ""


MODULE = "own/_C.cpython-311-x86_64-linux-gnu.so"
INCIDENTS = {
    "two OpenMP runtimes, one of them renamed: one thread, wrong results (98836, 149422)": Incident(
        {
            MODULE: elf("libgomp-a34b3233.so.1", runpath="$ORIGIN/lib"),
            "own/lib/libgomp-a34b3233.so.1": elf(soname="libgomp-a34b3233.so.1"),
            "own/lib/libgomp.so.1": elf(soname="libgomp.so.1"),
        },
        "duplicate.runtime", "2 copies of libgomp",
    ),
    "a library renamed that another opens by name: nvrtc-builtins (58101, 93134)": Incident(
        {
            MODULE: elf("libnvrtc-0123abcd.so.12", runpath="$ORIGIN/lib"),
            "own/lib/libnvrtc-0123abcd.so.12": elf(
                soname="libnvrtc-0123abcd.so.12", words=b"libnvrtc-builtins.so.12", opens=True
            ),
            "own/lib/libnvrtc-builtins-89abcdef.so.12": elf(soname="libnvrtc-builtins-89abcdef.so.12"),
        },
        "link.renamed", "libnvrtc-builtins.so.12",
    ),
    "an rpath that was lost: libcupti, nvjitlink (74473, 141467)": Incident(
        {MODULE: elf("libcupti.so.12"), "own/lib/libcupti.so.12": elf(soname="libcupti.so.12")},
        "link.needed", "needs `libcupti.so.12`, found nowhere",
    ),
    "a library with the other C++ ABI than users compile with (17492, 13541)": Incident(
        {"own/lib/libown.so": elf(soname="libown.so", offers=(OLD,))},
        "abi.cxx11", "libown.so",
        checks=Checks(abi=CxxAbi(cxx11=True, namespaces=("own",))),
    ),
    "a wheel too big for the index, noticed after three months (159516, pypi/support 2341)": Incident(
        {"own/weights.bin": bytes(3 << 20)},
        "size.budget", LINUX,
        checks=Checks(size=Sizes(budget={"*.whl": 1 << 20})),
    ),
    "a library stripped after RECORD was written (47916, vision 6869)": Incident(
        {MODULE: elf()},
        "wheel.record", MODULE,
        record=f"{MODULE},{_digest(b'as it was before')},16\n",
    ),
    "a tag that lies about the C library (38624, 135867)": Incident(
        {MODULE: elf(versions=(("pidfd_getpid", "GLIBC_2.39", "libc.so.6"),))},
        "link.baseline", "pidfd_getpid@GLIBC_2.39",
    ),
    "Windows x64 users got libraries for Arm (187812)": Incident(
        {"own/_C.cp311-win_amd64.pyd": dll(machine=ARM64)},
        "wheel.tags", "is for arm64", name=WINDOWS,
    ),
    "a nightly for Windows without the DLLs of cuDNN (181375)": Incident(
        {"own/lib/torch_cuda.dll": dll("cudnn64_9.dll")},
        "link.needed", "cudnn64_9.dll", name=WINDOWS,
    ),
    "a static archive without its libraries, for years (20963, 56901)": Incident(
        {"libown/include/own.h": b"", "libown/lib/libc10.a": b"!<arch>\n"},
        "diff.files", "lib/libown.a: is gone", name="libown-static-with-deps-1.1.zip",
        before={
            "libown/include/own.h": b"", "libown/lib/libc10.a": b"!<arch>\n",
            "libown/lib/libown.a": b"!<arch>\n",
        },
    ),
    "an invalid zip was published (32349)": Incident(
        {"own/../../../etc/passwd": b"x"}, "archive.readable", "..",
    ),
}  # fmt: skip


def made(folder: Path, name: str, files: Files, record: str = "") -> Path:
    if name.endswith(".whl"):
        return wheel(folder, name, files, record=record)
    return zipped(folder, name, files)


def checked(folder: Path, incident: Incident) -> Report:
    previous = None
    if incident.before:
        previous = read_release(made(folder / "before", incident.name, incident.before))
    path = made(folder, incident.name, incident.files, incident.record)
    known = Expectations(previous=previous)
    return check_artifact(subject_of(Request(path, incident.checks, known)))


@pytest.mark.parametrize("incident", INCIDENTS.values(), ids=INCIDENTS)
def test_it_is_caught_before_it_is_published(tmp_path: Path, incident: Incident) -> None:
    report = checked(tmp_path, incident)

    found = {one.id: one for one in report.results}[incident.check]
    assert found.status in {"fail", "warn"}
    assert any(incident.words in problem for problem in found.problems), found.problems
    assert found.remedy


def test_metadata_that_differs_between_wheels_of_one_version(tmp_path: Path) -> None:
    """Resolvers read one wheel and believe it for all (100974, 146679)."""
    head = b"Metadata-Version: 2.1\nName: own\nVersion: 1.0\n"
    names = (LINUX, LINUX.replace("cp311", "cp312"))
    paths = [
        wheel(tmp_path, name, {"own-1.0.dist-info/METADATA": head + extra})
        for name, extra in zip(names, (b"", b"Requires-Dist: triton==3.0\n"), strict=True)
    ]

    report = check_together([subject_of(Request(path)) for path in paths])

    assert report is not None
    found = {one.id: one for one in report.results}["set.metadata"]
    assert found.status == "fail"
    assert "triton" in " ".join(found.problems)
