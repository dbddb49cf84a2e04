"""What static libraries expect of the host is what their own package files tell a linker."""

from __future__ import annotations

from pathlib import Path

import pytest
from builder_libtorch.interface import declares, expected, expected_of_parts
from builder_libtorch.parts import Part

from builder.config.target import Os, Target

PROMISED = ("libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "libz.so.1")
LIBRARIES = {"lib/libdemo.a": b"!<arch>\n", "lib/libinner.a": b"!<arch>\n"}


def cmake(value: str) -> bytes:
    return (
        b"add_library(demo::demo STATIC IMPORTED)\nset_target_properties(demo::demo PROPERTIES\n"
        b'  INTERFACE_LINK_LIBRARIES "' + value.encode() + b'"\n)\n'
    )


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (cmake("demo::demo;inner;${_IMPORT_PREFIX}/lib/libinner.a"), ()),
        (cmake(r"\$<LINK_ONLY:demo::demo>;\$<LINK_ONLY:Threads::Threads>;m;-ldl"), ()),
        (cmake("z;ZLIB::ZLIB;/usr/lib/libz.so;-lz"), ()),
        (cmake("far;-lnear;/opt/x/liblast.so.3"), ("libfar.so", "liblast.so.3", "libnear.so")),
        (cmake(r"\$<\$<CONFIG:Debug>:slow>;debug;odd;optimized;even"), ("libeven.so", "libodd.so", "libslow.so")),
        (cmake(r"\$<\$<NOT:\$<BOOL:OFF>>:one;two>"), ("libone.so", "libtwo.so")),
        (cmake("CUDA::cudart;-Wl,--no-undefined;-pthread"), ("CUDA::cudart",)),
        (cmake("OpenMP::OpenMP_CXX"), ("libgomp.so",)),
        (b"Libs: -L${libdir} -ldemo\nLibs.private: -lfar -lm -fopenmp\n", ("libfar.so", "libgomp.so")),
        (b"Cflags: -lfar\nDescription: -lnear\n", ()),
        (b"", ()),
    ],
    ids=[
        "its own", "promised", "promised in every spelling", "of the host", "by configuration", "by condition",
        "target", "OpenMP", "pkg-config", "not linked", "silent",
    ],
)  # fmt: skip
def test_what_a_linker_is_told(text: bytes, names: tuple[str, ...]) -> None:
    assert expected([text], LIBRARIES, "linux", PROMISED) == names


@pytest.mark.parametrize(
    ("symbols", "text", "names"),
    [
        (b"\0GOMP_parallel\0", b"", ("libgomp.so",)),
        (b"\0__kmpc_fork_call\0", cmake("OpenMP::OpenMP_CXX"), ("libomp.so",)),
        (b"\0not_GOMP_parallel\0", b"", ()),
    ],
    ids=["GCC", "LLVM", "another name"],
)
@pytest.mark.parametrize("on_disk", [True, False])
def test_the_objects_tell_whose_openmp_they_mean(
    tmp_path: Path, symbols: bytes, text: bytes, names: tuple[str, ...], on_disk: bool
) -> None:
    file = tmp_path / "libdemo.a"
    file.write_bytes(symbols)
    (tmp_path / "libempty.a").touch()
    held = {
        "lib/libdemo.a": file if on_disk else symbols,
        "lib/libempty.a": tmp_path / "libempty.a",
    }

    assert expected([text], held, "linux", PROMISED) == names


@pytest.mark.parametrize(
    ("os", "name"),
    [("linux", "libfar.so"), ("macos", "libfar.dylib"), ("windows", "far.lib")],
)
def test_each_system_has_its_names(os: Os, name: str) -> None:
    text = b"Libs.private: -lfar -framework Accelerate\n"
    assert expected([text], {}, os, ()) == (name,)


@pytest.mark.parametrize(
    ("host", "loaded", "is_declared"),
    [
        ("libgomp.so", "libgomp.so.1", True),
        ("libgomp.so", "libgomp.so", True),
        ("libgomp.so", "libgomp2.so.1", False),
        ("libgomp.so.1", "libgomp.so.2", False),
        ("CUDA::cudart", "libcudart.so.13", True),
        ("CUDA::cudart", "libcublas.so.13", False),
    ],
)
def test_what_a_declared_name_stands_for(host: str, loaded: str, is_declared: bool) -> None:
    assert declares(host, loaded) is is_declared


def test_a_shared_variant_says_what_it_needs_by_itself() -> None:
    parts = [
        Part("lib/cmake/x.cmake", cmake("far")),
        Part("lib/x.a", b""),
        Part("lib/y.pc", link="x.pc"),
    ]
    static, shared = (
        Target.parse(f"libtorch-none-cpu-linux_x86_64-{kind}_with_deps")
        for kind in ("static", "shared")
    )
    assert expected_of_parts(parts, static) == ("libfar.so",)
    assert expected_of_parts(parts, shared) == ()
