"""Conda packages from trees: built by the real command, put into a channel, and used in a long prefix."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from builder_conda.core import Core

from builder.archive.conda import INDEX, open_package, read_info
from builder.binary import read
from builder.channel.verify import verify
from builder.cli.surroundings import environment, recipe_roots, this_machine
from builder.config.python import Python
from builder.config.recipe import CppArchive
from builder.config.toolchain import Interpreter
from builder.errors import BuilderError
from builder.process import Processes
from builder.relink.closure import expansions
from builder.stage import interpreters
from builder.stage.tree import Tree, scan

if TYPE_CHECKING:
    from tests.e2e.conftest import Builder, Ran

pytestmark = pytest.mark.e2e

SAMPLE = recipe_roots(Path(__file__).parents[2])[0] / "sample"
HOST = Python(sys.version_info[0], sys.version_info[1], getattr(sys, "abiflags", ""))
WANTED = [Python(3, 7, "m"), *(Python(3, minor) for minor in range(9, 14))]


@pytest.fixture(scope="module")
def pythons() -> dict[Python, Path]:
    """Every CPython of this machine that the packages are made for."""
    found = interpreters.find(WANTED, this_machine(environment()), Processes())
    return {
        python: answer.executable
        for python, answer in sorted(found.items())
        if isinstance(answer, Interpreter)
    }


def built(builder: Builder, *words: str) -> Ran:
    return builder.build("sample", "--type", "conda", "--cuda", "cpu", "--json", *words)


def index_of(package: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads(read_info(package, {INDEX: 1 << 20})[INDEX])
    return found


def run(builder: Builder, *argv: object, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(map(str, argv)), cwd=builder.folder, env={**builder.environment, **variables},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def installed(prefix: Path, *packages: Path) -> None:
    """What an installer does: files, links, modes, and its own prefix in the place of the recorded one."""
    for package in packages:
        listed = json.loads(read_info(package, {"info/paths.json": 1 << 20})["info/paths.json"])
        rows = {row["_path"]: row for row in listed["paths"]}
        with open_package(package) as members:
            for member, content in members:
                path = prefix / member.name
                if member.name.startswith("info/"):
                    continue
                row = rows.pop(member.name)
                path.parent.mkdir(parents=True, exist_ok=True)
                if member.kind == "link":
                    path.symlink_to(member.target)
                    continue
                placeholder = row.get("prefix_placeholder", "").encode()
                raw = content.read(member.size)
                path.write_bytes(raw.replace(placeholder, bytes(prefix)) if placeholder else raw)
                path.chmod(0o755 if member.executable else 0o644)
        assert rows == {}


def long_prefix(folder: Path) -> Path:
    prefix = folder / "a-prefix-that-is-longer-than-most" / ("x" * 100) / ("y" * 60)
    assert len(bytes(prefix)) > 200
    prefix.mkdir(parents=True)
    return prefix


def test_six_pythons_from_the_core_that_the_wheels_have(
    warm: Builder, pythons: dict[Python, Path], tmp_path: Path
) -> None:
    ran = built(warm, "--python", ",".join(map(str, pythons)))

    assert ran.code == 0, ran.err
    made = {package["target"]: package for package in ran.document["artifacts"]}
    names = [f"conda-{python}-cpu-linux_x86_64" for python in pythons]
    library = Path(made["conda_lib-none-cpu-linux_x86_64"]["path"])
    choice = Path(made["conda_choice-none-cpu-linux_x86_64"]["path"])
    assert set(made) == {
        *names,
        *(f"conda_{kind}-none-cpu-linux_x86_64" for kind in ("lib", "choice")),
    }
    assert ran.hits["core"] == [True] * len(made)
    assert made[f"conda-{HOST}-cpu-linux_x86_64"]["stages"][1]["hit"]
    for package in made.values():
        counts = package["report"]["summary"]
        assert (counts["fail"], counts["crash"], counts["warn"]) == (0, 0, 0)
    paths = [Path(made[name]["path"]) for name in made]
    _in_a_channel(warm, paths, library, tmp_path)
    assert {path.relative_to(warm.output).parts[0] for path in paths} == {"linux-64", "noarch"}
    assert verify(warm.output) == (len(paths), ())
    _says_what_it_is(made, names, library, pythons)
    _is_used(warm, made, library, pythons, tmp_path)
    assert index_of(choice)["constrains"] == ["sample * *cpu_*", "libsample * *cpu_*"]


def _in_a_channel(builder: Builder, packages: list[Path], library: Path, folder: Path) -> None:
    channel = folder / "channel"
    command = (sys.executable, "-m", "builder", "channel")
    for words in (("create", channel), ("add", channel, *packages), ("verify", channel)):
        ran = run(builder, *command, *words)
        assert ran.returncode == 0, ran.stderr
    listed = json.loads((channel / "linux-64/repodata.json").read_bytes())["packages.conda"]
    exports = json.loads((channel / "linux-64/run_exports.json").read_bytes())["packages.conda"]
    noarch = json.loads((channel / "noarch/repodata.json").read_bytes())["packages.conda"]
    assert {*listed, *noarch} == {package.name for package in packages}
    assert exports[library.name]["run_exports"] == {"weak": ["libsample >=1.4.0,<2.0a0"]}


def _says_what_it_is(
    made: dict[str, dict[str, object]], names: list[str], library: Path, pythons: dict[Python, Path]
) -> None:
    own = index_of(library)
    exact = f"libsample 1.4.0 {own['build']}"
    assert re.fullmatch(r"\['__glibc >=2\.[0-9]+'\]", str(own["depends"]))
    for name, python in zip(names, pythons, strict=True):
        index = index_of(Path(str(made[name]["path"])))
        depends = index["depends"]
        assert isinstance(depends, list)
        assert [text for text in depends if not text.startswith("__glibc")] == [
            exact, f"python {python.version}.*", f"python_abi {python.version}.* *_{python}",
        ]  # fmt: skip
        assert (index["version"], index["build_number"]) == ("1.4.0", 0)
        tag = python.version.replace(".", "")
        assert str(index["build"]).startswith(f"py{tag}_cpu_h")


def _is_used(
    builder: Builder,
    made: dict[str, dict[str, object]],
    library: Path,
    pythons: dict[Python, Path],
    folder: Path,
) -> None:
    packages = [Path(str(made[f"conda-{python}-cpu-linux_x86_64"]["path"])) for python in pythons]
    prefix = long_prefix(folder)
    installed(prefix, library, *packages)
    for python, executable in pythons.items():
        site = prefix / f"lib/python{python.version}/site-packages"
        (module,) = site.glob("sample/_native*.so")
        binary = read(module)
        (entry,) = binary.runpath or binary.rpath
        assert expansions(entry, str(module.parent), binary) == (str(prefix / "lib"),)
        _is_imported(builder, prefix, python, executable)
    _consumed(builder, prefix, folder / "consumer")


def _is_imported(builder: Builder, prefix: Path, python: Python, executable: Path) -> None:
    site = prefix / f"lib/python{python.version}/site-packages"
    used = run(
        builder, executable, SAMPLE / "check/use.py",
        PYTHONPATH=str(site), LD_LIBRARY_PATH="", PYTHONDONTWRITEBYTECODE="1",
    )  # fmt: skip
    assert used.returncode == 0, used.stderr


def _consumed(builder: Builder, prefix: Path, folder: Path) -> None:
    """A C++ user finds the library of the prefix, compiles against it, and runs."""
    words = (sys.executable, "-m", "builder", "check", prefix, "--recipe", SAMPLE)
    ran = run(builder, *words, "--select", "consumer.cpp", "--json", TMPDIR=str(folder.parent))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert '"pass": 1' in ran.stdout, ran.stdout


def test_the_same_bytes_from_another_folder_and_store(warm: Builder, fresh: Builder) -> None:
    words = ("--python", str(HOST), "--no-check")
    other = fresh.folder / "somewhere" / "else"
    other.mkdir(parents=True)
    second = type(fresh)(fresh.cache, other / "store", other / "dist", other)

    ran = [built(one, *words) for one in (warm, second)]

    assert [one.code for one in ran] == [0, 0], ran[1].err
    assert ran[1].hits["core"] == [False] * 3
    first, again = (
        {path.name: path.read_bytes() for path in one.output.rglob("*.conda")}
        for one in (warm, second)
    )
    assert first == again
    assert len(first) == 3


def test_without_a_library_package_what_is_needed_comes_along(
    warm: Builder, pythons: dict[Python, Path], tmp_path: Path
) -> None:
    recipe = tmp_path / "sample"
    shutil.copytree(SAMPLE, recipe)
    text = (recipe / "recipe.toml").read_text()
    (recipe / "recipe.toml").write_text(
        text.replace('library = "libsample"', 'choice = false\ndepends = ["zlib"]')
    )

    ran = warm.build(
        str(recipe), "--type", "conda", "--cuda", "cpu", "--python", str(HOST), "--json"
    )

    assert ran.code == 0, ran.err
    (package,) = ran.document["artifacts"]
    assert package["report"]["summary"]["warn"] == 0
    assert "warning: package conda-" in ran.err
    assert "requires `zlib`, and no binary needs one of its libraries" in ran.err
    assert "zlib" in str(index_of(Path(package["path"]))["depends"])
    prefix = long_prefix(tmp_path)
    installed(prefix, Path(package["path"]))
    assert sorted(path.name for path in (prefix / "lib").glob("*.so*")) == [
        "libsample.so.1", "libsample.so.1.4.0", "libsampledep.so.2", "libsampledep.so.2.1.0",
    ]  # fmt: skip
    assert not (prefix / "include").exists()
    _is_imported(warm, prefix, HOST, pythons[HOST])


def test_what_nobody_brings_fails_its_package_and_no_other(warm: Builder, tmp_path: Path) -> None:
    recipe = tmp_path / "sample"
    shutil.copytree(SAMPLE, recipe)
    with (recipe / "recipe.toml").open("a") as file:
        file.write('\n[[override]]\nselect = "conda_lib-*"\nconda.host = []\n')

    ran = warm.build(
        str(recipe),
        "--type",
        "conda",
        "--cuda",
        "cpu",
        "--python",
        str(HOST),
        "--json",
        "--no-check",
    )

    assert ran.code == 1
    (failure,) = ran.document["failures"]
    assert (failure["target"], failure["stage"]) == (
        "conda_lib-none-cpu-linux_x86_64", "package",
    )  # fmt: skip
    assert "lib/libsample.so.1.4.0: needs libgomp.so.1" in failure["error"]
    assert len(ran.document["artifacts"]) == 2


def test_a_prefix_that_a_compiler_cut_up_is_an_error(tmp_path: Path) -> None:
    root, prefix = tmp_path / "tree", "/store/work/abc/content"
    (root / "lib").mkdir(parents=True)
    source = (
        '__asm__(".section .rodata.cst16,\\"aM\\",@progbits,16\\n.ascii \\"tore/work/abc/co\\"");'
    )
    argv = ["gcc", "-shared", "-fPIC", "-x", "c", "-", "-o", str(root / "lib/libx.so")]
    subprocess.run(argv, input=source, text=True, check=True)
    core = Core.of(Tree("k" * 64, root, scan(root), {"prefix": prefix}), CppArchive())

    with pytest.raises(BuilderError, match="looks where it was built") as caught:
        tuple(core.packed({}, tmp_path / "work"))

    assert "the compiler cut it into pieces" in caught.value.faults[0]


def test_a_toolkit_that_is_not_there_is_one_line_of_a_whole_plan(
    warm: Builder, pythons: dict[Python, Path]
) -> None:
    python = str(min(pythons))
    words = ("sample", "--type", "conda", "--python", python, "--cuda", "10.0")

    planned = warm.build(*words, "--dry-run")
    failed = warm.build(*words)

    assert planned.code == 0
    (line,) = [line for line in planned.err.splitlines() if "CUDA" in line]
    assert "no CUDA 10.0 toolkit on this machine: install it (`cuda-toolkit-10-0`)" in line
    stages = [line.split()[1] for line in planned.out.splitlines() if line.startswith("miss ")]
    assert stages == ["core", "python", "package", "package", "package"]
    assert "_cuda100_h" in planned.out
    assert "CMAKE_CUDA_ARCHITECTURES=35-real" in planned.out
    assert (failed.code, warm.packages) == (1, ())
