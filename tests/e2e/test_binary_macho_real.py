"""What Apple's linkers wrote, edited and signed: published wheels for macOS, judged by others too."""

from __future__ import annotations

import contextlib
import io
import json
import re
import struct
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import lief
import pytest
from macholib.mach_o import LC_RPATH
from macholib.MachO import MachO

from benchmarks import wheels
from builder.binary import Binary, BinaryError, Edit, edited, plan, read
from builder.binary.macho import signature_problems
from tests.e2e import second_opinion as second

pytestmark = pytest.mark.e2e

MAC = tuple(name for name in wheels.known() if "-macosx_" in name)
TORCH = "torch-2.13.0-cp311-cp311-macosx_14_0_arm64.whl"
LARGE = "torch"
LONG = "@loader_path/../project.dylibs/lib-0123456789abcdef.dylib"
SAMPLES = Path(__file__).parent.parent / "data" / "macho" / "sound"
ROOM = 64
"""Bytes of room that the largest of the edits may lack in a file that was repaired before."""

lief.logging.disable()


def _edits(binary: Binary) -> Mapping[str, Edit]:
    first = binary.needed[:1]
    return {
        "needed": Edit(needed=tuple((name, LONG) for name in first)),
        "search": Edit(search=("@loader_path/../project.dylibs", "@loader_path")),
        "soname": Edit(soname="/DLC/project/lib.dylib"),
        "all": Edit("x.dylib", tuple((name, "y.dylib") for name in first), ("@loader_path",)),
        "sign": Edit(sign=True),
    }


def _missing_room(content: bytes, edit: Edit) -> int:
    """How many bytes an edit lacks in the header; any other refusal is an error."""
    try:
        plan(content, edit)
    except BinaryError as error:
        found = re.search(r"no room for the new names: (\d+) bytes are missing", error.message)
        if found is None:
            raise
        return int(found[1])
    return 0


def _others(path: Path) -> list[tuple[list[str], list[str]]]:
    """Needed libraries and search path of each image as macholib sees them."""
    with contextlib.redirect_stdout(io.StringIO()):
        headers = MachO(str(path)).headers
    return [
        (
            [name for _, _, name in header.walkRelocatables()],
            [data.rstrip(b"\0").decode() for load, _, data in header.commands if load.cmd == LC_RPATH],
        )
        for header in headers
    ]  # fmt: skip


def _judge(content: bytes, edit: Edit, work: Path) -> None:
    """Make an edit; ask us, macholib and lief what the file says, and whether its signature holds."""
    patch = plan(content, edit)
    new = patch.apply(content)
    after = read(new)
    assert edited(read(content), after, edit) == ()
    assert signature_problems(memoryview(new)) == ()
    assert second.layout_problems("", new) == []
    work.write_bytes(new)
    assert _others(work) == [(list(one.needed), list(one.rpath)) for one in after.each]
    fat = lief.MachO.parse(work)
    assert fat is not None
    for theirs, one in zip(fat, after.each, strict=True):
        assert [rpath.path for rpath in theirs.rpaths] == list(one.rpath)
        assert theirs.has_code_signature == bool(one.signature)
    _outside_pieces(content, new, patch.pieces)


def _outside_pieces(old: bytes, new: bytes, pieces: tuple[tuple[int, bytes], ...]) -> None:
    """Nothing changed but header, signature, and what the patch says."""
    assert sum(len(piece) for _, piece in pieces) < 0x8000 + len(old) // 64
    end = 0
    for place, piece in pieces:
        assert old[end:place] == new[end:place]
        end = place + len(piece)
    assert old[end:] == new[end:]


@pytest.mark.parametrize("name", [name for name in MAC if not name.startswith(LARGE)])
def test_every_library_of_a_wheel(name: str, tmp_path: Path) -> None:
    found = second.binaries(wheels.fetch(name))
    assert found
    work = tmp_path / "work.dylib"
    for path, content in found.items():
        assert signature_problems(memoryview(content)) == (), path
        for what, edit in _edits(read(content)).items():
            missing = _missing_room(content, edit)
            # Files that were repaired once have little room left.
            assert missing < (ROOM if what in {"needed", "search"} else 1), path
            if not missing:
                _judge(content, edit, work)


MEASURE = """
import json, mmap, re, sys, time
from pathlib import Path
from builder.binary import Edit, plan, read
from builder.binary.macho import signature_problems
with open(sys.argv[1], "rb") as file:
    view = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
edit = eval(sys.argv[2])
start = time.perf_counter()
read(view)
patch = plan(view, edit)
planned = time.perf_counter() - start
if len(sys.argv) > 3:
    signature_problems(view)
# The usual call also counts what the parent had when it started this process.
peak = re.search("VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]
print(json.dumps([planned, int(peak) / 1024, patch.size, len(patch.pieces)]))
"""


def _measured(path: Path, edit: Edit, *rest: str) -> tuple[float, float, int, int]:
    """Seconds to read and plan, peak memory in MiB, and the patch's size and number of pieces."""
    words = (sys.executable, "-c", MEASURE, str(path), repr(edit), *rest)
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    seconds, peak, size, pieces = json.loads(done.stdout)
    return seconds, peak, size, pieces


@pytest.mark.heavy
def test_a_library_of_hundreds_of_megabytes_costs_milliseconds(tmp_path: Path) -> None:
    with zipfile.ZipFile(wheels.fetch(TORCH)) as archive:
        path = Path(archive.extract("torch/lib/libtorch_cpu.dylib", tmp_path))
    assert path.stat().st_size > 300 << 20
    edit = Edit(needed=(("@rpath/libc10.dylib", LONG),), search=("@loader_path", "/x"))
    best = min((_measured(path, edit) for _ in range(5)), key=lambda row: row[0])
    seconds, peak, size, pieces = best
    assert (size, pieces) == (path.stat().st_size, 2)
    assert seconds < 0.05
    assert peak < 64
    # A check reads every page and keeps none.
    _, peak, _, _ = _measured(path, edit, "check")
    assert peak < 64


def _stretched(small: bytes, distance: int, path: Path) -> None:
    """An unsigned image whose tables are moved away from its code; between them is a hole."""
    head = bytearray(small)
    place = 32
    for _ in range(struct.unpack_from("<I", head, 16)[0]):
        kind, size = struct.unpack_from("<II", head, place)
        fields = {0x19: "<QQQQ", 0x2: "<IIII"}.get(kind)
        if fields:
            at = place + (24 if kind == 0x19 else 8)
            old = struct.unpack_from(fields, head, at)
            # Code begins at zero and ends where the tables begin; counts and sizes are small.
            is_text = kind == 0x19 and not old[2]
            moved = (1, 3) if is_text else (0, 2)
            new = [value + distance * (number in moved) for number, value in enumerate(old)]
            struct.pack_into(fields, head, at, *new)
        place += size
    with path.open("wb") as file:
        file.write(head[:0x1000])
        file.seek(0x1000 + distance)
        file.write(head[0x1000:])


def test_signing_a_gigabyte_keeps_little_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "large.dylib"
    _stretched((SAMPLES / "arm64-unsigned.dylib").read_bytes(), 1 << 30, path)
    assert read(path).undefined == ("_compress", "_printf")
    _, peak, size, pieces = _measured(path, Edit(sign=True), "check")
    assert size - path.stat().st_size > 32 * (1 << 30) // 4096
    assert pieces == 2
    assert peak < 128
