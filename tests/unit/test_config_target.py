"""`Target`: ids that read one way, and values that make sense."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.config.accelerator import Accelerator
from builder.config.python import Python
from builder.config.target import (
    ABIS,
    ARCHITECTURES,
    PACKAGE_TYPES,
    VARIANTS,
    PackageType,
    Target,
    parse_abi,
    parse_package_type,
    parse_platform,
    parse_variant,
)
from builder.errors import UsageError

PYTHONS = [Python.parse(text) for text in ("2.7m", "2.7mu", "3.7", "3.9", "3.11", "3.13", "3.13t")]
ACCELERATORS = [Accelerator.parse(t) for t in ("cpu", "9.2", "10.0", "13.0", "rocm6.2", "xpu")]


@st.composite
def targets(draw: st.DrawFn) -> Target:
    package_type: PackageType = draw(st.sampled_from(list(PACKAGE_TYPES)))
    os = draw(st.sampled_from(PACKAGE_TYPES[package_type]))
    variants = [one for one in VARIANTS[package_type] if os == "windows" or "debug" not in one]
    return Target(
        package_type,
        None if package_type == "libtorch" else draw(st.sampled_from(PYTHONS)),
        draw(st.sampled_from(ACCELERATORS)),
        os,
        draw(st.sampled_from(ARCHITECTURES[os])),
        draw(st.sampled_from(["", *ABIS])) if os == "linux" else "",
        draw(st.sampled_from(["", *variants])),
    )


@given(targets())
def test_parse_is_the_inverse_of_str(target: Target) -> None:
    assert Target.parse(str(target)) == target


@given(targets(), targets())
def test_different_targets_have_different_ids(one: Target, other: Target) -> None:
    assert (str(one) == str(other)) is (one == other)
    assert (one == other) is (hash(one) == hash(other) and not one < other and not other < one)


@given(targets())
def test_a_target_matches_its_own_id(target: Target) -> None:
    assert target.matches(str(target))
    assert target.matches(f"{target.package_type}-*-{target.accelerator}-{target.platform}*")
    assert not target.matches(target.package_type)


def test_no_variant_is_called_like_an_abi() -> None:
    variants = {name.replace("-", "_") for names in VARIANTS.values() for name in names}
    assert not variants & set(ABIS)


@pytest.mark.parametrize(
    "text",
    [
        "manywheel-cp311-cpu-linux_x86_64",
        "manywheel-cp37m-cuda92-linux_x86_64-precxx11",
        "manywheel-cp313t-cuda130-linux_aarch64-cxx11",
        "wheel-cp312-cpu-macos_arm64",
        "wheel-cp312-cuda128-windows_x86_64",
        "conda-cp37m-cuda100-linux_x86_64",
        "libtorch-none-cuda130-linux_x86_64-cxx11-shared_with_deps",
        "libtorch-none-rocm6.2-linux_x86_64-static_without_deps",
        "libtorch-none-cpu-windows_arm64-shared_with_deps_debug",
        "libtorch-none-cpu-linux_s390x",
    ],
)
def test_canonical_ids(text: str) -> None:
    assert str(Target.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("manywheel-3.7m-cu100-linux_x86_64", "manywheel-cp37m-cuda100-linux_x86_64"),
        ("conda-3.7-10.0-linux_64", "conda-cp37m-cuda100-linux_x86_64"),
        ("wheel-3.12-cpu-win_amd64", "wheel-cp312-cpu-windows_x86_64"),
        ("wheel-3.12-cpu-windows", "wheel-cp312-cpu-windows_x86_64"),
    ],
)
def test_old_spellings_inside_an_id(text: str, canonical: str) -> None:
    assert str(Target.parse(text)) == canonical


@pytest.mark.parametrize(
    "text",
    [
        "",
        "manywheel",
        "manywheel-cp311-cpu",
        "2rpm-cp311-cpu-linux_x86_64",
        "manywheel-none-cpu-linux_x86_64",
        "manywheel-cp311-cpu-macos_arm64",
        "wheel-cp311-cpu-linux_x86_64",
        "manywheel-cp311-cpu-linux_arm128",
        "manywheel-cp311-cpu-linux_x86_64-",
        "manywheel-cp311-cpu-linux_x86_64-shared_with_deps",
        "wheel-cp312-cpu-macos_arm64-cxx11",
        "libtorch-none-cpu-linux_x86_64-shared_with_deps_debug",
        "libtorch-none-cpu-macos_arm64-static_with_deps_debug",
        "libtorch-cp311-cpu-linux_x86_64-shared_with_deps",
        "libtorch-none-cpu-linux_x86_64-shared_with_deps-cxx11",
        "libtorch-none-cpu-linux_x86_64-cxx11-cxx11",
        "libtorch-none-cpu-linux_x86_64-cxx11-",
        "libtorch-none-cpu-linux_x86_64--shared_with_deps",
        "libtorch-none-cpu-linux_x86_64-shared-with-deps",
        "libtorch-none-cpu-linux_x86_64-sharp",
        "libtorch-none-cpu-linux_x86_64-cxx11-shared_with_deps-more",
    ],
)
def test_an_id_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        Target.parse(text)
    assert caught.value.hint


def test_all_faults_of_a_target_are_told_at_once() -> None:
    python = Python.parse("3.11")
    with pytest.raises(UsageError) as caught:
        Target("libtorch", python, Accelerator("cpu"), "macos", "s390x", "cxx12", "huge")
    assert len(caught.value.faults) == 5


@pytest.mark.parametrize(("field", "value"), [("package_type", "2rpm"), ("os", "beos")])
def test_a_target_of_an_unknown_kind_cannot_be_made(field: str, value: str) -> None:
    target = Target.parse("manywheel-cp311-cpu-linux_x86_64")
    with pytest.raises(UsageError, match=value):
        replace(target, **{field: value})  # type: ignore[arg-type]  # refused at run time too


def test_targets_sort_by_type_then_numbers() -> None:
    texts = [
        "libtorch-none-cuda92-linux_x86_64",
        "manywheel-cp310-cpu-linux_x86_64",
        "libtorch-none-cuda130-linux_x86_64-cxx11",
        "manywheel-cp39-cuda130-linux_x86_64",
        "manywheel-cp39-cuda92-linux_x86_64",
    ]
    ordered = sorted(Target.parse(text) for text in texts)
    assert list(map(str, ordered)) == [texts[0], texts[2], texts[4], texts[3], texts[1]]


@pytest.mark.parametrize(
    ("text", "platform"),
    [
        ("linux_x86_64", "linux_x86_64"),
        ("linux-64", "linux_x86_64"),
        ("linux", "linux_x86_64"),
        ("linux-32", "linux_i686"),
        ("linux-aarch64", "linux_aarch64"),
        ("linux_arm64", "linux_aarch64"),
        ("linux-s390x", "linux_s390x"),
        ("linux-ppc64le", "linux_ppc64le"),
        ("linux_riscv64", "linux_riscv64"),
        ("linux_armv7l", "linux_armv7l"),
        ("osx-64", "macos_x86_64"),
        ("osx-arm64", "macos_arm64"),
        ("macos-arm64", "macos_arm64"),
        ("macos_universal2", "macos_universal2"),
        ("Darwin-x86_64", "macos_x86_64"),
        ("win-64", "windows_x86_64"),
        ("win_amd64", "windows_x86_64"),
        ("win32", "windows_i686"),
        ("win-arm64", "windows_arm64"),
        ("windows-arm64", "windows_arm64"),
        ("windows", "windows_x86_64"),
    ],
)
def test_platform_spellings(text: str, platform: str) -> None:
    assert "_".join(parse_platform(text)) == platform


@pytest.mark.parametrize("text", ["", "beos", "macos", "linux_universal2", "macos_s390x"])
def test_an_unknown_platform_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a platform"):
        parse_platform(text)


@pytest.mark.parametrize(
    ("text", "abi"),
    [
        ("", ""),
        ("cxx11", "cxx11"),
        ("precxx11", "precxx11"),
        ("devtoolset3", "precxx11"),
        ("devtoolset7", "precxx11"),
        ("pre-cxx11", "precxx11"),
        ("gcc5.4_cxx11-abi", "cxx11"),
        ("cxx11-abi", "cxx11"),
    ],
)
def test_abi_spellings(text: str, abi: str) -> None:
    assert parse_abi(text) == abi


@pytest.mark.parametrize("text", ["shared_with_deps", "shared-with-deps", "Shared-With-Deps"])
def test_variant_spellings(text: str) -> None:
    assert parse_variant(text) == "shared-with-deps"


def test_unknown_words_are_refused() -> None:
    for parse in (parse_package_type, parse_abi, parse_variant):
        with pytest.raises(UsageError) as caught:
            parse("unheard-of")
        assert caught.value.hint.startswith("one of ")
