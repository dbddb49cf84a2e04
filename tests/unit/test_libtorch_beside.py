"""Windows in debug and release, and debug information that lies beside its binary."""

from __future__ import annotations

import importlib.util
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from builder_libtorch.package import Order, package_wheel

from builder.archive.content import MANIFEST, Content
from builder.backend import Package, Tools
from builder.config.apply import for_target
from builder.config.discover import find
from builder.config.machine import Machine
from builder.config.target import Target
from builder.errors import BuilderError
from builder.process import Processes

ROOT = Path(__file__).parents[2]


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        f"{name}_for_beside", ROOT / f"tests/data/{name}.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


MACHO, PE = _load("make_macho"), _load("make_pe")
DYLIB = MACHO.assemble(replace(MACHO.PLAIN, rpaths=("@loader_path",)))
VERSION = b"__version__ = '2.13.0'\ngit_version = 'abc'\n"
SHARED: Mapping[str, bytes] = {
    "lib/c10.lib": b"!<arch>\n", "include/c10/c10.h": b"\n", "share/cmake/Torch/TorchConfig.cmake": b"\n",
    "version.py": VERSION, "__init__.py": b"",
}  # fmt: skip


def dll(*runtime: str) -> bytes:
    imports = tuple((name, ("one",)) for name in ("KERNEL32.dll", *runtime))
    return bytes(PE.assemble(PE.Pe(imports=imports)))


RELEASE = dll("MSVCP140.dll", "VCRUNTIME140.dll")
DEBUG = dll("MSVCP140D.dll", "VCRUNTIME140_1D.dll", "ucrtbased.dll")


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    machine = Machine((Path("/usr/bin"),), tmp_path, 2, "linux", "x86_64")
    return Tools(Processes(), machine, Path(sys.executable), tmp_path / "work", tmp_path / "log")


def packaged(
    files: Mapping[str, bytes], variant: str, platform: str, folder: Path, tools: Tools
) -> Package:
    """What the recipe of this repository makes of a wheel with these files in `torch`."""
    given = folder / "torch-2.13.0-cp311-cp311-any.whl"
    with zipfile.ZipFile(given, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {**SHARED, **files}.items():
            archive.writestr(f"torch/{name}", content)
    target = Target.parse(f"libtorch-none-cpu-{platform}-{variant}")
    recipe = for_target(find("pytorch", (ROOT / "recipes",), folder), target)
    return package_wheel(
        given, Order(recipe.name, recipe.archive, target, recipe.bundle), folder / "out", tools
    )


def names(path: Path) -> set[str]:
    with zipfile.ZipFile(path) as archive:
        return set(archive.namelist())


def test_a_debug_build_for_windows_has_its_symbols_apart(tools: Tools, tmp_path: Path) -> None:
    files = {"lib/torch_cpu.dll": DEBUG, "lib/c10.dll": RELEASE, "lib/torch_cpu.PDB": b"pdb" * 999}

    package = packaged(files, "shared_with_deps_debug", "windows_x86_64", tmp_path, tools)

    assert package.path.name == "libtorch-win-shared-with-deps-debug-2.13.0.zip"
    apart = "debug-libtorch-win-shared-with-deps-debug-2.13.0.zip"
    assert package.facts["debug"] == [apart]
    assert names(package.path) == {
        "libtorch/lib/torch_cpu.dll", "libtorch/lib/c10.dll", "libtorch/lib/c10.lib",
        "libtorch/include/c10/c10.h", "libtorch/share/cmake/Torch/TorchConfig.cmake",
        "libtorch/build-version", "libtorch/build-hash", f"libtorch/{MANIFEST}",
    }  # fmt: skip
    with zipfile.ZipFile(package.path.with_name(apart)) as symbols:
        assert {name: symbols.read(name) for name in symbols.namelist()} == {
            "lib/torch_cpu.PDB": b"pdb" * 999
        }
    content = Content.parse((package.path.parent / str(package.facts["content"])).read_bytes(), "x")
    runtime = {"MSVCP140D.dll", "VCRUNTIME140_1D.dll", "ucrtbased.dll"}
    assert set(content.host) == {"MSVCP140.dll", "VCRUNTIME140.dll", *runtime}


@pytest.mark.parametrize(
    ("library", "variant", "message", "faults", "hint"),
    [
        (
            DEBUG, "shared_with_deps", "need the debug runtime",
            ("lib/c10.dll: needs MSVCP140D.dll, VCRUNTIME140_1D.dll, ucrtbased.dll",),
            "`--variant shared-with-deps-debug`",
        ),
        (
            RELEASE, "shared_without_deps_debug", "nothing in it needs the debug runtime",
            (), "`--variant shared-without-deps`",
        ),
    ],
    ids=["release", "debug"],
)  # fmt: skip
def test_a_variant_that_says_the_wrong_runtime_is_one_error(
    tools: Tools,
    tmp_path: Path,
    library: bytes,
    variant: str,
    message: str,
    faults: tuple[str, ...],
    hint: str,
) -> None:
    with pytest.raises(BuilderError, match=message) as caught:
        packaged({"lib/c10.dll": library}, variant, "windows_x86_64", tmp_path, tools)

    assert caught.value.faults == faults
    assert hint in caught.value.hint
    assert not (tmp_path / "out").exists()
    assert list(tools.work.iterdir()) == []


def test_folders_with_symbols_of_macos_lie_apart(tools: Tools, tmp_path: Path) -> None:
    folder = "lib/libc10.dylib.dSYM/Contents"
    files = {
        "lib/libc10.dylib": DYLIB,
        f"{folder}/Info.plist": b"<plist/>",
        f"{folder}/Resources/DWARF/libc10.dylib": b"\xcf\xfa\xed\xfe of another kind",
    }

    package = packaged(files, "shared_without_deps", "macos_arm64", tmp_path, tools)

    apart = "debug-libtorch-macos-arm64-shared-without-deps-2.13.0.zip"
    assert package.facts["debug"] == [apart]
    assert not [name for name in names(package.path) if "dSYM" in name]
    assert names(package.path.with_name(apart)) == {
        f"{folder}/Info.plist", f"{folder}/Resources/DWARF/libc10.dylib",
    }  # fmt: skip


def test_elsewhere_such_files_are_data(tools: Tools, tmp_path: Path) -> None:
    files = {"lib/libc10.dylib": DYLIB, "lib/1abc.pdb": b"a protein"}

    package = packaged(files, "shared_without_deps", "macos_arm64", tmp_path, tools)

    assert "libtorch/lib/1abc.pdb" in names(package.path)
    assert "debug" not in package.facts


@pytest.mark.parametrize(
    ("variant", "files", "message", "faults"),
    [
        ("shared_with_deps", {}, "shared libraries, and its wheel has none", ()),
        (
            "static_with_deps",
            {"lib/C10.dll": RELEASE},
            "static libraries, and its wheel has libraries that are in DLLs",
            ("lib/c10.lib: leads to `c10.dll`",),
        ),
    ],
    ids=["no DLL", "import library"],
)
def test_a_wheel_with_the_other_libraries_is_one_error(
    tools: Tools,
    tmp_path: Path,
    variant: str,
    files: Mapping[str, bytes],
    message: str,
    faults: tuple[str, ...],
) -> None:
    with pytest.raises(BuilderError, match=message) as caught:
        packaged(files, variant, "windows_x86_64", tmp_path, tools)

    assert caught.value.faults == faults
    assert caught.value.hint.startswith("give another wheel, or choose a ")
    assert not (tmp_path / "out").exists()
