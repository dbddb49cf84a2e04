"""The suite on what a compiler really made, in environments that an installer really made."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import replace
from pathlib import Path

import pytest

from builder.archive import record
from builder.archive import zip as wheel_zip
from builder.cli.surroundings import environment, this_machine
from builder.config.machine import Machine, PackageIndex
from builder.config.recipe import Checks, Consumer
from builder.verbs.check import Knowledge, check
from smoke.report import Report, Result

pytestmark = pytest.mark.e2e

TAG = f"cp{sys.version_info[0]}{sys.version_info[1]}"
SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")
LIBRARY = "int answer(void) { return 42; }\n"
EXTENSION = """
#define PY_SSIZE_T_CLEAN
#include <Python.h>
int answer(void);
static PyObject *ask(PyObject *self, PyObject *none) { return PyLong_FromLong(answer()); }
static PyMethodDef methods[] = {{"ask", ask, METH_NOARGS, ""}, {0}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_tiny", "", -1, methods};
PyMODINIT_FUNC PyInit__tiny(void) { return PyModule_Create(&module); }
"""


WITHOUT_PARAMETERS = {
    "abi.cxx11", "cmake.abi", "diff.files", "diff.needed", "diff.symbols", "env.neighbours", "env.upgraded",
    "link.forbidden",
    "link.renamed", "metadata.entry-points", "metadata.licences", "metadata.sbom", "size.budget",
    "size.growth", "symbol.forbidden",
}  # fmt: skip
"""Checks that have nothing to look at in this wheel, or are not asked for anything."""


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return replace(this_machine(environment()), cache=tmp_path / "cache")


def _run(*words: str | Path) -> None:
    subprocess.run([str(word) for word in words], check=True, capture_output=True)


def _compiled(tree: Path, rpath: str, *, extra: tuple[str, ...] = ()) -> None:
    """A package with a private library and an extension that finds it by `rpath`."""
    (tree / "tiny").mkdir(parents=True)
    (tree / "tiny" / "__init__.py").write_text("from tiny._tiny import ask\n")
    library, source = tree.parent / "answer.c", tree.parent / "_tiny.c"
    library.write_text(LIBRARY)
    source.write_text(EXTENSION)
    include = sysconfig.get_path("include")
    shared = ("gcc", "-shared", "-fPIC", *extra)
    _run(*shared, library, "-o", tree / "tiny" / "libanswer.so", "-Wl,-soname,libanswer.so")
    _run(
        *shared, f"-I{include}", source, "-o", tree / "tiny" / f"_tiny{SUFFIX}",
        f"-L{tree / 'tiny'}", "-lanswer", f"-Wl,-rpath,{rpath}",
    )  # fmt: skip


def _wheel(tree: Path, metadata: str = "", platform: str = "linux_x86_64") -> Path:
    """The tree as a wheel of the running interpreter."""
    info = tree / "tiny-1.0.dist-info"
    info.mkdir(parents=True)
    head = "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n"
    (info / "METADATA").write_text(head + metadata)
    (info / "WHEEL").write_text(
        f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {TAG}-{TAG}-{platform}\n"
    )
    record.write(tree, info.name)
    target = tree.parent / f"tiny-1.0-{TAG}-{TAG}-{platform}.whl"
    return wheel_zip.pack(tree, target, epoch=0)


def _results(report: Report) -> dict[str, Result]:
    return {result.id: result for result in report.results}


def test_a_sound_wheel_passes_in_a_fresh_environment(tmp_path: Path, machine: Machine) -> None:
    _compiled(tmp_path / "tree", "$ORIGIN")
    wheel = _wheel(tmp_path / "tree")
    use = "import tiny, os; assert tiny.ask() == 42; assert os.path.exists('{recipe}/tree')"
    checks = Checks(imports=("tiny",), commands=(("{python}", "-c", use),))
    known = Knowledge(build_paths=(str(tmp_path),), recipe=tmp_path)

    (report,) = check((wheel,), machine, checks=checks, knowledge=known)

    statuses = {id_: result.status for id_, result in _results(report).items()}
    assert report.ok, report.to_json()
    assert {id_ for id_, status in statuses.items() if status == "skip"} == {
        *WITHOUT_PARAMETERS,
        "link.baseline",
        "binary.signature",
        "binary.checksum",
        "binary.slices",
        "cuda.architectures",
        "cuda.ptx",
        "consumer.cpp",
        "recipe.waivers",
        "version.age",
    }
    assert not list((machine.cache / "checks").iterdir())


def test_a_wheel_that_only_works_here_is_found_out(tmp_path: Path, machine: Machine) -> None:
    _compiled(tmp_path / "tree", str(tmp_path / "tree" / "tiny"), extra=("-z", "execstack"))
    wheel = _wheel(tmp_path / "tree", platform="manylinux_2_5_x86_64")
    known = Knowledge(build_paths=(str(tmp_path),))

    (report,) = check((wheel,), machine, knowledge=known)

    found = _results(report)
    assert found["env.import"].status == "pass"
    assert {result.id for result in report.failures} == {
        "link.needed",
        "link.search",
        "binary.execstack",
        "leak.paths",
        "env.loaded",
    }
    assert "folder of the building machine" in found["link.search"].problems[0]
    assert f"_tiny{SUFFIX} -> libanswer.so" in found["link.needed"].problems[0]


def test_a_requirement_that_nobody_meets_is_a_finding(tmp_path: Path, machine: Machine) -> None:
    (tmp_path / "tree").mkdir()
    wheel = _wheel(tmp_path / "tree", "Requires-Dist: setuptools==0.0.0.1\n")

    (report,) = check((wheel,), machine)

    found = _results(report)
    assert found["env.install"].status == "fail"
    assert "setuptools" in found["env.install"].problems[0]
    assert found["env.import"].status == "skip"


def test_a_ready_environment_is_probed_as_it_is(tmp_path: Path, machine: Machine) -> None:
    _run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "env")
    checks = Checks(imports=("json", "nope"))

    (report,) = check((), machine, python=tmp_path / "env", checks=checks)

    found = _results(report)
    assert report.subject == str(tmp_path / "env")
    assert found["env.import"].problems == ("nope: ModuleNotFoundError: No module named 'nope'",)
    assert found["env.loaded"].status == "pass"


CMAKE = """
cmake_minimum_required(VERSION 3.15)
project(answer LANGUAGES CXX)
add_library(answer SHARED answer.cpp)
target_include_directories(answer INTERFACE $<INSTALL_INTERFACE:include>)
install(TARGETS answer EXPORT answerTargets LIBRARY DESTINATION lib)
install(FILES answer.h DESTINATION include)
install(
  EXPORT answerTargets FILE answerConfig.cmake
  NAMESPACE answer:: DESTINATION lib/cmake/answer)
"""
USE = "#include <answer.h>\nint main() { return answer() == 42 ? 0 : 5; }\n"


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installed C++ library with a CMake package config."""
    folder = tmp_path_factory.mktemp("core")
    (folder / "CMakeLists.txt").write_text(CMAKE)
    (folder / "answer.h").write_text("int answer();\n")
    (folder / "answer.cpp").write_text('#include "answer.h"\nint answer() { return 42; }\n')
    prefix = folder / "prefix"
    _run("cmake", "-S", folder, "-B", folder / "build", f"-DCMAKE_INSTALL_PREFIX={prefix}")
    _run("cmake", "--build", folder / "build", "--target", "install")
    return prefix


@pytest.mark.parametrize(
    ("source", "package", "problem"),
    [
        pytest.param(USE, "answer", "", id="pass"),
        pytest.param(
            USE.replace("42", "43"),
            "answer",
            "does not run: ended with exit code 5",
            id="wrong answer",
        ),
        pytest.param(
            USE.replace("answer()", "question()"),
            "answer",
            "does not compile and link",
            id="no symbol",
        ),
        pytest.param(USE, "absent", 'provided by "absent"', id="no package"),
        pytest.param("int main() { __builtin_trap(); }", "answer", "SIGILL", id="crash"),
    ],
)
def test_a_consumer_uses_the_core_tree(
    tmp_path: Path, machine: Machine, core: Path, *, source: str, package: str, problem: str
) -> None:
    (tmp_path / "use.cpp").write_text(source)
    checks = Checks(consumer=Consumer("use.cpp", package, ("answer::answer",)))

    (report,) = check((core,), machine, checks=checks, knowledge=Knowledge(recipe=tmp_path))

    result = _results(report)["consumer.cpp"]
    assert result.status == ("fail" if problem else "pass"), result
    assert problem in "".join(result.problems)


def test_a_moved_core_tree_still_works(tmp_path: Path, machine: Machine, core: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(core, moved, symlinks=True)
    (tmp_path / "use.cpp").write_text(USE)
    checks = Checks(consumer=Consumer("use.cpp", "answer", ("answer::answer",)))

    (report,) = check((moved,), machine, checks=checks, knowledge=Knowledge(recipe=tmp_path))

    assert _results(report)["consumer.cpp"].status == "pass"


@pytest.mark.parametrize(
    ("checks", "reason"),
    [
        (Checks(), "names no C++ consumer"),
        (Checks(consumer=Consumer("use.cpp", "answer", ("a",))), "there is no cmake"),
    ],
)
def test_a_consumer_that_cannot_be_is_skipped(
    tmp_path: Path, core: Path, checks: Checks, reason: str
) -> None:
    bare = Machine((), tmp_path, 1, "linux", "x86_64", cache=tmp_path / "cache")

    (report,) = check((core,), bare, checks=checks, knowledge=Knowledge(recipe=tmp_path))

    assert reason in _results(report)["consumer.cpp"].reason


@pytest.mark.parametrize("door", ["--from-index", "--from-url"])
def test_what_a_user_gets_is_checked(tmp_path: Path, door: str) -> None:
    """An index made of one folder, or the address: fetched, installed for that Python, and imported."""
    tree = tmp_path / "tree"
    _compiled(tree, "$ORIGIN")
    links = tmp_path / "links"
    links.mkdir()
    given = Path(shutil.copy(_wheel(tree), links))
    environ = {
        **os.environ,
        "BUILDER_CACHE": str(tmp_path / "cache"),
        "PIP_NO_INDEX": "",
        "PIP_INDEX_URL": links.as_uri(),
        "PIP_FIND_LINKS": str(links),
    }
    command = [sys.executable, "-m", "builder", "check", door, "--json"]
    command.insert(-1, "tiny==1.0" if door == "--from-index" else given.as_uri())

    done = subprocess.run(
        [*command, "--python", f"{sys.version_info[0]}.{sys.version_info[1]}"],
        capture_output=True, text=True, check=False, env=environ,
    )  # fmt: skip

    report = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    assert report["subject"] == f"tiny-1.0-{TAG}-{TAG}-linux_x86_64.whl"
    assert {one["id"]: one["status"] for one in report["results"]}["env.import"] == "pass"
    assert not list((tmp_path / "cache" / "store" / "work").iterdir())


def _near(links: Path, version: str, text: str) -> None:
    """A package of one module, in an index that is a folder."""
    tree = links.parent / f"near-{version}"
    info = tree / f"near-{version}.dist-info"
    info.mkdir(parents=True)
    (tree / "near.py").write_text(text)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: near\nVersion: {version}\n")
    (info / "WHEEL").write_text("Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    record.write(tree, info.name)
    wheel_zip.pack(tree, links / f"near-{version}-py3-none-any.whl", epoch=0)


@pytest.mark.parametrize(
    ("module", "metadata", "pinned", "status", "said"),
    [
        ("from near import old\n", "", "near<2", "fail", "cannot import name 'old'"),
        ("import near\n", "", "near", "skip", "nothing newer can be installed beside it: near 2.0"),
        ("import near\n", "Requires-Dist: near<2\n", "near<2", "skip", "beside it: near 1.0"),
    ],
    ids=["breaks", "newest already", "no newer one is permitted"],
)
def test_a_package_is_tried_again_beside_what_is_newer(
    tmp_path: Path,
    machine: Machine,
    module: str,
    metadata: str,
    pinned: str,
    status: str,
    said: str,
) -> None:
    links = tmp_path / "links"
    links.mkdir()
    _near(links, "1.0", "old = new = 1\n")
    _near(links, "2.0", "new = 1\n")
    (tmp_path / "tree" / "tiny").mkdir(parents=True)
    (tmp_path / "tree" / "tiny" / "__init__.py").write_text(module)
    wheel = _wheel(tmp_path / "tree", metadata)
    checks = Checks(imports=("tiny",), requires=(pinned,), upgrades=("near",))
    offline = replace(machine, index=PackageIndex(links.as_uri(), (), (str(links),)))

    (report,) = check((wheel,), offline, checks=checks, select=("env.*",))

    found = _results(report)
    assert found["env.import"].status == "pass"
    assert found["env.upgraded"].status == status
    assert said in "".join((*found["env.upgraded"].problems, found["env.upgraded"].reason))
    assert not list((machine.cache / "checks").iterdir())
