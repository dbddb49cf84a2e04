"""The product of axes, and collisions of file names over it."""

from __future__ import annotations

import pytest

from builder.config.accelerator import Accelerator
from builder.config.matrix import expand, refuse_collisions
from builder.config.naming import package_name
from builder.config.python import Python
from builder.config.target import ABIS, ARCHITECTURES, VARIANTS, Target
from builder.errors import UsageError

PYTHONS = (Python.parse("3.11"), Python.parse("3.9"))
CPU, CUDA = Accelerator.parse("cpu"), Accelerator.parse("13.0")
LINUX, MACOS, WINDOWS = ("linux", "x86_64"), ("macos", "arm64"), ("windows", "x86_64")


def test_the_product_is_sorted_and_holds_each_target_once() -> None:
    targets = expand(
        types=["manywheel", "manywheel"],
        pythons=PYTHONS,
        accelerators=[CUDA, CPU, CPU],
        platforms=[LINUX],
    )
    assert list(map(str, targets)) == [
        "manywheel-cp39-cpu-linux_x86_64",
        "manywheel-cp39-cuda130-linux_x86_64",
        "manywheel-cp311-cpu-linux_x86_64",
        "manywheel-cp311-cuda130-linux_x86_64",
    ]


def test_each_package_type_takes_the_axes_it_has() -> None:
    targets = expand(
        types=["libtorch", "manywheel", "wheel"],
        pythons=PYTHONS[:1],
        accelerators=[CPU],
        platforms=[LINUX, MACOS, WINDOWS],
        abis=["cxx11-abi"],
        variants=["shared_with_deps", "static-with-deps"],
    )
    assert list(map(str, targets)) == [
        "libtorch-none-cpu-linux_x86_64-cxx11-shared_with_deps",
        "libtorch-none-cpu-linux_x86_64-cxx11-static_with_deps",
        "libtorch-none-cpu-macos_arm64-shared_with_deps",
        "libtorch-none-cpu-macos_arm64-static_with_deps",
        "libtorch-none-cpu-windows_x86_64-shared_with_deps",
        "libtorch-none-cpu-windows_x86_64-static_with_deps",
        "manywheel-cp311-cpu-linux_x86_64-cxx11",
        "wheel-cp311-cpu-macos_arm64",
        "wheel-cp311-cpu-windows_x86_64",
    ]


def test_old_platform_words_are_understood() -> None:
    targets = expand(
        types=["conda"], pythons=PYTHONS[:1], accelerators=[CPU], platforms=[("win", "64")]
    )
    assert list(map(str, targets)) == ["conda-cp311-cpu-windows_x86_64"]


def test_no_python_gives_no_wheel() -> None:
    assert not expand(types=["conda"], pythons=(), accelerators=[CPU], platforms=[LINUX])


def test_a_package_type_that_no_platform_takes_is_refused() -> None:
    with pytest.raises(UsageError) as caught:
        expand(types=["manywheel"], pythons=PYTHONS, accelerators=[CPU], platforms=[MACOS])
    assert caught.value.faults == ("`manywheel` is not made for macos_arm64",)


def test_axis_values_that_nothing_takes_are_refused_together() -> None:
    with pytest.raises(UsageError) as caught:
        expand(
            types=["wheel"],
            pythons=PYTHONS,
            accelerators=[CPU],
            platforms=[MACOS],
            abis=["cxx11"],
            variants=["shared-with-deps"],
        )
    assert caught.value.faults == (
        "no target has the C++ ABI `cxx11`",
        "no target has the variant `shared-with-deps`",
    )


@pytest.mark.parametrize(
    ("asked", "os", "variants"),
    [
        ([""], "linux", ["shared-with-deps"]),
        (["", "shared_with_deps"], "macos", ["shared-with-deps"]),
        (["static-with-deps-release"], "windows", ["static-with-deps"]),
        (
            ["shared-with-deps", "shared-with-deps-debug"],
            "windows",
            ["shared-with-deps", "shared-with-deps-debug"],
        ),
        (["shared-with-deps-debug", "static-with-deps"], "linux", ["static-with-deps"]),
    ],
    ids=["silent", "twice", "release", "debug", "debug elsewhere"],
)
def test_variants_of_a_cpp_archive(asked: list[str], os: str, variants: list[str]) -> None:
    platforms = [(os, "x86_64"), ("windows", "arm64")]
    targets = expand(
        types=["libtorch"], pythons=(), accelerators=[CPU], platforms=platforms, variants=asked
    )
    assert [one.variant for one in targets if one.os == os and one.arch == "x86_64"] == variants


def test_a_debug_variant_is_made_for_windows_only() -> None:
    with pytest.raises(UsageError) as caught:
        expand(
            types=["libtorch"],
            pythons=(),
            accelerators=[CPU],
            platforms=[LINUX],
            variants=["shared-with-deps-debug"],
        )
    assert caught.value.faults == ("no target has the variant `shared-with-deps-debug`",)
    assert "on windows only" in caught.value.hint


WINDOWS_ARCHIVES = (
    Target.parse("libtorch-none-cpu-windows_x86_64-shared_with_deps"),
    Target.parse("libtorch-none-cpu-windows_arm64-shared_with_deps"),
)


def test_one_name_for_two_architectures_is_refused() -> None:
    """A release once shipped the arm64 archive to x64 users, because the name did not tell."""
    name = "libtorch-win-shared-with-deps-2.10.0+cpu.zip"
    with pytest.raises(UsageError) as caught:
        refuse_collisions((target, name) for target in WINDOWS_ARCHIVES)
    (fault,) = caught.value.faults
    assert all(word in fault for word in (name, *map(str, WINDOWS_ARCHIVES)))
    assert caught.value.exit_code == 2


def test_our_names_tell_the_two_architectures_apart() -> None:
    named = [(target, package_name("torch", "2.10.0+cpu", target)) for target in WINDOWS_ARCHIVES]
    refuse_collisions(named)
    assert [name for _, name in named] == [
        "libtorch-win-shared-with-deps-2.10.0+cpu.zip",
        "libtorch-win-arm64-shared-with-deps-2.10.0+cpu.zip",
    ]


def test_all_collisions_are_told_at_once_and_case_does_not_tell_apart() -> None:
    one, two = WINDOWS_ARCHIVES
    three, four = (replace_os(target) for target in WINDOWS_ARCHIVES)
    with pytest.raises(UsageError) as caught:
        refuse_collisions([(one, "a.zip"), (three, "b.zip"), (two, "A.zip"), (four, "b.zip")])
    assert [fault.split(" would")[0] for fault in caught.value.faults] == [
        "`a.zip and A.zip`",
        "`b.zip`",
    ]


def replace_os(target: Target) -> Target:
    return Target.parse(str(target).replace("windows", "macos"))


def test_one_target_named_twice_is_no_collision() -> None:
    refuse_collisions([(WINDOWS_ARCHIVES[0], "a.zip"), (WINDOWS_ARCHIVES[0], "a.zip")])


def test_accelerators_collide_when_the_version_does_not_tell_them_apart() -> None:
    targets = expand(
        types=["manywheel"], pythons=PYTHONS[:1], accelerators=[CPU, CUDA], platforms=[LINUX]
    )
    with pytest.raises(UsageError, match="one file"):
        refuse_collisions((target, package_name("torch", "2.10.0", target)) for target in targets)


def test_a_whole_release_has_a_name_for_each_target() -> None:
    targets = expand(
        types=["manywheel", "wheel", "conda", "libtorch"],
        pythons=[Python.parse(text) for text in ("2.7m", "2.7mu", "3.7", "3.13", "3.13t")],
        accelerators=[CPU],
        platforms=[
            *(("linux", arch) for arch in ("x86_64", "aarch64", "s390x", "ppc64le", "i686")),
            *(("macos", arch) for arch in ("x86_64", "arm64")),
            *(("windows", arch) for arch in ("x86_64", "arm64")),
        ],
        variants=["shared-with-deps", "static-without-deps", "shared-with-deps-debug"],
    )
    told_apart = [target for target in targets if target.package_type != "conda"]
    names = {package_name("torch", "2.10.0", target).casefold() for target in told_apart}
    assert len(names) == len(told_apart) == 5 * 5 + 4 * 5 + 9 * 2 + 2


def test_every_cpp_archive_has_a_name_of_its_own() -> None:
    targets = [
        target
        for os, arches in ARCHITECTURES.items()
        for target in expand(
            types=["libtorch"],
            pythons=(),
            accelerators=[CPU],
            platforms=[(os, arch) for arch in arches],
            abis=["", *ABIS] if os == "linux" else [""],
            variants=[
                name for name in VARIANTS["libtorch"] if os == "windows" or "debug" not in name
            ],
        )
    ]
    assert len(targets) == 7 * 3 * 4 + 3 * 4 + 3 * 8
    refuse_collisions((target, package_name("torch", "2.13.0+cpu", target)) for target in targets)


def test_conda_never_told_the_unicode_builds_of_2_7_apart() -> None:
    targets = [Target.parse(f"conda-{tag}-cpu-linux_x86_64") for tag in ("cp27mu", "cp27m")]
    with pytest.raises(UsageError, match="one file"):
        refuse_collisions((target, package_name("torch", "1.2.0", target)) for target in targets)
