from __future__ import annotations

import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from builder.config.machine import Machine
from builder.config.toolchain import CudaToolkit, Toolchain
from builder.stage.compilers import count, prepare

TELL = """#!/bin/sh
printf '%s\\n' "$0" "$@" "path: $PATH" "counted: $BUILDER_COUNTED" >"@out@.$$"
mv "@out@.$$" "@out@"
"""


class Stage:
    """One stage whose compilers only write down how they were called."""

    def __init__(self, tmp_path: Path) -> None:
        self.store = tmp_path / "a store"
        self.work = self.store / "work" / "1234"
        self.source = self.store / "sources" / "abcd"
        self.environment = self.store / "environments" / "ef"
        self.build = self.work / "build"
        for folder in (self.build, self.source / "sub", self.environment):
            folder.mkdir(parents=True)
        self.out = tmp_path / "called"
        for name in ("gcc", "g++", "ccache", "sccache", "cuda/bin/nvcc"):
            real = tmp_path / "bin" / name
            real.parent.mkdir(parents=True, exist_ok=True)
            real.write_text(TELL.replace("@out@", str(self.out)))
            real.chmod(0o755)
        self.bin = tmp_path / "bin"
        self.toolchain = Toolchain(self.bin / "gcc", self.bin / "g++", "gcc 12", "0" * 64)
        self.machine = Machine((), tmp_path, 1, "linux", "x86_64", cache=tmp_path / "cache")
        self.folder = self.work / "compilers"
        self.variables: Mapping[str, str] = {}

    def prepare(self, **changes: object) -> Mapping[str, str]:
        self.variables = prepare(
            self.folder,
            replace(self.toolchain, **changes),  # type: ignore[arg-type]  # fields of a toolchain
            self.machine,
            roots={"source": self.source, "build": self.work, "environment": self.environment},
            store=self.store,
            epoch=1234,
        )
        return self.variables

    def call(self, program: str, *words: str, directory: Path | None = None) -> list[str]:
        """Run a shim; what the program behind it was told."""
        subprocess.run(
            [program, *words],
            cwd=directory or self.build,
            check=True,
            env={"PATH": "/usr/bin:/bin", **self.variables},
        )
        return self.out.read_text().splitlines()

    def name(self, path: str, directory: Path, *words: str) -> str:
        """What a path is called in the result: the last map that fits counts, as in the compiler."""
        prefix = "-ffile-prefix-map="
        told = self.call(self.variables["CC"], "-c", "a.c", *words, directory=directory)
        maps = [word.removeprefix(prefix) for word in told if word.startswith(prefix)]
        fitting = [
            text.rpartition("=") for text in maps if path.startswith(text.rpartition("=")[0])
        ]
        old, _, new = fitting[-1] if fitting else ("", "", "")
        return new + path.removeprefix(old)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_the_variables_of_a_stage(stage: Stage) -> None:
    variables = stage.prepare()
    assert variables == {
        "CC": str(stage.folder / "gcc"),
        "CXX": str(stage.folder / "g++"),
        "SOURCE_DATE_EPOCH": "1234",
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONNOUSERSITE": "1",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
    }


def test_a_toolchains_own_variables_win(stage: Stage) -> None:
    assert stage.prepare(environment={"CC": "mine", "X": "1"})["CC"] == "mine"


@pytest.mark.parametrize(
    ("summary", "expected"),
    [("gcc (Debian) 12", ["gcc", "g++"]), ("Debian clang version 14", ["clang", "clang++"])],
)
def test_shims_are_called_like_the_compilers(
    summary: str, expected: list[str], stage: Stage
) -> None:
    variables = stage.prepare(summary=summary)
    assert [Path(variables[name]).name for name in ("CC", "CXX")] == expected
    assert {"cc", "c++"} < {path.name for path in stage.folder.iterdir()}


def test_the_real_compiler_gets_every_word_as_it_is(stage: Stage) -> None:
    stage.prepare()
    words = ["-c", "a b.c", '-DX="y z"', "$HOME", "*", "", "-o", "a.o"]
    told = stage.call(stage.variables["CXX"], *words)
    assert told[0] == str(stage.bin / "g++")
    assert told[1 : len(words) + 1] == words


NAMES = {
    "absolute source": ("{source}/a.c", "{build}", "/builder/source/a.c"),
    "relative source": ("../../../sources/abcd/a.c", "{build}", "/builder/source/a.c"),
    "absolute environment": ("{environment}/x.h", "{source}", "/builder/environment/x.h"),
    "relative environment": ("../../environments/ef/x.h", "{source}", "/builder/environment/x.h"),
    "below the current folder": ("{build}/gen.c", "{build}", "gen.c"),
    "relative already": ("gen.c", "{build}", "gen.c"),
    "one folder up": ("../inc/x.h", "{source}/sub", "/builder/source/inc/x.h"),
    "one folder up, absolute": ("{source}/inc/x.h", "{source}/sub", "/builder/source/inc/x.h"),
    "current folder": ("{build}", "{build}", "/builder/build/build"),
    "work folder from below": ("../x.c", "{build}", "/builder/build/x.c"),
    "something else in the store": ("{store}/trees/t/x.h", "{build}", "/builder/store/trees/t/x.h"),
    "the same, relative": ("../../../trees/t/x.h", "{build}", "/builder/store/trees/t/x.h"),
    "elsewhere": ("/usr/include/x.h", "{build}", "/usr/include/x.h"),
}


@pytest.mark.parametrize(("path", "directory", "expected"), NAMES.values(), ids=NAMES.keys())
def test_paths_have_names_that_do_not_depend_on_the_place(
    path: str, directory: str, expected: str, stage: Stage
) -> None:
    stage.prepare()
    places = {name: str(getattr(stage, name)) for name in ("store", "source", "build")}
    places["environment"] = str(stage.environment)
    assert stage.name(path.format(**places), Path(directory.format(**places))) == expected


def test_outside_of_the_store_only_absolute_paths_are_named(stage: Stage, tmp_path: Path) -> None:
    stage.prepare()
    assert stage.name(f"{stage.source}/a.c", tmp_path) == "/builder/source/a.c"
    assert stage.name("../a.c", tmp_path) == "../a.c"


COUNTED = {
    "compile": (["-c", "a.c", "-o", "a.o"], 1),
    "compile and link": (["a.cpp", "-o", "a"], 1),
    "link": (["a.o", "-o", "a"], 0),
    "preprocess": (["-E", "a.c"], 0),
    "dependencies": (["-M", "a.c"], 0),
    "dependencies on the way": (["-MD", "-c", "a.c"], 1),
    "question": (["--version"], 0),
    "autoconf": (["-c", "conftest.c"], 0),
}


@pytest.mark.parametrize(("words", "expected"), COUNTED.values(), ids=COUNTED.keys())
def test_what_is_compiled_is_counted(words: list[str], expected: int, stage: Stage) -> None:
    stage.prepare()
    assert count(stage.folder) == 0
    stage.call(stage.variables["CC"], *words)
    assert count(stage.folder) == expected


@pytest.mark.parametrize(
    "folder", ["CMakeFiles/CMakeScratch/T", "CMakeFiles/CMakeTmp", "meson-private/t"]
)
def test_trying_out_a_compiler_is_not_counted(folder: str, stage: Stage) -> None:
    stage.prepare()
    (stage.build / folder).mkdir(parents=True)
    stage.call(stage.variables["CC"], "-c", "a.c", directory=stage.build / folder)
    assert count(stage.folder) == 0


def test_counting_is_exact_when_many_compile_at_once(stage: Stage) -> None:
    stage.prepare()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: stage.call(stage.variables["CC"], "-c", "a.c"), range(40)))
    assert count(stage.folder) == 40


def test_preparing_again_counts_from_nought(stage: Stage) -> None:
    stage.prepare()
    stage.call(stage.variables["CC"], "-c", "a.c")
    stage.prepare()
    assert count(stage.folder) == 0


def test_a_cache_is_asked_for_compilations_only(stage: Stage) -> None:
    variables = stage.prepare(cache=stage.bin / "ccache")
    told = stage.call(variables["CC"], "-c", "a.c")
    assert told[:4] == [str(stage.bin / "ccache"), str(stage.bin / "gcc"), "-c", "a.c"]
    assert count(stage.folder) == 1
    assert stage.call(variables["CC"], "a.o")[0] == str(stage.bin / "gcc")
    assert variables["CCACHE_BASEDIR"] == str(stage.store)
    assert "CCACHE_NOHASHDIR" not in variables


def test_each_stage_has_a_server_of_its_own(stage: Stage) -> None:
    variables = stage.prepare(cache=stage.bin / "sccache")
    if len(str(stage.folder)) > 90:
        assert stage.call(variables["CC"], "-c", "a.c")[0] == str(stage.bin / "gcc")
    else:
        assert variables["SCCACHE_SERVER_UDS"] == str(stage.folder / "sccache.sock")


def cuda(stage: Stage, version: str = "13.0") -> CudaToolkit:
    return CudaToolkit(stage.bin / "cuda", version, f"{version}.88", "0" * 64)


def test_a_toolkit_is_named_in_every_way_builds_look_for_it(stage: Stage) -> None:
    variables = stage.prepare(cuda=cuda(stage), architectures=("80-real", "120-virtual"))
    root = str(stage.bin / "cuda")
    assert [variables[name] for name in ("CUDA_HOME", "CUDA_PATH", "CUDAToolkit_ROOT")] == [
        root
    ] * 3
    assert variables["CUDAARCHS"] == "80-real;120-virtual"
    assert variables["CUDACXX"] == f"{root}/bin/nvcc"


@pytest.mark.parametrize("by", ["launcher", "name"])
def test_nvcc_is_counted_and_finds_the_shim_of_its_host_compiler(by: str, stage: Stage) -> None:
    variables = stage.prepare(cuda=cuda(stage))
    nvcc = str(stage.bin / "cuda/bin/nvcc")
    if by == "launcher":
        told = stage.call(variables["CMAKE_CUDA_COMPILER_LAUNCHER"], nvcc, "-c", "k.cu")
    else:
        told = stage.call(variables["PYTORCH_NVCC"], "-c", "k.cu")
    assert told[:3] == [nvcc, "-c", "k.cu"]
    assert "--objdir-as-tempdir" in told
    assert f"path: {stage.folder}:/usr/bin:/bin" in told
    assert "counted: 1" in told
    assert count(stage.folder) == 1


def test_an_old_nvcc_is_not_given_a_flag_it_does_not_know(stage: Stage) -> None:
    variables = stage.prepare(cuda=cuda(stage, "10.0"))
    assert "--objdir-as-tempdir" not in stage.call(variables["PYTORCH_NVCC"], "-c", "k.cu")


def test_the_host_compiler_below_nvcc_is_not_counted_again(stage: Stage) -> None:
    stage.prepare(cache=stage.bin / "ccache")
    stage.variables = {**stage.variables, "BUILDER_COUNTED": "1"}
    assert stage.call(stage.variables["CC"], "-c", "a.c")[0] == str(stage.bin / "gcc")
    assert count(stage.folder) == 0
