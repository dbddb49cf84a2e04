"""Edits of published Windows libraries, seen by other parsers, and of compiled ones, run by Wine."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pefile
import pytest

from builder.binary import Binary, BinaryError, Edit, edited, pe, plan, read

pytestmark = pytest.mark.e2e

PROJECTS = ("numpy==2.4.6", "pillow==13.0.0", "shapely==2.2.0", "markupsafe==3.0.3")
PLATFORMS = ("win_amd64", "win32", "win_arm64")
MACHINES = {"win_amd64": "amd64", "win32": "win32", "win_arm64": "arm64"}
SUFFIX = "-0123456789abcdef0123456789abcdef.dll"
SLOW = 2 << 20
"""pefile sums up a megabyte a second."""

GCC = shutil.which("x86_64-w64-mingw32-g++-posix") or ""
STRIP = shutil.which("x86_64-w64-mingw32-strip") or ""
WINE = next(
    (path for name in ("wine64", "wine", "/usr/lib/wine/wine64") if (path := shutil.which(name))),
    "",
)


@pytest.fixture(scope="module", params=PLATFORMS)
def libraries(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Mapping[str, bytes]]:
    """The PE files of some wheels for one platform."""
    folder = tmp_path_factory.mktemp(request.param)
    argv = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:"]
    argv += ["--platform", request.param, "--python-version", "3.11", "-d", str(folder), *PROJECTS]
    subprocess.run(argv, check=True)
    found = {}
    for wheel in folder.iterdir():
        with zipfile.ZipFile(wheel) as archive:
            names = (n for n in archive.namelist() if n.endswith((".pyd", ".dll", ".exe")))
            found.update({name: archive.read(name) for name in names})
    return request.param, found


def _renaming(binary: Binary) -> Edit:
    return Edit(needed=tuple((name, name[:-4] + SUFFIX) for name in binary.needed))


def _imports(content: bytes) -> list[tuple[str, list[bytes | int]]]:
    image = pefile.PE(data=content, fast_load=True)
    image.parse_data_directories([1, 13])
    rows = [
        *getattr(image, "DIRECTORY_ENTRY_IMPORT", []),
        *getattr(image, "DIRECTORY_ENTRY_DELAY_IMPORT", []),
    ]
    return [(row.dll.decode(), [one.name or one.ordinal for one in row.imports]) for row in rows]


def test_every_library_of_the_wheels(libraries: tuple[str, Mapping[str, bytes]]) -> None:
    platform, files = libraries
    machines = set()
    refused = []
    for name, old in files.items():
        before = read(old)
        machines.add(before.machine)
        edit = _renaming(before)
        try:
            new = plan(old, edit).apply(old)
        except BinaryError as error:
            refused.append(f"{name}: {error.message}")
            continue
        assert edited(before, read(new), edit) == (), name
        _compare(name, old, new)
    assert MACHINES[platform] in machines
    assert len(files) > 30
    assert [line for line in refused if "is ARM64X" not in line] == []


def _compare(name: str, old: bytes, new: bytes) -> None:
    """What changed are names, fields that point to them, sizes and the checksum; all else stays."""
    before, after = _imports(old), _imports(new)
    assert after == [(library[:-4] + SUFFIX, symbols) for library, symbols in before], name
    assert pe.checksum_problems(memoryview(new)) == (), name
    one, two = (pefile.PE(data=content, fast_load=True) for content in (old, new))
    if len(new) < SLOW and one.OPTIONAL_HEADER.CheckSum:
        assert two.verify_checksum(), name
    headers = one.OPTIONAL_HEADER.SizeOfHeaders
    end = max(section.PointerToRawData + section.SizeOfRawData for section in one.sections)
    # Per library a name and two fields of four bytes, at most.
    most = sum(len(library) + len(SUFFIX) + 8 for library, _ in before)
    stays = slice(headers, end)
    changed = sum(a != b for a, b in zip(old[stays], new[stays], strict=True))
    assert changed <= most, name


def test_delvewheel_makes_the_same(
    libraries: tuple[str, Mapping[str, bytes]], tmp_path: Path
) -> None:
    for name, old in sorted(libraries[1].items(), key=lambda item: len(item[1]))[:6]:
        before = read(old)
        edit = _renaming(before)
        path = tmp_path / Path(name).name
        path.write_bytes(old)
        changes = [word for pair in edit.needed for word in ("-change", *pair)]
        argv = [sys.executable, "-m", "delvewheel", "replace-needed", *changes, str(path)]
        subprocess.run(argv, check=True)
        assert read(path) == read(plan(old, edit).apply(old)), name


@pytest.mark.parametrize("checksum", ["that can be right", "that cannot be right"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, checksum: str) -> None:
    sample = Path(__file__).parent.parent / "data" / "pe" / "sound" / "overlay.dll"
    path, size = tmp_path / "large.dll", 1 << 30
    content = bytearray(sample.read_bytes())
    struct.pack_into("<I", content, 152, size + 1 if checksum == "that can be right" else 1)
    path.write_bytes(content)
    os.truncate(path, size)
    code = (
        "import json, sys; from pathlib import Path; from builder.binary import *;"
        "edit = Edit(needed=(('demo.dll', 'demo-0123456789abcdef.dll'),));"
        "pieces = plan(Path(sys.argv[1]), edit).pieces;"
        "status = Path('/proc/self/status').read_text().split();"
        "peak = int(status[status.index('VmHWM:') + 1]);"
        "print(json.dumps([peak, sum(len(piece) for _, piece in pieces)]))"
    )
    ran = subprocess.run([sys.executable, "-c", code, path], check=True, capture_output=True)
    peak, written = json.loads(ran.stdout)
    assert peak < 48 << 10
    assert written < 100


DEMO = """#include <string>
extern "C" __declspec(dllexport) int answer(const char *text) { return std::string(text).size() + 38; }
"""
MAIN = """#include <cstdio>
extern "C" __declspec(dllimport) int answer(const char *);
int main() { std::printf("answer %d", answer("four")); }
"""
OWN = ("demo.dll", "libstdc++-6.dll", "libgcc_s_seh-1.dll", "libwinpthread-1.dll")


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, str]]]:
    """A program, a DLL that it needs, and what that needs; and the surroundings to run it in."""
    missing = [name for name, path in (("g++-mingw-w64-x86-64-posix", GCC), ("wine64", WINE)) if not path]  # fmt: skip
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    folder = tmp_path_factory.mktemp("compiled")
    (folder / "demo.cpp").write_text(DEMO)
    (folder / "main.cpp").write_text(MAIN)
    subprocess.run([GCC, "-shared", "-o", "demo.dll", "demo.cpp"], cwd=folder, check=True)
    subprocess.run([GCC, "-o", "main.exe", "main.cpp", "demo.dll"], cwd=folder, check=True)
    for name in OWN[1:]:
        where = subprocess.run([GCC, f"-print-file-name={name}"], check=True, capture_output=True)
        shutil.copy(where.stdout.decode().strip(), folder / name)
    prefix = tmp_path_factory.mktemp("wine")
    variables = {**os.environ, "WINEPREFIX": str(prefix), "WINEDEBUG": "-all", "DISPLAY": ""}
    yield folder, variables
    server = Path(WINE).resolve().parent / "wineserver"
    stop = shutil.which("wineserver") or shutil.which(str(server))
    if stop:
        subprocess.run([stop, "-k"], env=variables, check=False)


@pytest.mark.heavy
@pytest.mark.parametrize("padded", [True, False], ids=["padding", "new section"])
def test_renamed_libraries_load_and_link(
    compiled: tuple[Path, dict[str, str]], tmp_path: Path, padded: bool
) -> None:
    folder, variables = compiled
    names = {name: name[:-4] + SUFFIX for name in OWN}
    for name in ("main.exe", *OWN):
        old = (folder / name).read_bytes() if padded else _filled((folder / name).read_bytes())
        before = read(old)
        own = tuple((one, names[one]) for one in before.needed if one in names)
        edit = Edit(soname=names[name] if before.soname else None, needed=own)
        new = plan(old, edit).apply(old)
        assert edited(before, read(new), edit) == ()
        assert (len(new) == len(old)) == padded
        (tmp_path / names.get(name, name)).write_bytes(new)
    assert _run(tmp_path, variables) == "answer 42"
    for path in tmp_path.iterdir():
        subprocess.run([STRIP, path], check=True)
    assert _run(tmp_path, variables) == "answer 42"
    if padded:  # GNU ld wants a DLL's name beside its exports
        library = str(tmp_path / names["demo.dll"])
        argv = [GCC, "-o", str(tmp_path / "main.exe"), str(folder / "main.cpp"), library]
        subprocess.run(argv, check=True)
        assert names["demo.dll"] in read(tmp_path / "main.exe").needed
        assert _run(tmp_path, variables) == "answer 42"
    (tmp_path / names["demo.dll"]).unlink()
    assert _run(tmp_path, variables) == ""


def _filled(content: bytes) -> bytes:
    """The file without any room in its padding."""
    made = bytearray(content)
    for section in pefile.PE(data=content, fast_load=True).sections:
        if 0 < section.Misc_VirtualSize < section.SizeOfRawData:
            made[section.PointerToRawData + section.Misc_VirtualSize] = 0xCC
    struct.pack_into("<I", made, struct.unpack_from("<I", made, 0x3C)[0] + 88, 0)
    return bytes(made)


def _run(folder: Path, variables: dict[str, str]) -> str:
    argv = [WINE, "main.exe"]
    ran = subprocess.run(
        argv, check=False, cwd=folder, env=variables, capture_output=True, text=True
    )
    return ran.stdout
