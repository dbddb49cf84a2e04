"""Good packages of every format, and what one broken thing does to each: exactly one check sees it."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from builder.archive.content import Content as Manifest
from builder.archive.content import Item, role_of
from builder.config.recipe import Bundle, Checks, CxxAbi, Sibling, Sizes
from smoke.catalogue import choose
from smoke.checks import CATALOGUE
from smoke.previous import read_release
from smoke.report import Report
from smoke.runner import Request, check_artifact, subject_of
from smoke.subject import Expectations
from smoke.together import check_together
from tests.data import make_macho, make_pe
from tests.data.make_elf import Elf, assemble
from tests.data.make_macho import Macho
from tests.data.make_pe import Pe

Files = Mapping[str, bytes | None]

GLOBS = (
    "leak.secrets", "leak.build-paths", "metadata.*", "link.renamed", "link.forbidden",
    "symbol.*", "abi.*", "cmake.*", "size.*", "diff.*",
)  # fmt: skip
ROWS = choose(CATALOGUE, GLOBS)
INFO = "own-1.0.dist-info"
NEW = "_ZN3own1fENSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE"
OLD = "_ZN3own1fESs"
VIEW = "_ZN3own1hESt17basic_string_viewIcSt11char_traitsIcEE"
OWN = Elf(
    soname="libown.so.1",
    needed=("libsib.so", "libdep-0123abcd.so.1", "libc.so.6"),
    runpath="$ORIGIN",
    undefined=(("dlopen", "", ""),),
    defined=(NEW, VIEW, "own_open"),
    sections=((".rodata", b"\0libm.so.6\0"),),
)
DEP = Elf(soname="libdep-0123abcd.so.1", needed=("libc.so.6",), defined=("dep",))
NAMES = {
    "wheel": "own-1.0-cp311-cp311-linux_x86_64.whl",
    "conda": "own-1.0-0.tar.bz2",
    "new-conda": "own-1.0-0.conda",
    "tar": "own-1.0.tar.gz",
    "zip": "own-1.0.zip",
    "folder": "own",
}
SIBLING = Bundle(siblings=(Sibling("sibling", ("libsib.so",), "sibling", "sibling==2.0"),))
WANTED = Checks(
    forbidden_libraries=("libopenblas*",),
    forbidden_symbols=("*8protobuf*",),
    abi=CxxAbi(cxx11=True, namespaces=("own",), at_least=1),
    size=Sizes({"own*": 1 << 20}, growth=50.0),
)


def bill(digest: str, place: str = "own.libs/libdep-0123abcd.so.1") -> bytes:
    component = {
        "name": "dep",
        "hashes": [{"alg": "SHA-256", "content": digest}],
        "evidence": {"occurrences": [{"location": place}]},
    }
    head = {"bomFormat": "CycloneDX", "specVersion": "1.6"}
    return json.dumps({**head, "components": [component]}).encode()


TREE: dict[str, bytes] = {
    "own/__init__.py": b"",
    "own/lib/libown.so": assemble(OWN),
    "own.libs/libdep-0123abcd.so.1": assemble(DEP),
    "own/include/own.h": b"void own_open();\n",
    "own/cmake/own.cmake": b'set(F "-D_GLIBCXX_USE_CXX11_ABI=1")\nset(P "${DIR}/home/me/")\n',
    "own/pkgconfig/own.pc": b"prefix=${pcfiledir}/..\n",
    "own/bin/own-config": b"#!/bin/sh\necho -L$(dirname $0)/../lib\n",
}
METADATA = b"Metadata-Version: 2.1\nName: own\nVersion: 1.0\nRequires-Dist: sibling (==2.0)\n"
PAPERS: dict[str, bytes] = {
    f"{INFO}/METADATA": METADATA,
    f"{INFO}/entry_points.txt": b"[console_scripts]\nown = own:main\n[other]\nspace = own.lib\n",
    f"{INFO}/licenses/grafted/dep/copyright": b"free",
    f"{INFO}/sboms/own.cdx.json": bill(sha256(TREE["own.libs/libdep-0123abcd.so.1"]).hexdigest()),
}


def pack(folder: Path, kind: str, files: Mapping[str, bytes]) -> Path:
    """A package of one format with these files."""
    path = folder / NAMES[kind]
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind in {"wheel", "zip"}:
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    elif kind == "folder":
        for name, content in files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(content)
    elif kind == "new-conda":
        import zstandard  # for one format only

        inner = zstandard.ZstdCompressor().compress(tar(files, "w"))
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("metadata.json", b'{"conda_pkg_format_version": 2}')
            archive.writestr("pkg-own-1.0-0.tar.zst", inner)
            archive.writestr("info-own-1.0-0.tar.zst", zstandard.compress(tar({}, "w")))
    else:
        path.write_bytes(tar(files, "w:bz2" if kind == "conda" else "w:gz"))
    return path


def tar(files: Mapping[str, bytes], mode: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]  # the stubs want a literal mode
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def files_of(kind: str, changes: Files) -> dict[str, bytes]:
    papers = PAPERS if kind == "wheel" else {}
    changed = {**TREE, **papers, **changes}
    return {name: content for name, content in changed.items() if content is not None}


def look(path: Path, before: Path | None = None, checks: Checks = WANTED) -> Report:
    previous = read_release(before) if before is not None else None
    known = Expectations(bundle=SIBLING, previous=previous)
    return check_artifact(subject_of(Request(path, checks, known)), ROWS)


def complaints(report: Report) -> dict[str, tuple[str, ...]]:
    return {one.id: one.problems for one in report.results if one.status not in {"pass", "skip"}}


@pytest.mark.parametrize(
    ("spoken", "told"),
    [
        (b"libcrypto.so.1.1", "libcrypto.so.1.1"),
        (b"libcrypto.so", "libcrypto.so"),
        (b"libcrypto.so\0libcrypto.so.1.1", "libcrypto.so.1.1"),
    ],
    ids=["a version with a letter", "no version", "the longest"],
)
def test_a_renamed_library_is_told_by_the_name_that_is_opened(
    tmp_path: Path, spoken: bytes, told: str
) -> None:
    files = {
        LIBRARY: assemble(replace(OWN, sections=((".rodata", b"\0" + spoken + b"\0"),))),
        "own.libs/libcrypto-0123abcd.so.1.1.1k": assemble(DEP),
    }

    report = look(pack(tmp_path, "zip", files_of("zip", files)))

    assert complaints(report) == {
        "link.renamed": (
            (
                f"{LIBRARY}: may open `{told}` by name, "
                "which is here only as `own.libs/libcrypto-0123abcd.so.1.1.1k`"
            ),
        ),
    }


@pytest.mark.parametrize(
    ("library", "component"),
    [
        ("liblber-0123abcd.so.2.0.200", "libldap"),
        ("liblber-0123abcd.so.2.0.200", "openldap"),
        ("libpq-0123abcd.so.5.17", "postgresql-libs"),
    ],
)
def test_a_library_is_spoken_of_by_the_name_of_its_project(
    tmp_path: Path, library: str, component: str
) -> None:
    place, other = f"own.libs/{library}", "own.libs/libdep-0123abcd.so.1"
    head = {"bomFormat": "CycloneDX", "specVersion": "1.4"}
    spoken = json.dumps({**head, "components": [{"name": component}]}).encode()
    files = {place: assemble(DEP), other: None, f"{INFO}/sboms/own.cdx.json": None}
    told = {**files, f"{INFO}/sboms/auditwheel.cdx.json": spoken}

    without = look(pack(tmp_path / "without", "wheel", files_of("wheel", files)))
    with_bill = look(pack(tmp_path / "with", "wheel", files_of("wheel", told)))

    assert complaints(without)["metadata.licences"][0].startswith(f"{place}: no licence text")
    assert "metadata.licences" not in complaints(with_bill)


@pytest.mark.parametrize(
    ("library", "text", "is_told"),
    [
        ("libcom_err-0123abcd.so.3.0", "see https://example.com/errors, no error is common", True),
        ("libcom_err-0123abcd.so.3.0", "com_err: MIT", False),
        ("libevent-0123abcd.so.7", "in no event shall the authors be liable", True),
        ("libevent-0123abcd.so.7", "libevent: 3-clause BSD", False),
        ("libopenjp2-0123abcd.so.7", "this is open source", True),
        ("libopenjp2-0123abcd.so.7", "OpenJPEG (openjp2)", False),
        ("libacl-0123abcd.so.1", "owned by Oracle", True),
        ("libacl-0123abcd.so.1", "acl (LGPL)", False),
        ("libxcb-shape-0123abcd.so.0", "libxcb is of X", False),
        ("libboost_system-0123abcd.so.1", "the Boost licence", False),
        ("libopenblaso-r0-0123abcd.so", "OpenBLAS: BSD", False),
        ("libzmq-0123abcd.so.5", "zeromq: MPL", False),
        ("libz-0123abcd.so.1.3.1.zlib-ng", "zlib", False),
    ],
)
def test_a_name_that_is_in_any_text_speaks_of_nothing(
    tmp_path: Path, library: str, text: str, is_told: bool
) -> None:
    place, other = f"own.libs/{library}", "own.libs/libdep-0123abcd.so.1"
    files = {place: assemble(DEP), other: None, f"{INFO}/sboms/own.cdx.json": None}
    files[f"{INFO}/licenses/LICENSE.txt"] = text.encode()

    report = look(pack(tmp_path, "wheel", files_of("wheel", files)))

    assert ("metadata.licences" in complaints(report)) is is_told


@pytest.mark.parametrize("kind", NAMES)
def test_a_good_package_of_any_format_passes_every_row(tmp_path: Path, kind: str) -> None:
    good = pack(tmp_path, kind, files_of(kind, {}))

    report = look(good, good)

    known = subject_of(Request(good)).kind
    assert {one.id: one.status for one in report.results} == {
        one.id: "pass" for one in ROWS if known in one.kinds
    }


def elf(**changes: object) -> bytes:
    return assemble(replace(OWN, **changes))  # type: ignore[arg-type]  # the fields of the class, by name


KEY = b"-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEAu1SU1LfVLPHCozMx\n"
LIBRARY, CMAKE = "own/lib/libown.so", "own/cmake/own.cmake"
MUTATIONS: dict[str, tuple[tuple[Files, str], ...]] = {
    "leak.secrets": (({"own/key.txt": KEY}, "own/key.txt: byte 0x0 holds a secret"),),
    "leak.build-paths": (
        ({CMAKE: b'set(P "/home/runner/work/own/own/lib")\n'}, "line 1 names a folder of a building"),
        ({CMAKE: b'set(P "D:\\\\a\\\\own\\\\lib")\n'}, "own.cmake: line 1 names"),
        ({"own/pkgconfig/own.pc": b"prefix=/io/build\n"}, "own.pc: line 1 names"),
        ({"own/bin/own-config": b"#!/bin/sh\necho -L/tmp/pip-build-x/lib\n"}, "own-config: line 2"),
        ({LIBRARY: elf(runpath="$ORIGIN:/project/build/lib")}, "rpath entry `/project/build/lib`"),
    ),
    "link.renamed": (
        ({LIBRARY: elf(sections=((".rodata", b"\0libdep.so.1\0"),))}, "may open `libdep.so.1` by name"),
        ({LIBRARY: elf(sections=((".rodata", b"\0libdep.so\0"),))}, "may open `libdep.so` by name"),
    ),
    "link.forbidden": (
        ({LIBRARY: elf(needed=("libsib.so", "libc.so.6", "libopenblas.so.0"))}, "needs `libopenblas.so.0`"),
    ),
    "symbol.forbidden": (
        ({LIBRARY: elf(defined=(*OWN.defined, "_ZN6google8protobuf3FooE"))}, "offers _ZN6google8protobuf"),
    ),
    "abi.cxx11": (
        ({LIBRARY: elf(defined=(*OWN.defined, OLD))}, "1 symbols have the layout before GCC 5: _ZN3own1fESs"),
    ),
    "cmake.abi": (
        ({CMAKE: b'set(F "-D_GLIBCXX_USE_CXX11_ABI=0")\n'}, "says `_GLIBCXX_USE_CXX11_ABI=0`, the recipe promises 1"),
    ),
    "diff.files": (({"own/include/own.h": None}, "own/include/own.h: is gone"),),
    "diff.symbols": (({LIBRARY: elf(defined=(NEW, VIEW))}, "no longer offers own_open"),),
    "diff.needed": (
        ({LIBRARY: elf(needed=(*OWN.needed, "libnew.so.2"))}, "needs `libnew.so.2`"),
    ),
    "size.growth": (({"own/lib/data.bin": bytes(100_000)}, "percent bigger than"),),
}  # fmt: skip
PAPER_MUTATIONS: dict[str, tuple[tuple[Files, str], ...]] = {
    "metadata.requires": (
        ({f"{INFO}/METADATA": METADATA + b"Requires-Dist: a b\n"}, "`a b` is no requirement"),
        (
            {f"{INFO}/METADATA": METADATA + b"Requires-Dist: a; " + b"(" * 600 + b"\n"},
            "is no requirement",
        ),
        ({f"{INFO}/METADATA": METADATA.replace(b"(==2.0)", b"")}, "the recipe says `sibling==2.0`"),
        ({f"{INFO}/METADATA": METADATA.replace(b"sibling", b"other")}, "does not require `sibling==2.0`"),
    ),
    "metadata.entry-points": (
        ({f"{INFO}/entry_points.txt": b"[console_scripts]\na = own.gone:main\n"}, "no module `own.gone`"),
        ({f"{INFO}/entry_points.txt": b"[console_scripts]\na = other:main\n"}, "no module `other`"),
        (
            {f"{INFO}/entry_points.txt": b"[a]\nb = own.x\nc = c:d\n", "own.x/y.py": b"", "c.d/e": b""},
            "[a] c: there is no module `c`",
        ),
        ({f"{INFO}/entry_points.txt": b"[console_scripts]\na = 1\n"}, "`1` names no object"),
        ({f"{INFO}/entry_points.txt": b"a = b\n"}, "File contains no section headers"),
    ),
    "metadata.licences": (
        (
            {
                f"{INFO}/licenses/grafted/dep/copyright": None,
                f"{INFO}/sboms/own.cdx.json": b'{"bomFormat": "CycloneDX", "specVersion": "1.6"}',
            },
            "libdep-0123abcd.so.1: no licence text",
        ),
    ),
    "metadata.sbom": (
        ({f"{INFO}/sboms/own.cdx.json": bill("00" * 32)}, "the SHA-256 of `own.libs/libdep-0123abcd.so.1`"),
        ({f"{INFO}/sboms/own.cdx.json": bill("", "own.libs/gone.so")}, "which is not in the wheel"),
        ({f"{INFO}/sboms/own.cdx.json": b"{"}, "is no JSON"),
        ({f"{INFO}/sboms/own.cdx.json": b"[]"}, "does not say `bomFormat: CycloneDX`"),
        ({f"{INFO}/sboms/own.cdx.json": b'{"bomFormat": "CycloneDX", "specVersion": "2"}'}, "`specVersion` '2'"),
        (
            {f"{INFO}/sboms/own.cdx.json": bill("").replace(b'"name"', b'"title"')},
            "has components without a name",
        ),
    ),
}  # fmt: skip
BROKEN = [
    pytest.param(kind, id_, changes, text, id=f"{kind}-{id_}-{number}")
    for kind in NAMES
    for id_, rows in (*MUTATIONS.items(), *(PAPER_MUTATIONS.items() if kind == "wheel" else ()))
    for number, (changes, text) in enumerate(rows)
]
TWINS = {"link.forbidden": {"diff.needed"}, "metadata.licences": {"diff.files"}}
"""What cannot be broken alone: a library that is forbidden is a new one too, a licence one file less."""


@pytest.mark.parametrize(("kind", "id_", "changes", "text"), BROKEN)
def test_one_broken_thing_is_seen_by_one_check(
    tmp_path: Path, kind: str, id_: str, changes: Files, text: str
) -> None:
    before = pack(tmp_path / "before", kind, files_of(kind, {}))
    broken = pack(tmp_path / "after", kind, files_of(kind, changes))

    found = complaints(look(broken, before))

    assert any(text in problem for problem in found[id_]), found
    assert set(found) - TWINS.get(id_, set()) == {id_}


@pytest.mark.parametrize("kind", [kind for kind in NAMES if kind != "folder"])
def test_a_package_above_its_budget_fails(tmp_path: Path, kind: str) -> None:
    path = pack(tmp_path, kind, files_of(kind, {}))
    size = path.stat().st_size

    exact = look(path, checks=replace(WANTED, size=Sizes({"own*": size})))
    less = look(path, checks=replace(WANTED, size=Sizes({"own*": size - 1})))

    assert "size.budget" not in complaints(exact)
    assert f"has {size} bytes, 1 more than `own*` may have" in complaints(less)["size.budget"][0]


def test_every_row_has_a_broken_sample() -> None:
    assert {one.id for one in ROWS} == {*MUTATIONS, *PAPER_MUTATIONS, "size.budget"}


def test_a_single_library_is_compared_and_counted(tmp_path: Path) -> None:
    before, after = tmp_path / "before.so", tmp_path / "libown.so"
    before.write_bytes(assemble(OWN))
    after.write_bytes(elf(defined=(OLD, VIEW)))

    found = complaints(look(after, before))

    assert found["abi.cxx11"] == (
        f"libown.so: 1 symbols have the layout before GCC 5: {OLD}",
        "libown.so: 0 symbols have the layout of GCC 5 and later, not 1",
    )


@pytest.mark.parametrize(
    ("name", "content", "needed", "offered"),
    [
        (
            "own.dylib",
            make_macho.assemble(
                Macho(libraries=((0xC, "/usr/lib/libz.1.dylib"),), defined=("_own_b",))
            ),
            "libz.1.dylib",
            "_own_*",
        ),
        (
            "own.dll",
            make_pe.assemble(Pe(imports=(("zlib1.dll", ("inflate",)),), exported=("own_b",))),
            "zlib1.dll",
            "own_*",
        ),
    ],
)
def test_libraries_of_other_systems_need_and_offer_too(
    tmp_path: Path, name: str, content: bytes, needed: str, offered: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)

    wrong = look(path, checks=Checks(forbidden_libraries=(needed,), forbidden_symbols=(offered,)))
    right = look(path, checks=Checks(forbidden_libraries=("libq*",), forbidden_symbols=("q*",)))

    assert set(complaints(wrong)) == {"link.forbidden", "symbol.forbidden"}
    assert complaints(right) == {}


def test_without_parameters_a_row_says_what_it_lacks(tmp_path: Path) -> None:
    path = pack(tmp_path, "wheel", {"own.py": b""})

    report = look(path, checks=Checks())

    skipped = {one.id: one.reason for one in report.results if one.status == "skip"}
    assert skipped == {
        "metadata.requires": "there is no METADATA",
        "metadata.entry-points": "it has no entry points",
        "metadata.licences": "no library was grafted into it",
        "metadata.sbom": "there is no bill of materials in it",
        "link.renamed": "no library in it was renamed",
        "link.forbidden": "the recipe forbids no library (`check.forbidden-libraries`)",
        "symbol.forbidden": "the recipe forbids no symbol (`check.forbidden-symbols`)",
        "abi.cxx11": "the recipe promises no layout of `std::string` (`check.abi`)",
        "cmake.abi": "no CMake or pkg-config file speaks of `_GLIBCXX_USE_CXX11_ABI`",
        "size.budget": "the recipe has no budget for it (`check.size.budget`)",
        **dict.fromkeys(
            ("size.growth", "diff.files", "diff.symbols", "diff.needed"),
            "no release was given to compare with (`--expect`)",
        ),
    }


def test_growth_without_a_limit_only_warns(tmp_path: Path) -> None:
    before = pack(tmp_path / "before", "wheel", files_of("wheel", {}))
    after = pack(tmp_path / "after", "wheel", files_of("wheel", {"own/x": bytes(100_000)}))

    report = look(after, before, replace(WANTED, size=Sizes()))

    assert {one.id: one.status for one in report.results}["size.growth"] == "warn"


def wheel(folder: Path, name: str, files: Mapping[str, bytes]) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    with zipfile.ZipFile(path, "w") as archive:
        for file, content in files.items():
            archive.writestr(file, content)
    return path


def together(*paths: Path) -> Report:
    report = check_together([subject_of(Request(path)) for path in paths])
    assert report is not None
    return report


LINUX, MAC = "cp311-cp311-manylinux_2_17_x86_64", "cp311-cp311-macosx_11_0_arm64"


@pytest.mark.parametrize(
    ("tag", "content", "status", "text"),
    [
        (LINUX, b"other", "fail", "both write it, with other bytes"),
        (LINUX, b"same", "warn", "both write it, with the same bytes"),
        ("py3-none-any", b"other", "fail", "both write it"),
        (MAC, b"other", "skip", "no two of them are for one environment"),
        ("cp312-cp312-manylinux_2_17_x86_64", b"other", "skip", "no two of them"),
    ],
)
def test_wheels_that_write_one_file(
    tmp_path: Path, tag: str, content: bytes, status: str, text: str
) -> None:
    one = wheel(tmp_path, f"one-1-{LINUX}.whl", {"tests/__init__.py": b"same", "one.py": b""})
    other = wheel(tmp_path, f"other-1-{tag}.whl", {"tests/__init__.py": content})

    result = {one.id: one for one in together(one, other).results}["set.files"]

    assert result.status == status
    assert text in " ".join((*result.problems, result.reason))


@pytest.mark.parametrize(
    ("requires", "status", "text"),
    [
        (b"Requires-Dist: a\nRequires-Dist: b\n", "pass", ""),
        (b"Requires-Dist: b\nRequires-Dist: a\n", "pass", ""),
        (b"Requires-Dist: a\n", "fail", "Requires-Dist differs"),
        (
            b"Requires-Dist: a\nRequires-Dist: b\nRequires-Python: >=3.9\n",
            "fail",
            "Requires-Python",
        ),
    ],
)
def test_wheels_of_one_version_say_the_same(
    tmp_path: Path, requires: bytes, status: str, text: str
) -> None:
    name = "own-1.dist-info/METADATA"
    one = wheel(tmp_path, f"own-1-{LINUX}.whl", {name: b"Requires-Dist: a\nRequires-Dist: b\n"})
    other = wheel(tmp_path, f"own-1-{MAC}.whl", {name: requires})

    result = {one.id: one for one in together(one, other).results}["set.metadata"]

    assert result.status == status
    assert text in " ".join(result.problems)


@pytest.mark.parametrize(
    ("tags", "status", "text"),
    [
        (("cp311-cp311-L", "cp312-cp312-L", "cp311-cp311-M", "cp312-cp312-M"), "pass", ""),
        (("cp311-cp311-L", "cp312-cp312-L", "cp311-cp311-M"), "warn", "for cp312 on macosx-arm64"),
        (("cp313-cp313-L", "cp313-cp313t-L", "cp313-cp313-M"), "warn", "for cp313t on macosx"),
        (("cp311-cp311-L", "cp312-cp312-L", "cp310-abi3-M"), "pass", ""),
        (("cp311-cp311-L", "cp312-cp312-L", "py3-none-any"), "skip", "for several platforms"),
    ],
)
def test_wheels_of_one_version_are_for_the_same_pythons(
    tmp_path: Path, tags: tuple[str, ...], status: str, text: str
) -> None:
    platforms = {"L": "manylinux_2_17_x86_64", "M": "macosx_11_0_arm64", "any": "any"}
    names = [f"{tag.rpartition('-')[0]}-{platforms[tag.rpartition('-')[2]]}" for tag in tags]
    wheels = [wheel(tmp_path, f"own-1-{name}.whl", {"own.py": b""}) for name in names]

    result = {one.id: one for one in together(*wheels).results}["set.complete"]

    assert result.status == status
    assert text in " ".join((*result.problems, result.reason))


def test_every_check_of_a_set_has_its_tests_above() -> None:
    ids = {one.id for one in CATALOGUE if one.needs == "set"}
    assert ids == {"set.files", "set.metadata", "set.complete"}


def test_one_wheel_alone_is_no_set(tmp_path: Path) -> None:
    one = wheel(tmp_path, f"one-1-{LINUX}.whl", {"one.py": b""})

    assert check_together([subject_of(Request(one))]) is None


def test_a_manifest_names_files_as_a_package_does(tmp_path: Path) -> None:
    files = ("lib/libdep-0123abcd.so.1", "lib/libown.so", "build-content.json", "include/own.h")
    manifest = Manifest("own", "1.0", "x", tuple(Item(file, role_of(file), 1) for file in files))
    path = tmp_path / "own.content.json"
    path.write_bytes(bytes(manifest))

    assert sorted(read_release(path).files) == ["include/own.h", "lib/libown.so"]
