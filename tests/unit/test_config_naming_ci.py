"""Names of jobs, upload keys and size records."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest

from builder.config import naming, naming_ci
from builder.config.naming_ci import Phase
from builder.config.target import Os, Target
from builder.config.version import Channel
from builder.errors import UsageError

DAY = date(2019, 5, 2)


@pytest.mark.parametrize(
    ("target", "phase", "more", "name"),
    [
        ("conda-3.7-cpu-linux", "build", {}, "binary_linux_conda_3.7_cpu_build"),
        (
            "libtorch-none-cpu-linux",
            "build",
            {"python": "2.7m", "compiler": "devtoolset7"},
            "binary_linux_libtorch_2.7m_cpu_devtoolset7_build",
        ),
        (
            "libtorch-none-cu100-linux_64-shared_with_deps",
            None,
            {"python": "2.7m"},
            "smoke_linux_libtorch_2.7m_cu100_shared-with-deps",
        ),
        (
            "manywheel-3.7m-cu92-linux",
            "upload",
            {"compiler": "devtoolset7", "nightly": True, "dots": False},
            "binary_linux_manywheel_3_7m_cu92_devtoolset7_nightly_upload",
        ),
        ("manywheel-2.7mu-cpu-linux", "test", {}, "binary_linux_manywheel_2.7mu_cpu_test"),
        ("wheel-3.8-cpu-osx_arm64", "build", {}, "binary_macos_arm64_wheel_3.8_cpu_build"),
        ("wheel-3.13t-cpu-win_64", "build", {}, "binary_windows_wheel_3.13t_cpu_build"),
        (
            "libtorch-none-cpu-windows-shared_with_deps_debug",
            "build",
            {"python": "3.7", "nightly": True},
            "binary_windows_libtorch_3.7_cpu_debug_nightly_shared-with-deps_build",
        ),
        (
            "libtorch-none-cpu-windows-shared_with_deps",
            "build",
            {},
            "binary_windows_libtorch_cpu_release_shared-with-deps_build",
        ),
    ],
)
def test_circleci_jobs(target: str, phase: Phase | None, more: Any, name: str) -> None:
    assert naming_ci.job_name(Target.parse(target), phase, **more) == name


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("manywheel-3.11-12.6-linux", "manywheel-py3_11-cuda12_6"),
        ("manywheel-3.11-cpu-linux", "manywheel-py3_11-cpu"),
        ("manywheel-3.7-cpu-linux", "manywheel-py3_7-cpu"),
        ("manywheel-3.13t-rocm6.2-linux", "manywheel-py3_13t-rocm6_2"),
        ("manywheel-3.9-cpu-linux-cxx11", "manywheel-py3_9-cpu-cxx11-abi"),
        (
            "libtorch-none-12.6-linux-cxx11-shared_with_deps",
            "libtorch-cuda12_6-shared-with-deps-cxx11-abi",
        ),
        (
            "libtorch-none-cpu-linux-precxx11-static_with_deps",
            "libtorch-cpu-static-with-deps-pre-cxx11",
        ),
    ],
)
def test_github_jobs(target: str, name: str) -> None:
    assert naming_ci.github_job_name(Target.parse(target)) == name


@pytest.mark.parametrize(
    ("target", "channel", "version", "key"),
    [
        (
            "manywheel-3.7m-cu100-linux",
            "nightly",
            "1.2.0.dev20190731+cu100",
            "whl/nightly/cu100/torch-1.2.0.dev20190731+cu100-cp37-cp37m-linux_x86_64.whl",
        ),
        (
            "libtorch-none-cpu-linux-shared_with_deps",
            "nightly",
            "1.2.0.dev20190726+cpu",
            "libtorch/nightly/cpu/libtorch-shared-with-deps-1.2.0.dev20190726+cpu.zip",
        ),
        (
            "manywheel-3.9-rocm6.2-linux",
            "test",
            "2.5.0+rocm6.2",
            "whl/test/rocm6.2/torch-2.5.0+rocm6.2-cp39-cp39-linux_x86_64.whl",
        ),
        (
            "wheel-3.9-cpu-win_64",
            "release",
            "2.5.0+cpu",
            "whl/cpu/torch-2.5.0+cpu-cp39-cp39-win_amd64.whl",
        ),
    ],
)
def test_upload_keys(target: str, channel: Channel, version: str, key: str) -> None:
    parsed = Target.parse(target)
    name = naming.package_name("torch", version, parsed)
    assert naming_ci.upload_key(parsed, channel, name) == key


def test_conda_packages_have_no_upload_key() -> None:
    with pytest.raises(UsageError, match="conda channel"):
        naming_ci.upload_key(Target.parse("conda-3.7-cpu-linux"), "nightly", "a.tar.bz2")


@pytest.mark.parametrize(
    ("channel", "page", "conda"),
    [
        ("nightly", "whl/nightly/torch_nightly.html", "pytorch-nightly"),
        ("test", "whl/test/torch_nightly.html", "pytorch-test"),
        ("release", "whl/torch_nightly.html", "pytorch"),
    ],
)
def test_places_of_a_channel(channel: Channel, page: str, conda: str) -> None:
    assert naming_ci.index_page_key("torch-nightly", channel) == page
    assert naming_ci.conda_channel("pytorch", channel) == conda


@pytest.mark.parametrize("os", ["linux", "macos"])
def test_logs_and_sizes_of_a_day(os: Os) -> None:
    name = "manywheel_2.7mu_cu100.log"
    assert naming_ci.log_key(os, DAY, name) == f"nightly_logs/{os}/2019_05_02/{name}"
    assert naming_ci.sizes_key(DAY) == "nightly_logs/binary_sizes/2019_05_02.json"


@pytest.mark.parametrize(
    ("target", "size", "line"),
    [
        (
            "manywheel-2.7mu-cu100-linux",
            88928494,
            '{"os":"linux","pkgType":"manywheel","pyVer":"2.7mu","cuVer":"cu100","size":"88928494"}',
        ),
        (
            "conda-3.7-cpu-osx_64",
            1,
            '{"os":"macos","pkgType":"conda","pyVer":"3.7","cuVer":"cpu","size":"1"}',
        ),
    ],
)
def test_size_records(target: str, size: int, line: str) -> None:
    record = naming_ci.size_record(Target.parse(target), size)
    assert json.dumps(record, separators=(",", ":")) == line
