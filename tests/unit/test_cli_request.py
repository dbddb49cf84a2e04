from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest

from builder.cli import build, matrix
from builder.cli.request import request_from
from builder.cli.surroundings import this_platform, today
from builder.errors import UsageError
from builder.requests import BuildRequest


def asked(
    words: list[str], environ: dict[str, str], verb: click.Command = build.command
) -> tuple[BuildRequest, tuple[str, ...]]:
    """What a command line and an environment mean together."""
    context = verb.make_context(verb.name, list(words))
    return request_from(environ, context.params)


def request(*words: str, **environ: str) -> BuildRequest:
    return asked([*words], environ)[0]


def test_silence_means_this_machine_and_the_recipe() -> None:
    system, arch = this_platform()

    found = request()

    expected = BuildRequest(".", today(), os=system, arch=arch, recipe_roots=found.recipe_roots)
    assert found == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        pytest.param(["sample"], {"recipe": "sample"}, id="recipe"),
        pytest.param(["--type", "manywheel,libtorch"], {"types": ("manywheel", "libtorch")}, id="types"),
        pytest.param(
            ["--python", "3.7,3.9-3.13", "--python", "./py"],
            {"pythons": ("3.7", "3.9-3.13", "./py")}, id="pythons",
        ),
        pytest.param(["--cuda", "cpu, 13.0"], {"accelerators": ("cpu", "13.0")}, id="cuda"),
        pytest.param(["--accelerator", "rocm6.2"], {"accelerators": ("rocm6.2",)}, id="accelerator"),
        pytest.param(["--select", "a*", "--skip", "b*"], {"select": ("a*",), "skip": ("b*",)}, id="selection"),
        pytest.param(["--cuda-arch", "80-real,90"], {"architectures": ("80-real", "90")}, id="architectures"),
        pytest.param(["--plat", "manylinux_2_28"], {"baseline": "manylinux_2_28"}, id="baseline"),
        pytest.param(["--channel", "nightly"], {"channel": "nightly"}, id="channel"),
        pytest.param(
            ["--channel", "./c", "--channel", "test", "--channel", "conda-forge"],
            {"channel": "test", "channels": ("./c", "conda-forge")}, id="channels",
        ),
        pytest.param(
            ["--variants", "v.yaml", "--engine", "conda-build", "--debug-shell", "w-1-0"],
            {"variant_files": (Path("v.yaml"),), "engine": "conda-build", "debug_shell": "w-1-0"}, id="foreign",
        ),
        pytest.param(["--build-number", "0"], {"build_number": 0}, id="build number"),
        pytest.param(["-o", "out", "--store", "/s"], {"output": Path("out"), "store": Path("/s")}, id="places"),
        pytest.param(["-j", "3"], {"jobs": 3}, id="jobs"),
        pytest.param(["--no-check", "--keep"], {"check": False, "keep": True}, id="switches"),
        pytest.param(["--source", "x.tar.gz", "--version", "2"], {"source": "x.tar.gz", "version": "2"}, id="source"),
    ],
)  # fmt: skip
def test_each_flag_is_one_field(words: list[str], expected: dict[str, Any]) -> None:
    assert request(*words) == replace(request(), **expected)


@pytest.mark.parametrize(
    ("variable", "words", "by_variable", "by_flag"),
    [
        ("PACKAGE_TYPE=libtorch", ["--type", "manywheel"], {"types": ("libtorch",)}, {"types": ("manywheel",)}),
        ("DESIRED_PYTHON=cp37-cp37m", ["--python", "3.9"], {"pythons": ("cp37m",)}, {"pythons": ("3.9",)}),
        ("DESIRED_CUDA=100", ["--cuda", "cpu"], {"accelerators": ("cuda100",)}, {"accelerators": ("cpu",)}),
        ("PYTORCH_BUILD_VERSION=1.2", ["--version", "3"], {"version": "1.2"}, {"version": "3"}),
        ("UPLOAD_CHANNEL=nightly", ["--channel", "test"], {"channel": "nightly"}, {"channel": "test"}),
        ("PYTORCH_FINAL_PACKAGE_DIR=/old", ["-o", "/new"], {"output": Path("/old")}, {"output": Path("/new")}),
        ("PYTORCH_ROOT=/old", ["--source", "/new"], {"source": "/old"}, {"source": "/new"}),
        (
            "TORCH_CUDA_ARCH_LIST=8.0", ["--cuda-arch", "90"],
            {"architectures": ("80-real",)}, {"architectures": ("90",)},
        ),
        ("DESIRED_DEVTOOLSET=devtoolset7", ["--abi", "cxx11"], {"abi": "precxx11"}, {"abi": "cxx11"}),
        ("SKIP_ALL_TESTS=1", ["--check"], {"check": False}, {"check": True}),
    ],
)  # fmt: skip
def test_an_old_variable_is_a_default_that_a_flag_overrides(
    variable: str, words: list[str], by_variable: dict[str, Any], by_flag: dict[str, Any]
) -> None:
    name, _, text = variable.partition("=")

    silent, notices = asked([], {name: text})

    assert silent == replace(request(), **by_variable)
    assert len(notices) == 1
    assert f"{name}={text}" in notices[0]
    assert request(*words, **{name: text}) == replace(request(), **by_flag)


def test_an_old_build_number_becomes_part_of_the_old_version() -> None:
    found = request(PYTORCH_BUILD_VERSION="1.2.0", PYTORCH_BUILD_NUMBER="2")

    assert found.version == "1.2.0.post2"


def test_a_variant_of_the_old_variables_is_for_libtorch_only() -> None:
    old = {"PACKAGE_TYPE": "libtorch", "LIBTORCH_VARIANT": "shared-with-deps"}

    assert request(**old).variants == ("shared-with-deps",)
    assert request("--type", "manywheel", **old).variants == ()


@pytest.mark.parametrize(
    ("words", "platform"),
    [
        (["--os", "macos", "--arch", "arm64"], ("macos", "arm64")),
        (["--os", "linux", "--arch", "aarch64"], ("linux", "aarch64")),
        (["--os", "windows", "--arch", "x86_64"], ("windows", "x86_64")),
    ],
)
def test_a_platform_is_asked_for(words: list[str], platform: tuple[str, str]) -> None:
    found = request(*words)

    assert (found.os, found.arch) == platform


@pytest.mark.parametrize("words", [["--os", "beos"], ["--arch", "z80"]])
def test_a_platform_nobody_knows_is_refused(words: list[str]) -> None:
    with pytest.raises(UsageError):
        request(*words)


def test_own_folders_of_recipes_come_first(tmp_path: Path) -> None:
    found = request("--recipes", str(tmp_path))

    assert found.recipe_roots == (tmp_path, *request().recipe_roots)


def test_the_matrix_understands_the_words_it_shares_with_build() -> None:
    words = ["sample", "--python", "3.11", "--cuda", "13.0", "--skip", "x"]

    assert asked(words, {}, matrix.command) == asked(words, {}, build.command)
