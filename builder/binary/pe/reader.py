"""What a linker and the loader of Windows see in a PE file; only the tables asked for are touched."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from builder.binary import fatbin
from builder.binary.model import Binary, BinaryError, Kind
from builder.binary.pe.image import Directory, Image, open_image
from builder.binary.pe.tables import (
    Import,
    exports_of,
    folded,
    forwards_of,
    imports_of,
    names_of,
    symbols_of,
    text,
)
from builder.binary.window import Window

__all__ = ["defined", "forwarded", "imports", "is_hybrid", "read", "set_load_flags"]

_MACHINES: Final = {
    0x14C: "win32",
    0x1C0: "armv7",
    0x1C2: "armv7",
    0x1C4: "armv7",
    0x200: "ia64",
    0x5064: "riscv64",
    0x6264: "loongarch64",
    0x8664: "amd64",
    0xAA64: "arm64",
}
_HYBRIDS: Final = {"amd64": "arm64ec", "arm64": "arm64x"}
"""What code for a machine is with code of the other beside it."""
_PROPERTIES: Final = {
    0x20: "highentropyva",
    0x40: "dynamicbase",
    0x80: "forceintegrity",
    0x100: "nxcompat",
    0x200: "noisolation",
    0x400: "noseh",
    0x800: "nobind",
    0x1000: "appcontainer",
    0x2000: "wdmdriver",
    0x4000: "guardcf",
    0x8000: "terminalserveraware",
}
_EXECUTABLE, _DLL = 2, 0x2000
_LOAD_FLAGS: Final = {32: 54, 64: 78}
_HYBRID_METADATA: Final = 200
_DEBUG_ENTRY: Final = ("12xIIII", 28)  # type, size, address, place in the file
_MOST_DEBUG_ENTRIES: Final = 64
_CODE_VIEW: Final = 2
_PDB: Final = struct.Struct("<4sIHH8sI")
_CUDA_SECTIONS: Final = frozenset(name[:8] for name in fatbin.SECTIONS)
"""The linkers of Windows cut the names of sections to eight letters."""


def read(view: memoryview) -> Binary:
    """What a linker sees in a PE file. Raises `BinaryError`.

    `undefined` has `#12` for what is imported by its ordinal. `properties` are the DLL
    characteristics, `arm64ec` or `arm64x`, and `loadflags` when Windows may only look in some
    places for what the file needs, which an edit of these ends. `build_id` is what names the debug
    information on symbol servers: GUID and age.
    """
    image = open_image(view)
    libraries = imports_of(image)
    spelled = _spelled(libraries)
    exports = exports_of(image)
    machine = _MACHINES.get(image.machine, f"machine{image.machine}")
    return Binary(
        format="pe",
        machine=machine,
        bits=image.layout.bits,
        byte_order="little",
        kind=_kind(image),
        soname=text(exports.name) if exports else "",
        needed=tuple(spelled.values()),
        delayed=tuple(dict.fromkeys(spelled[folded(one.name)] for one in libraries if one.delayed)),
        undefined=tuple(dict.fromkeys(name for _, name in symbols_of(image, libraries))),
        min_os="{}.{}".format(*image.subsystem_version),
        properties=_properties(image, machine),
        build_id=_build_id(image),
        signature="identity" if all(image.directory(Directory.CERTIFICATE)) else "",
        cuda_architectures=fatbin.architectures(_cuda_sections(image)),
    )


def defined(view: memoryview) -> tuple[str, ...]:
    """The names that a PE file exports, forwarded ones too. Raises `BinaryError`."""
    image = open_image(view)
    exports = exports_of(image)
    return tuple(dict.fromkeys(names_of(image, exports))) if exports else ()


def imports(view: memoryview) -> Mapping[str, tuple[str, ...]]:
    """The names taken from each library, `#12` for an ordinal. Raises `BinaryError`.

    The libraries are spelled and ordered as in `Binary.needed`, the delayed ones among them.
    """
    image = open_image(view)
    libraries = imports_of(image)
    spelled = _spelled(libraries)
    found: dict[str, dict[str, None]] = {name: {} for name in spelled.values()}
    for library, name in symbols_of(image, libraries):
        found[spelled[folded(library.name)]][name] = None
    return {library: tuple(names) for library, names in found.items()}


def forwarded(view: memoryview) -> tuple[str, ...]:
    """The libraries to which exports are forwarded. Raises `BinaryError`.

    They are no part of `Binary.needed`: one is loaded when somebody asks for such an export.
    """
    image = open_image(view)
    exports = exports_of(image)
    names = forwards_of(image, exports) if exports else ()
    return tuple({name.lower(): name for name in names}.values())


def set_load_flags(image: Image) -> int:
    """The place in the file of the `DependentLoadFlags`; 0 when none of them is set.

    They say where alone Windows may look for what the file needs, whatever the process opened.
    """
    place = _load_config(image, _LOAD_FLAGS[image.layout.bits], 2)
    return place if place and any(image.window.cut(place, 2, "load flags")) else 0


def is_hybrid(image: Image) -> bool:
    """Whether there is code of amd64 and of arm64."""
    if image.layout.bits == 32:  # noqa: PLR2004  # a class, not a number
        return False
    place = _load_config(image, _HYBRID_METADATA, 8)
    return bool(place and image.window.numbers("Q", place, "hybrid metadata")[0])


def _load_config(image: Image, offset: int, size: int) -> int:
    """The place of a field; 0 where the structure, which says its own size, ends before it."""
    address = image.directory(Directory.LOAD_CONFIG)[0]
    what = "load configuration"
    if not address or image.numbers("I", address, 4, what)[0] < offset + size:
        return 0
    return image.place(address + offset, size, what)


def _spelled(libraries: Iterable[Import]) -> dict[str, str]:
    """How each library is written where it is first named; Windows does not care for case."""
    found: dict[str, str] = {}
    for library in libraries:
        found.setdefault(folded(library.name), text(library.name))
    return found


def _kind(image: Image) -> Kind:
    if image.characteristics & _DLL:
        return "shared"
    return "executable" if image.characteristics & _EXECUTABLE else "other"


def _properties(image: Image, machine: str) -> tuple[str, ...]:
    flags = image.dll_characteristics
    found = [name for flag, name in _PROPERTIES.items() if flags & flag]
    if machine in _HYBRIDS and is_hybrid(image):
        found.append(_HYBRIDS[machine])
    if set_load_flags(image):
        found.append("loadflags")
    return tuple(sorted(found))


def _build_id(image: Image) -> str:
    """GUID and age as in the folder names of a symbol server.

    Debug information is for people, and tools that cut it off leave stale entries behind: one that
    does not add up says nothing.
    """
    address, extent = image.directory(Directory.DEBUG)
    fields, entry = _DEBUG_ENTRY
    if not address:
        return ""
    count = min(extent // entry, _MOST_DEBUG_ENTRIES)
    start = image.place(address, count * entry, "debug directory")
    for type_, length, _, place in image.window.rows(fields, start, count, "debug directory"):
        size = min(length, _PDB.size)
        found = bytes(image.window.view[place : place + size])
        if type_ == _CODE_VIEW and len(found) == _PDB.size and found.startswith(b"RSDS"):
            _, first, second, third, rest, age = _PDB.unpack(found)
            return f"{first:08X}{second:04X}{third:04X}{rest.hex().upper()}{age:X}"
    return ""


def _cuda_sections(image: Image) -> Iterator[Window]:
    left = len(image.window.view)
    for section in image.sections:
        if section.name in _CUDA_SECTIONS:
            size = min(section.size or section.stored, section.stored)
            view = image.window.cut(section.start, size, "CUDA section")
            left -= size
            if left < 0:
                raise BinaryError("CUDA sections overlap")
            yield Window(view, image.window.order)
