"""C++ archives: built by the real command, then used as a stranger would, with nothing else around."""

from __future__ import annotations

import subprocess
import sys
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from builder_libtorch.consume import tried
from builder_libtorch.layout import Release
from builder_libtorch.package import Order, package_tree, package_wheel

from benchmarks import wheels
from builder.archive.content import MANIFEST, Content, compare, read_content
from builder.archive.tar_source import open_source
from builder.archive.unpack import unpack
from builder.backend import Tools, Trial
from builder.binary import looks_like, read
from builder.cli.surroundings import environment, this_machine
from builder.config.apply import for_target
from builder.config.discover import find
from builder.config.recipe import Checks, Consumer, CppArchive
from builder.config.target import Target
from builder.process import Processes
from builder.stage.tree import Tree, scan
from tests.e2e import second_opinion as second

if TYPE_CHECKING:
    from tests.e2e.conftest import Builder

pytestmark = pytest.mark.e2e

RECIPES = Path(__file__).parents[2] / "recipes"
VARIANTS = tuple(
    f"{linking}-{deps}-deps" for linking in ("shared", "static") for deps in ("with", "without")
)
NOTHING_WRONG: dict[str, tuple[tuple[str, ...], str]] = dict.fromkeys(
    ("archive.sound", "archive.cmake", "archive.flags", "archive.abi", "archive.loads"), ((), "")
)
STATIC = {**NOTHING_WRONG, "archive.loads": ((), "there is no shared library in it")}


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    machine = this_machine(environment())
    work = tmp_path / "work"
    return Tools(Processes(), machine, Path(sys.executable), work, tmp_path / "log")


def trials(archive: Path, recipe: str, tools: Tools) -> dict[str, tuple[tuple[str, ...], str]]:
    """What is wrong with each way to use an archive, or why it was left out."""
    found = find(recipe, (RECIPES,), Path.cwd())
    return _said(tried(archive, MANIFEST, found.checks, found.folder, tools))


def _said(done: tuple[Trial, ...]) -> dict[str, tuple[tuple[str, ...], str]]:
    return {trial.id: (trial.problems, trial.reason) for trial in done}


def content(archive: Path) -> Content:
    with zipfile.ZipFile(archive) as opened:
        (name,) = (name for name in opened.namelist() if name.endswith(f"/{MANIFEST}"))
        return Content.parse(opened.read(name), name)


def test_four_variants_of_sample_from_two_compiles(fresh: Builder, tools: Tools) -> None:
    words = [word for variant in VARIANTS for word in ("--variant", variant)]
    words = ["sample", "--type", "libtorch", "--cuda", "cpu", *words, "--json"]

    first = fresh.build(*words)
    kept = {path.name: path.read_bytes() for path in fresh.output.glob("*.zip")}
    again = fresh.build(*words)

    assert (first.code, again.code) == (0, 0), first.err + again.err
    archives = [Path(made["path"]) for made in first.document["artifacts"]]
    assert [path.name for path in archives] == [
        f"libsample-{variant}-1.4.0+cpu.zip" for variant in VARIANTS
    ]
    assert [made["aliases"] for made in first.document["artifacts"]] == [
        [f"libsample-{variant}-latest.zip"] for variant in VARIANTS
    ]
    keys = [made["stages"][0]["key"] for made in first.document["artifacts"]]
    assert keys[0] == keys[1] != keys[2] == keys[3]
    sources = len(list((RECIPES / "sample/source").glob("*/*.cpp")))
    assert first.document["compiler_runs"] == 2 * sources
    assert again.hits == {"core": [True] * 4, "package": [True] * 4}
    assert {path.name: path.read_bytes() for path in fresh.output.glob("*.zip")} == kept
    counts = [made["report"]["summary"] for made in first.document["artifacts"]]
    assert [(count["pass"], count["skip"]) for count in counts] == [(5, 0), (5, 0), (4, 1), (4, 1)]
    beside = [path.with_name(f"{path.name.removesuffix('.zip')}.content.json") for path in archives]
    assert [read_content(path) for path in beside] == [read_content(path) for path in archives]
    shared, without, static, _ = archives
    assert [trials(path, "sample", tools) for path in archives] == [
        NOTHING_WRONG, NOTHING_WRONG, STATIC, STATIC,
    ]  # fmt: skip
    paths = {item.path for item in content(static).items}
    assert {"lib/libsample.a", "lib/libsampledep.a", "lib/pkgconfig/sample.pc"} <= paths
    assert not any(".so" in path for path in paths)
    assert (content(shared).host, content(without).host) == ((), ("libgomp.so.1",))
    assert content(static).host == ("libgomp.so",)
    assert any("is now expected" in line for line in compare(content(shared), content(without)))


@pytest.mark.parametrize(("abi", "name"), [("cxx11", "-cxx11-abi"), ("precxx11", "-pre-cxx11-abi")])
def test_an_abi_is_what_its_users_compile_with(
    fresh: Builder, tools: Tools, abi: str, name: str
) -> None:
    words = ("--variant", "shared-with-deps", "--abi", abi, "--cuda", "cpu")

    ran = fresh.build("sample", "--type", "libtorch", *words)

    assert ran.code == 0, ran.err
    archive = fresh.output / f"libsample{name}-shared-with-deps-1.4.0+cpu.zip"
    assert trials(archive, "sample", tools) == NOTHING_WRONG


def test_what_a_stranger_cannot_use_is_told(fresh: Builder, tools: Tools, tmp_path: Path) -> None:
    words = ("--variant", "shared-without-deps", "--cuda", "cpu")
    assert fresh.build("sample", "--type", "libtorch", *words).code == 0
    (archive,) = fresh.output.glob("*.zip")
    broken = tmp_path / "broken.zip"
    with zipfile.ZipFile(archive) as whole, zipfile.ZipFile(broken, "w") as less:
        for info in whole.infolist():
            if "libsampledep" not in info.filename and info.filename[-10:] != "sample.hpp":
                less.writestr(info, whole.read(info))
    mute = tmp_path / "mute.cpp"
    mute.write_text("#include <sample/sample.hpp>\nint main() { return sample::threads() < 1; }\n")
    sample = find("sample", (RECIPES,), Path.cwd()).checks
    assert sample.consumer is not None
    without_strings = replace(sample, consumer=replace(sample.consumer, source="mute.cpp"))

    found = trials(broken, "sample", tools)
    blind = _said(tried(archive, MANIFEST, without_strings, tmp_path, tools))

    assert (
        "does not build" in found["archive.cmake"][0][0]
        or "does not configure" in (found["archive.cmake"][0][0])
    )
    assert "does not compile with plain flags" in found["archive.flags"][0][0]
    assert any("libsampledep.so.2: cannot open" in line for line in found["archive.loads"][0])
    assert blind["archive.abi"][0][0].startswith("mute.cpp: builds with the wrong C++ ABI too")


@pytest.mark.parametrize(
    ("files", "words", "code", "error"),
    [
        (
            ("lib/libc10.so", "version.py"), ("--variant", "static-with-deps"), 1,
            "asks for static libraries, and its wheel has none",
        ),
        (("nn/functional.py",), (), 1, "there is no C++ part below `torch` in `torch-9.0-"),
        (("lib/libc10.so",), (), 1, "has no `torch/version.py`"),
        (
            ("lib/libc10.so",), ("--cuda", "cpu,cuda130"), 2,
            "`libtorch-shared-with-deps-9.0.zip` would be written by `libtorch-none-cpu-",
        ),
        (("lib/libc10.so",), ("--variant", "shared-with-deps-debug"), 2, "no target has the variant"),
    ],
    ids=["static", "python only", "no version", "two targets", "debug on Linux"],
)  # fmt: skip
def test_bad_input_is_one_error_that_leaves_nothing(
    fresh: Builder,
    tmp_path: Path,
    files: tuple[str, ...],
    words: tuple[str, ...],
    code: int,
    error: str,
) -> None:
    wheel = tmp_path / "torch-9.0-cp311-cp311-linux_x86_64.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name in files:
            archive.writestr(f"torch/{name}", "__version__ = '9.0'\n")

    ran = fresh.build("pytorch", "--type", "libtorch", "--source", str(wheel), *words)

    assert ran.code == code
    assert error in ran.err
    assert ran.err.count("error: ") == 1
    assert ran.err.count("hint: ") == 1
    assert fresh.packages == ()
    assert fresh.trees == ()


def test_debug_information_lies_apart_and_is_found_by_its_checksum(
    tools: Tools, tmp_path: Path
) -> None:
    root = tmp_path / "store/trees/0123456789abcdef0/content"
    (root / "lib").mkdir(parents=True)
    (root / "include").mkdir()
    (root / "include/answer.hpp").write_text("int answer();\n")
    source = tmp_path / "answer.cpp"
    source.write_text("int answer() { return 42; }\n")
    words = ["c++", "-g", "-shared", "-fPIC", "-Wl,-soname,libanswer.so.1", str(source), "-o"]
    subprocess.run([*words, str(root / "lib/libanswer.so.1")], cwd=tmp_path, check=True)
    (root / "lib/libanswer.so").symlink_to("libanswer.so.1")
    (tmp_path / "use.cpp").write_text(
        '#include "answer.hpp"\nint main() { return answer() - 42; }\n'
    )
    archive = CppArchive(debug=True, format="tar.zst")
    target = Target.parse("libtorch-none-cpu-linux_x86_64-shared_with_deps")
    order = Order("answer", archive, target, release=Release("1.0"))
    # The compiler wrote the folder it ran in into the debug information, which is no leak.
    tree = Tree("0123456789abcdef0", root, scan(root), {"prefix": "/opt/answer"})

    package = package_tree(tree, order, tmp_path / "out", tools)

    unpack_tar(package.path, tmp_path / "there")
    library = tmp_path / "there/libanswer/lib/libanswer.so.1"
    linked = read(library).debug_link
    (debug,) = (tmp_path / "out").glob("debug-*.zip")
    assert linked is not None
    assert debug.name == f"debug-libanswer-shared-with-deps-1.0-{linked[1]:08x}.zip"
    with zipfile.ZipFile(debug) as opened:
        assert zlib.crc32(opened.read(f"lib/{linked[0]}")) == linked[1]
    assert b".debug_info" not in library.read_bytes()
    checks = Checks(consumer=Consumer("use.cpp", "", ()))
    assert _said(tried(package.path, MANIFEST, checks, tmp_path, tools)) == {
        "archive.sound": ((), ""),
        "archive.cmake": ((), "the consumer names no CMake package"),
        "archive.flags": ((), ""),
        "archive.abi": ((), "no library offers a function that takes or gives a std::string"),
        "archive.loads": ((), ""),
    }


def unpack_tar(archive: Path, folder: Path) -> None:
    """Unpack with the programs of the system."""
    folder.mkdir()
    with open_source(archive) as source:
        plain = folder / "plain.tar"
        plain.write_bytes(b"".join(iter(lambda: source.read(1 << 20), b"")))
    subprocess.run(["tar", "-xf", str(plain), "-C", str(folder)], check=True)


@pytest.mark.heavy
def test_lightgbm_is_taken_from_the_core_tree_of_its_wheel(fresh: Builder, tools: Tools) -> None:
    builder = replace(fresh, cache=this_machine(environment()).cache)
    words = ("lightgbm", "--cuda", "cpu", "--json")

    wheel = builder.build(*words, "--type", "manywheel", "--no-check")
    made = builder.build(*words, "--type", "libtorch", "--variant", "shared-with-deps")

    assert (wheel.code, made.code) == (0, 0), wheel.err + made.err
    core = wheel.document["artifacts"][0]["stages"][0]
    (archive,) = made.document["artifacts"]
    assert core["compiler_runs"] > 30
    assert made.document["compiler_runs"] == 0
    assert (archive["stages"][0]["key"], archive["stages"][0]["hit"]) == (core["key"], True)
    checks = Checks(consumer=Consumer("check/train.c", "", ()))
    path = Path(archive["path"])
    assert path.name == "liblightgbm-shared-with-deps-4.7.0.zip"
    assert _said(tried(path, MANIFEST, checks, RECIPES / "lightgbm", tools)) == {
        "archive.sound": ((), ""),
        "archive.cmake": ((), "the consumer names no CMake package"),
        "archive.flags": ((), ""),
        "archive.abi": ((), "a C program has no C++ ABI"),
        "archive.loads": ((), ""),
    }


@pytest.mark.heavy
def test_libtorch_comes_out_of_the_published_wheel(
    fresh: Builder, tools: Tools, tmp_path: Path
) -> None:
    wheel = wheels.fetch("torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl")

    ran = fresh.build(
        "pytorch", "--type", "libtorch", "--variant", "shared-with-deps", "--source", str(wheel)
    )

    assert ran.code == 0, ran.err
    archive = fresh.output / "libtorch-shared-with-deps-2.13.0+cpu.zip"
    assert fresh.packages == (f"{archive.stem}.content.json", archive.name)
    assert trials(archive, "pytorch", tools) == NOTHING_WRONG
    assert content(archive).host == ()
    unpack(archive, tmp_path / "tree")
    assert (tmp_path / "tree/build-version").read_text() == "2.13.0+cpu\n"
    assert (tmp_path / "tree/build-hash").read_text().startswith("cf30153c4c131c81")
    assert _edited(wheel, archive) == {}


@pytest.mark.heavy
def test_a_wheel_of_another_system_needs_no_compiler(fresh: Builder) -> None:
    wheel = wheels.fetch("torch-2.11.0-cp311-cp311-macosx_11_0_arm64.whl")
    words = ("pytorch", "--type", "libtorch", "--variant", "shared-with-deps", "--json")

    ran = fresh.build(*words, "--os", "macos", "--arch", "arm64", "--source", str(wheel))

    assert ran.code == 0, ran.err
    assert fresh.packages == (
        "libtorch-macos-arm64-2.11.0.content.json", "libtorch-macos-arm64-2.11.0.zip",
    )  # fmt: skip
    (made,) = ran.document["artifacts"]
    summary = made["report"]["summary"]
    assert (summary["pass"], summary["skip"]) == (1, len(NOTHING_WRONG) - 1)


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("file", "platform", "name", "host"),
    [
        (
            "torch-2.11.0-cp311-cp311-macosx_11_0_arm64.whl", "macos_arm64",
            "libtorch-macos-arm64-2.11.0.zip", (),
        ),
        (
            "torch-2.13.0-cp311-cp311-win_amd64.whl", "windows_x86_64",
            "libtorch-win-shared-with-deps-2.13.0.zip",
            ("MSVCP140.dll", "VCRUNTIME140.dll", "VCRUNTIME140_1.dll"),
        ),
    ],
    ids=["macos", "windows"],
)  # fmt: skip
def test_libtorch_of_other_systems_comes_out_of_their_wheels(
    tools: Tools, tmp_path: Path, file: str, platform: str, name: str, host: tuple[str, ...]
) -> None:
    target = Target.parse(f"libtorch-none-cpu-{platform}-shared_with_deps")
    recipe = for_target(find("pytorch", (RECIPES,), Path.cwd()), target)
    order = Order(recipe.name, recipe.archive, target, recipe.bundle)
    wheel = wheels.fetch(file)

    package = package_wheel(wheel, order, tmp_path / "dist", tools)

    assert package.path.name == name
    assert content(package.path).host == host
    tops = {item.path.split("/")[0] for item in content(package.path).items}
    assert tops == {"bin", "build-hash", "build-version", "include", "lib", "share"}
    found = second.binaries(package.path)
    assert len(found) >= 5
    assert second.unresolved(found, host) == []
    assert [line for path, raw in found.items() for line in second.layout_problems(path, raw)] == []
    assert _edited(wheel, package.path) == {}


def _edited(wheel: Path, archive: Path) -> dict[str, object]:
    """What is different in the binaries of an archive, as a linker sees it, from those of its wheel."""
    found: dict[str, object] = {}
    with zipfile.ZipFile(wheel) as before, zipfile.ZipFile(archive) as after:
        for info in after.infolist():
            name = info.filename.replace("libtorch/", "torch/", 1)
            raw = after.read(info)
            if looks_like(raw[:8]) and raw != (was := before.read(name)):
                found[info.filename] = (read(was), read(raw))
    return found
