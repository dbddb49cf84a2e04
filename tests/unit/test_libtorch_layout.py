from __future__ import annotations

import pytest
from builder_libtorch.layout import Release, chosen, read_release, refuse_wrong_linking

from builder.config.recipe import CppArchive
from builder.config.target import Target
from builder.errors import BuilderError

TREE = ("lib/libx.so", "lib/libx_python.so", "include/x/x.h", "share/cmake/x.cmake", "test/t")


@pytest.mark.parametrize(
    ("archive", "wanted"),
    [
        (
            CppArchive(),
            ["lib/libx.so", "lib/libx_python.so", "include/x/x.h", "share/cmake/x.cmake"],
        ),
        (CppArchive(keep=("lib/*",), leave=("*_python.*",)), ["lib/libx.so"]),
        (CppArchive(keep=("*",), leave=("test/*", "share/*", "lib/*")), ["include/x/x.h"]),
    ],
    ids=["ordinary", "keep and leave", "all but"],
)
def test_what_belongs_is_said_by_globs(archive: CppArchive, wanted: list[str]) -> None:
    assert list(chosen(TREE, archive).values()) == wanted


def test_a_wheel_has_its_part_below_a_folder() -> None:
    wheel = (*(f"x/{path}" for path in TREE), "lib/other.so", "x-1.dist-info/RECORD")
    found = chosen(wheel, CppArchive(wheel="x", leave=("*_python.*",)))
    assert found == {
        "x/lib/libx.so": "lib/libx.so",
        "x/include/x/x.h": "include/x/x.h",
        "x/share/cmake/x.cmake": "share/cmake/x.cmake",
    }


@pytest.mark.parametrize("archive", [CppArchive(wheel="y"), CppArchive(keep=("none/*",))])
def test_a_source_without_a_cpp_part_is_refused(archive: CppArchive) -> None:
    with pytest.raises(BuilderError, match=r"there is no C\+\+ part") as caught:
        chosen(TREE, archive)
    assert "archive.keep" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "release"),
    [
        ("__version__ = '2.13.0+cpu'\ngit_version = 'abc'\n", Release("2.13.0+cpu", "abc")),
        ("__version__: str = '1.0'", Release("1.0")),
        ("from x import y\n__version__ = '1'\ncuda: None = None\n", Release("1")),
        ("__version__ = '1'\n__version__ = '2'", Release("2")),
    ],
)
def test_a_version_file_is_read_and_not_run(text: str, release: Release) -> None:
    assert read_release(text.encode(), "x/version.py") == release


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"x = 1", "does not say `__version__`"),
        (b"__version__ = compute()", "does not say `__version__`"),
        (b"__version__ = 1", "does not say `__version__`"),
        (b"def", "cannot be read as Python"),
        (b"\xff", "cannot be read as Python"),
        (b"\0", "cannot be read as Python"),
        (b"(" * 5000, "cannot be read as Python"),
        (b"#" * (1 << 21), "too large"),
    ],
)
def test_what_is_no_version_file_is_refused(text: bytes, message: str) -> None:
    with pytest.raises(BuilderError, match=message):
        read_release(text, "x/version.py")


@pytest.mark.parametrize(
    ("variant", "paths", "is_right"),
    [
        ("shared-with-deps", ["lib/libx.so"], True),
        ("shared-with-deps", ["lib/libx.so.1.2"], True),
        ("shared-without-deps", ["lib/libx.dylib"], True),
        ("shared-with-deps", ["lib/libx.a"], False),
        ("static-with-deps", ["lib/libx.a", "lib/liby.so"], True),
        ("static-without-deps", ["lib/x.lib"], True),
        ("static-with-deps", ["lib/libx.so"], False),
        ("static-with-deps", [], False),
    ],
)
def test_a_variant_needs_libraries_of_its_kind(
    variant: str, paths: list[str], is_right: bool
) -> None:
    target = Target.parse(f"libtorch-none-cpu-linux_x86_64-{variant.replace('-', '_')}")
    if is_right:
        refuse_wrong_linking(paths, target)
        return
    with pytest.raises(BuilderError, match="and its tree has none"):
        refuse_wrong_linking(paths, target)
