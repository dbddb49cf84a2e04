"""File names: every name that was ever published stays what it was."""

from __future__ import annotations

import csv
import hashlib
from base64 import urlsafe_b64decode
from io import StringIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.utils import parse_wheel_filename

from builder.config import naming
from builder.config.accelerator import Accelerator
from builder.config.naming import CondaBuild
from builder.config.python import Python
from builder.config.target import Target
from builder.errors import UsageError

ABC = hashlib.sha256(b"abc").hexdigest()


@pytest.mark.parametrize(
    ("name", "renamed"),
    [
        ("libgomp.so.1", "libgomp-ba7816bf.so.1"),
        ("libcudart.so.10.0", "libcudart-ba7816bf.so.10.0"),
        ("libnvrtc-builtins.so", "libnvrtc-builtins.so"),
        ("libnvrtc-builtins.so.11.8", "libnvrtc-builtins.so.11.8"),
        ("libnvrtc.so.10.0", "libnvrtc-ba7816bf.so.10.0"),
        ("libfoo-1.2.so.3", "libfoo-1-ba7816bf.2.so.3"),
        ("libfoo", "libfoo-ba7816bf"),
    ],
)
def test_hash_rename(name: str, renamed: str) -> None:
    assert naming.hashed_name(name, ABC, keep=naming.LOADED_BY_NAME) == renamed


def test_without_exceptions_every_library_is_renamed() -> None:
    renamed = naming.hashed_name("libnvrtc-builtins.so", ABC)
    assert renamed == "libnvrtc-builtins-ba7816bf.so"


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (
            "torch/lib/libgomp.so.1",
            "torch/lib/libgomp.so.1,sha256=ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0,3",
        ),
        ("torch-1.2.0.dist-info/RECORD", "torch-1.2.0.dist-info/RECORD,,"),
        ("torch-1.2.0.dist-info/RECORD.jws", "torch-1.2.0.dist-info/RECORD.jws,,"),
        (
            "torch/RECORDER.py",
            "torch/RECORDER.py,sha256=ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0,3",
        ),
        (
            "torch/data.dist-info/RECORD",
            "torch/data.dist-info/RECORD,sha256=ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0,3",
        ),
        (
            'a,"b".py',
            '"a,""b"".py",sha256=ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0,3',
        ),
    ],
)
def test_record_lines(path: str, line: str) -> None:
    assert naming.record_line(path, ABC, 3) == line


@given(st.text(min_size=1), st.binary(max_size=64))
def test_a_record_line_reads_back_as_csv(path: str, content: bytes) -> None:
    line = naming.record_line(path, hashlib.sha256(content).hexdigest(), len(content))
    ((name, digest, size),) = csv.reader(StringIO(line, newline=""), strict=True)
    assert (name, int(size)) == (path, len(content))
    padded = digest.removeprefix("sha256=") + "="
    assert urlsafe_b64decode(padded) == hashlib.sha256(content).digest()


@pytest.mark.parametrize(
    ("wheel", "record"),
    [
        ("torch-1.2.0-cp37-cp37m-linux_x86_64.whl", "torch-1.2.0.dist-info/RECORD"),
        ("x-1.0-py3-none-any.whl", "x-1.0.dist-info/RECORD"),
        ("x-1.0-1-py3-none-any.whl", "x-1.0.dist-info/RECORD"),
        (
            "torch-1.2.0+cu100-cp37-none-macosx_10_7_x86_64.whl",
            "torch-1.2.0+cu100.dist-info/RECORD",
        ),
    ],
)
def test_record_path(wheel: str, record: str) -> None:
    assert naming.record_path(wheel) == record


@pytest.mark.parametrize(
    "name", ["x-1.0.tar.gz", "x.whl", "x-1.0-any.whl", "a/x-1-py3-none-any.whl"]
)
def test_a_file_that_is_no_wheel_has_no_record(name: str) -> None:
    with pytest.raises(UsageError, match="not the file name of a wheel"):
        naming.record_path(name)


@pytest.mark.parametrize(
    ("project", "version", "target", "name"),
    [
        (
            "torch-nightly",
            "1.2.0.dev20190731+cu100",
            "manywheel-cp37m-cuda100-linux_x86_64",
            "torch_nightly-1.2.0.dev20190731+cu100-cp37-cp37m-linux_x86_64.whl",
        ),
        (
            "torch",
            "1.0.1.post2",
            "manywheel-cp27mu-cpu-linux_x86_64",
            "torch-1.0.1.post2-cp27-cp27mu-linux_x86_64.whl",
        ),
        (
            "torch",
            "2.10.0+cpu",
            "manywheel-cp313t-cpu-linux_aarch64",
            "torch-2.10.0+cpu-cp313-cp313t-linux_aarch64.whl",
        ),
        (
            "torch",
            "2.10.0",
            "wheel-cp312-cpu-macos_arm64",
            "torch-2.10.0-cp312-cp312-macosx_11_0_arm64.whl",
        ),
        (
            "torch",
            "2.10.0+cu128",
            "wheel-cp312-cuda128-windows_x86_64",
            "torch-2.10.0+cu128-cp312-cp312-win_amd64.whl",
        ),
        (
            "torch",
            "1.2.0.dev20190726+cpu",
            "libtorch-none-cpu-linux_x86_64-shared_with_deps",
            "libtorch-shared-with-deps-1.2.0.dev20190726+cpu.zip",
        ),
        (
            "torch",
            "1.2.0.dev20190726",
            "libtorch-none-cpu-macos_x86_64-shared_with_deps",
            "libtorch-macos-1.2.0.dev20190726.zip",
        ),
        (
            "torch",
            "2.2.0",
            "libtorch-none-cpu-macos_arm64-shared_with_deps",
            "libtorch-macos-arm64-2.2.0.zip",
        ),
        (
            "torch",
            "1.5.0+cu101",
            "libtorch-none-cuda101-linux_x86_64-cxx11-shared_with_deps",
            "libtorch-cxx11-abi-shared-with-deps-1.5.0+cu101.zip",
        ),
        (
            "torch",
            "2.2.0",
            "libtorch-none-cpu-linux_x86_64-precxx11-static_with_deps",
            "libtorch-pre-cxx11-abi-static-with-deps-2.2.0.zip",
        ),
        (
            "torch",
            "2.2.0",
            "libtorch-none-cpu-linux_x86_64",
            "libtorch-shared-with-deps-2.2.0.zip",
        ),
        (
            "torch",
            "latest",
            "libtorch-none-cpu-windows_x86_64-shared_with_deps_debug",
            "libtorch-win-shared-with-deps-debug-latest.zip",
        ),
        (
            "torch",
            "2.10.0+cpu",
            "libtorch-none-cpu-windows_arm64-shared_with_deps",
            "libtorch-win-arm64-shared-with-deps-2.10.0+cpu.zip",
        ),
        (
            "lib.Sample_core",
            "1.0",
            "libtorch-none-cpu-linux_aarch64-static_with_deps",
            "lib-sample-core-aarch64-static-with-deps-1.0.zip",
        ),
        (
            "pytorch_nightly",
            "1.0",
            "conda-cp37m-cuda100-linux_x86_64",
            "linux-64/pytorch-nightly-1.0-py3.7_cuda10.0_0.tar.bz2",
        ),
        (
            "pytorch",
            "1.0",
            "conda-cp37m-cpu-macos_arm64",
            "osx-arm64/pytorch-1.0-py3.7_0.tar.bz2",
        ),
    ],
)
def test_package_names(project: str, version: str, target: str, name: str) -> None:
    assert naming.package_name(project, version, Target.parse(target)) == name


@pytest.mark.parametrize(
    ("version", "python", "name"),
    [
        (
            "1.1.0.dev20190503",
            "3.6",
            "torch_nightly-1.1.0.dev20190503-cp36-none-macosx_10_7_x86_64.whl",
        ),
        ("1.1.0", "2.7m", "torch_nightly-1.1.0-cp27-none-macosx_10_6_x86_64.whl"),
        ("1.1.0", "3.5", "torch_nightly-1.1.0-cp35-none-macosx_10_6_x86_64.whl"),
    ],
)
def test_old_mac_wheels(version: str, python: str, name: str) -> None:
    assert naming.old_mac_wheel_name("torch_nightly", version, Python.parse(python)) == name


@given(
    st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,10}[A-Za-z0-9])?", fullmatch=True),
    st.sampled_from(["cp27mu-cuda92", "cp37m-cpu", "cp313t-rocm6.2"]),
)
def test_wheel_names_are_valid(project: str, configuration: str) -> None:
    name = naming.package_name(
        project, "1.2.0.post2+cu100", Target.parse(f"manywheel-{configuration}-linux_x86_64")
    )
    _, version, _, tags = parse_wheel_filename(name)
    assert str(version) == "1.2.0.post2+cu100"
    assert {tag.platform for tag in tags} == {"linux_x86_64"}
    assert naming.record_path(name).startswith(name.split("-cp")[0])


@pytest.mark.parametrize(
    ("project", "version", "target", "full", "name"),
    [
        (
            "pytorch-nightly",
            "1.0.0.dev20190316",
            "conda-cp37m-cuda90-linux_x86_64",
            {"cuda": "9.0.176", "cudnn": "7.4.2"},
            "pytorch-nightly-1.0.0.dev20190316-py3.7_cuda9.0.176_cudnn7.4.2_0.tar.bz2",
        ),
        (
            "pytorch",
            "1.2.0.dev20190805+cpu",
            "conda-cp37m-cpu-linux_x86_64",
            {},
            "pytorch-1.2.0.dev20190805+cpu-py3.7_cpu_0.tar.bz2",
        ),
        ("pytorch", "1.2.0", "conda-cp37m-cpu-macos_x86_64", {}, "pytorch-1.2.0-py3.7_0.tar.bz2"),
        (
            "pytorch",
            "2.10.0",
            "conda-cp313t-xpu-linux_x86_64",
            {},
            "pytorch-2.10.0-py3.13t_xpu_0.tar.bz2",
        ),
    ],
)
def test_conda_names(project: str, version: str, target: str, full: Any, name: str) -> None:
    build = naming.conda_build_string(Target.parse(target), 0, **full)
    assert naming.conda_name(project, version, build) == name


def test_a_conda_package_of_the_new_format() -> None:
    assert naming.conda_name("a", "1", "py3.11_0", suffix=".conda") == "a-1-py3.11_0.conda"


@pytest.mark.parametrize(
    ("target", "subdir"),
    [
        ("conda-cp311-cpu-linux_x86_64", "linux-64"),
        ("conda-cp311-cpu-linux_i686", "linux-32"),
        ("conda-cp311-cpu-linux_ppc64le", "linux-ppc64le"),
        ("conda-cp311-cpu-macos_x86_64", "osx-64"),
        ("conda-cp311-cpu-windows_arm64", "win-arm64"),
    ],
)
def test_conda_subdirs(target: str, subdir: str) -> None:
    assert naming.conda_subdir(Target.parse(target)) == subdir


@pytest.mark.parametrize(
    ("text", "python", "label", "os", "number"),
    [
        ("py2.7_cuda8.0.61_cudnn7.1.2_0", "2.7", "cu80", "", 0),
        ("py3.7_cuda10.0.130_cudnn7.6.1_1", "3.7", "cu100", "", 1),
        ("py3.11_cuda12.1_cudnn8.9.2_0", "3.11", "cu121", "", 0),
        ("py2.7_cpu_0", "2.7", "cpu", "", 0),
        ("py2.7_0", "2.7", "cpu", "macos", 0),
        ("py3.13t_rocm6.2_12", "3.13t", "rocm6.2", "", 12),
    ],
)
def test_conda_build_strings(text: str, python: str, label: str, os: str, number: int) -> None:
    expected = CondaBuild(python, Accelerator.parse(label), os, number)
    assert naming.parse_conda_build_string(text) == expected


@pytest.mark.parametrize(
    "text", ["", "py37_0", "py3.7", "py3.7_cuda10_0", "py3.7_gpu_0", "3.7_cpu_0"]
)
def test_a_foreign_build_string_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a build string"):
        naming.parse_conda_build_string(text)


@given(
    st.sampled_from(["cp27m", "cp37m", "cp310", "cp313t"]),
    st.sampled_from(["cpu", "cuda92", "cuda130", "rocm6.2", "xpu"]),
    st.sampled_from(["linux_x86_64", "macos_arm64"]),
    st.integers(0, 500),
)
def test_a_build_string_reads_back(tag: str, accelerator: str, platform: str, number: int) -> None:
    target = Target.parse(f"conda-{tag}-{accelerator}-{platform}")
    read = naming.parse_conda_build_string(naming.conda_build_string(target, number))
    assert (read.accelerator, read.number) == (target.accelerator, number)
    assert Python.parse(read.python) == target.python
    assert (read.os == "macos") is (target.os == "macos" and accelerator == "cpu")


def test_a_package_type_of_a_plugin_has_a_name_of_its_own() -> None:
    targets = [
        Target.parse("tarball-none-cpu-linux_x86_64"),
        Target.parse("tarball-none-cuda130-linux_x86_64"),
    ]

    names = [naming.package_name("sample", "1.4.0", target) for target in targets]

    assert names[0] == "sample-1.4.0-tarball-none-cpu-linux_x86_64"
    assert len(set(names)) == len(targets)
