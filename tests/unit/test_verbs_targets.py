from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from builder.config.python import Python
from builder.config.recipe import Archive, Axes, Conda, CppArchive, Folder, Recipe, VersionRule
from builder.config.target import Target
from builder.errors import NothingSelected, UsageError
from builder.requests import BuildRequest
from builder.verbs.targets import file_name, is_path, target_version, targets_of

CP311 = Python(3, 11, "")
FOUND = (Python(3, 10, ""), CP311)
RECIPE = Recipe("answer", Path("/r"), Folder(Path("/s")))
WIDE = replace(RECIPE, axes=Axes(pythons=("cp39", "cp310"), accelerators=("cpu", "cuda130")))
ASKED = BuildRequest("answer", date(2026, 11, 21))


def ids(recipe: Recipe, **asked: Any) -> list[str]:
    request = replace(ASKED, **asked)
    return [str(target) for target in targets_of(recipe, request, CP311, FOUND)]


@pytest.mark.parametrize(
    ("recipe", "asked", "expected"),
    [
        pytest.param(RECIPE, {}, ["manywheel-cp311-cpu-linux_x86_64"], id="silence"),
        pytest.param(
            RECIPE,
            {"pythons": ("all",)},
            ["manywheel-cp310-cpu-linux_x86_64", "manywheel-cp311-cpu-linux_x86_64"],
            id="all that was found",
        ),
        pytest.param(
            WIDE,
            {"pythons": ("all",), "accelerators": ("all",)},
            [
                "manywheel-cp39-cpu-linux_x86_64",
                "manywheel-cp39-cuda130-linux_x86_64",
                "manywheel-cp310-cpu-linux_x86_64",
                "manywheel-cp310-cuda130-linux_x86_64",
            ],
            id="all that the recipe lists",
        ),
        pytest.param(
            RECIPE,
            {"pythons": ("3.7", "3.9-3.10"), "accelerators": ("10.0",)},
            [
                "manywheel-cp37m-cuda100-linux_x86_64",
                "manywheel-cp39-cuda100-linux_x86_64",
                "manywheel-cp310-cuda100-linux_x86_64",
            ],
            id="ranges and old spellings",
        ),
        pytest.param(
            WIDE,
            {"pythons": ("all",), "accelerators": ("all",), "select": ("*-cp39-*",), "skip": ("*cuda*",)},
            ["manywheel-cp39-cpu-linux_x86_64"],
            id="selected and skipped",
        ),
        pytest.param(
            RECIPE, {"types": ("libtorch",)}, ["libtorch-none-cpu-linux_x86_64-shared_with_deps"], id="no Python"
        ),
    ],
)  # fmt: skip
def test_targets_of_a_request(recipe: Recipe, asked: dict[str, Any], expected: list[str]) -> None:
    assert ids(recipe, **asked) == expected


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"pythons": ("3.x",)}, UsageError),
        ({"accelerators": ("fast",)}, UsageError),
        ({"types": ("many wheel",)}, UsageError),
        ({"select": ("conda-*",)}, NothingSelected),
    ],
)
def test_a_request_that_means_nothing(asked: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        ids(RECIPE, **asked)


@pytest.mark.parametrize(
    ("text", "answer"), [("3.11", False), ("all", False), ("./python", True), ("/opt/py/bin/python", True)]
)  # fmt: skip
def test_paths_are_told_from_versions(text: str, answer: bool) -> None:
    assert is_path(text) is answer


CPU = Target.parse("manywheel-cp311-cpu-linux_x86_64")
CUDA = Target.parse("manywheel-cp311-cuda130-linux_x86_64")
CONDA = Target.parse("conda-cp311-cpu-linux_x86_64")
MAC = Target.parse("wheel-cp311-cpu-macos_arm64")


@pytest.mark.parametrize(
    ("recipe", "target", "asked", "version"),
    [
        pytest.param(RECIPE, CPU, {}, "1.4.0", id="one accelerator, no local part"),
        pytest.param(WIDE, CPU, {}, "1.4.0+cpu", id="several"),
        pytest.param(WIDE, CUDA, {}, "1.4.0+cu130", id="cuda"),
        pytest.param(WIDE, MAC, {}, "1.4.0", id="never on macOS"),
        pytest.param(WIDE, CUDA, {"channel": "nightly"}, "1.4.0.dev20261121+cu130", id="nightly"),
        pytest.param(WIDE, CPU, {"build_number": 2}, "1.4.0.post2+cpu", id="build number"),
        pytest.param(WIDE, CONDA, {"build_number": 2}, "1.4.0.post2+cpu", id="conda as wheels"),
        pytest.param(WIDE, CPU, {"version": "2.0rc1"}, "2.0rc1", id="exactly that"),
        pytest.param(
            replace(WIDE, version=VersionRule(local="none")), CUDA, {}, "1.4.0", id="recipe says none"
        ),
        pytest.param(
            replace(RECIPE, version=VersionRule(local="accelerator")), CPU, {}, "1.4.0+cpu", id="always"
        ),
    ],
)  # fmt: skip
def test_versions(recipe: Recipe, target: Target, asked: dict[str, Any], version: str) -> None:
    assert target_version(recipe, target, replace(ASKED, **asked), "1.4.0") == version


def test_a_conda_file_is_named_by_its_own_rules() -> None:
    recipe = replace(WIDE, conda=Conda(build_string="compatible", format="tar.bz2"))
    assert (
        file_name(recipe, CONDA, "1.4.0.post2+cpu") == "linux-64/answer-1.4.0-py3.11_cpu_2.tar.bz2"
    )
    assert file_name(recipe, CONDA, "") == "linux-64/answer-0-py3.11_cpu_0.tar.bz2"


def test_a_version_nobody_says_is_left_to_the_wheel_unless_it_is_needed() -> None:
    assert target_version(RECIPE, CPU, ASKED, "") == ""
    for needs in ({"channel": "nightly"}, {"build_number": 3}):
        with pytest.raises(UsageError, match="does not say its version"):
            target_version(RECIPE, CPU, replace(ASKED, **needs), "")
    with pytest.raises(UsageError, match="does not say its version"):
        target_version(WIDE, CPU, ASKED, "")


@pytest.mark.parametrize(
    ("recipe", "version", "name"),
    [
        (RECIPE, "1.2", "libanswer-shared-with-deps-1.2.zip"),
        (RECIPE, "", "libanswer-shared-with-deps-0.zip"),
        (
            replace(RECIPE, archive=CppArchive(name="libtorch", format="tar.zst")),
            "1.2",
            "libtorch-shared-with-deps-1.2.tar.zst",
        ),
        (
            replace(RECIPE, source=Archive("/x/answer-2.0+cpu-cp311-cp311-linux_x86_64.whl", "")),
            "",
            "libanswer-shared-with-deps-2.0+cpu.zip",
        ),
    ],
    ids=["plain", "no version yet", "named by the recipe", "of a wheel"],
)
def test_file_names_of_cpp_archives(recipe: Recipe, version: str, name: str) -> None:
    target = Target.parse("libtorch-none-cpu-linux_x86_64-shared_with_deps")
    assert file_name(recipe, target, version) == name
