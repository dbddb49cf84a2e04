"""The variables of the old build scripts, as defaults."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.config.legacy import VARIABLES, Defaults, read
from builder.errors import UsageError


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, {}),
        ({"PATH": "/bin", "PACKAGE_TYPE": "", "DESIRED_CUDA": "  "}, {}),
        ({"PACKAGE_TYPE": "manywheel"}, {"types": ("manywheel",)}),
        ({"BUILD_PYTHONLESS": "1"}, {"types": ("libtorch",)}),
        ({"BUILD_PYTHONLESS": "0"}, {}),
        ({"PACKAGE_TYPE": "libtorch", "BUILD_PYTHONLESS": "1"}, {"types": ("libtorch",)}),
        ({"DESIRED_PYTHON": "2.7mu"}, {"pythons": ("cp27mu",)}),
        ({"DESIRED_PYTHON": "cp37-cp37m"}, {"pythons": ("cp37m",)}),
        ({"DESIRED_PYTHON": "3.13t"}, {"pythons": ("cp313t",)}),
        ({"DESIRED_PYTHON": "3.5;3.6;3.7"}, {"pythons": ("cp35m", "cp36m", "cp37m")}),
        ({"DESIRED_PYTHON": "( 3.6 '3.7'  \"3.7\" )"}, {"pythons": ("cp36m", "cp37m")}),
        ({"DESIRED_PYTHON": "all"}, {"pythons": ("all",)}),
        ({"DESIRED_CUDA": "cpu"}, {"accelerators": ("cpu",)}),
        ({"DESIRED_CUDA": "cu92"}, {"accelerators": ("cuda92",)}),
        ({"DESIRED_CUDA": "10.0"}, {"accelerators": ("cuda100",)}),
        ({"DESIRED_CUDA": "100"}, {"accelerators": ("cuda100",)}),
        ({"DESIRED_CUDA": "rocm6.2"}, {"accelerators": ("rocm6.2",)}),
        ({"DESIRED_CUDA": "xpu"}, {"accelerators": ("xpu",)}),
        ({"DESIRED_CUDA": "cpu-cxx11-abi"}, {"accelerators": ("cpu",), "abi": "cxx11"}),
        ({"GPU_ARCH_TYPE": "cpu"}, {"accelerators": ("cpu",)}),
        ({"GPU_ARCH_TYPE": "xpu", "GPU_ARCH_VERSION": "2025"}, {"accelerators": ("xpu",)}),
        ({"GPU_ARCH_TYPE": "cuda", "GPU_ARCH_VERSION": "12.6"}, {"accelerators": ("cuda126",)}),
        ({"GPU_ARCH_TYPE": "rocm", "GPU_ARCH_VERSION": "6.2"}, {"accelerators": ("rocm6.2",)}),
        ({"GPU_ARCH_TYPE": "cuda", "DESIRED_CUDA": "cu128"}, {"accelerators": ("cuda128",)}),
        (
            {"GPU_ARCH_TYPE": "cuda", "GPU_ARCH_VERSION": "12.8", "DESIRED_CUDA": "cu128"},
            {"accelerators": ("cuda128",)},
        ),
        (
            {"GPU_ARCH_TYPE": "cuda-aarch64", "GPU_ARCH_VERSION": "12.8-aarch64"},
            {"accelerators": ("cuda128",), "os": "linux", "arch": "aarch64"},
        ),
        (
            {"GPU_ARCH_TYPE": "cpu-s390x"},
            {"accelerators": ("cpu",), "os": "linux", "arch": "s390x"},
        ),
        ({"GPU_ARCH_TYPE": "cpu-cxx11-abi"}, {"accelerators": ("cpu",), "abi": "cxx11"}),
        ({"DESIRED_DEVTOOLSET": "devtoolset3"}, {"abi": "precxx11"}),
        ({"DESIRED_DEVTOOLSET": "devtoolset7"}, {"abi": "precxx11"}),
        ({"DESIRED_DEVTOOLSET": "gcc5.4_cxx11-abi"}, {"abi": "cxx11"}),
        (
            {"DESIRED_DEVTOOLSET": "cxx11-abi", "DESIRED_CUDA": "cpu-cxx11-abi"},
            {"abi": "cxx11", "accelerators": ("cpu",)},
        ),
        ({"DESIRED_DEVTOOLSET": ""}, {}),
        ({"LIBTORCH_VARIANT": "static-without-deps"}, {"variants": ("static-without-deps",)}),
        (
            {"LIBTORCH_VARIANT": "shared-with-deps", "LIBTORCH_CONFIG": "debug"},
            {"variants": ("shared-with-deps-debug",)},
        ),
        (
            {"LIBTORCH_VARIANT": "shared-with-deps", "LIBTORCH_CONFIG": "release"},
            {"variants": ("shared-with-deps",)},
        ),
        (
            {"PACKAGE_TYPE": "manywheel", "LIBTORCH_VARIANT": "shared-with-deps"},
            {"types": ("manywheel",)},
        ),
        (
            {"PACKAGE_TYPE": "libtorch", "DESIRED_PYTHON": "2.7m"},
            {"types": ("libtorch",)},
        ),
        ({"PYTORCH_BUILD_VERSION": "1.2.0"}, {"version": "1.2.0"}),
        (
            {"PYTORCH_BUILD_VERSION": "1.2.0.dev20190731+cu100"},
            {"version": "1.2.0.dev20190731+cu100"},
        ),
        (
            {"PYTORCH_BUILD_VERSION": "1.0.1", "PYTORCH_BUILD_NUMBER": "2"},
            {"version": "1.0.1.post2", "build_number": 2},
        ),
        (
            {
                "PACKAGE_TYPE": "conda",
                "PYTORCH_BUILD_VERSION": "1.0.1",
                "PYTORCH_BUILD_NUMBER": "2",
            },
            {"types": ("conda",), "version": "1.0.1", "build_number": 2},
        ),
        (
            {"OVERRIDE_PACKAGE_VERSION": "1.3.0.dev1", "PYTORCH_BUILD_NUMBER": "7"},
            {"override": "1.3.0.dev1", "build_number": 0},
        ),
        ({"UPLOAD_CHANNEL": "nightly"}, {"channel": "nightly"}),
        ({"TORCH_PACKAGE_NAME": "torch_nightly"}, {"package_name": "torch_nightly"}),
        ({"PYTORCH_ROOT": "/pytorch"}, {"source": "/pytorch"}),
        ({"PYTORCH_FINAL_PACKAGE_DIR": "/artifacts"}, {"output": "/artifacts"}),
        (
            {"TORCH_CUDA_ARCH_LIST": "5.0;6.0+PTX"},
            {"architectures": ("50-real", "60-real", "60-virtual")},
        ),
        (
            {"TORCH_CUDA_ARCH_LIST": "5.0", "OVERRIDE_TORCH_CUDA_ARCH_LIST": "9.0a 10.0"},
            {"architectures": ("90a-real", "100-real")},
        ),
        ({"SKIP_ALL_TESTS": "1"}, {"check": False}),
        ({"SKIP_ALL_TESTS": "0"}, {}),
    ],
)
def test_variables_become_defaults(environ: dict[str, str], expected: dict[str, Any]) -> None:
    assert read(environ)[0] == Defaults(**expected)


@pytest.mark.parametrize(
    ("environ", "faults"),
    [
        ({"PACKAGE_TYPE": "2rpm"}, ["PACKAGE_TYPE: no such package type"]),
        ({"PACKAGE_TYPE": "wheel", "BUILD_PYTHONLESS": "1"}, ["contradict each other"]),
        ({"DESIRED_PYTHON": "3.x"}, ["DESIRED_PYTHON: not a Python version"]),
        ({"DESIRED_PYTHON": "()"}, ["DESIRED_PYTHON: names no Python"]),
        ({"DESIRED_CUDA": "gpu"}, ["DESIRED_CUDA: not an accelerator"]),
        ({"DESIRED_CUDA": "gpu", "GPU_ARCH_TYPE": "cuda"}, ["DESIRED_CUDA: not an accelerator"]),
        ({"DESIRED_CUDA": "cpu", "GPU_ARCH_TYPE": "cuda"}, ["DESIRED_CUDA=cpu and GPU_ARCH_TYPE"]),
        (
            {"DESIRED_CUDA": "cu126", "GPU_ARCH_TYPE": "cuda", "GPU_ARCH_VERSION": "12.8"},
            ["DESIRED_CUDA=cu126 and GPU_ARCH_TYPE=cuda 12.8 contradict each other"],
        ),
        ({"DESIRED_CUDA": "cu126", "GPU_ARCH_TYPE": "xpu"}, ["contradict each other"]),
        ({"GPU_ARCH_TYPE": "tpu"}, ["GPU_ARCH_TYPE: not an accelerator"]),
        ({"GPU_ARCH_TYPE": "cuda-vax"}, ["GPU_ARCH_TYPE: not a platform"]),
        ({"GPU_ARCH_TYPE": "cuda"}, ["GPU_ARCH_TYPE=cuda needs GPU_ARCH_VERSION"]),
        ({"GPU_ARCH_VERSION": "12.6"}, ["GPU_ARCH_VERSION=12.6 is set without GPU_ARCH_TYPE"]),
        ({"GPU_ARCH_TYPE": "cuda", "GPU_ARCH_VERSION": "x"}, ["GPU_ARCH_VERSION: not an accel"]),
        ({"DESIRED_DEVTOOLSET": "clang"}, ["DESIRED_DEVTOOLSET: not a C++ ABI"]),
        (
            {"DESIRED_DEVTOOLSET": "devtoolset7", "DESIRED_CUDA": "cpu-cxx11-abi"},
            ["DESIRED_CUDA=cpu-cxx11-abi and DESIRED_DEVTOOLSET=devtoolset7 contradict each other"],
        ),
        ({"LIBTORCH_VARIANT": "huge"}, ["LIBTORCH_VARIANT: no such variant"]),
        ({"LIBTORCH_CONFIG": "fast"}, ["LIBTORCH_CONFIG: not a configuration"]),
        ({"LIBTORCH_CONFIG": "debug"}, ["LIBTORCH_CONFIG=debug needs LIBTORCH_VARIANT"]),
        ({"PYTORCH_BUILD_VERSION": "one"}, ["PYTORCH_BUILD_VERSION: not a version"]),
        ({"PYTORCH_BUILD_NUMBER": "-1"}, ["PYTORCH_BUILD_NUMBER: not a build number"]),
        ({"OVERRIDE_PACKAGE_VERSION": "one"}, ["OVERRIDE_PACKAGE_VERSION: not a version"]),
        ({"UPLOAD_CHANNEL": "weekly"}, ["UPLOAD_CHANNEL: no such channel"]),
        ({"TORCH_CUDA_ARCH_LIST": "Ampere"}, ["TORCH_CUDA_ARCH_LIST: not a CUDA architecture"]),
        (
            {
                "PACKAGE_TYPE": "2rpm",
                "DESIRED_PYTHON": "3.x",
                "GPU_ARCH_TYPE": "rocm",
                "PYTORCH_BUILD_NUMBER": "two",
            },
            ["PACKAGE_TYPE", "DESIRED_PYTHON", "GPU_ARCH_TYPE=rocm needs", "PYTORCH_BUILD_NUMBER"],
        ),
    ],
)
def test_faults_are_told_all_at_once(environ: dict[str, str], faults: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        read(environ)
    assert len(caught.value.faults) == len(faults)
    assert all(said in fault for said, fault in zip(faults, caught.value.faults, strict=True))
    assert caught.value.hint


INSTEAD = "; say that instead"


@pytest.mark.parametrize(
    ("environ", "notices"),
    [
        (
            {"DESIRED_CUDA": "cpu-cxx11-abi", "PACKAGE_TYPE": "manywheel"},
            {
                "PACKAGE_TYPE=manywheel": f"is read as `--type manywheel`{INSTEAD}",
                "DESIRED_CUDA=cpu-cxx11-abi": f"is read as `--cuda cpu --abi cxx11`{INSTEAD}",
            },
        ),
        (
            {"GPU_ARCH_TYPE": "cuda-aarch64", "GPU_ARCH_VERSION": "12.8"},
            {
                "GPU_ARCH_TYPE=cuda-aarch64": (
                    f"is read as `--cuda cuda128 --os linux --arch aarch64`{INSTEAD}"
                ),
                "GPU_ARCH_VERSION=12.8": f"is read as `--cuda cuda128`{INSTEAD}",
            },
        ),
        (
            {"PACKAGE_TYPE": "libtorch", "DESIRED_PYTHON": "3.7"},
            {
                "PACKAGE_TYPE=libtorch": f"is read as `--type libtorch`{INSTEAD}",
                "DESIRED_PYTHON=3.7": "is ignored: a C++ archive has no Python; unset it",
            },
        ),
        (
            {"OVERRIDE_PACKAGE_VERSION": "1.2", "PYTORCH_BUILD_VERSION": "1.1"},
            {
                "PYTORCH_BUILD_VERSION=1.1": (
                    "is ignored: OVERRIDE_PACKAGE_VERSION is the exact version; unset it"
                ),
                "OVERRIDE_PACKAGE_VERSION=1.2": f"is read as `--version 1.2`{INSTEAD}",
            },
        ),
    ],
)
def test_notices_say_what_to_say_instead(environ: dict[str, str], notices: dict[str, str]) -> None:
    expected = tuple(f"the old variable {said} {how}" for said, how in notices.items())
    assert read(environ)[1] == expected


VALID = {
    "PACKAGE_TYPE": "libtorch",
    "BUILD_PYTHONLESS": "1",
    "DESIRED_PYTHON": "3.7m",
    "DESIRED_CUDA": "cu128",
    "GPU_ARCH_TYPE": "cuda",
    "GPU_ARCH_VERSION": "12.8",
    "DESIRED_DEVTOOLSET": "cxx11-abi",
    "LIBTORCH_VARIANT": "shared-with-deps",
    "LIBTORCH_CONFIG": "release",
    "PYTORCH_BUILD_VERSION": "1.2.0",
    "PYTORCH_BUILD_NUMBER": "1",
    "OVERRIDE_PACKAGE_VERSION": "1.2.0+cu128",
    "UPLOAD_CHANNEL": "test",
    "TORCH_PACKAGE_NAME": "torch",
    "PYTORCH_ROOT": "/pytorch",
    "PYTORCH_FINAL_PACKAGE_DIR": "/artifacts",
    "TORCH_CUDA_ARCH_LIST": "8.0",
    "OVERRIDE_TORCH_CUDA_ARCH_LIST": "9.0",
    "SKIP_ALL_TESTS": "1",
}


def test_the_table_above_holds_every_variable() -> None:
    assert set(VALID) == set(VARIABLES)


@given(st.sets(st.sampled_from(VARIABLES)))
def test_each_variable_gives_exactly_one_notice(some: set[str]) -> None:
    names = some | {"GPU_ARCH_TYPE", "DESIRED_CUDA"}
    _, notices = read({name: VALID[name] for name in names})
    told = [notice.removeprefix("the old variable ").partition("=")[0] for notice in notices]
    assert told == [name for name in VARIABLES if name in names]


def test_the_override_wins() -> None:
    defaults, _ = read({"OVERRIDE_PACKAGE_VERSION": "1.2.0+cu92", "PYTORCH_BUILD_VERSION": "1.1.0"})
    assert defaults.exact_version == "1.2.0+cu92"
    assert read({"PYTORCH_BUILD_VERSION": "1.1.0"})[0].exact_version == "1.1.0"
