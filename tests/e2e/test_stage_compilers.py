from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from builder.config.machine import Machine
from builder.config.target import Target
from builder.config.toolchain import Toolchain
from builder.process import Command, Processes
from builder.stage import compilers, toolchain

pytestmark = pytest.mark.e2e

CMAKE = """\
cmake_minimum_required(VERSION 3.18)
project(x LANGUAGES C CXX {language})
file(WRITE ${{CMAKE_BINARY_DIR}}/generated.c "const char*generated(void){{return __FILE__;}}")
add_library(x SHARED a.c sub/b.cpp ${{CMAKE_BINARY_DIR}}/generated.c {kernel})
target_include_directories(x PRIVATE inc $ENV{{TOOLBOX}})
include(CheckCSourceCompiles)
check_c_source_compiles("int main(void){{return 0;}}" WORKS)
"""
FILES = {
    "a.c": '#include <assert.h>\n#include "h.h"\n#include "tool.h"\n'
    "const char *f(int x) { assert(x); return x > 1 ? h() : tool(); }\n",
    "inc/h.h": "static inline const char *h(void) { return __FILE__; }\n",
    "sub/b.cpp": '#include <vector>\n#include "../inc/h.h"\n'
    "const char *q() { std::vector<int> v(3); return v.size() > 2 ? __FILE__ : h(); }\n",
    "k.cu": "__global__ void k(float *x) { x[0] *= 2; }\nstatic __device__ int z;\n"
    "__global__ void z1() { z++; }\n"
    'extern "C" const char *run(float *x) { k<<<1, 1>>>(x); z1<<<1, 1>>>(); return __FILE__; }\n',
    "setup.py": "from setuptools import Extension, setup\n"
    "setup(name='x', version='1', ext_modules=[Extension('x', ['ext.c', 'sub/c.c'],"
    " include_dirs=['inc'])])\n",
    "ext.c": '#include <Python.h>\n#include "h.h"\n'
    "static PyObject *file(PyObject *s, PyObject *a) { return PyUnicode_FromString(h()); }\n"
    'static PyMethodDef methods[] = {{"file", file, METH_NOARGS, ""}, {0}};\n'
    'static PyModuleDef module = {PyModuleDef_HEAD_INIT, "x", "", -1, methods};\n'
    "PyMODINIT_FUNC PyInit_x(void) { return PyModule_Create(&module); }\n",
    "sub/c.c": "const char *c(void) { return __FILE__; }\n",
}


def machine(tmp_path: Path) -> Machine:
    path = [Path(word) for word in os.environ["PATH"].split(":") if word and "shims" not in word]
    return Machine(
        tuple(path), tmp_path, 2, "linux", "x86_64",
        cuda_roots=tuple(Path("/usr/local").glob("cuda*")), cache=tmp_path / "cache",
    )  # fmt: skip


@dataclass
class Built:
    """What one build left: digests by file name, what holds a path of the build, and the count."""

    digests: Mapping[str, str]
    leaks: list[str]
    runs: int


def stage(store: Path, key: str, chain: Toolchain, place: Machine) -> tuple[Path, dict[str, str]]:
    """A source, a work folder with shims, and the whole environment of its processes."""
    source, work, toolbox = (
        store / "sources" / "abc",
        store / "work" / key,
        store / "environments/e",
    )
    for name, text in FILES.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(text)
    toolbox.mkdir(parents=True)
    (toolbox / "tool.h").write_text("static inline const char *tool(void) { return __FILE__; }\n")
    (work / "tmp").mkdir(parents=True)
    roots = {"source": source, "build": work, "environment": toolbox}
    variables = compilers.prepare(
        work / "compilers", chain, place, roots=roots, store=store, epoch=315532800
    )
    path = ":".join(map(str, place.path))
    inner = {"PATH": path, "HOME": str(work), "TMPDIR": str(work / "tmp"), "TOOLBOX": str(toolbox)}
    return work, {**inner, **variables}


def collect(store: Path, key: str, work: Path, files: list[Path]) -> Built:
    data = {file.name: file.read_bytes() for file in files}
    words = (str(store).encode(), key.encode())
    return Built(
        {name: hashlib.sha256(text).hexdigest() for name, text in data.items()},
        [name for name, text in data.items() if any(word in text for word in words)],
        compilers.count(work / "compilers"),
    )


def cmake(store: Path, key: str, chain: Toolchain, place: Machine, generator: str) -> Built:
    work, variables = stage(store, key, chain, place)
    source, build = store / "sources" / "abc", work / "build"
    language, kernel = ("CUDA", "k.cu") if chain.cuda else ("", "")
    (source / "CMakeLists.txt").write_text(CMAKE.format(language=language, kernel=kernel))
    flags = ("-DCMAKE_BUILD_TYPE=Debug", "-G", generator)
    for argv in (
        ("cmake", "-S", str(source), "-B", str(build), *flags),
        ("cmake", "--build", str(build), "--parallel", "4"),
    ):
        Processes().run(Command(argv, work, variables), log=work / "log")
    objects = sorted((build / "CMakeFiles" / "x.dir").rglob("*.o"))
    return collect(store, key, work, [*objects, build / "libx.so"])


def chain_of(place: Machine, target: str = "cpu") -> Toolchain:
    chosen = Target.parse(f"manywheel-cp311-{target}-linux_x86_64")
    return toolchain.choose(
        chosen, place, Processes(), architectures=() if target == "cpu" else ("80",)
    )


@pytest.mark.parametrize("generator", ["Ninja", "Unix Makefiles"])
def test_two_folders_give_the_same_bytes_and_the_exact_count(
    generator: str, tmp_path: Path
) -> None:
    place = machine(tmp_path)
    chain = replace(chain_of(place), cache=None)
    one = cmake(tmp_path / "s1", "k1", chain, place, generator)
    two = cmake(tmp_path / "deeper" / "elsewhere" / "s2", "k2-longer", chain, place, generator)
    assert one == two
    assert (one.leaks, one.runs) == ([], 3)


@pytest.mark.skipif(shutil.which("ccache") is None, reason="ccache is not installed")
def test_a_cache_changes_no_byte_and_hits_in_other_folders(tmp_path: Path) -> None:
    place = machine(tmp_path)
    plain = chain_of(place)
    cached = replace(plain, cache=Path(str(shutil.which("ccache"))))
    expected = cmake(tmp_path / "s0", "k0", replace(plain, cache=None), place, "Ninja")
    for number, store in enumerate((tmp_path / "s1", tmp_path / "deeper" / "s2", tmp_path / "s3")):
        assert cmake(store, f"key{number}", cached, place, "Ninja") == expected
    answer = subprocess.run(
        [str(cached.cache), "--print-stats"],
        env={"CCACHE_DIR": str(tmp_path / "cache" / "ccache"), "HOME": str(tmp_path)},
        check=True,
        capture_output=True,
        text=True,
    )
    statistics = dict(line.split("\t") for line in answer.stdout.splitlines())
    hits = int(statistics["direct_cache_hit"]) + int(statistics["preprocessed_cache_hit"])
    assert (hits, statistics["cache_miss"]) == (6, "3")


@pytest.mark.skipif(not Path("/usr/local/cuda/bin/nvcc").exists(), reason="CUDA is not installed")
def test_a_kernel_has_the_same_bytes_in_two_folders(tmp_path: Path) -> None:
    place = machine(tmp_path)
    version = next(iter(toolchain.find_toolkits(place, Processes()))).version
    chain = chain_of(place, f"cuda{version.replace('.', '')}")
    one = cmake(tmp_path / "s1", "k1", chain, place, "Ninja")
    two = cmake(tmp_path / "deeper" / "s2", "k2", replace(chain, cache=None), place, "Ninja")
    assert one == two
    assert (one.leaks, one.runs) == ([], 4)


def test_setuptools_builds_the_same_extension_in_two_folders(tmp_path: Path) -> None:
    place = machine(tmp_path)
    chain = replace(chain_of(place), cache=None)
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run(["python3", "-m", "venv", "--without-pip", str(tmp_path / "venv")], check=True)
    site = subprocess.run(
        ["python3", "-c", "import setuptools; print(setuptools.__path__[0])"],
        check=True, capture_output=True, text=True,
    ).stdout.strip()  # fmt: skip

    def build(store: Path, key: str) -> Built:
        work, variables = stage(store, key, chain, place)
        shutil.copytree(store / "sources" / "abc", work / "source")
        variables["PYTHONPATH"] = str(Path(site).parent)
        variables["CFLAGS"] = "-g"
        argv = (str(python), "setup.py", "build_ext", "--inplace")
        Processes().run(Command(argv, work / "source", variables), log=work / "log")
        objects = sorted(work.rglob("*.o"))
        return collect(store, key, work, [*objects, *(work / "source").glob("x*.so")])

    one = build(tmp_path / "s1", "k1")
    assert one == build(tmp_path / "deeper" / "s2", "k2")
    assert (one.leaks, one.runs, len(one.digests)) == ([], 2, 3)
