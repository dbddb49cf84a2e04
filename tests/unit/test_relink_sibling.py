from __future__ import annotations

import pytest

from builder.binary import Binary
from builder.config.recipe import Sibling
from builder.relink.closure import Closure, Need
from builder.relink.sibling import (
    leaving,
    leaving_for_anywhere,
    owner_of,
    requirements,
    used_siblings,
    way,
)

TORCH = Sibling("torch", ("libtorch*.so", "libc10.so"), "torch/lib", "torch==2.13.0")
CUDA = Sibling("nvidia-cublas", ("libcublas.so.*",), "nvidia/cublas/lib")


def binary(rpath: tuple[str, ...] = (), runpath: tuple[str, ...] = ()) -> Binary:
    return Binary(
        format="elf", machine="x86_64", bits=64, byte_order="little", kind="shared",
        rpath=rpath, runpath=runpath,
    )  # fmt: skip


def test_only_siblings_that_are_needed_are_required() -> None:
    needs = Closure((Need("x.so", "libc10.so", "sibling"),), {})

    used = used_siblings(needs, (TORCH, CUDA))

    assert requirements(used) == ("torch==2.13.0",)
    assert requirements((CUDA,)) == ("nvidia-cublas",)


@pytest.mark.parametrize(
    ("name", "owner"),
    [
        ("libtorch_cpu.so", TORCH),
        ("@rpath/libc10.so", TORCH),
        ("libcublas.so.12", CUDA),
        ("libcublas.so", None),
        ("libm.so.6", None),
    ],
)
def test_the_owner_of_a_library_is_known_by_its_name(name: str, owner: Sibling | None) -> None:
    assert owner_of(name, (TORCH, CUDA)) is owner


@pytest.mark.parametrize(
    ("path", "folder", "entry"),
    [
        ("_top.so", "torch/lib", "$ORIGIN/torch/lib"),
        ("torch_scatter/_x.so", "torch/lib", "$ORIGIN/../torch/lib"),
        ("a/b/c.so", "a/lib", "$ORIGIN/../lib"),
        ("a/e.so", "a", "$ORIGIN"),
        ("a/e.so", "", "$ORIGIN/.."),
        ("w-1.data/platlib/a/e.so", "w.libs", "$ORIGIN/../w.libs"),
    ],
)
def test_a_way_leads_to_the_folder(path: str, folder: str, entry: str) -> None:
    assert way(path, folder) == entry


@pytest.mark.parametrize(
    ("path", "entry", "leaves"),
    [
        ("p/x.so", "$ORIGIN/../torch/lib", False),
        ("p/x.so", "$ORIGIN", False),
        ("p/x.so", "$ORIGIN/..", False),
        ("p/x.so", "$ORIGIN/../..", True),
        ("p/x.so", "$ORIGIN/../../../lib", True),
        ("p/x.so", "/build/core/lib", True),
        ("p/x.so", "", True),
        ("p/x.so", "lib", True),
        ("w-1.data/platlib/x.so", "$ORIGIN/..", True),
    ],
)
def test_entries_that_leave_the_wheel_are_seen(path: str, entry: str, leaves: bool) -> None:
    assert leaving(path, binary(runpath=(entry,))) == ((entry,) if leaves else ())
    assert leaving(path, binary(rpath=(entry,))) == ((entry,) if leaves else ())


@pytest.mark.parametrize(
    ("entry", "goes"),
    [("/build/lib", True), ("/usr/lib/x86_64-linux-gnu", False), ("$ORIGIN", False), ("lib", True)],
)
def test_what_leads_into_the_folders_of_the_system_may_stay(entry: str, goes: bool) -> None:
    assert bool(leaving_for_anywhere("p/x.so", binary(runpath=(entry,)))) is goes
