"""ELF files (System V gABI, with the GNU extensions of the Linux Standard Base).

What a loader uses is read the way a loader finds it: program headers, the dynamic section, the
tables it points to. Section headers, which no loader looks at, are read for CUDA code
and debug links only.
"""

from __future__ import annotations

from typing import Final, Literal

from builder.binary import fatbin
from builder.binary.elf import tags
from builder.binary.elf.image import INTERPRETER, Image, open_image
from builder.binary.elf.notes import build_id, properties
from builder.binary.elf.padding import without_padding
from builder.binary.elf.symbols import defined_names, strings_of, undefined_symbols
from builder.binary.elf.versions import definitions
from builder.binary.model import Binary, BinaryError, Kind
from builder.binary.window import Window, texts

__all__ = ["defined", "read", "split_path"]

_FLAG_TEXTREL: Final = 4
_FLAG_1_PIE: Final = 0x08000000
_STACK: Final = 0x6474E551
_EXECUTABLE: Final = 1
_LONGEST_PATH: Final = 4096
_MOST_FOLDERS: Final = 4096
_DEBUG_LINK: Final = b".gnu_debuglink"
_SHORTEST_LINK: Final = 8
_NAMED: Final = frozenset({tags.NEEDED, tags.SONAME, tags.RPATH, tags.RUNPATH})

_MACHINES: Final = {
    2: ("sparc", "sparc"),
    3: ("i686", "i686"),
    8: ("mipsel", "mips"),
    20: ("ppcle", "ppc"),
    21: ("ppc64le", "ppc64"),
    22: ("s390x", "s390x"),
    40: ("armv7l", "armv7b"),
    62: ("x86_64", "x86_64"),
    183: ("aarch64", "aarch64_be"),
    190: ("cuda", "cuda"),
    224: ("amdgpu", "amdgpu"),
    243: ("riscv64", "riscv64"),
    247: ("bpf", "bpf"),
    258: ("loongarch64", "loongarch64"),
}
"""By number: little-endian, big-endian."""
_NARROW: Final = {
    "x86_64": "x32",
    "s390x": "s390",
    "riscv64": "riscv32",
    "loongarch64": "loongarch32",
}
"""What a machine of 64 bits is called in a file of 32."""


def read(view: memoryview) -> Binary:
    """What a linker sees in an ELF file. Raises `BinaryError`."""
    image = open_image(view)
    sections = image.contents((*fatbin.SECTIONS, _DEBUG_LINK))
    dynamic, strings = image.dynamic, strings_of(image)
    values = dynamic.values
    places = [value for tag, value in dynamic.entries if tag in _NAMED]
    names = texts(strings, places, "dynamic section: name")
    named = {tag: names[value] for tag, value in values.items() if tag in _NAMED}
    needed = (names[value] for tag, value in dynamic.entries if tag == tags.NEEDED)
    interpreter = _interpreter(image)
    undefined, versions_needed = undefined_symbols(image, strings)
    return Binary(
        format="elf",
        machine=_machine(image),
        bits=image.layout.bits,
        byte_order="little" if image.window.order == "<" else "big",
        kind=_kind(image, bool(interpreter) and tags.SONAME not in values),
        soname=named.get(tags.SONAME, ""),
        needed=tuple(dict.fromkeys(needed)),
        rpath=split_path(named.get(tags.RPATH, "")),
        runpath=split_path(named.get(tags.RUNPATH, "")),
        interpreter=interpreter,
        versions_needed=versions_needed,
        versions_defined=_versions_defined(image, strings),
        undefined=undefined,
        text_relocations=tags.TEXTREL in values or bool(values.get(tags.FLAGS, 0) & _FLAG_TEXTREL),
        executable_stack=_executable_stack(image),
        properties=properties(image),
        build_id=build_id(image),
        debug_link=_debug_link(sections, image.window.order),
        cuda_architectures=_cuda_architectures(sections, image.window.order),
    )


def defined(view: memoryview) -> tuple[str, ...]:
    """The names that an ELF file offers to others. Raises `BinaryError`."""
    image = open_image(view)
    return defined_names(image, strings_of(image))


def _machine(image: Image) -> str:
    names = _MACHINES.get(image.machine)
    if names is None:
        return f"machine{image.machine}"
    name = names[image.window.order == ">"]
    return name if image.layout.bits == 64 else _NARROW.get(name, name)  # noqa: PLR2004  # a class, not a number


def _kind(image: Image, runs: bool) -> Kind:
    """A program that can be loaded anywhere has the type of a library, and most have a flag."""
    match image.type:
        case 1:
            return "object"
        case 2:
            return "executable"
        case 3:
            is_program = runs or bool(image.dynamic.values.get(tags.FLAGS_1, 0) & _FLAG_1_PIE)
            return "executable" if is_program else "shared"
        case _:
            return "other"


def split_path(path: str) -> tuple[str, ...]:
    """The folders of a search path; the padding of a path that is to be edited is none of them.

    Raises `BinaryError` for far too many.
    """
    path = without_padding(path)
    if path.count(":") > _MOST_FOLDERS:
        raise BinaryError(f"search path: {path.count(':') + 1} folders are more than anybody needs")
    return tuple(path.split(":")) if path else ()


def _interpreter(image: Image) -> str:
    for segment in image.of_type(INTERPRETER):
        size = min(segment.size, _LONGEST_PATH)
        path = bytes(image.window.cut(segment.offset, size, "interpreter"))
        return texts(path + b"\0", [0], "interpreter")[0]
    return ""


def _executable_stack(image: Image) -> bool:
    for segment in image.of_type(_STACK):
        return bool(segment.flags & _EXECUTABLE)
    return bool(image.segments)


def _versions_defined(image: Image, strings: bytes) -> tuple[str, ...]:
    places = [version.name for version in definitions(image) if not version.is_base]
    names = texts(strings, places, "version name")
    return tuple(dict.fromkeys(names[place] for place in places))


def _debug_link(
    sections: tuple[tuple[bytes, memoryview], ...], order: Literal["<", ">"]
) -> tuple[str, int] | None:
    """Name and CRC, the latter in the last four bytes; a section that is neither says nothing."""
    for name, content in sections:
        if name == _DEBUG_LINK and _SHORTEST_LINK <= len(content) <= _LONGEST_PATH:
            link = bytes(content)
            file = texts(link[:-4] + b"\0", [0], "debug link")[0]
            return file, int.from_bytes(link[-4:], "little" if order == "<" else "big")
    return None


def _cuda_architectures(
    sections: tuple[tuple[bytes, memoryview], ...], order: Literal["<", ">"]
) -> tuple[str, ...]:
    return fatbin.architectures(
        Window(content, order) for name, content in sections if name in fatbin.SECTIONS
    )
