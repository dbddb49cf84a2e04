from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.config.apply import expand, for_target
from builder.config.placeholders import unknown
from builder.config.plausible import can_match_a_target
from builder.config.recipe import (
    Bundle,
    CMake,
    Consumer,
    CoreStage,
    PythonStage,
    Recipe,
    Sibling,
    VersionRule,
)
from builder.config.recipe_file import load
from builder.config.target import Target
from builder.errors import UsageError

CPU = Target.parse("manywheel-cp311-cpu-linux_x86_64")
CUDA = Target.parse("manywheel-cp312-cuda130-linux_x86_64")

BASE = """\
[source]
path = "."
[version]
number = "1.0"
environment = "V"
[core]
cmake = { source = "cpp", options = { A = "1", B = "2" }, targets = ["a", "b"] }
requires = ["ninja"]
environment = { X = "1" }
[python]
environment = { P = "1" }
[bundle]
exclude = ["libcuda.so.1"]
[[bundle.sibling]]
package = "torch"
libraries = ["libc10.so"]
directory = "torch/lib"
[check]
imports = ["a"]
consumer = { source = "a.cpp", package = "A", targets = ["A::a"] }
"""


def recipe(folder: Path, overrides: str) -> Recipe:
    path = folder / "recipe.toml"
    path.write_text(BASE + overrides, "utf-8")
    return load(path)


CORE = CoreStage(
    cmake=CMake("cpp", {"A": "1", "B": "2"}, ("a", "b")),
    requires=("ninja",),
    environment={"X": "1"},
)


def core_of(folder: Path, change: str) -> CoreStage | None:
    return for_target(recipe(folder, f'[[override]]\nselect = "*-cuda*"\n{change}\n'), CUDA).core


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(
            "core.cmake.options = { B = 3, C = true }",
            CoreStage(
                CMake("cpp", {"A": "1", "B": "3", "C": "ON"}, ("a", "b")),
                requires=("ninja",),
                environment={"X": "1"},
            ),
            id="tables merge",
        ),
        pytest.param(
            'core.requires = ["cmake"]\ncore.cmake.targets = []',
            CoreStage(
                CMake("cpp", {"A": "1", "B": "2"}), requires=("cmake",), environment={"X": "1"}
            ),
            id="lists replace",
        ),
        pytest.param(
            'core.commands = [["make"]]\ncore.environment.Y = "2"',
            CoreStage(None, (("make",),), ("ninja",), environment={"X": "1", "Y": "2"}),
            id="commands drop cmake",
        ),
        pytest.param("core = {}", CORE, id="nothing changes"),
    ],
)
def test_override_merges_into_the_core_stage(
    tmp_path: Path, change: str, expected: CoreStage
) -> None:
    assert core_of(tmp_path, change) == expected


def test_cmake_drops_commands_that_an_earlier_override_gave(tmp_path: Path) -> None:
    changes = (
        'core.commands = [["make"]]\n[[override]]\nselect = "*"\ncore.cmake = { source = "x" }'
    )
    assert core_of(tmp_path, changes) == CoreStage(
        CMake("x"), requires=("ninja",), environment={"X": "1"}
    )


OVERRIDES = """
[[override]]
select = "*"
version = { number = "2.0", local = "none" }
python = { serves = "py3", subdirectory = "p", environment = { Q = "2" } }
[[override]]
select = "*-cuda*"
version = { number = "3.0", environment = [] }
bundle.exclude = []
bundle.sibling = []
check = { timeout = 1.5, consumer.source = "b.cpp" }
[[override]]
select = "conda-*"
python = { serves = "abi3" }
"""


def test_overrides_apply_in_the_order_of_the_file(tmp_path: Path) -> None:
    given = recipe(tmp_path, OVERRIDES)
    result = for_target(given, CUDA)
    assert result.version == VersionRule("3.0", (), "none")
    assert result.python == PythonStage(
        subdirectory="p", serves="py3", environment={"P": "1", "Q": "2"}
    )
    assert result.bundle == Bundle()
    assert (result.checks.imports, result.checks.timeout) == (("a",), 1.5)
    assert result.checks.consumer == Consumer("b.cpp", "A", ("A::a",))


def test_override_that_does_not_match_changes_nothing(tmp_path: Path) -> None:
    result = for_target(recipe(tmp_path, OVERRIDES), CPU)
    assert result.version == VersionRule("2.0", ("V",), "none")
    assert result.bundle == Bundle(
        ("libcuda.so.1",), (Sibling("torch", ("libc10.so",), "torch/lib"),)
    )
    assert result.core == CORE


def test_override_can_add_a_stage(tmp_path: Path) -> None:
    path = tmp_path / "builder.toml"
    path.write_text(
        'python = {}\n[[override]]\nselect = "*-cuda*"\ncore.cmake = { options = { A = "1" } }\n'
    )
    given = load(path)
    assert (given.core, for_target(given, CPU).core) == (None, None)
    assert for_target(given, CUDA).core == CoreStage(CMake(options={"A": "1"}))


def test_for_target_leaves_nothing_to_apply(tmp_path: Path) -> None:
    given = recipe(tmp_path, OVERRIDES)
    result = for_target(given, CUDA)
    assert result.overrides == ()
    assert for_target(result, CUDA) == result
    assert len(given.overrides) == 3


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{prefix}/lib", "/p/lib"),
        ("-j{jobs}{jobs}", "-j44"),
        ("{{prefix}}", "{prefix}"),
        ("{{{prefix}}}", "{/p}"),
        ('{{"a": 1}', '{"a": 1}'),
        ("${{HOME}}", "${HOME}"),
        ("a } b", "a } b"),
        ("", ""),
    ],
)
def test_placeholders_are_replaced(text: str, expected: str) -> None:
    assert expand(text, {"prefix": "/p", "jobs": "4"}) == expected


def test_value_is_not_expanded_again() -> None:
    assert expand("{a}", {"a": "{b}", "b": "x"}) == "{b}"


@pytest.mark.parametrize("text", ["{dist}", "{}", "{ jobs }", "${HOME}", '{"a": 1}', "{jobs", "{"])
def test_unknown_placeholder_lists_the_known_ones(text: str) -> None:
    with pytest.raises(UsageError, match="unknown placeholder") as caught:
        expand(text, {"prefix": "/p", "jobs": "4"})
    assert "known here: {jobs} {prefix}" in caught.value.hint


@given(st.text("{}abc "))
def test_escaped_text_comes_out_as_it_was(text: str) -> None:
    escaped = text.replace("{", "{{").replace("}", "}}")
    assert expand(escaped, {}) == text


@given(st.text("{}a "))
def test_exactly_what_is_unknown_is_refused(text: str) -> None:
    refused = False
    try:
        expand(text, {"a": "x"})
    except UsageError:
        refused = True
    assert refused == bool(unknown(text, ("a",)))


@pytest.mark.parametrize(
    "glob",
    [
        "*",
        "**",
        "manywheel-cp31?-cuda*",
        "*-cuda1[23]*",
        "*-cp3[!1]*-cpu-*",
        "*cpu-linux*",
        "*arm64",
        "conda-cp37m-cuda100-linux_x86_64",
        "manywheel-cp2*mu-*",
        "libtorch-none-rocm6.2-linux_x86_64-cxx11-shared_with_deps",
        "*-rocm6.2.4-*",
        "*-cp31[3-9]t-*",
        "conda_lib-none-*",
    ],
)
def test_plausible_glob_is_taken(glob: str) -> None:
    assert can_match_a_target(glob)


@pytest.mark.parametrize(
    "glob",
    [
        "",
        "cuda*",
        "manywheel",
        "*-cu130-*",
        "*-3.11-*",
        "manywheels-*",
        "egg_lib-*",
        "conda_lib-none-cuda",
        "*-cp39m-*",
        "*-linux-x86_64",
        "*-cuda*-cpu-*",
        "[",
        "*[!_a-z0-9-]",
        "MANYWHEEL-*",
    ],
)
def test_glob_that_no_target_can_match_is_noticed(glob: str) -> None:
    assert not can_match_a_target(glob)


IDS = st.builds(
    "{}-{}-{}-linux_{}".format,
    st.sampled_from(["manywheel", "conda"]),
    st.sampled_from(["cp37m", "cp311", "cp313t"]),
    st.sampled_from(["cpu", "cuda92", "cuda130", "rocm6.2", "xpu"]),
    st.sampled_from(["x86_64", "aarch64"]),
)


@given(IDS, st.data())
def test_glob_made_from_an_id_is_plausible(target: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(target)))
    end = data.draw(st.integers(start, len(target)))
    glob = target[:start] + data.draw(st.sampled_from(["*", "?" * (end - start)])) + target[end:]
    assert Target.parse(target).matches(glob)
    assert can_match_a_target(glob)
