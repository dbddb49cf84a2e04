from __future__ import annotations

import re
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from builder.config.accelerator import Accelerator
from builder.config.naming_conda import (
    build_glob,
    build_number,
    build_string,
    choice_name,
    conda_file_name,
    package_of,
    release_of,
)
from builder.config.recipe import Axes, Conda, Folder, Recipe
from builder.config.target import Target
from builder.errors import UsageError

PLAIN = Recipe("my_torch", Path("/r"), Folder(Path("/s")))
COMPATIBLE = replace(PLAIN, conda=Conda(build_string="compatible", variant={"cudnn": "7.6.1"}))
OLD = Target.parse("conda-cp37m-cuda100-linux_x86_64")
LIBRARY = Target.parse("conda_lib-none-cuda100-linux_x86_64")
CPU = Target.parse("conda-cp313t-cpu-linux_x86_64")


@pytest.mark.parametrize(
    ("version", "accelerator", "expected"),
    [
        ("1.4.0+cpu", "cpu", ("1.4.0", 0)),
        ("1.4.0+cu130", "13.0", ("1.4.0", 0)),
        ("1.4.0+mine", "cpu", ("1.4.0+mine", 0)),
        ("1.4.0.post2+cpu", "cpu", ("1.4.0", 2)),
        ("1.4.0.post0", "cpu", ("1.4.0", 0)),
        ("1.4.0.dev20261121+cpu", "cpu", ("1.4.0.dev20261121", 0)),
        ("1.4rc1", "cpu", ("1.4rc1", 0)),
    ],
)
def test_releases(version: str, accelerator: str, expected: tuple[str, int]) -> None:
    assert release_of(version, Accelerator.parse(accelerator)) == expected


def test_what_is_no_version_has_no_release() -> None:
    with pytest.raises(UsageError, match="not a version"):
        release_of("one", Accelerator("cpu"))


def test_build_strings_of_both_kinds() -> None:
    assert build_string(COMPATIBLE, OLD, cuda="10.0.130") == "py3.7_cuda10.0.130_cudnn7.6.1_0"
    assert build_string(COMPATIBLE, LIBRARY, 1, cuda="10.0.130") == "cuda10.0.130_cudnn7.6.1_1"
    modern = [build_string(PLAIN, target, 2) for target in (OLD, LIBRARY, CPU)]
    assert [re.sub("h[0-9a-f]{7}", "hDIGEST", build) for build in modern] == [
        "py37_cuda100_hDIGEST_2",
        "cuda100_hDIGEST_2",
        "py313t_cpu_hDIGEST_2",
    ]


def test_every_key_enters_the_digest() -> None:
    variants = [
        build_string(replace(PLAIN, conda=Conda(variant=variant)), CPU)
        for variant in ({}, {"blas": "mkl"}, {"blas": "openblas"}, {"mkl": "blas"})
    ]
    targets = [
        build_string(PLAIN, Target.parse(f"conda-cp311-cpu-linux_x86_64{abi}"))
        for abi in ("", "-cxx11", "-precxx11")
    ]
    assert len({*variants, *targets}) == len(variants) + len(targets)


def test_solvers_prefer_newer_cuda_then_cuda_then_the_processor_and_never_what_they_cannot_see() -> (
    None
):
    words = ("rocm6.2", "cpu", "cuda118", "cuda128", "cuda130")
    recipe = replace(PLAIN, axes=Axes(accelerators=words))
    targets = [Target.parse(f"conda-cp311-{word}-linux_x86_64") for word in words]
    numbers = [build_number(recipe, target, post) for target in targets for post in (0, 99)]
    assert numbers == sorted(set(numbers))
    assert build_number(PLAIN, targets[1], 0) == 0
    assert build_number(replace(PLAIN, conda=Conda(build_number=3)), targets[3], 2) == 120805


@pytest.mark.parametrize("recipe", [PLAIN, COMPATIBLE], ids=["modern", "compatible"])
def test_a_glob_chooses_one_accelerator(recipe: Recipe) -> None:
    words = ("cpu", "cuda118", "cuda130")
    builds = [
        build_string(recipe, Target.parse(f"{kind}-{word}-linux_x86_64"), cuda=f"{dotted}.1")
        for word, dotted in zip(words, ("", "11.8", "13.0"), strict=True)
        for kind in ("conda-cp311", "conda_lib-none")
    ]
    for index, word in enumerate(words):
        glob = build_glob(recipe, Accelerator.parse(word))
        chosen = [build for build in builds if fnmatchcase(build, glob)]
        assert chosen == builds[2 * index : 2 * index + 2]


def test_names() -> None:
    named = replace(PLAIN, conda=Conda(name="torch_x", format="tar.bz2"))
    assert (package_of(PLAIN), package_of(named)) == ("my-torch", "torch_x")
    assert choice_name(named, Accelerator.parse("13.0")) == "torch_x-cuda"
    assert conda_file_name(named, OLD, "1.2.post1+cu100") == (
        f"linux-64/torch_x-1.2-{build_string(named, OLD, 1)}.tar.bz2"
    )
