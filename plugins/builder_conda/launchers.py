"""Programs of Windows: a launcher of distlib that starts the Python of its environment, with the script in it.

A launcher runs what its first line names, and hands itself over: Python runs the archive at its end.
`<launcher_dir>` is the folder of the launcher, so that the file fits into any prefix.
"""

from __future__ import annotations

import io
import struct
import zipfile
from importlib.resources import files
from typing import Final

from builder.binary.pe import checksum

__all__ = ["LAUNCHERS", "launcher"]

LAUNCHERS: Final = {"win-32": "32", "win-64": "64", "win-arm64": "64-arm"}
"""What the launchers of a subdir are called."""
_EARLY: Final = (1980, 1, 1, 0, 0, 0)
_PE_OFFSET: Final = 0x3C
_CHECKSUM: Final = 24 + 64
"""Bytes from the PE signature to the checksum: the COFF header, and what is before it in the optional one."""


def launcher(subdir: str, script: str, *, gui: bool) -> bytes:
    """The program of one entry point; `gui` is for those that have no console."""
    name = f"{'w' if gui else 't'}{LAUNCHERS[subdir]}.exe"
    start = files("distlib").joinpath(name).read_bytes()
    python = "pythonw.exe" if gui else "python.exe"
    line = f'#!"<launcher_dir>\\..\\{python}"\r\n'.encode()
    whole = bytearray(start + line + _archive(script))
    (header,) = struct.unpack_from("<I", whole, _PE_OFFSET)
    if any(whole[header + _CHECKSUM : header + _CHECKSUM + 4]):
        struct.pack_into("<I", whole, header + _CHECKSUM, checksum(memoryview(whole)))
    return bytes(whole)


def _archive(script: str) -> bytes:
    """The script as an archive that Python runs, the same bytes every time."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(zipfile.ZipInfo("__main__.py", _EARLY), script)
    return stream.getvalue()
