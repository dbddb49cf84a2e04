from __future__ import annotations

import hashlib
import importlib.util
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from builder_libtorch.consume import tried
from builder_libtorch.desk import Desk
from builder_libtorch.layout import misnamed

from builder.archive.content import MANIFEST, Content, Item
from builder.backend import Tools
from builder.config.machine import Machine
from builder.config.recipe import Checks, Consumer
from builder.config.target import Target
from builder.errors import BuilderError
from builder.process import Processes

SHARED = "libtorch-none-cpu-linux_x86_64-shared_with_deps"
WINDOWS = SHARED.replace("linux", "windows")
STATIC = SHARED.replace("shared", "static")
EMPTY = hashlib.sha256().hexdigest()
CONSUMER = Consumer("use.cpp", "demo", ("demo",))
NAMES = ("archive.sound", "archive.cmake", "archive.flags", "archive.abi", "archive.loads")


def _load(name: str) -> ModuleType:
    file = Path(__file__).parent.parent / f"data/{name}.py"
    spec = importlib.util.spec_from_file_location(f"{name}_for_consume", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


ELF = _load("make_elf")


def tools(folder: Path, *path: str, arch: str = "x86_64") -> Tools:
    machine = Machine(tuple(map(Path, path)), folder, 2, "linux", arch)
    return Tools(Processes(), machine, Path(sys.executable), folder / "work", folder / "log")


def archive(folder: Path, target: str, *items: Item) -> Path:
    path = folder / "libdemo.zip"
    with zipfile.ZipFile(path, "w") as opened:
        content = Content("demo", "1.0", target, tuple(sorted(items)))
        opened.writestr(f"libdemo/{MANIFEST}", bytes(content))
        for item in items:
            opened.writestr(f"libdemo/{item.path}", b"")
    return path


@pytest.mark.parametrize(
    ("arch", "consumer", "reasons"),
    [
        ("aarch64", CONSUMER, ["this machine is linux_aarch64, the archive is for linux_x86_64"] * 4),
        (
            "x86_64", None,
            ["the recipe names no consumer"] * 3 + ["there is no C compiler on this machine"],
        ),
        (
            "x86_64", CONSUMER,
            [
                "there is no cmake, make or C++ compiler on this machine",
                "there is no compiler on this machine",
                "the program does not build with the right ABI either",
                "there is no C compiler on this machine",
            ],
        ),
    ],
    ids=["other machine", "no consumer", "bare machine"],
)  # fmt: skip
def test_what_cannot_be_tried_says_why(
    tmp_path: Path, arch: str, consumer: Consumer | None, reasons: list[str]
) -> None:
    path = archive(tmp_path, SHARED, Item("lib/libdemo.so", "library", 0, EMPTY))
    bench = tools(tmp_path, str(tmp_path / "nothing"), arch=arch)

    done = tried(path, MANIFEST, Checks(consumer=consumer), tmp_path, bench)

    assert [trial.id for trial in done] == list(NAMES)
    assert [trial.reason for trial in done] == ["", *reasons]
    assert not any(trial.problems for trial in done)
    assert list((tmp_path / "work").iterdir()) == []


def test_an_archive_that_is_none_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "libdemo.zip").write_bytes(b"PK\x03\x04 and no more")

    with pytest.raises(BuilderError):
        tried(tmp_path / "libdemo.zip", MANIFEST, Checks(), tmp_path, tools(tmp_path))

    assert list((tmp_path / "work").iterdir()) == []


@pytest.mark.parametrize(
    ("target", "path", "wanted"),
    [
        (SHARED, "/neutral/unpacked/lib/libx.so.1", True),
        (SHARED, "/lib64/libc.so.6", True),
        (SHARED, "/lib64/ld-linux-x86-64.so.2", True),
        (SHARED, "linux-vdso.so.1", True),
        (SHARED, "/usr/lib/libdeclared.so.1", True),
        (SHARED, "/usr/lib/libgomp.so.1", False),
        (STATIC, "/usr/lib/liblinked.so.7", True),
        (SHARED, "/usr/lib/liblinked.so.7", False),
        (STATIC, "/usr/lib/libgomp.so.1", False),
        (STATIC, "/usr/lib/libx.so.1", False),
    ],
)
def test_only_the_archive_and_the_declared_host_may_be_loaded(
    tmp_path: Path, target: str, path: str, wanted: bool
) -> None:
    content = Content("demo", "1.0", target, (), ("libdeclared.so.1", "liblinked.so"))
    root = Path("/neutral/unpacked")
    desk = Desk(root, Path("/neutral/work"), content, tools(tmp_path), 1.0)

    assert (desk.strange([path]) == ()) is wanted


def test_a_program_that_fails_is_told_from_its_first_error_on(tmp_path: Path) -> None:
    script = "echo 1; echo 2 >&2; echo 'ld: undefined reference to f' >&2; echo 4 >&2; exit 3"
    content = Content("demo", "1.0", SHARED, ())
    desk = Desk(tmp_path, tmp_path, content, tools(tmp_path, "/usr/bin", "/bin"), 30.0)

    fault, said = desk.run("/bin/sh", "-c", script)
    fine, greeting = desk.run("/bin/sh", "-c", 'echo "$LD_LIBRARY_PATH$X"', X="x")
    absent, nothing = desk.run(str(tmp_path / "absent"))

    assert (fault, said) == ("exit code 3 | ld: undefined reference to f | 4 | 1", "1\n")
    assert (fine, greeting) == ("", "x\n")
    assert "absent" in absent
    assert nothing == ""


@pytest.mark.parametrize(
    ("name", "target", "faults"),
    [
        ("libdemo-shared-with-deps-1.0.zip", SHARED, 0),
        ("libdemo-shared-with-deps-latest.tar.zst", SHARED, 0),
        ("libdemo-win-shared-with-deps-1.0.zip", WINDOWS, 0),
        ("whatever.zip", WINDOWS, 0),
        ("libdemo-win-shared-with-deps-1.0.zip", WINDOWS.replace("x86_64", "arm64"), 1),
        ("libdemo-shared-with-deps-1.0.zip", STATIC, 1),
        ("libdemo-macos-arm64-1.0.zip", SHARED.replace("linux_x86_64", "macos_x86_64"), 1),
        ("libdemo-shared-with-deps-1.0.1.zip", SHARED, 0),
        ("libdemo-shared-with-deps-1.1.zip", SHARED, 1),
        ("libdemo-cxx11-abi-static-with-deps-2.0.zip", SHARED, 2),
    ],
)
def test_a_file_name_says_what_the_manifest_says(name: str, target: str, faults: int) -> None:
    found = misnamed(name, "1.0", Target.parse(target))

    assert len(found) == faults
    assert all(line.startswith(f"{name}: ") for line in found)


def test_what_is_wrong_with_an_archive_from_anywhere_is_told(tmp_path: Path) -> None:
    """Nothing of it was seen before: every byte, reference and name is compared with its manifest."""
    machine = ELF.assemble(ELF.Elf(machine=183, needed=(), runpath="/opt/lib"))
    needy = ELF.assemble(ELF.Elf(needed=("libfar.so.1", "libc.so.6")))
    items = (
        Item("include/changed.h", "header", 1, hashlib.sha256(b"x").hexdigest()),
        Item("lib/gone.txt", "data", 1, EMPTY),
        Item("lib/libdemo.so", "library", len(machine), hashlib.sha256(machine).hexdigest()),
        Item("lib/libneedy.so", "library", len(needy), hashlib.sha256(needy).hexdigest()),
    )
    content = Content("demo", "1.0", SHARED, items, ("libidle.so.1",))
    path = tmp_path / "libdemo-win-shared-with-deps-1.0.zip"
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr(f"libdemo/{MANIFEST}", bytes(content))
        opened.writestr("libdemo/include/changed.h", b"y")
        opened.writestr("libdemo/lib/libdemo.so", machine)
        opened.writestr("libdemo/lib/libneedy.so", needy)
        opened.writestr("libdemo/more.txt", b"")

    sound = tried(path, MANIFEST, Checks(), None, tools(tmp_path))[0]

    assert (sound.id, sound.reason) == ("archive.sound", "")
    assert [line.replace(path.name, "NAME") for line in sound.problems] == [
        f"NAME: is named like `{WINDOWS}`, and is for `{SHARED}`",
        "lib/gone.txt: is not in the archive",
        "more.txt: is in the archive and not in its manifest",
        "include/changed.h: does not have the bytes that the manifest says",
        "lib/libneedy.so: libfar.so.1 is not in the archive, and not declared",
        "lib/libdemo.so: rpath entry /opt/lib leaves the archive",
        "libidle.so.1: is expected of the host, and nothing in the archive needs it",
        "lib/libdemo.so: is elf for aarch64",
    ]


def test_without_a_recipe_the_consumers_are_left_out(tmp_path: Path) -> None:
    path = archive(tmp_path, STATIC)
    bench = tools(tmp_path, str(tmp_path / "nothing"))

    done = tried(path, MANIFEST, Checks(consumer=CONSUMER), None, bench)

    assert {trial.id for trial in done if "--recipe" in trial.reason} == set(NAMES[1:4])


CMAKE = """#!/bin/sh
case "$1" in
--build) /bin/mkdir -p "$2/run"; printf '#!/bin/sh\\necho "$PATH" > {log}\\n' > "$2/run/consumer.exe"
  /bin/chmod +x "$2/run/consumer.exe" ;;
*) {configure} ;;
esac
"""
FAILS = "echo 'CMake Error: nothing was found'; exit 1"
NO_PACKAGE = f'if /bin/grep -q find_package "$2/CMakeLists.txt"; then {FAILS}; fi'


@pytest.mark.parametrize(
    ("configure", "problem", "reason"),
    [
        (":", "", ""),
        (NO_PACKAGE, "use.cpp: does not configure with CMake: ", ""),
        (FAILS, "", "CMake finds no compilers on this machine: "),
    ],
    ids=["works", "no package", "no compilers"],
)
def test_on_windows_an_archive_is_tried_with_what_cmake_finds(
    tmp_path: Path, configure: str, problem: str, reason: str
) -> None:
    path = archive(tmp_path, WINDOWS)
    (tmp_path / "cmake").write_text(CMAKE.format(log=tmp_path / "searched", configure=configure))
    (tmp_path / "cmake").chmod(0o755)
    bench = tools(tmp_path, str(tmp_path))
    windows = replace(bench, machine=replace(bench.machine, os="windows"))

    _, cmake, *others = tried(path, MANIFEST, Checks(consumer=CONSUMER), tmp_path, windows)

    assert "".join(cmake.problems).startswith(problem)
    assert bool(cmake.problems) is bool(problem)
    assert cmake.reason.startswith(reason)
    assert bool(cmake.reason) is bool(reason)
    assert {one.reason for one in others} == {
        "is tried on Linux; elsewhere only `archive.cmake` is"
    }
    if not problem and not reason:
        first, second, *rest = (tmp_path / "searched").read_text().strip().split(";")
        assert (Path(first).name, Path(second).name, rest) == ("bin", "lib", [str(tmp_path)])
