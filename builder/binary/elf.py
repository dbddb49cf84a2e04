"""ELF files (System V gABI, with the GNU extensions of the Linux Standard Base).

What a loader uses is read the way a loader finds it: program headers, the dynamic section, the
tables it points to. Section headers, which no loader looks at, are read for CUDA code only.
"""

from __future__ import annotations

from typing import Final

from builder.binary import fatbin
from builder.binary.elf_image import Image, Segment, open_image
from builder.binary.elf_symbols import defined_names, strings_of, undefined_symbols
from builder.binary.model import Binary, Kind
from builder.binary.window import Window, texts

__all__ = ["defined", "read"]

_SONAME, _RPATH, _TEXTREL, _RUNPATH, _FLAGS, _FLAGS_1 = 14, 15, 22, 29, 30, 0x6FFFFFFB
_FLAG_TEXTREL: Final = 4
_FLAG_1_PIE: Final = 0x08000000
_INTERPRETER, _NOTES, _STACK = 3, 4, 0x6474E551
_EXECUTABLE: Final = 1
_BUILD_ID: Final = 3
_LONGEST_PATH: Final = 4096

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
    values = image.dynamic.values
    strings = strings_of(image)
    tags = [tag for tag in (_SONAME, _RPATH, _RUNPATH) if tag in values]
    offsets = [*image.dynamic.needed, *(values[tag] for tag in tags)]
    names = texts(strings, offsets, "dynamic section: name")
    named = {tag: names[values[tag]] for tag in tags}
    interpreter = _interpreter(image)
    undefined, versions_needed = undefined_symbols(image, strings)
    return Binary(
        format="elf",
        machine=_machine(image),
        bits=image.layout.bits,
        byte_order="little" if image.window.order == "<" else "big",
        kind=_kind(image, bool(interpreter) and _SONAME not in values),
        soname=named.get(_SONAME, ""),
        needed=tuple(dict.fromkeys(names[offset] for offset in image.dynamic.needed)),
        rpath=_split(named.get(_RPATH, "")),
        runpath=_split(named.get(_RUNPATH, "")),
        interpreter=interpreter,
        versions_needed=versions_needed,
        undefined=undefined,
        text_relocations=_TEXTREL in values or bool(values.get(_FLAGS, 0) & _FLAG_TEXTREL),
        executable_stack=_executable_stack(image),
        build_id=_build_id(image),
        cuda_architectures=_cuda_architectures(image),
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
            is_program = runs or bool(image.dynamic.values.get(_FLAGS_1, 0) & _FLAG_1_PIE)
            return "executable" if is_program else "shared"
        case _:
            return "other"


def _split(path: str) -> tuple[str, ...]:
    return tuple(path.split(":")) if path else ()


def _interpreter(image: Image) -> str:
    for segment in _of_type(image, _INTERPRETER):
        size = min(segment.size, _LONGEST_PATH)
        path = bytes(image.window.cut(segment.offset, size, "interpreter"))
        return texts(path + b"\0", [0], "interpreter")[0]
    return ""


def _executable_stack(image: Image) -> bool:
    for segment in _of_type(image, _STACK):
        return bool(segment.flags & _EXECUTABLE)
    return bool(image.segments)


def _build_id(image: Image) -> str:
    """The GNU build id as hex digits.

    Notes are for people and some tools leave stale ones behind: one that does not add up only ends
    the search.
    """
    for segment in _of_type(image, _NOTES):
        notes = Window(image.window.cut(segment.offset, segment.size, "notes"), image.window.order)
        unit = 8 if segment.alignment == 8 else 4  # noqa: PLR2004  # the two alignments there are
        place = 0
        while place + 12 <= segment.size:
            name_size, size, type_ = notes.numbers("III", place, "note")
            start = place + 12 + name_size
            start += -start % unit
            if start + size > segment.size:
                break
            if type_ == _BUILD_ID and bytes(notes.view[place + 12 : place + 16]) == b"GNU\0":
                return bytes(notes.view[start : start + size]).hex()
            place = start + size + -(start + size) % unit
    return ""


def _cuda_architectures(image: Image) -> tuple[str, ...]:
    order = image.window.order
    return fatbin.architectures(Window(view, order) for view in image.contents(fatbin.SECTIONS))


def _of_type(image: Image, type_: int) -> tuple[Segment, ...]:
    return tuple(segment for segment in image.segments if segment.type == type_)
