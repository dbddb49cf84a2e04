from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from types import MappingProxyType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from builder.config.recipe import (
    Archive,
    Axes,
    Bundle,
    Checks,
    CMake,
    Conda,
    Consumer,
    CoreStage,
    CppArchive,
    CxxAbi,
    Folder,
    GitRevision,
    IndexSdist,
    PythonStage,
    Recipe,
    Sibling,
    Sizes,
    Source,
    VersionRule,
    Waiver,
)
from builder.config.recipe_file import load
from builder.config.recipe_shape import SCHEMA, schema
from builder.errors import UsageError

DIGEST = "0123456789abcdef" * 4

FULL = f"""\
schema = 1
[recipe]
name = "sample"
summary = "a sample"
[source]
project = "sample"
version = "1.4.0"
sha256 = "{DIGEST.upper()}"
[version]
number = "1.4.0"
environment = "SAMPLE_VERSION"
local = "accelerator"
[matrix]
types = ["manywheel", "libtorch"]
python = ["3.7", "2.7mu,3.12-3.13", "cp313t"]
accelerator = ["cpu", "cu92", "13.0", "rocm6.2"]
platform = ["linux_x86_64", "osx-arm64"]
[core]
requires = ["cmake>=3.28", "ninja"]
system = ["libgomp1"]
environment = {{ LEVEL = 3, WHERE = "{{prefix}}/x" }}
[core.cmake]
source = "cpp"
options = {{ SHARED = true, TESTS = false, LEVEL = 2, "A:STRING" = "{{version}}" }}
targets = ["all"]
[python]
subdirectory = "python"
prepare = [["cp", "{{recipe}}/a", "."]]
commands = [["{{python}}", "-m", "build", "-o", "{{dist}}"]]
requires = ["build"]
system = ["libpq-dev"]
config-settings = {{ "cmake.define.X" = "{{core}}" }}
environment = {{ ROOT = "{{core}}" }}
serves = "abi3"
[bundle]
exclude = ["libcuda.so.*"]
[[bundle.sibling]]
package = "torch"
libraries = ["libc10*.so"]
directory = "torch/lib"
requires = "torch==2.13.0"
[archive]
name = "libsample"
top = "sample"
format = "tar.zst"
keep = ["lib/*"]
leave = ["lib/*_python.*"]
wheel = "sample"
version = "version.py"
debug = true
[conda]
name = "sample"
library = "libsample"
choice = false
build-string = "compatible"
build-number = 3
variant = {{ blas = "mkl", level = 2 }}
depends = ["numpy >=1.21"]
constrains = ["numba >=0.57"]
library-depends = ["mkl"]
libraries = {{ mkl = ["libmkl_*.so*"] }}
host = ["libgomp.so.1"]
run-exports = "minor"
format = "tar.bz2"
profile = "release"
[check]
imports = ["sample", "sample.core"]
commands = [["{{python}}", "{{recipe}}/check.py"]]
severity = {{ "leak.*" = "warning" }}
plugin = "check/checks.py"
requires = ["numpy"]
system = ["postgresql"]
timeout = 60
memory = 2_000_000_000
neighbours = ["numpy", "scipy.linalg"]
upgrades = ["numpy"]
forbidden-libraries = ["libopenblas*"]
forbidden-symbols = ["*8protobuf*"]
nightly-age = 3
[[check.waiver]]
check = "link.search"
match = "bin/*"
reason = "upstream mends it"
until = "2027-01-31"

[check.abi]
cxx11 = false
namespaces = ["sample"]
libraries = ["libsample*.so"]
at-least = 100
[check.size]
budget = {{ "*.whl" = 1000 }}
growth = 2.5
[check.consumer]
source = "consumer.cpp"
package = "Sample"
targets = ["Sample::sample"]
[[override]]
select = "*-cuda*"
version.local = "none"
core.cmake.options = {{ CUDA = true }}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "thing"


def write(folder: Path, text: str, name: str = "recipe.toml") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def test_every_key_arrives_in_its_value(folder: Path) -> None:
    assert load(write(folder, FULL)) == Recipe(
        name="sample",
        summary="a sample",
        folder=folder,
        source=IndexSdist("sample", "1.4.0", DIGEST),
        version=VersionRule("1.4.0", ("SAMPLE_VERSION",), "accelerator"),
        axes=Axes(
            types=("manywheel", "libtorch"),
            pythons=("cp37m", "cp27mu", "cp312", "cp313", "cp313t"),
            accelerators=("cpu", "cuda92", "cuda130", "rocm6.2"),
            platforms=("linux_x86_64", "macos_arm64"),
        ),
        core=CoreStage(
            cmake=CMake(
                source="cpp",
                options={"SHARED": "ON", "TESTS": "OFF", "LEVEL": "2", "A:STRING": "{version}"},
                targets=("all",),
            ),
            requires=("cmake>=3.28", "ninja"),
            system=("libgomp1",),
            environment={"LEVEL": "3", "WHERE": "{prefix}/x"},
        ),
        python=PythonStage(
            subdirectory="python",
            prepare=(("cp", "{recipe}/a", "."),),
            commands=(("{python}", "-m", "build", "-o", "{dist}"),),
            requires=("build",),
            system=("libpq-dev",),
            config_settings={"cmake.define.X": "{core}"},
            environment={"ROOT": "{core}"},
            serves="abi3",
        ),
        bundle=Bundle(
            exclude=("libcuda.so.*",),
            siblings=(Sibling("torch", ("libc10*.so",), "torch/lib", "torch==2.13.0"),),
        ),
        archive=CppArchive(
            name="libsample",
            top="sample",
            format="tar.zst",
            keep=("lib/*",),
            leave=("lib/*_python.*",),
            wheel="sample",
            version="version.py",
            debug=True,
        ),
        conda=Conda(
            name="sample",
            library="libsample",
            choice=False,
            build_string="compatible",
            build_number=3,
            variant={"blas": "mkl", "level": "2"},
            depends=("numpy >=1.21",),
            constrains=("numba >=0.57",),
            library_depends=("mkl",),
            libraries={"mkl": ("libmkl_*.so*",)},
            host=("libgomp.so.1",),
            run_exports="minor",
            format="tar.bz2",
            profile="release",
        ),
        checks=Checks(
            imports=("sample", "sample.core"),
            commands=(("{python}", "{recipe}/check.py"),),
            severity={"leak.*": "warning"},
            plugin="check/checks.py",
            waivers=(Waiver("link.search", "bin/*", "upstream mends it", date(2027, 1, 31)),),
            requires=("numpy",),
            system=("postgresql",),
            consumer=Consumer("consumer.cpp", "Sample", ("Sample::sample",)),
            timeout=60.0,
            memory=2_000_000_000,
            neighbours=("numpy", "scipy.linalg"),
            upgrades=("numpy",),
            forbidden_libraries=("libopenblas*",),
            forbidden_symbols=("*8protobuf*",),
            abi=CxxAbi(
                cxx11=False, namespaces=("sample",), libraries=("libsample*.so",), at_least=100
            ),
            size=Sizes(budget={"*.whl": 1000}, growth=2.5),
            nightly_age=3,
        ),
        overrides=(
            (
                "*-cuda*",
                {"version": {"local": "none"}, "core": {"cmake": {"options": {"CUDA": True}}}},
            ),
        ),
    )


def test_mappings_of_a_recipe_are_read_only(folder: Path) -> None:
    recipe = load(write(folder, FULL))
    assert recipe.core is not None
    assert recipe.core.cmake is not None
    assert recipe.python is not None
    tables = [
        recipe.core.environment,
        recipe.core.cmake.options,
        recipe.python.config_settings,
        recipe.overrides[0][1],
        recipe.overrides[0][1]["core"],
    ]
    assert [type(table) for table in tables] == [MappingProxyType] * len(tables)


SOURCES: dict[str, tuple[str, Source]] = {
    "folder": ('path = "src/../lib/"', Folder(Path("/r/lib"))),
    "absolute folder": ('path = "/elsewhere"', Folder(Path("/elsewhere"))),
    "git url": (
        'git = "https://example.org/a.git"\nrevision = "v1"',
        GitRevision("https://example.org/a.git", "v1"),
    ),
    "git over ssh": ('git = "git@host:a/b"\nrevision = "v1"', GitRevision("git@host:a/b", "v1")),
    "git folder": ('git = "repo"\nrevision = "main"', GitRevision("/r/repo", "main")),
    "archive url": (
        f'archive = "https://example.org/a.tar.gz"\nsha256 = "{DIGEST}"',
        Archive("https://example.org/a.tar.gz", DIGEST),
    ),
    "archive file": (f'archive = "a.zip"\nsha256 = "{DIGEST}"', Archive("/r/a.zip", DIGEST)),
}


@pytest.mark.parametrize("case", SOURCES)
def test_source_is_absolute(folder: Path, case: str) -> None:
    text, source = SOURCES[case]
    loaded = load(write(folder, f"[source]\n{text}\n[python]\n")).source
    assert str(loaded).replace(str(folder), "/r") == str(source)


@pytest.mark.parametrize(
    ("matrix", "pythons"),
    [
        ("", ()),
        ('python = ["all"]', ()),
        ('python = ["3.7,All"]', ()),
        ('python = ["3.10-3.12"]', ("cp310", "cp311", "cp312")),
    ],
)
def test_all_pythons_is_no_limit(folder: Path, matrix: str, pythons: tuple[str, ...]) -> None:
    path = write(folder, f'[source]\npath = "."\n[python]\n[matrix]\n{matrix}\n')
    assert load(path).axes == Axes(pythons=pythons)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("builder.toml", "", "thing"),
        ("builder.toml", '[recipe]\nname = "other"\n', "other"),
        ("pyproject.toml", "[tool.builder]\n", "thing"),
        ("pyproject.toml", '[project]\nname = "real"\n[tool.builder.check]\n', "real"),
    ],
)
def test_file_of_a_project_builds_its_folder(
    folder: Path, name: str, text: str, expected: str
) -> None:
    recipe = load(write(folder, text, name))
    assert recipe == Recipe(expected, folder, Folder(folder), python=PythonStage())


def test_core_alone_implies_no_python_stage(folder: Path) -> None:
    recipe = load(write(folder, "[core]\ncmake = {}\n", "builder.toml"))
    assert (recipe.core, recipe.python) == (CoreStage(cmake=CMake()), None)


def properties(part: object) -> Iterator[str]:
    """The names of all keys in a schema."""
    if isinstance(part, Mapping):
        named = part.get("properties", {})
        yield from named
        for inner in part.values():
            yield from properties(inner)


def test_schema_is_a_schema_without_a_host() -> None:
    Draft202012Validator.check_schema(schema())
    assert schema()["$id"] == "urn:builder:recipe:1"


def test_full_recipe_has_every_key_of_the_schema() -> None:
    others = {"path", "git", "revision", "archive"}
    written = set(re.findall(r"[a-z0-9-]+", FULL)) | others
    assert set(properties(schema())) <= written


def test_every_key_of_the_schema_is_described() -> None:
    text = json.loads(SCHEMA.read_text("utf-8"))
    tables = [text, *text["$defs"].values(), *text["properties"].values()]
    keys = [
        (name, {**entry, **text["$defs"].get(entry.get("$ref", "").rpartition("/")[2], {})})
        for table in tables
        for name, entry in table.get("properties", {}).items()
    ]
    assert [name for name, entry in keys if "description" not in entry] == []


LINES = FULL.splitlines()
ODD = (
    "1",
    "-1.5",
    "nan",
    "true",
    '""',
    '"{"',
    '"\\n"',
    '"/"',
    "[]",
    "[[]]",
    "{}",
    "[{}]",
    "2020-01-01",
)


def places(path: Path) -> set[str]:
    """The lines that have faults."""
    try:
        load(path)
    except UsageError as error:
        return {fault.removeprefix(f"{path}:").partition(":")[0] for fault in error.faults}
    return {"accepted"}


@given(line=st.sampled_from(range(len(LINES))), odd=st.sampled_from(ODD))
@settings(max_examples=150, deadline=None)
def test_odd_value_is_a_recipe_or_a_fault_on_its_line(
    tmp_path_factory: pytest.TempPathFactory, line: int, odd: str
) -> None:
    key, equals, _ = LINES[line].partition(" = ")
    changed = [*LINES[:line], f"{key} = {odd}" if equals else key, *LINES[line + 1 :]]
    path = write(tmp_path_factory.mktemp("odd"), "\n".join(changed))
    assert {f"{line + 1}", "accepted"} & places(path)
