"""Every check that looks at bytes, as a table: what it passes and what it complains about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from builder.archive.record import encode_digest
from builder.binary import Binary, Flaw, FlawKind, VersionNeed
from builder.config.recipe import Bundle, Checks, Sibling, Waiver
from smoke.checks import CATALOGUE
from smoke.claims import name_of
from smoke.content import SITE
from smoke.runner import check_artifact
from smoke.runtimes import family
from smoke.subject import Content, Expectations, Kind, Member, Subject, Trace

NAME = "tiny-1.0-cp311-cp311-manylinux_2_17_x86_64.whl"
DIGEST = encode_digest(b"\0" * 32)
TORCH = Bundle(siblings=(Sibling("torch", ("libtorch*", "libc10.so"), "torch/lib"),))
TEXTS = {
    "tiny-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: Tiny\nVersion: 1.0\n",
    "tiny-1.0.dist-info/WHEEL": "Root-Is-Purelib: false\nTag: cp311-cp311-manylinux_2_17_x86_64\n",
}


TODAY = date(2026, 6, 15)
KNOWN = Expectations(build_paths=("/made",), architectures=("80",), bundle=TORCH, today=TODAY)
BORNE = Checks(waivers=(Waiver("never", "*", "known", TODAY),))
LATE = Checks(waivers=(Waiver("never", "*", "known", date(2026, 6, 14)),))


def binary(
    needed: tuple[str, ...] = (),
    runpath: tuple[str, ...] = (),
    *,
    rpath: tuple[str, ...] = (),
    soname: str = "",
    machine: str = "x86_64",
    versions: tuple[VersionNeed, ...] = (),
    textrel: bool = False,
    stack: bool = False,
    cuda: tuple[str, ...] = (),
) -> Binary:
    return Binary(
        "elf", machine, 64, "little", "shared", soname=soname, needed=needed, rpath=rpath,
        runpath=runpath, versions_needed=versions, text_relocations=textrel,
        executable_stack=stack, cuda_architectures=cuda,
    )  # fmt: skip


def content(
    binaries: Mapping[str, Binary] | None = None,
    texts: Mapping[str, str] = TEXTS,
    *,
    files: tuple[str, ...] = (),
    traces: tuple[Trace, ...] = (),
    record: str | None = None,
    installed: Mapping[str, str] | None = None,
    flaws: tuple[Flaw, ...] = (),
) -> Content:
    """A content whose RECORD is right, unless one is given."""
    names = [*(binaries or {}), *files, *texts]
    places = installed or {}
    members = tuple(
        Member(
            name,
            places.get(name, f"{SITE}/{name}"),
            1,
            DIGEST,
            (binaries or {}).get(name),
            traces,
            flaws=flaws if name in (binaries or {}) else (),
        )
        for name in names
    )
    path = "tiny-1.0.dist-info/RECORD"
    right = "".join(f"{name},{DIGEST},1\n" for name in names) + f"{path},,\n"
    text = right if record is None else record
    return Content(
        (*members, Member(path, f"{SITE}/{path}", 1, DIGEST)), texts={**texts, path: text}
    )


def statuses(
    found: Content,
    name: str = NAME,
    kind: Kind = "wheel",
    expectations: Expectations | None = None,
    checks: Checks = BORNE,
) -> dict[str, tuple[str, tuple[str, ...]]]:
    claimed = name_of(name)
    told = replace(found, claimed=claimed.platforms if claimed and kind == "wheel" else ())
    subject = Subject(
        Path(name), kind, told, checks=checks, expectations=expectations or Expectations()
    )
    report = check_artifact(subject)
    return {result.id: (result.status, result.problems) for result in report.results}


EXTENSION = "tiny/_x.cpython-311-x86_64-linux-gnu.so"
LIBRARY = "tiny.libs/libdep-0123abcd.so.1"
GLIBC = (VersionNeed("libc.so.6", "GLIBC_2.17", ("memcpy",)),)
SOUND = content(
    {
        EXTENSION: binary(
            ("libdep-0123abcd.so.1", "libc.so.6"), ("$ORIGIN/../tiny.libs",),
            versions=GLIBC, cuda=("sm_80", "compute_80"),
        ),
        LIBRARY: binary(("libc.so.6",), soname="libdep-0123abcd.so.1"),
    },
    files=("tiny/__init__.py",),
)  # fmt: skip
FOREIGN = {
    "binary.signature": "there is no Mach-O or PE file in it",
    "binary.checksum": "there is no PE file in it",
    "binary.slices": "there is no file for several machines in it",
}
"""The checks for files that Linux does not have, and what they say to its wheels."""


ELSEWHERE = (
    "leak.secrets", "leak.build-paths", "metadata.*", "link.renamed", "link.forbidden",
    "symbol.*", "abi.*", "cmake.*", "size.*", "diff.*",
)  # fmt: skip
"""Checks whose samples are whole packages: `test_smoke_rows.py`."""


def _here() -> set[str]:
    """The checks on bytes whose samples are below."""
    return {
        check.id
        for check in CATALOGUE
        if check.needs == "artifact" and not any(fnmatchcase(check.id, glob) for glob in ELSEWHERE)
    }


def test_a_sound_wheel_passes_every_check() -> None:
    found = statuses(SOUND, expectations=KNOWN)

    assert {id_: found[id_][0] for id_ in _here()} == {
        id_: "skip" if id_ in {*FOREIGN, "version.age"} else "pass" for id_ in _here()
    }  # it is no nightly; those have a table of their own


def _one(file: str, one: Binary) -> Content:
    return content({file: one})


def _texts(metadata: str = "", wheel: str = "") -> Content:
    metadata_path, wheel_path = TEXTS
    return content(
        texts={
            metadata_path: metadata or TEXTS[metadata_path],
            wheel_path: wheel or TEXTS[wheel_path],
        }
    )


def _flawed(kind: FlawKind, text: str, *, fatal: bool = False) -> Content:
    return content({EXTENSION: binary()}, flaws=(Flaw(kind, text, fatal),))


def _universal(**differs: str | tuple[str, ...]) -> Content:
    parts = tuple(
        Binary("macho", machine, 64, "little", "shared", needed=("@rpath/libz.dylib",))
        for machine in ("arm64", "x86_64")
    )
    first = replace(parts[0], **differs)  # type: ignore[arg-type]  # the rows below are right
    whole = replace(parts[0], machine="universal2", slices=(first, parts[1]))
    return content({"tiny/_x.cpython-311-darwin.so": whole})


def _needs(version: str, *symbols: str, library: str = "libc.so.6") -> Content:
    return _one(EXTENSION, binary(versions=(VersionNeed(library, version, symbols),)))


FAILURES = {
    "archive.readable": (
        (Content((), faults=("../a: escapes",)), "../a: escapes"),
    ),
    "wheel.record": (
        (content(record="tiny-1.0.dist-info/RECORD,,\n"), "METADATA: in the wheel but not listed"),
        (content(texts=TEXTS, record=f"gone.py,{DIGEST},1\n"), "gone.py: listed in RECORD but not"),
        (Content(()), "has no RECORD"),
    ),
    "wheel.name": (
        (_texts("Name: other\nVersion: 1.0\n"), "METADATA: Name is `other`"),
        (_texts("Name: tiny\nVersion: 1.1\n"), "METADATA: Version is `1.1`"),
        (_texts("Name: tiny\nVersion: nonsense\n"), "METADATA: Version is `nonsense`"),
        (_texts(f"Name: tiny\nVersion: {'9' * 5000}\n"), "METADATA: Version is `999"),
        (_texts("Name: tiny\n"), "has 0 `Version` fields"),
        (_texts(wheel="Tag: cp311-cp311-linux_x86_64\n"), "WHEEL: has the tags"),
        (_texts(wheel="Tag: nonsense\n"), "WHEEL: has the tags []"),
        (content(files=("other-1.dist-info/x",)), "holds 2 .dist-info folders"),
        (content(texts={}), "has no METADATA"),
    ),
    "wheel.tags": (
        (_one(EXTENSION, binary(machine="aarch64")), f"{EXTENSION}: is for aarch64"),
        (_one("tiny/a.so", binary(machine="aarch64")), "tiny/a.so: is for aarch64"),
        (
            _one("tiny/_x.cpython-310-x86_64-linux-gnu.so", binary()),
            "imports on cp310 only, the wheel claims cp311-cp311",
        ),
    ),
    "link.needed": (
        (
            _one(EXTENSION, binary(("libdep.so.1",), ("$ORIGIN/../lib",))),
            f"({EXTENSION} -> libdep.so.1; searched `{SITE}/lib`)",
        ),
        (_one(EXTENSION, binary(("libdep.so.1",))), "searched no search path at all"),
        (_one(EXTENSION, binary(("libc10.so",))), "no rpath reaches `torch/lib`"),
    ),
    "link.search": (
        (_one(EXTENSION, binary(runpath=("",))), "is empty"),
        (_one(EXTENSION, binary(rpath=("/opt/lib",))), "`/opt/lib` is absolute"),
        (_one(EXTENSION, binary(runpath=("/made/a",))), "folder of the building machine"),
        (_one(EXTENSION, binary(runpath=("lib",))), "depends on the current folder"),
        (
            _one(EXTENSION, binary(runpath=("/opt/a", "$ORIGIN", "/opt/b"))),
            f"{EXTENSION}: rpath entries `/opt/a`, `/opt/b`: each is absolute",
        ),
        (_one(EXTENSION, binary(runpath=("$ORIGIN/../..",))), "leaves site-packages"),
        (_one(EXTENSION, binary(runpath=("${ORIGIN}/../../../../..",))), "leaves the environment"),
    ),
    "link.baseline": (
        (_needs("GLIBC_2.34", "dlopen"), "takes dlopen@GLIBC_2.34 from `libc.so.6`"),
        (
            _needs("GLIBC_2.34", *"abcdefg"),
            "takes a@GLIBC_2.34, b@GLIBC_2.34, c@GLIBC_2.34, d@GLIBC_2.34, e@GLIBC_2.34 and 2 more",
        ),
        (_needs("GLIBC_2.34"), "GLIBC_2.34"),
        (_needs("GLIBC_PRIVATE", "x"), "GLIBC_PRIVATE"),
        (_needs("GLIBC_ABI_DT_RELR"), "GLIBC_ABI_DT_RELR"),
    ),
    "binary.layout": ((_flawed("layout", "load 1: is bad", fatal=True), f"{EXTENSION}: load 1: is"),),
    "binary.signature": (
        (_flawed("signature", "has no signature", fatal=True), f"{EXTENSION}: has no signature"),
    ),
    "binary.slices": (
        (_universal(kind="executable"), "x86_64 is of kind shared, arm64 executable"),
        (_universal(soname="a.dylib"), "x86_64 is called ``, arm64 `a.dylib`"),
    ),
    "binary.execstack": ((_one(EXTENSION, binary(stack=True)), "executable stack"),),
    "binary.textrel": ((_one(EXTENSION, binary(textrel=True)), "TEXTREL"),),
    "leak.paths": (
        (content(traces=(Trace(16, "/made/a.c"),)), "byte 0x10 names the building machine"),
    ),
    "duplicate.runtime": (
        (
            content({"a.libs/libgomp-0123abcd.so.1": binary(), "b/libgomp.so.1": binary()}),
            "a.libs/libgomp-0123abcd.so.1: 2 copies of libgomp",
        ),
        (
            content({f"a.libs/libgomp-{one}.so.1": binary() for one in ("0123abcd-89ab4567", "0123abcd")}),
            "2 copies of libgomp",
        ),
    ),
    "cuda.architectures": (
        (_one(EXTENSION, binary(cuda=("sm_80",))), "lacks device code for compute_80"),
        (content(), "has no device code, wanted compute_80, sm_80"),
    ),
    "cuda.driver": (
        (_one(EXTENSION, binary(runpath=("$ORIGIN/lib/stubs",))), "is a folder of stubs"),
        (_one("tiny.libs/libcuda-0123abcd.so.1", binary()), "is a library of the driver"),
        (_one("tiny/nvcuda.dll", binary()), "is a library of the driver"),
    ),
}  # fmt: skip
WARNINGS = {
    "archive.readable": (
        (content(files=("a/B.py", "a/b.py")), "differs from `a/B.py` only in case"),
    ),
    "wheel.tags": (
        (
            content({EXTENSION: binary(), "tiny/device.so": binary(machine="aarch64")}),
            "tiny/device.so: is for aarch64",
        ),
    ),
    "binary.pages": ((_flawed("pages", "is aligned to 4 KiB"), "is aligned to 4 KiB"),),
    "binary.relro": ((_flawed("relro", "has no RELRO"), "has no RELRO"),),
    "binary.signature": ((_flawed("signature", "is for others"), f"{EXTENSION}: is for others"),),
    "binary.checksum": ((_flawed("checksum", "is stale"), f"{EXTENSION}: is stale"),),
    "binary.slices": (
        (
            _universal(needed=("@rpath/libz.dylib", "@rpath/liby.dylib")),
            "only one of arm64 and x86_64 needs @rpath/liby.dylib",
        ),
    ),
    "cuda.ptx": (
        (_one(EXTENSION, binary(cuda=("sm_80",))), "up to sm_80 and has no PTX"),
        (
            _one(EXTENSION, binary(cuda=("sm_80", "compute_80", "sm_90a", "compute_90a"))),
            "up to sm_90 and its newest PTX is compute_80",
        ),
    ),
    "cuda.driver": (
        (_one(EXTENSION, binary(("libcuda.so.1",))), "does not load where there is no driver"),
    ),
    "binary.readable": ((Content((), damaged=("a.so: cut off",)), "a.so: cut off"),),
    "duplicate.runtime": (
        (
            content({"a.libs/libgcc_s-0123abcd.so.1": binary(), "b/libgcc_s.so.1": binary()}),
            "a.libs/libgcc_s-0123abcd.so.1: 2 copies of libgcc_s",
        ),
    ),
    "link.search": (
        (_one(EXTENSION, binary(runpath=("$ORIGIN/../other/lib",))), "leads to `other/lib`"),
    ),
    "cuda.architectures": (
        (_one(EXTENSION, binary(cuda=("sm_80", "compute_80", "sm_90", "lto_90"))), "for sm_90"),
    ),
}


def _table(
    samples: Mapping[str, tuple[tuple[Content, str], ...]],
) -> list[tuple[str, Content, str]]:
    return [(id_, found, text) for id_, rows in samples.items() for found, text in rows]


@pytest.mark.parametrize(("id_", "found", "text"), _table(FAILURES))
def test_what_is_wrong_is_reported(id_: str, found: Content, text: str) -> None:
    status, problems = statuses(found, expectations=KNOWN)[id_]

    assert status == "fail"
    assert any(text in problem for problem in problems), problems


@pytest.mark.parametrize(("id_", "found", "text"), _table(WARNINGS))
def test_what_is_doubtful_is_a_warning(id_: str, found: Content, text: str) -> None:
    status, problems = statuses(found, expectations=KNOWN)[id_]

    assert status == "warn"
    assert any(text in problem for problem in problems), problems


def test_every_check_on_bytes_has_a_sample_it_complains_about() -> None:
    assert _here() == set(FAILURES) | set(WARNINGS) | {"recipe.waivers", "version.age"}


def test_a_waiver_beyond_its_day_fails() -> None:
    status, problems = statuses(SOUND, expectations=KNOWN, checks=LATE)["recipe.waivers"]

    assert (status, problems) == ("fail", ("never: the waiver of `*` ended on 2026-06-14 (known)",))


@pytest.mark.parametrize(
    ("kind", "texts"),
    [
        ("wheel", {"tiny-1.0.dist-info/METADATA": "Name: tiny\nVersion: {}\n"}),
        ("conda", {"info/index.json": '{{"version": "{}"}}'}),
        ("archive", {"tiny/build-content.json": '{{"version": "{}"}}'}),
    ],
)
@pytest.mark.parametrize(
    ("version", "status", "text"),
    [
        ("1.0.dev20260615", "pass", ""),
        ("1.0.dev20260613+cpu", "pass", ""),
        ("1.0.dev20260612", "fail", "`1.0.dev20260612` is 3 days old, 2 are allowed"),
        ("1.0.dev20260616", "fail", "`1.0.dev20260616` is of a day to come"),
        ("1.0.dev20261345", "fail", "`1.0.dev20261345` names no day of the calendar"),
        ("1.0", "skip", ""),
        ("1.0.dev7", "skip", ""),
    ],
)
def test_a_nightly_may_not_be_old(
    kind: Kind, texts: Mapping[str, str], version: str, status: str, text: str
) -> None:
    found = content(texts={name: one.format(version) for name, one in texts.items()})

    told = statuses(found, kind=kind, expectations=KNOWN, checks=Checks(nightly_age=2))

    assert told["version.age"][0] == status
    assert text in " ".join(told["version.age"][1])


@pytest.mark.parametrize(
    ("version", "library", "status"),
    [
        ("GLIBC_2.17", "libc.so.6", "pass"),
        ("GLIBC_2.18", "libc.so.6", "fail"),
        ("GLIBCXX_3.4.19", "libstdc++.so.6", "pass"),
        ("GLIBCXX_3.4.30", "libstdc++.so.6", "fail"),
        ("UNKNOWN_9", "libc.so.6", "pass"),
    ],
)
def test_the_policy_decides_on_every_family(version: str, library: str, status: str) -> None:
    found = statuses(_needs(version, "x", library=library))

    assert found["link.baseline"][0] == status


def test_versions_of_a_library_in_the_wheel_are_its_own_affair() -> None:
    need = VersionNeed("libstdc++-0123abcd.so.6", "GLIBC_9.9", ("x",))
    found = content(
        {
            EXTENSION: binary(versions=(need,)),
            "tiny.libs/libstdc++-0123abcd.so.6": binary(soname="libstdc++-0123abcd.so.6"),
        }
    )

    assert statuses(found)["link.baseline"][0] == "pass"


def test_the_lowest_claimed_tag_counts() -> None:
    name = "tiny-1.0-cp311-cp311-manylinux_2_17_x86_64.manylinux_2_34_x86_64.whl"

    status, problems = statuses(_needs("GLIBC_2.34", "dlopen"), name)["link.baseline"]

    assert status == "fail"
    assert problems[0].endswith("which `manylinux_2_17_x86_64` does not promise")


@pytest.mark.parametrize("file", ["tiny-1.0-cp311-cp311-linux_x86_64.whl", "nonsense.whl"])
def test_without_a_claim_there_is_no_baseline_and_a_gap_only_warns(file: str) -> None:
    found = statuses(_one(EXTENSION, binary(("libdep.so.1",))), file)

    assert found["link.baseline"][0] == "skip"
    assert found["link.needed"][0] == "warn"


def test_declared_libraries_are_not_missing() -> None:
    found = _one(EXTENSION, binary(("libcuda.so.1", "libtorch_cpu.so"), ("$ORIGIN/../torch/lib",)))
    bundle = Bundle(exclude=("libcuda.so.*",), siblings=TORCH.siblings)

    result = statuses(found, expectations=Expectations(bundle=bundle))

    assert result["link.needed"] == ("pass", ())
    assert result["link.search"] == ("pass", ())


@pytest.mark.parametrize(
    "codes",
    [
        ("sm_80", "compute_80"),
        ("sm_80", "sm_90a", "compute_90"),
        ("sm_80", "compute_90"),
        ("lto_80",),
    ],
)
def test_ptx_of_the_newest_architecture_is_enough(codes: tuple[str, ...]) -> None:
    assert statuses(_one(EXTENSION, binary(cuda=codes)))["cuda.ptx"][0] == "pass"


def test_a_driver_that_is_excluded_or_comes_late_is_no_matter() -> None:
    late = replace(binary(("nvcuda.dll",)), delayed=("nvcuda.dll",))
    excluded = Expectations(bundle=Bundle(exclude=("libcuda.so.*",)))

    assert statuses(_one(EXTENSION, late))["cuda.driver"][0] == "pass"
    found = statuses(_one(EXTENSION, binary(("libcuda.so.1",))), expectations=excluded)
    assert found["cuda.driver"][0] == "pass"


def test_a_folder_may_search_itself_and_nothing_else() -> None:
    places = {"lib/a.so": "lib/a.so", "bin/a": "bin/a"}
    inside = content(
        {"lib/a.so": binary(), "bin/a": binary(("a.so",), ("$ORIGIN/../lib",))},
        {},
        installed=places,
    )
    outside = content({"bin/a": binary((), ("$ORIGIN/../../lib",))}, {}, installed=places)

    assert statuses(inside, "tree", "folder")["link.search"][0] == "pass"
    assert statuses(inside, "tree", "folder")["link.needed"][0] == "pass"
    assert "leaves the folder" in statuses(outside, "tree", "folder")["link.search"][1][0]


def test_a_script_may_search_site_packages() -> None:
    path = "tiny-1.0.data/scripts/tool"
    found = content(
        {path: binary(runpath=("$ORIGIN/../lib",))}, TEXTS, installed={path: "bin/tool"}
    )

    assert statuses(found)["link.search"][0] == "pass"


@pytest.mark.parametrize(
    ("name", "member", "status"),
    [
        ("a-1-cp38-abi3-linux_x86_64.whl", "a.abi3.so", "pass"),
        ("a-1-cp38-abi3-linux_x86_64.whl", "a.cpython-38-x86_64-linux-gnu.so", "warn"),
        ("a-1-py3-none-linux_x86_64.whl", "a.cpython-38-x86_64-linux-gnu.so", "warn"),
        ("a-1-py3-none-linux_x86_64.whl", "lib_a.so", "pass"),
        ("a-1-cp37-cp37m-linux_x86_64.whl", "a.cpython-37m-x86_64-linux-gnu.so", "pass"),
        ("a-1-cp313-cp313t-linux_x86_64.whl", "a.cpython-313t-x86_64-linux-gnu.so", "pass"),
        ("a-1-cp313-cp313t-linux_x86_64.whl", "a.cpython-312-x86_64-linux-gnu.so", "fail"),
        ("a-1-py3-none-any.whl", "a.so", "fail"),
    ],
)
def test_extension_names_fit_the_tags(name: str, member: str, status: str) -> None:
    assert statuses(content({member: binary()}), name)["wheel.tags"][0] == status


def test_a_binary_in_a_pure_wheel_is_doubtful() -> None:
    found = content({EXTENSION: binary()}, {"tiny-1.0.dist-info/WHEEL": "Root-Is-Purelib: true\n"})

    assert statuses(found)["wheel.tags"][0] == "warn"


def test_a_file_that_is_named_otherwise_fails_one_check() -> None:
    found = statuses(SOUND, "tiny.whl")

    assert found["wheel.name"][0] == "fail"
    assert found["wheel.tags"][0] == "skip"


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("a.libs/libgomp-a34b3233.so.1.0.0", "libgomp"),
        ("libgomp.so.1", "libgomp"),
        ("libstdc++.so.6", "libstdc++"),
        ("libgcc_s-0908ffa1.so.1", "libgcc_s"),
        ("scipy.libs/libgfortran-040039e1-0352e75f.so.5.0.0", "libgfortran"),
        ("nvidia/cuda_runtime/lib/libcudart.so.12", "libcudart"),
        ("libiomp5.so", "libiomp5"),
        ("torch/lib/libc++.so.1", "libc++"),
        ("libc++abi-0123abcd.so.1.0", "libc++abi"),
        ("torch/.dylibs/libomp.dylib", "libomp"),
        ("/usr/lib/libc++.1.dylib", "libc++"),
        ("libomptarget.dylib", ""),
        ("libgompx.so.1", ""),
        ("_x.cpython-311-x86_64-linux-gnu.so", ""),
    ],
)
def test_runtimes_are_known_by_all_their_names(file: str, name: str) -> None:
    assert family(file) == name


def test_nothing_to_look_at_is_skipped_with_a_reason() -> None:
    subject = Subject(Path(NAME), "wheel", content())

    skipped = {
        r.id: r.reason
        for r in check_artifact(subject).results
        if r.status == "skip" and r.id in _here()
    }

    assert skipped == {
        "recipe.waivers": "the recipe bears no problems",
        "version.age": "the recipe does not say how old a nightly may be (`check.nightly-age`)",
        "link.needed": "there is no binary in it",
        "link.search": "there is no binary in it that has search paths",
        "link.baseline": "the wheel claims no platform that promises anything",
        **FOREIGN,
        "binary.layout": "there is no ELF file in it",
        "binary.pages": "there is no ELF file in it",
        "binary.relro": "there is no ELF file in it",
        "binary.execstack": "there is no binary in it",
        "binary.textrel": "there is no binary in it",
        "leak.paths": "the folders of the build are not known here",
        "duplicate.runtime": "there is no binary in it",
        "cuda.architectures": "no CUDA architectures were asked for",
        "cuda.ptx": "there is no device code in it",
        "cuda.driver": "there is no binary in it",
    }
