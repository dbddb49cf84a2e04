"""Take the debug information out of an archive, into archives of its own.

That of ELF files is taken out of them: the link between the two is section `.gnu_debuglink`, the
name of the other file and the CRC-32 of its bytes, as gdb(1) looks for it. Windows and macOS have
it in files and folders beside the binary (`.pdb`, `.dSYM`), which name it by an identity.
"""

from __future__ import annotations

import mmap
import posixpath
import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from builder.archive.zip_format import stamp_of
from builder.archive.zip_items import Put
from builder.archive.zip_write import write_zip
from builder.backend import Tools
from builder.binary import BinaryError, read
from builder.binary.elf.image import open_image
from builder.config.target import Os
from builder.errors import BuilderError
from builder.process import Command
from builder_libtorch.bundle import binaries_of
from builder_libtorch.parts import Part

__all__ = ["Debug", "apart", "objcopy_version", "split", "write_debug"]

_PROGRAM = "objcopy"
_WINDOW = 1 << 20
_BESIDE: Final[Mapping[Os, re.Pattern[str]]] = {
    "windows": re.compile(r".+\.pdb", re.IGNORECASE),
    "macos": re.compile(r"(.+/)?[^/]+\.dSYM/.+"),
}
_SECTIONS = (b".debug_info", b".zdebug_info")


@dataclass(frozen=True, slots=True)
class Debug:
    """The debug information of one binary; `crc` is that of the file, which debuggers compare."""

    path: str
    file: Path
    crc: int


def apart(parts: Iterable[Part], os: Os) -> tuple[tuple[Part, ...], tuple[Part, ...]]:
    """The parts of an archive, and those that are nothing but debug information on this system."""
    rest: list[Part] = []
    debug: list[Part] = []
    for part in parts:
        beside = os in _BESIDE and _BESIDE[os].fullmatch(part.path)
        (debug if beside else rest).append(part)
    return tuple(rest), tuple(debug)


def split(parts: Iterable[Part], tools: Tools) -> tuple[tuple[Part, ...], tuple[Debug, ...]]:
    """The parts without debug information, and what was taken out of them. Raises `BuilderError`."""
    given = {part.path: part for part in parts}
    found: list[Debug] = []
    for path, binary in binaries_of(given.values()).items():
        file = given[path].content
        if binary.format == "elf" and isinstance(file, Path) and _has_debug(file):
            stripped, debug = _split(path, file, tools)
            given[path] = given[path].with_content(stripped)
            found.append(debug)
    return tuple(given.values()), tuple(found)


def write_debug(debug: Debug, stem: str, out: Path, *, epoch: int, threads: int) -> Path:
    """The archive `debug-STEM-CRC.zip` with the one file that a debugger looks for."""
    target = out / f"debug-{stem}-{debug.crc:08x}.zip"
    item = Put(f"{posixpath.dirname(debug.path)}/{debug.file.name}".lstrip("/"), debug.file)
    write_zip(None, target, (item,), stamp=stamp_of(epoch), threads=threads)
    return target


def objcopy_version(tools: Tools) -> str:
    """The first line of what the program says of itself."""
    return _run(tools, Path("/"), "--version").partition("\n")[0]


def _has_debug(file: Path) -> bool:
    """Whether an ELF file has DWARF sections; a damaged table of sections has none."""
    with file.open("rb") as opened:
        view = memoryview(mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ))
    try:
        return bool(open_image(view).contents(_SECTIONS))
    except BinaryError:
        return False


def _split(path: str, given: Path, tools: Tools) -> tuple[Path, Debug]:
    folder = tools.work / "debug" / posixpath.dirname(path)
    folder.mkdir(parents=True, exist_ok=True)
    name = posixpath.basename(path)
    debug, after = folder / f"{name}.dbg", folder / name
    _run(tools, folder, "--only-keep-debug", str(given), debug.name)
    _run(
        tools, folder, "--strip-debug", f"--add-gnu-debuglink={debug.name}", str(given), after.name
    )
    crc = 0
    with debug.open("rb") as file:
        while window := file.read(_WINDOW):
            crc = zlib.crc32(window, crc)
    if read(after).debug_link != (debug.name, crc):
        raise BuilderError(
            f"`{path}` does not point to its debug information", hint="install a newer binutils"
        )
    return after, Debug(path, debug, crc)


def _run(tools: Tools, folder: Path, *words: str) -> str:
    environment = {"PATH": ":".join(map(str, tools.machine.path)), "LC_ALL": "C"}
    command = Command((_PROGRAM, *words), folder, environment)
    done = tools.processes.run(command, log=tools.log, capture=words == ("--version",))
    return done.stdout
