from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from builder.config.recipe import Archive, CoreStage, Recipe
from builder.config.spec import BuildSpec
from builder.config.target import Target
from builder.config.toolchain import Toolchain
from builder.stage.core_stage import _with_abi, plan_core
from builder.stage.source import SourceTree
from builder.stage.workbench import Workbench


def test_a_finished_wheel_has_no_core_stage() -> None:
    source = Archive("/x/demo-1.0-py3-none-any.whl", "a" * 64)
    recipe = Recipe("demo", Path("/recipe"), source, core=CoreStage(commands=(("make",),)))
    target = Target.parse("libtorch-none-cpu-linux_x86_64-shared_with_deps")
    toolchain = Toolchain(Path("/usr/bin/cc"), Path("/usr/bin/c++"), "gcc", "identity")
    spec = BuildSpec(recipe, target, toolchain, "1.0", "digest", None)
    nowhere = cast("Workbench", None)  # not asked

    assert plan_core(spec, SourceTree(Path("/x"), "digest", "", 0), nowhere) is None


@pytest.mark.parametrize(
    ("abi", "declared", "wanted"),
    [
        ("", {"A": "1"}, {"A": "1"}),
        ("cxx11", {}, {"CXXFLAGS": "-D_GLIBCXX_USE_CXX11_ABI=1"}),
        ("precxx11", {"CXXFLAGS": "-O3"}, {"CXXFLAGS": "-O3 -D_GLIBCXX_USE_CXX11_ABI=0"}),
    ],
)
def test_the_compiler_is_told_the_abi(
    abi: str, declared: dict[str, str], wanted: dict[str, str]
) -> None:
    assert _with_abi(declared, abi) == wanted
