"""Published Windows wheels, unbundled and repaired on this machine; judged by `delvewheel`."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import pefile
import pytest

from benchmarks import wheels
from tests.e2e import by_engine, in_memory, unbundle
from tests.e2e import second_opinion as second

pytestmark = [pytest.mark.e2e, pytest.mark.heavy]

WHEELS = (
    "shapely-2.2.0-cp311-cp311-win_amd64.whl",
    "numpy-2.4.6-cp311-cp311-win_amd64.whl",
    "numpy-2.4.6-cp311-cp311-win_arm64.whl",
    "scipy-1.17.1-cp311-cp311-win_amd64.whl",
)
NOTHING_TO_DO = (
    "h5py-3.16.0-cp311-cp311-win_amd64.whl",
    "pillow-13.0.0-cp311-cp311-win_amd64.whl",
    "pyzmq-27.3.0-cp311-cp311-win_amd64.whl",
)
TORCH = "torch-2.13.0-cp311-cp311-win_amd64.whl"


def stems(paths: Iterable[str]) -> set[str]:
    """The names of grafts without the digests of who grafted them."""
    return {PurePosixPath(without_digest(path)).name for path in paths}


def without_digest(path: str) -> str:
    """The path that a graft has whoever grafted it."""
    return re.sub(r"-[0-9a-f]{32}", "", path)


def imports(content: bytes) -> list[str]:
    """Every DLL that a binary imports, delayed or not."""
    image = pefile.PE(data=content, fast_load=True)
    image.parse_data_directories([1, 13], import_dllnames_only=True)
    tables = ("DIRECTORY_ENTRY_IMPORT", "DIRECTORY_ENTRY_DELAY_IMPORT")
    return [row.dll.decode() for table in tables for row in getattr(image, table, ())]


@pytest.mark.parametrize("name", WHEELS)
def test_an_unbundled_wheel_is_whole_again(name: str, tmp_path: Path) -> None:
    published = wheels.fetch(name)
    given = unbundle.unbundle(published, tmp_path / "given", tmp_path / "libraries")

    done = in_memory.repair(given, tmp_path / "libraries")

    project = name.partition("-")[0]
    assert {need.outcome for need in done.seen.needs} <= {"inside", "system", "python"}
    assert second.unresolved(done.binaries) == []
    assert [line for one in done.changed.items() for line in second.layout_problems(*one)] == []
    assert ".".join(done.verdict.platforms) == name.removesuffix(".whl").rpartition("-")[2]
    assert stems([graft.path for graft in done.relinked.grafts]) == stems(
        unbundle.vendored(published)
    )
    assert list(done.relinked.files) == [f"{project}/__init__.py"]
    assert (done.again.grafts, done.again.edits, done.again.files) == ((), {}, {})


@pytest.mark.parametrize("name", WHEELS)
def test_delvewheel_grafts_the_same_libraries_into_the_same_imports(
    name: str, tmp_path: Path
) -> None:
    ours, theirs = by_engine.repair_by_both(name, "delvewheel", tmp_path)

    assert ours.wheel.name == theirs.wheel.name == name
    assert stems(ours.grafted) == stems(theirs.grafted) != set()
    mine, other = second.binaries(ours.wheel), second.binaries(theirs.wheel)
    plain = {without_digest(path): path for path in other}
    assert {without_digest(path) for path in mine} == plain.keys()
    for path, content in mine.items():
        assert stems(imports(content)) == stems(imports(other[plain[without_digest(path)]])), path


def test_an_engine_leaves_out_what_is_excluded(tmp_path: Path) -> None:
    without = ("--exclude", "msvcp*")

    made = by_engine.repair_by_both(WHEELS[0], "delvewheel", tmp_path, *without)

    assert [stems(one.grafted) for one in made] == [{"geos.dll", "geos_c.dll"}] * 2


@pytest.mark.parametrize("name", [*WHEELS, *NOTHING_TO_DO])
def test_a_wheel_in_order_is_handed_on_byte_for_byte(name: str, tmp_path: Path) -> None:
    published = wheels.fetch(name)

    made = by_engine.repair("native", published, tmp_path, tmp_path / "out")

    assert (made.grafted, made.entry["edited"]) == ([], [])
    assert made.wheel.read_bytes() == published.read_bytes()


@pytest.mark.parametrize("name", [*WHEELS, *NOTHING_TO_DO])
def test_a_published_wheel_needs_nothing(name: str, tmp_path: Path) -> None:
    done = in_memory.repair(wheels.fetch(name), tmp_path)

    assert done.closure.of("missing", "loose", "graft") == ()
    assert (done.relinked.grafts, done.relinked.edits, done.relinked.files) == ((), {}, {})


def test_the_patched_package_registers_the_folder_when_it_is_imported(tmp_path: Path) -> None:
    given = unbundle.unbundle(wheels.fetch(WHEELS[0]), tmp_path / "given", tmp_path / "libraries")
    done = in_memory.repair(given, tmp_path / "libraries")
    site = tmp_path / "site"
    with zipfile.ZipFile(given) as archive:
        archive.extractall(site)
    for path in ("shapely/__init__.py", *(graft.path for graft in done.relinked.grafts)):
        (site / path).parent.mkdir(exist_ok=True)
        (site / path).write_bytes(done.contents[path])

    code = (
        "import os; found = []; os.add_dll_directory = found.append\n"
        "try:\n    import shapely\nexcept ImportError:\n    print(*found)"
    )
    words = (sys.executable, "-c", code)
    ran = subprocess.run(words, cwd=site, capture_output=True, text=True, check=True)

    assert ran.stdout.strip() == str(site / "shapely.libs")


def test_dlls_in_a_folder_that_the_wheel_registers_are_inside(tmp_path: Path) -> None:
    libraries = tmp_path / "libraries"
    given = unbundle.drop(
        wheels.fetch(TORCH), tmp_path / "given", libraries, "*/lib/uv.dll", "*/libiomp5md.dll"
    )

    done = in_memory.repair(given, libraries, "beside")

    grafted = [graft.path for graft in done.relinked.grafts]
    assert grafted == ["torch/lib/libiomp5md.dll", "torch/lib/uv.dll"]
    assert (done.relinked.edits, done.relinked.files) == ({}, {})
    # The wheel expects the C++ runtime on the machine, which only an installer of Microsoft puts there.
    missing = {need.name.lower() for need in done.closure.of("missing")}
    assert missing == {"msvcp140.dll", "msvcp140_atomic_wait.dll"}
