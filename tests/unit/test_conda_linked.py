from __future__ import annotations

from typing import Any

import pytest
from builder_conda.linked import (
    Around,
    Brought,
    cuda_floor,
    glibc_floor,
    known_libraries,
    linked,
    offered,
)

from builder.binary import Binary, Edit, VersionNeed
from builder.errors import BuilderError

SITE = "lib/python3.11/site-packages"
MODULE = f"{SITE}/sample/_native.so"


def binary(*needed: str, **more: Any) -> Binary:
    return Binary("elf", "x86_64", 64, "little", "shared", needed=needed, **more)


def edits(binaries: dict[str, Binary], around: Around, **links: str) -> dict[str, Edit]:
    return dict(linked("sample", binaries, links, around).edits)


def asking(*versions: str) -> dict[str, Binary]:
    needs = tuple(VersionNeed("libc.so.6", version, ("f",)) for version in versions)
    return {"lib/a.so": binary("libc.so.6", versions_needed=needs)}


BESIDE = Around("libsample", {"libsample.so.1": "lib"})


def test_a_module_is_led_to_the_library_of_its_companion() -> None:
    found = linked("sample", {MODULE: binary("libsample.so.1", "libc.so.6")}, {}, BESIDE)
    assert found.edits == {MODULE: Edit(search=("$ORIGIN/../../..",))}
    assert found.used == {"libsample"}
    assert found.outside == ("libc.so.6", "libsample.so.1")


def test_libraries_of_a_package_are_led_to_each_other() -> None:
    library = binary(soname="libdep.so.2")
    found = edits({"lib/libx.so": binary("libdep.so.2"), "lib/libdep.so.2.1": library}, Around())
    assert found == {"lib/libx.so": Edit(search=("$ORIGIN",))}


def test_a_library_is_known_by_its_file_its_soname_and_its_links() -> None:
    binaries = {"lib/liba.so.1.2": binary(soname="liba.so.1"), "bin/t": binary()}
    assert dict(offered(binaries, {"lib64/liba.so": "lib/liba.so.1.2", "lib/x": "share"})) == {
        "liba.so.1.2": "lib", "liba.so.1": "lib", "liba.so": "lib64", "t": "bin",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param((), ("$ORIGIN/../../..",), id="none"),
        pytest.param(("$ORIGIN/../../..",), None, id="right"),
        pytest.param(("${ORIGIN}/../../../../lib",), None, id="right in other words"),
        pytest.param(("/build/core/lib",), ("$ORIGIN/../../..",), id="absolute"),
        pytest.param(("$ORIGIN/../gone",), ("$ORIGIN/../../..",), id="nowhere"),
        pytest.param(("$ORIGIN",), ("$ORIGIN", "$ORIGIN/../../.."), id="one's own folder"),
    ],
)
def test_entries_that_lead_nowhere_are_dropped(
    before: tuple[str, ...], after: tuple[str, ...] | None
) -> None:
    found = edits({MODULE: binary("libsample.so.1", runpath=before)}, BESIDE)
    assert found == ({} if after is None else {MODULE: Edit(search=after)})


def test_what_a_required_package_brings_is_not_grafted() -> None:
    brought = known_libraries(("zlib >=1.2", "mkl", "numpy"), {"mkl": ("libmine.so",)})
    sibling = Brought("pytorch", ("libtorch*.so",), f"{SITE}/torch/lib")
    needs = binary("libz.so.1", "libtorch_cpu.so", "libmine.so")
    found = linked("sample", {MODULE: needs}, {}, Around(brought=(*brought, sibling)))
    assert [one.package for one in brought] == ["zlib", "mkl"]
    assert found.used == {"zlib", "pytorch", "mkl"}
    assert found.edits == {MODULE: Edit(search=("$ORIGIN/../../..", "$ORIGIN/../torch/lib"))}


def test_what_nobody_brings_is_an_error_with_the_file_and_the_library() -> None:
    binaries = {"lib/a.so": binary("libz.so.1", "libodd.so"), MODULE: binary("libmkl_rt.so")}
    with pytest.raises(BuilderError, match="neither it nor what it requires") as caught:
        edits(binaries, Around(host=("libz.so.*",)))
    assert caught.value.faults == ("lib/a.so: needs libodd.so", f"{MODULE}: needs libmkl_rt.so")
    assert "conda.depends" in caught.value.hint


def test_the_machine_has_its_loader_its_compilers_and_its_driver() -> None:
    needs = binary("ld-linux-x86-64.so.2", "libstdc++.so.6", "libgcc_s.so.1", "libcuda.so.1")
    assert edits({MODULE: needs}, Around()) == {}


@pytest.mark.parametrize(
    ("versions", "floor"),
    [
        (("GLIBC_2.2.5", "GLIBC_2.14"), "2.17"),
        (("GLIBC_2.28", "GLIBCXX_3.4.21"), "2.28"),
        (("GLIBC_2.2.5", "GLIBC_2.99"), "2.99"),
        (("GLIBCXX_3.4.21",), ""),
        ((), ""),
    ],
)
def test_the_oldest_glibc(versions: tuple[str, ...], floor: str) -> None:
    found = glibc_floor(asking(*versions), "x86_64")
    assert found == floor


@pytest.mark.parametrize(
    ("codes", "needed", "version", "floor"),
    [
        ((), "libc.so.6", "13.0", ""),
        (("sm_80", "compute_120"), "libc.so.6", "13.0", "13"),
        (("compute_80",), "libc.so.6", "13.0", "13.0"),
        (("sm_35",), "libc.so.6", "10.0", "10.0"),
        ((), "libcuda.so.1", "12.8", "12.8"),
        (("sm_80",), "libc.so.6", "", ""),
    ],
)
def test_the_oldest_cuda_of_a_driver(
    codes: tuple[str, ...], needed: str, version: str, floor: str
) -> None:
    binaries = {"lib/a.so": binary(needed, cuda_architectures=codes), "lib/b.so": binary()}
    assert cuda_floor(binaries, version) == floor
