from __future__ import annotations

import pytest

from builder.binary import Binary
from builder.config.recipe import Sibling
from builder.relink.closure import Closure, Need
from builder.relink.sibling import (
    RpathEdit,
    leaving,
    plan_edits,
    requirements,
    used_siblings,
    ways_inside,
    ways_to_siblings,
)

TORCH = Sibling("torch", ("libtorch*.so", "libc10.so"), "torch/lib", "torch==2.13.0")
CUDA = Sibling("nvidia-cublas", ("libcublas.so.*",), "nvidia/cublas/lib")


def binary(rpath: tuple[str, ...] = (), runpath: tuple[str, ...] = ()) -> Binary:
    return Binary(
        format="elf", machine="x86_64", bits=64, byte_order="little", kind="shared",
        rpath=rpath, runpath=runpath,
    )  # fmt: skip


def closure(*needs: Need) -> Closure:
    return Closure(needs, {})


NEEDS = closure(
    Need("torch_scatter/_x.so", "libc10.so", "sibling"),
    Need("torch_scatter/_x.so", "libtorch_cpu.so", "sibling"),
    Need("torch_scatter/_x.so", "libcublas.so.12", "sibling"),
    Need("_top.so", "libc10.so", "sibling"),
    Need("a/b/c.so", "libd.so", "loose", "a/lib/libd.so"),
    Need("a/e.so", "libf.so", "loose", "a/libf.so"),
)


def test_every_binary_gets_a_way_to_the_siblings_it_needs() -> None:
    assert ways_to_siblings(NEEDS, (TORCH, CUDA)) == {
        "_top.so": ("$ORIGIN/torch/lib",),
        "torch_scatter/_x.so": ("$ORIGIN/../torch/lib", "$ORIGIN/../nvidia/cublas/lib"),
    }


def test_a_way_inside_leads_to_the_library() -> None:
    assert ways_inside(NEEDS) == {"a/b/c.so": ("$ORIGIN/../lib",), "a/e.so": ("$ORIGIN",)}


def test_only_siblings_that_are_needed_are_required() -> None:
    needs = closure(Need("x.so", "libc10.so", "sibling"))

    used = used_siblings(needs, (TORCH, CUDA))

    assert requirements(used) == ("torch==2.13.0",)
    assert requirements((CUDA,)) == ("nvidia-cublas",)


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
    ("one", "ways", "tidy", "entries"),
    [
        pytest.param(binary(), (), True, None, id="nothing to do"),
        pytest.param(binary(runpath=("$ORIGIN",)), ("$ORIGIN",), True, None, id="there already"),
        pytest.param(binary(runpath=("$ORIGIN",)), ("$ORIGIN/t",), True, ("$ORIGIN", "$ORIGIN/t"), id="added"),
        pytest.param(binary(rpath=("/b", "$ORIGIN")), (), True, ("$ORIGIN",), id="absolute dropped"),
        pytest.param(binary(rpath=("/b",)), (), True, (), id="all dropped"),
        pytest.param(binary(rpath=("/b",)), (), False, None, id="kept for the engine"),
        pytest.param(binary(rpath=("/b",)), ("$ORIGIN",), False, ("/b", "$ORIGIN"), id="kept and added"),
        pytest.param(binary(("$ORIGIN",), ("$ORIGIN/r",)), (), True, ("$ORIGIN/r",), id="dead rpath"),
    ],
)  # fmt: skip
def test_an_edit_says_every_entry_the_binary_is_to_have(
    one: Binary, ways: tuple[str, ...], tidy: bool, entries: tuple[str, ...] | None
) -> None:
    edits = plan_edits({"p/x.so": one}, {"p/x.so": ways}, tidy=tidy)

    assert edits == (() if entries is None else (RpathEdit("p/x.so", entries),))
