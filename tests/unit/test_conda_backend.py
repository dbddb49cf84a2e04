from __future__ import annotations

import json
import sys
import zipfile
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from builder_conda.backend import Conda, CondaChoice, CondaLibrary
from builder_conda.core import Core
from builder_conda.order import Order
from builder_conda.scripts import PLACEHOLDER

from builder.archive.conda import INDEX, open_package, read_info
from builder.archive.conda_package import CondaFile
from builder.archive.record import Row, encode_digest, render
from builder.backend import Tools, Trees
from builder.binary import Binary
from builder.config.machine import Machine
from builder.config.recipe import Axes, CoreStage, CppArchive, Folder, Recipe
from builder.config.recipe import Conda as Table
from builder.config.spec import BuildSpec
from builder.config.target import Target
from builder.config.toolchain import Toolchain
from builder.errors import BuilderError, UsageError
from builder.process import Processes
from builder.stage.tree import Tree, scan

RECIPE = Recipe(
    "sample", Path("/r"), Folder(Path("/s")), summary="a sample", core=CoreStage(),
    axes=Axes(accelerators=("cpu", "cuda130")), conda=Table(library="libsample"),
)  # fmt: skip
PYTHON = "conda-cp311-cpu-linux_x86_64"
PREFIX = "/store/work/abc/content"


def spec(target: str = PYTHON, version: str = "1.4.0+cpu", **conda: Any) -> BuildSpec:
    recipe = replace(RECIPE, conda=replace(RECIPE.conda, **conda))
    chain = Toolchain(Path("cc"), Path("c++"), "none", "none")
    return BuildSpec(recipe, Target.parse(target), chain, version, "digest", None)


def library(version: str = "1.4.0", **conda: Any) -> Order:
    return Order.of(spec("conda_lib-none-cpu-linux_x86_64", version, **conda))


def tree(root: Path, files: dict[str, bytes], links: dict[str, str]) -> Tree:
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    for path, target in links.items():
        (root / path).symlink_to(target)
    return Tree("k" * 64, root, scan(root), {"prefix": PREFIX, "epoch": 7})


def tools(folder: Path) -> Tools:
    machine = Machine((), folder, 2, "linux", "x86_64")
    return Tools(Processes(), machine, Path(sys.executable), folder / "work", folder / "log")


def placed(files: dict[str, bytes], folder: Path) -> dict[str, CondaFile]:
    core = Core.of(tree(folder / "tree", files, {}), CppArchive())
    return {file.path: file for file in core.packed({}, folder / "work")}


def test_companions_are_what_the_recipe_has() -> None:
    one = replace(RECIPE, axes=Axes(accelerators=("cpu", "cpu")))
    bare = replace(RECIPE, conda=replace(RECIPE.conda, choice=False, library=""))
    assert Conda().companions(RECIPE) == ("conda_lib", "conda_choice")
    assert Conda().companions(one) == ("conda_lib",)
    assert Conda().companions(bare) == ()


def test_a_wheel_with_binaries_is_split_and_a_pure_one_is_not() -> None:
    assert Conda().splits("a-1-py3-none-manylinux_2_28_x86_64.whl")
    assert Conda().splits("a-1-cp39-abi3-linux_x86_64.whl")
    assert not Conda().splits("a-1-py3-none-any.whl")


@pytest.mark.parametrize(
    ("version", "until", "expected"),
    [
        ("1.4.0", "major", ("libsample >=1.4.0,<2.0a0",)),
        ("1.4.0", "minor", ("libsample >=1.4.0,<1.5.0a0",)),
        ("1.4", "patch", ("libsample >=1.4,<1.4.1.0a0",)),
        ("1.4rc1", "minor", ("libsample >=1.4rc1,<1.5.0a0",)),
        ("2.0.0.dev20261121", "major", ("libsample >=2.0.0.dev20261121,<3.0a0",)),
    ],
)
def test_run_exports(version: str, until: str, expected: tuple[str, ...]) -> None:
    assert library(version, run_exports=until).run_exports == {"weak": expected}


def test_no_run_exports_where_none_are_wanted() -> None:
    assert library(run_exports="none").run_exports == {}


def test_all_pythons_of_an_accelerator_have_one_companion() -> None:
    names = ("cp37m-cpu", "cp313t-cpu", "cp311-cuda130")
    found = [Order.of(spec(f"conda-{name}-linux_x86_64")).companion for name in names]
    exact = [order.exact if order else "" for order in found]
    assert exact[0] == exact[1] == f"libsample 1.4.0 {library().build}" != exact[2]
    assert Order.of(spec(library="")).companion is None


def test_everything_of_the_recipe_is_in_the_identity() -> None:
    nothing = Trees(None, None)
    machine = tools(Path("/nowhere"))
    changes: list[dict[str, Any]] = [
        {}, {"profile": "release"}, {"variant": {"blas": "mkl"}}, {"host": ("a",)},
        {"libraries": {"a": ("b",)}}, {"depends": ("a",)}, {"build_number": 3},
    ]  # fmt: skip
    found = {
        json.dumps(Conda().identity(spec(**change), nothing, machine)) for change in changes
    } | {json.dumps(Conda().identity(spec("conda-cp312-cpu-linux_x86_64"), nothing, machine))}
    assert len(found) == len(changes) + 1


@pytest.mark.parametrize(
    ("backend", "target", "fault"),
    [
        (Conda(), "conda-cp311-cpu-macos_arm64", "cannot be made of trees"),
        (CondaLibrary(), "conda_lib-none-cpu-windows_x86_64", "cannot be made of trees"),
    ],
)
def test_other_systems_are_refused_with_the_way_there_is(
    backend: Conda | CondaLibrary, target: str, fault: str
) -> None:
    with pytest.raises(UsageError, match=fault) as caught:
        backend.plan(spec(target))
    assert "builder convert" in caught.value.hint


def test_a_library_that_has_no_name_is_refused() -> None:
    with pytest.raises(UsageError, match="no conda package for its core tree"):
        CondaLibrary().plan(spec("conda_lib-none-cpu-linux_x86_64", library=""))


def test_the_plan_names_the_file() -> None:
    (_, _, pack, verify) = Conda().plan(spec())
    assert pack.argv[-1] == verify.argv[-1] == Order.of(spec()).file
    (*_, unknown) = Conda().plan(spec(version=""))
    assert "{version}" in unknown.argv[-1]


def test_a_choice_keeps_others_out_and_is_the_same_in_every_release(tmp_path: Path) -> None:
    backend, nothing = CondaChoice(), Trees(None, None)
    made = [
        backend.package(
            spec("conda_choice-none-cuda130-linux_x86_64", version), nothing, tmp_path / version,
            tools(tmp_path),
        )
        for version in ("1.4.0", "1.5.0")
    ]  # fmt: skip
    index = json.loads(read_info(made[0].path, {INDEX: 1 << 16})[INDEX])
    assert made[0].path.name == "sample-cuda-13.0-0.conda"
    assert index["constrains"] == ["sample * *cuda130_*", "libsample * *cuda130_*"]
    assert (index["depends"], index["subdir"], "track_features" in index) == ([], "noarch", False)
    assert made[0].path.read_bytes() == made[1].path.read_bytes()


def test_a_library_without_a_core_tree_is_refused(tmp_path: Path) -> None:
    asked = spec("conda_lib-none-cpu-linux_x86_64")
    with pytest.raises(BuilderError, match="no core stage"):
        CondaLibrary().package(asked, Trees(None, None), tmp_path, tools(tmp_path))


def test_the_prefix_in_a_text_becomes_one_that_every_prefix_fits(tmp_path: Path) -> None:
    found = placed(
        {"lib/x.pc": f"prefix={PREFIX}\n".encode(), "lib/y.pc": b"prefix=${pcfiledir}"}, tmp_path
    )
    assert found["lib/x.pc"].source == f"prefix={PLACEHOLDER}\n".encode()
    assert (found["lib/x.pc"].placeholder, found["lib/x.pc"].mode) == (PLACEHOLDER, "text")
    assert found["lib/y.pc"].placeholder == ""


def test_the_prefix_in_a_binary_is_told_and_the_user_warned(tmp_path: Path) -> None:
    files = {"lib/data.bin": b"\0" * (1 << 20) + PREFIX.encode() + b"\0"}
    target = Target.parse("conda_lib-none-cpu-linux_x86_64")
    asked = spec(str(target))
    trees = Trees(tree(tmp_path / "tree", files, {}), None)

    made = CondaLibrary().package(asked, trees, tmp_path / "out", tools(tmp_path))

    (row,) = json.loads(read_info(made.path, {"info/paths.json": 1 << 16})["info/paths.json"])[
        "paths"
    ]
    assert (row["prefix_placeholder"], row["file_mode"]) == (PREFIX, "binary")
    assert "lib/data.bin: holds the prefix" in str(made.facts["warnings"])


def test_links_are_kept_and_those_that_leave_the_package_are_errors(tmp_path: Path) -> None:
    files = {"lib/a.txt": b"a", "etc/b": b"b", "share/d/x": b"x"}
    good = {"lib/c.txt": "a.txt", "share/e": "d"}
    core = Core.of(tree(tmp_path / "good", files, good), CppArchive())
    assert {file.path: file.link for file in core.packed({}, tmp_path) if file.link} == good
    with pytest.raises(BuilderError, match="lead to what is not packaged") as caught:
        Core.of(tree(tmp_path / "bad", files, {"lib/b": "../etc/b"}), CppArchive())
    assert caught.value.faults == ("lib/b: leads to `../etc/b`",)


def test_an_empty_choice_of_the_core_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BuilderError, match="nothing to package"):
        Core.of(tree(tmp_path, {"etc/b": b"b"}, {}), CppArchive())


def test_only_what_is_needed_of_the_core_comes_along() -> None:
    def binary(soname: str, *needed: str) -> Binary:
        return Binary("elf", "x86_64", 64, "little", "shared", soname=soname, needed=needed)

    core = Core(
        Path("/t"), {}, {"lib/liba.so.1": "lib/liba.so.1.2"}, {},
        {
            "lib/liba.so.1.2": binary("liba.so.1", "libb.so.2"),
            "lib/libb.so.2.0": binary("libb.so.2", "libc.so.6"),
            "lib/libc.so": binary("libc.so"),
        }, "",
    )  # fmt: skip
    assert core.needed_by({"m.so": binary("", "liba.so.1")}) == {
        "lib/liba.so.1", "lib/liba.so.1.2", "lib/libb.so.2.0",
    }  # fmt: skip
    assert core.needed_by({"m.so": binary("", "libm.so.6")}) == frozenset()


def wheel(folder: Path, *requires: str) -> Tree:
    """A python tree with a wheel that has no binaries."""
    texts = {
        "pure/__init__.py": b"answer = 42\n",
        "pure-1.2.post3.dist-info/METADATA": "\n".join(
            ["Metadata-Version: 2.1", "Name: pure", "Version: 1.2.post3", "Requires-Python: >=3.8"]
            + [f"Requires-Dist: {text}" for text in requires]
        ).encode() + b"\n",
        "pure-1.2.post3.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "pure-1.2.post3.dist-info/entry_points.txt": b"[console_scripts]\npure = pure:main\n",
    }  # fmt: skip
    rows = [
        Row(name, encode_digest(sha256(content).digest()), len(content))
        for name, content in texts.items()
    ]
    texts["pure-1.2.post3.dist-info/RECORD"] = render(
        [*rows, Row("pure-1.2.post3.dist-info/RECORD")]
    ).encode()
    folder.mkdir()
    with zipfile.ZipFile(folder / "pure-1.2.post3-py3-none-any.whl", "w") as archive:
        for name, content in texts.items():
            archive.writestr(name, content)
    return Tree("p" * 64, folder, scan(folder), {})


def test_a_wheel_without_binaries_serves_every_python(tmp_path: Path) -> None:
    python = wheel(tmp_path / "wheel", "torch>=2", "numpy; python_version < '3'")
    asked = spec(version="", depends=("blas * mkl",), constrains=("numba >=0.57",))
    asked = replace(asked, recipe=replace(asked.recipe, name="pure"))
    core = tree(tmp_path / "core", {"lib/x.txt": b"x"}, {})

    made = Conda().package(asked, Trees(core, python), tmp_path / "out", tools(tmp_path))

    assert made.path.name == "pure-1.2-py_3.conda"
    index = json.loads(read_info(made.path, {INDEX: 1 << 16})[INDEX])
    assert (index["subdir"], index["noarch"], index["build_number"]) == ("noarch", "python", 3)
    assert index["depends"] == ["blas * mkl", "python >=3.8", "pytorch >=2"]
    assert index["constrains"] == ["numba >=0.57"]
    with open_package(made.path) as members:
        names = [member.name for member, _ in members if not member.name.startswith("info/")]
    assert "site-packages/pure/__init__.py" in names
    assert not any("x.txt" in name for name in names)
    link = json.loads(read_info(made.path, {"info/link.json": 1 << 16})["info/link.json"])
    assert link["noarch"]["entry_points"] == ["pure = pure:main"]
