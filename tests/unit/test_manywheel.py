from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint, version
from pathlib import Path

import pytest
from builder_manywheel.backend import Manywheel

from builder.archive import record
from builder.archive.wheel import read_wheel, verify_wheel
from builder.archive.zip import pack
from builder.backend import Tools, Trees
from builder.config.machine import Machine
from builder.config.recipe import Bundle, Folder, Recipe, Sibling
from builder.config.spec import BuildSpec
from builder.config.target import Target
from builder.config.toolchain import Toolchain
from builder.errors import BuilderError
from builder.plugins import Plugins
from builder.process import Processes
from builder.stage.tree import Tree

TARGET = Target.parse("manywheel-cp37m-cuda100-linux_x86_64")
BUNDLE = Bundle(("libcuda.so.*",), (Sibling("torch", ("libtorch*",), "torch/lib"),))


def spec(version: str = "") -> BuildSpec:
    recipe = Recipe("torch_nightly", Path("/recipe"), Folder(Path("/source")), bundle=BUNDLE)
    toolchain = Toolchain(Path("/usr/bin/cc"), Path("/usr/bin/c++"), "gcc", "identity")
    return BuildSpec(recipe, TARGET, toolchain, version, "digest", None)


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    machine = Machine((Path("/usr/bin"),), tmp_path, 2, "linux", "x86_64")
    python = Path(sys.executable)
    return Tools(Processes(), machine, python, tmp_path / "work", tmp_path / "log")


@pytest.fixture
def raw(tmp_path: Path) -> Callable[[str], Trees]:
    def make(tags: str) -> Trees:
        info = tmp_path / "content/torch_nightly-1.2.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Name: torch-nightly\nVersion: 1.2.0\n\nbody\n")
        (info / "WHEEL").write_text(f"Wheel-Version: 1.0\nTag: {tags}\n")
        (info.parent / "torch.py").write_text("")
        record.write(info.parent, info.name)
        root = tmp_path / "python"
        pack(info.parent, root / f"torch_nightly-1.2.0-{tags}.whl", epoch=1_700_000_000)
        return Trees(None, Tree("key", root, (), {}))

    return make


def test_the_plugin_is_found_by_its_entry_point() -> None:
    point = EntryPoint("manywheel", "builder_manywheel", "builder")

    plugins = Plugins([point])

    assert plugins.faults == {}
    assert isinstance(plugins.backend("manywheel"), Manywheel)
    assert plugins.backend("manywheel").needs_python


def test_the_plan_reads_as_shell() -> None:
    assert [str(step) for step in Manywheel().plan(spec("1.2.0+cu100"))] == [
        "builder repair --add-path '{core}/lib' --exclude 'libcuda.so.*' --sibling torch '{wheel}'",
        "relabel --tag '{lowest}' --version 1.2.0+cu100 '{wheel}'",
        "verify '{wheel}'",
    ]


def test_a_wheel_without_binaries_passes_untouched(
    raw: Callable[[str], Trees], tools: Tools, tmp_path: Path
) -> None:
    trees = raw("py3-none-any")

    package = Manywheel().package(spec(), trees, tmp_path / "out", tools)

    assert trees.python is not None
    assert package.path.name == "torch_nightly-1.2.0-py3-none-any.whl"
    assert package.path.read_bytes() == next(trees.python.root.glob("*")).read_bytes()
    assert package.facts == {
        "tag": "any", "grafted": [], "edited": [], "blockers": [], "pure": True,
    }  # fmt: skip


def test_a_version_with_a_local_part_is_given_as_the_golden_file_name(
    raw: Callable[[str], Trees], tools: Tools, tmp_path: Path
) -> None:
    full = "1.2.0.dev20190731+cu100"
    trees = raw("cp37-cp37m-linux_x86_64")

    package = Manywheel().package(spec(full), trees, tmp_path / "out", tools)
    again = Manywheel().package(spec(full), trees, tmp_path / "again", tools)

    assert package.path.name == f"torch_nightly-{full}-cp37-cp37m-linux_x86_64.whl"
    assert read_wheel(package.path).metadata.get("Version") == (full,)
    assert package.facts["edited"] == [f"torch_nightly-{full}.dist-info/METADATA"]
    assert verify_wheel(package.path) == ()
    assert package.path.read_bytes() == again.path.read_bytes()


def test_the_identity_names_the_engine(raw: Callable[[str], Trees], tools: Tools) -> None:
    identity = Manywheel().identity(spec(), raw("py3-none-any"), tools)

    assert identity["grafts"] == {}
    engine = identity["engine"]
    assert isinstance(engine, dict)
    assert engine["policies"] == version("auditwheel")
    assert {"native", "deflate", "inflate"} < engine.keys()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ((), "holds 0 wheels, not 1"),
        (("a-1-py3-none-any.whl", "b-1-py3-none-any.whl"), "holds 2 wheels, not 1"),
    ],
)
def test_a_python_tree_without_exactly_one_wheel_is_refused(
    tools: Tools, tmp_path: Path, files: tuple[str, ...], message: str
) -> None:
    for name in files:
        (tmp_path / name).write_bytes(b"")
    trees = Trees(None, Tree("key", tmp_path, (), {}))

    with pytest.raises(BuilderError, match=message):
        Manywheel().package(spec(), trees, tmp_path / "out", tools)


def test_a_recipe_without_a_python_stage_has_no_wheel(tools: Tools, tmp_path: Path) -> None:
    with pytest.raises(BuilderError, match="has no python stage"):
        Manywheel().package(spec(), Trees(None, None), tmp_path / "out", tools)


@pytest.mark.parametrize("tag", ["cp311-cp311-win_amd64", "cp311-cp311-macosx_11_0_arm64"])
def test_a_wheel_of_another_system_is_refused(
    raw: Callable[[str], Trees], tools: Tools, tmp_path: Path, tag: str
) -> None:
    with pytest.raises(BuilderError, match="is no wheel for Linux"):
        Manywheel().package(spec(), raw(tag), tmp_path / "out", tools)
    assert not (tmp_path / "out").exists()
