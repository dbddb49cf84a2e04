"""Members of Windows static libraries ("PE Format", COFF and import objects).

They begin with a machine number and no magic, so only who knows where they come from can ask.
"""

from __future__ import annotations

from typing import Final, Literal

from builder.binary.model import Binary, BinaryError
from builder.binary.window import Window, texts

__all__ = ["looks_like_coff", "read_coff"]

_MACHINES: Final[dict[int, tuple[str, Literal[32, 64]]]] = {
    0x14C: ("win32", 32),
    0x1C4: ("armv7", 32),
    0x8664: ("amd64", 64),
    0xA641: ("arm64", 64),
    0xAA64: ("arm64", 64),
}
_IMPORT: Final = (0, 0xFFFF)
_HEADER: Final = "HHIIIHH"
_SECTION: Final = 40
_LONGEST_NAMES: Final = 8192


def looks_like_coff(head: bytes) -> bool:
    """Whether a member that begins like this is an object, of the old kind or the big one."""
    first, second = int.from_bytes(head[:2], "little"), int.from_bytes(head[2:4], "little")
    if (first, second) == _IMPORT:
        return len(head) >= 8 and int.from_bytes(head[6:8], "little") in _MACHINES  # noqa: PLR2004  # up to the machine
    return first in _MACHINES


def read_coff(view: memoryview) -> Binary:
    """An object; one that stands for a function of a DLL needs that DLL. Raises `BinaryError`."""
    window = Window(view, "<")
    first, second = window.numbers("HH", 0, "COFF header")
    if (first, second) != _IMPORT:
        machine, sections, _, symbols, _, optional, _ = window.numbers(_HEADER, 0, "COFF header")
        window.cut(20 + optional, sections * _SECTION, "section headers")
        if symbols > len(view):
            raise BinaryError(f"COFF header: symbols at {symbols:#x} are past the end")
        return _object(machine)
    _, _, version, machine, _, size = window.numbers("HHHHII", 0, "import object")
    if version:
        return _object(machine)  # a big object, or one for link time: its content is another
    names = bytes(window.cut(20, min(size, _LONGEST_NAMES), "import object"))
    library = texts(names, [names.find(b"\0") + 1], "import object: name")
    return _object(machine, tuple(library.values()))


def _object(machine: int, needed: tuple[str, ...] = ()) -> Binary:
    name, bits = _MACHINES.get(machine, ("", 64))
    if not name:
        raise BinaryError(f"COFF header: machine {machine:#x} is not known")
    return Binary("pe", name, bits, "little", "object", needed=needed)
