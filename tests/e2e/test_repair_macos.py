"""Published macOS wheels, unbundled and repaired on this machine; judged by other people's tools."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from pathlib import Path, PurePosixPath

import lief
import pytest
from macholib.MachO import MachO

from benchmarks import wheels
from tests.e2e import by_engine, in_memory, unbundle
from tests.e2e import second_opinion as second

pytestmark = [pytest.mark.e2e, pytest.mark.heavy]

WHEELS = (
    "shapely-2.2.0-cp311-cp311-macosx_11_0_arm64.whl",
    "shapely-2.2.0-cp311-cp311-macosx_10_9_x86_64.whl",
    "h5py-3.16.0-cp311-cp311-macosx_11_0_arm64.whl",
    "pillow-13.0.0-cp311-cp311-macosx_11_0_arm64.whl",
    "pillow-13.0.0-cp311-cp311-macosx_10_10_x86_64.whl",
    "pyzmq-27.3.0-cp311-cp311-macosx_10_15_universal2.whl",
    "scipy-1.17.1-cp311-cp311-macosx_14_0_arm64.whl",
    "scipy-1.17.1-cp311-cp311-macosx_14_0_x86_64.whl",
    "opencv_python_headless-5.0.0.93-cp37-abi3-macosx_13_0_arm64.whl",
)
BY_DELOCATE = [
    name
    for name in WHEELS
    if not name.startswith(("opencv", "scipy-1.17.1-cp311-cp311-macosx_14_0_x86"))
]
"""Those that delocate takes less than two minutes for, and one that takes more."""
NOTHING_TO_DO = (
    "numpy-2.4.6-cp311-cp311-macosx_14_0_arm64.whl",
    "numpy-2.4.6-cp311-cp311-macosx_14_0_x86_64.whl",
)
TORCH = "torch-2.13.0-cp311-cp311-macosx_14_0_arm64.whl"


def needs(content: bytes) -> set[str]:
    """The files that a binary loads, on any machine."""
    fat = lief.MachO.parse(io.BytesIO(content))
    assert fat is not None
    slices = (fat.at(index) for index in range(fat.size))
    names = (str(one.name) for part in slices if part is not None for one in part.libraries)
    return {PurePosixPath(name).name for name in names}


@pytest.mark.parametrize("name", WHEELS)
def test_an_unbundled_wheel_is_whole_again(name: str, tmp_path: Path) -> None:
    published = wheels.fetch(name)
    given = unbundle.unbundle(published, tmp_path / "given", tmp_path / "libraries")

    done = in_memory.repair(given, tmp_path / "libraries")

    assert {need.outcome for need in done.seen.needs} <= {"inside", "system"}
    assert second.unresolved(done.binaries) == []
    assert [line for one in done.changed.items() for line in second.layout_problems(*one)] == []
    assert ".".join(done.verdict.platforms) == name.removesuffix(".whl").rpartition("-")[2]
    assert {graft.path for graft in done.relinked.grafts} == set(unbundle.vendored(published))
    assert (done.again.grafts, done.again.edits) == ((), {})


@pytest.mark.parametrize("name", [name for name in WHEELS if "opencv" not in name])
def test_another_tool_grafts_the_same_libraries(name: str, tmp_path: Path) -> None:
    libraries, out = tmp_path / "libraries", tmp_path / "out"
    given = unbundle.unbundle(wheels.fetch(name), tmp_path / "given", libraries)

    words = ("repairwheel", "-o", str(out), "-l", str(libraries), "--no-sys-paths", str(given))
    subprocess.run((sys.executable, "-m", *words), check=True, capture_output=True)
    theirs = unbundle.vendored(next(out.iterdir()))

    grafts = in_memory.repair(given, libraries).relinked.grafts
    assert {graft.path for graft in grafts} == set(theirs)


@by_engine.needs_llvm
@pytest.mark.parametrize("name", BY_DELOCATE)
def test_delocate_grafts_the_same_libraries_into_the_same_binaries(
    name: str, tmp_path: Path
) -> None:
    ours, theirs = by_engine.repair_by_both(name, "delocate", tmp_path)

    assert ours.wheel.name == theirs.wheel.name == name
    assert ours.grafted == theirs.grafted != []
    assert second.record_problems(theirs.wheel) == []
    mine, other = second.binaries(ours.wheel), second.binaries(theirs.wheel)
    assert mine.keys() == other.keys()
    for path, content in mine.items():
        assert needs(content) == needs(other[path]), path


@by_engine.needs_llvm
def test_an_engine_leaves_out_what_is_excluded(tmp_path: Path) -> None:
    without = ("--exclude", "libgeos*")

    made = by_engine.repair_by_both(WHEELS[0], "delocate", tmp_path, *without)

    assert [one.grafted for one in made] == [[], []]


@pytest.mark.parametrize("name", WHEELS)
def test_a_published_wheel_loses_nothing_but_the_folders_of_a_build_machine(
    name: str, tmp_path: Path
) -> None:
    done = in_memory.repair(wheels.fetch(name), tmp_path)

    assert done.closure.of("missing", "loose", "graft") == ()
    assert done.relinked.grafts == ()
    assert {(edit.soname, edit.needed) for edit in done.relinked.edits.values()} <= {(None, ())}
    assert [line for one in done.changed.items() for line in second.layout_problems(*one)] == []


@pytest.mark.parametrize("name", NOTHING_TO_DO)
def test_a_wheel_in_order_is_handed_on_byte_for_byte(name: str, tmp_path: Path) -> None:
    published = wheels.fetch(name)

    made = by_engine.repair("native", published, tmp_path, tmp_path / "out")

    assert (made.grafted, made.entry["edited"]) == ([], [])
    assert made.wheel.read_bytes() == published.read_bytes()


def test_no_made_up_install_name_and_no_folder_of_a_build_machine_is_left(tmp_path: Path) -> None:
    name = "scipy-1.17.1-cp311-cp311-macosx_14_0_arm64.whl"
    given = unbundle.unbundle(wheels.fetch(name), tmp_path / "given", tmp_path / "libraries")

    done = in_memory.repair(given, tmp_path / "libraries")

    seen = {}
    for path, content in done.binaries.items():
        place = tmp_path / "one"
        place.write_bytes(content)
        for header in MachO(str(place)).headers:
            data = [last for *_, last in header.commands if isinstance(last, bytes)]
            texts = [text.rstrip(b"\0").decode() for text in data]
            seen[path] = [text for text in texts if text.startswith("/")]
    system = re.compile(r"/usr/lib/|/System/Library/")
    assert {text for texts in seen.values() for text in texts if not system.match(text)} == set()


def test_a_library_can_lie_where_it_is_looked_for_so_that_nothing_huge_changes(
    tmp_path: Path,
) -> None:
    libraries = tmp_path / "libraries"
    given = unbundle.drop(wheels.fetch(TORCH), tmp_path / "given", libraries, "*/lib/libomp.dylib")

    done = in_memory.repair(given, libraries, "beside")

    assert [graft.path for graft in done.relinked.grafts] == ["torch/lib/libomp.dylib"]
    assert done.relinked.edits == {}
    assert {need.outcome for need in done.seen.needs} <= {"inside", "system"}


def test_a_universal_wheel_is_not_given_a_library_for_one_machine(tmp_path: Path) -> None:
    name = "pyzmq-27.3.0-cp311-cp311-macosx_10_15_universal2.whl"
    given = unbundle.unbundle(wheels.fetch(name), tmp_path / "given", tmp_path / "libraries")
    for library in (tmp_path / "libraries").iterdir():
        library.write_bytes(_only_arm64(library.read_bytes()))

    done = in_memory.repair(given, tmp_path / "libraries")

    (missing,) = done.closure.of("missing")
    lacking = f"{tmp_path}/libraries/libzmq.5.dylib (has no code for x86_64)"
    assert lacking in missing.searched


def _only_arm64(content: bytes) -> bytes:
    """The arm64 part of a universal file."""
    for index in range(int.from_bytes(content[4:8], "big")):
        row = memoryview(content)[8 + 20 * index :]
        kind, _, offset, size = (int.from_bytes(row[at : at + 4], "big") for at in (0, 4, 8, 12))
        if kind == 0x0100000C:
            return content[offset : offset + size]
    raise AssertionError("no code for arm64")
