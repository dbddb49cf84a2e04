from __future__ import annotations

from typing import Any

import pytest
from builder_conda.recipes.outputs import (
    Rendered,
    Variants,
    chosen,
    profile_of,
    providers,
    read_outputs,
    waves_of,
)

from builder.errors import UsageError


def row(name: str, build: str = "0", noarch: str = "", **variant: str) -> dict[str, Any]:
    """What the worker tells of one output."""
    requirements = variant.pop("needs", "").split()
    return {
        "name": name, "version": "1", "build": build, "noarch": noarch, "variant": variant,
        "recipe": {"requirements": {"host": requirements}},
    }  # fmt: skip


def test_an_output_that_variants_share_comes_once() -> None:
    rows = [
        row("lib"),
        row("py", "py39", python="3.9"),
        row("lib"),
        row("py", "py310", python="3.10"),
    ]

    found = read_outputs(rows, "linux-64")

    assert [output.stem for output in found] == ["lib-1-0", "py-1-py39", "py-1-py310"]


def test_two_variants_of_one_name_are_refused() -> None:
    rows = [row("w", "0", cuda="cpu"), row("w", "0", cuda="12.8")]

    with pytest.raises(UsageError, match="both be `w-1-0`: they differ in cuda"):
        read_outputs(rows, "linux-64")


def test_noarch_lies_in_its_own_folder() -> None:
    found = read_outputs([row("a", noarch="python"), row("b")], "linux-aarch64")

    assert [output.subdir for output in found] == ["noarch", "linux-aarch64"]


@pytest.mark.parametrize(
    ("recipe", "names"),
    [
        pytest.param({"requirements": {"host": ["zlib >=1.2", "python"]}}, ("python", "zlib"), id="specs"),
        pytest.param({"requirements": {"run": ["a=1", "b<2", "c"]}}, ("a", "b", "c"), id="no blank"),
        pytest.param(
            {"requirements": {"host": [{"pin_subpackage": {"name": "lib", "exact": True}}]}}, ("lib",),
            id="pin",
        ),
        pytest.param({"tests": [{"requirements": {"run": ["pytest"]}}]}, ("pytest",), id="test"),
        pytest.param({"tests": [{"python": {"imports": ["w"]}}]}, (), id="test without"),
        pytest.param({}, (), id="nothing"),
    ],
)  # fmt: skip
def test_what_an_output_needs(recipe: dict[str, Any], names: tuple[str, ...]) -> None:
    [found] = read_outputs([{**row("w"), "recipe": recipe}], "linux-64")

    assert found.needs == names


def outputs(*rows: dict[str, Any]) -> tuple[Rendered, ...]:
    return read_outputs(rows, "linux-64")


def test_what_is_needed_is_built_before() -> None:
    found = outputs(row("py", needs="lib"), row("all", needs="py lib"), row("lib"))

    assert [[output.name for output in wave] for wave in waves_of(found)] == [
        ["lib"],
        ["py"],
        ["all"],
    ]


def test_a_circle_is_named() -> None:
    found = outputs(row("a", needs="b"), row("b", needs="a"))

    with pytest.raises(UsageError, match="need each other: a, b"):
        list(waves_of(found))


def test_only_the_same_variant_is_waited_for() -> None:
    cpu, cuda = row("lib", "cpu_0", cuda="cpu"), row("lib", "cuda_0", cuda="12.8")
    found = outputs(cpu, cuda, row("py", "py_cuda", needs="lib", cuda="12.8"))

    assert [output.build for output in providers(found[2], found)] == ["cuda_0"]


def test_an_exact_pin_names_the_one_that_is_waited_for() -> None:
    found = outputs(
        row("lib", "h1_0"), row("lib", "h2_0"), row("py", "0", needs="lib", lib="1 h2_0")
    )

    assert [output.build for output in providers(found[2], found)] == ["h2_0"]


@pytest.mark.parametrize(
    ("variant", "cuda"),
    [
        ({"cuda": "12.8"}, "12.8"),
        ({"cuda_compiler_version": "13.0"}, "13.0"),
        ({"cuda": "cpu"}, ""),
        ({"cuda_compiler_version": "None"}, ""),
        ({}, ""),
    ],
)
def test_the_cuda_that_a_variant_is_for(variant: dict[str, str], cuda: str) -> None:
    [found] = read_outputs([row("w", **variant)], "linux-64")

    assert found.cuda == cuda


PYTHONS = ("3.10.* *_cpython", "3.11.* *_cpython", "3.13.* *_cp313")


@pytest.mark.parametrize(
    ("wanted", "values"),
    [
        pytest.param((), {"python": PYTHONS, "cuda": ("cpu",)}, id="all"),
        pytest.param(("3.11",), {"python": PYTHONS[1:2], "cuda": ("cpu",)}, id="one"),
        pytest.param(("3.13", "3.10"), {"python": (PYTHONS[2], PYTHONS[0]), "cuda": ("cpu",)}, id="two"),
        pytest.param(("3.9",), {"python": ("3.9.*",), "cuda": ("cpu",)}, id="in no file"),
    ],
)  # fmt: skip
def test_pythons_are_chosen_from_the_variants(
    wanted: tuple[str, ...], values: dict[str, tuple[str, ...]]
) -> None:
    variants = Variants({"python": PYTHONS, "cuda": ("cpu",)})

    assert chosen(variants, "python", wanted).values == values


def test_what_is_zipped_with_python_goes_with_it() -> None:
    variants = Variants({"python": PYTHONS, "numpy": ("1", "2", "3")}, (("python", "numpy"),))

    found = chosen(variants, "python", ("3.13", "3.11"))

    assert found.values == {"python": (PYTHONS[2], PYTHONS[1]), "numpy": ("3", "2")}
    assert found.zipped == (("python", "numpy"),)


def test_a_python_that_nothing_is_zipped_with_is_refused() -> None:
    variants = Variants({"python": PYTHONS, "numpy": ("1", "2", "3")}, (("python", "numpy"),))

    with pytest.raises(UsageError, match=r"no python 3\.9, and python is zipped with numpy"):
        chosen(variants, "python", ("3.9",))


def test_zipped_keys_of_unequal_length_are_refused() -> None:
    document = {
        "values": {"python": ["3.9", "3.10"], "numpy": ["1"]},
        "zipped": [["python", "numpy"]],
    }

    with pytest.raises(UsageError, match="python has 2, numpy has 1"):
        Variants.of(document)


@pytest.mark.parametrize(
    ("extra", "expected"),
    [({}, ""), ({"builder": {}}, ""), ({"builder": {"profile": "release"}}, "release"), ({"builder": "x"}, "")],
)  # fmt: skip
def test_a_recipe_may_say_how_small_its_packages_are(extra: dict[str, Any], expected: str) -> None:
    assert profile_of({"extra": extra}) == expected


@pytest.mark.parametrize("wrong", ["tiny", 9, ["fast"]])
def test_a_profile_that_nobody_knows_is_refused_before_anything_is_built(wrong: object) -> None:
    asked = {**row("a"), "recipe": {"extra": {"builder": {"profile": wrong}}}}
    with pytest.raises(UsageError, match=r"extra\.builder\.profile"):
        read_outputs([asked], "linux-64")
