"""What is wrong with the bytes of an ELF file: with what a loader maps and where it looks.

Rules of chapter 5 of the System V gABI, those that glibc and Linux hold a file to first of all. What
breaks them are tools that edit finished files. Only headers and the texts that they name are read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from builder.binary.elf import tags
from builder.binary.elf.image import DYNAMIC, INTERPRETER, LOAD, NO_BITS, Image, Segment, open_image
from builder.binary.elf.versions import needs
from builder.binary.model import BinaryError, Flaw

__all__ = ["flaws"]

_OBJECT, _PROGRAM, _SHARED = 1, 2, 3
_DEVICES: Final = frozenset({190, 224, 247})
"""CUDA, AMD GPUs, BPF: loaded by drivers that have rules of their own."""
_PAGE: Final = 0x1000
_LARGEST_PAGES: Final[Mapping[int, int]] = {21: 0x10000, 183: 0x10000, 258: 0x10000}
"""By machine (ppc64, aarch64, loongarch64) where Linux is in use with pages larger than 4 KiB."""
_TLS, _EH_FRAME, _RELRO = 7, 0x6474E550, 0x6474E552
_MAPPED: Final = {
    DYNAMIC: "the dynamic section",
    INTERPRETER: "the name of the interpreter",
    _TLS: "the first values of thread-local variables",
    _EH_FRAME: "the table of stack frames",
    _RELRO: "what becomes read-only",
}
_PLACED: Final = frozenset({DYNAMIC, INTERPRETER})
"""Those that are looked for by their place in the file, too."""
_TABLES: Final = {
    tags.STRTAB: ("the string table", tags.STRSZ),
    tags.SYMTAB: ("the symbol table", 0),
    tags.HASH: ("the hash table", 0),
    tags.GNU_HASH: ("the GNU hash table", 0),
    tags.VERSYM: ("the table of symbol versions", 0),
    tags.VERNEED: ("the needed versions", 0),
    tags.VERDEF: ("the defined versions", 0),
    7: ("the relocations (RELA)", 8),
    17: ("the relocations (REL)", 18),
    23: ("the relocations of the PLT", 2),
    25: ("the array of initializers", 27),
    26: ("the array of finalizers", 28),
    36: ("the relocations (RELR)", 35),
}
"""Tables by the tag with their address: what they are, and the tag with their size."""
_NAMES: Final = {
    tags.NEEDED: "the name of a needed library",
    tags.SONAME: "its own name",
    tags.RPATH: "its search path",
    tags.RUNPATH: "its search path",
}
_LONGEST_NAME: Final = 0x10000
_SHOWN: Final = 4


def flaws(view: memoryview) -> tuple[Flaw, ...]:
    """What is wrong with the bytes. Raises `BinaryError` when the headers cannot be read."""
    image = open_image(view)
    if image.type not in {_OBJECT, _PROGRAM, _SHARED} or image.machine in _DEVICES:
        return ()
    found = [Flaw("layout", text) for part in _PARTS for text in _told(part, image)]
    if image.type != _OBJECT and image.dynamic.entries:
        found += (Flaw("pages", text, fatal=False) for text in _pages(image))
        if not image.of_type(_RELRO):
            text = "has no RELRO segment: tables of addresses stay writable while it runs"
            found.append(Flaw("relro", text, fatal=False))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Strings:
    """The dynamic string table: where it begins in the file and ends."""

    image: Image
    start: int
    end: int

    def at(self, place: int) -> bytes | None:
        """The text at a place of the table; None when it does not end in it."""
        start = self.start + place
        stretch = self.image.window.view[start : min(start + _LONGEST_NAME, self.end)]
        text, end, _ = bytes(stretch).partition(b"\0")
        return text if end else None


def _told(part: Callable[[Image], Iterator[str]], image: Image) -> Iterator[str]:
    """What one of the rules has to say; a table that it cannot read is a flaw as well."""
    try:
        yield from part(image)
    except BinaryError as error:
        yield error.message


def _loads(image: Image) -> Iterator[str]:
    """The stretches that are mapped: in the file, at places that pages can have, one by one."""
    end = len(image.window.view)
    loads = image.of_type(LOAD)
    for number, load in enumerate(loads):
        what = f"load {number} (address {load.address:#x})"
        unit = load.alignment or 1
        if load.offset + load.size > end:
            yield f"{what}: ends at {load.offset + load.size:#x}, the file at {end:#x}"
        if load.size > load.memory:
            yield f"{what}: {load.size:#x} bytes of the file for {load.memory:#x} of memory"
        if unit & (unit - 1) or (image.type == _SHARED and unit < _PAGE):
            yield f"{what}: an alignment of {unit:#x} is not one of pages"
        elif (load.offset - load.address) % max(unit, _PAGE):
            yield (
                f"{what}: is at {load.offset:#x} of the file, "
                f"which is another place in a page of {max(unit, _PAGE):#x} bytes"
            )
    for number, (one, other) in enumerate(pairwise(loads), 1):
        if other.address < one.address:
            yield f"load {number} (address {other.address:#x}): is below the one before it"
    for one, other in pairwise(sorted(loads, key=lambda load: load.address)):
        yield from _overlap(one, other)


def _overlap(one: Segment, other: Segment) -> Iterator[str]:
    """What of a stretch the next one, which is mapped later, takes away."""
    what = f"load at address {other.address:#x}"
    if one.address + one.memory > other.address:
        yield f"{what}: the one before it reaches to {one.address + one.memory:#x}"
    elif (
        one.size
        and other.size
        and (one.address + one.size - 1) // _PAGE >= other.address // _PAGE
        and one.address - one.offset != other.address - other.offset
    ):
        yield f"{what}: takes the last page of the one before it, with other bytes"


def _mapped(image: Image) -> Iterator[str]:
    """What a loader looks for in memory, by program headers."""
    for segment in image.segments:
        what = _MAPPED.get(segment.type)
        if what is None or not segment.size:
            continue
        # lld counts the zeros at the end of RELRO as if they were in the file.
        load = _holding(image, segment.address, segment.size, zeros=segment.type == _RELRO)
        if load is None:
            yield f"{what} at address {segment.address:#x} is in nothing that is loaded"
        elif segment.type in _PLACED and (
            segment.address - load.address != segment.offset - load.offset
        ):
            yield (
                f"{what} is at {segment.offset:#x} of the file, "
                f"which is not loaded to its address {segment.address:#x}"
            )


def _tables(image: Image) -> Iterator[str]:
    """What a loader looks for in memory, by the dynamic section."""
    values = image.dynamic.values
    for tag, (what, size_tag) in _TABLES.items():
        size = values.get(size_tag, 0) if size_tag else 1
        if tag in values and size and _holding(image, values[tag], size) is None:
            yield f"{what} at address {values[tag]:#x} is in nothing that is loaded"


def _names(image: Image) -> Iterator[str]:
    """The texts of the dynamic section, and the libraries that versions are needed of."""
    values = image.dynamic.values
    size = values.get(tags.STRSZ, 0)
    if tags.STRTAB not in values or _holding(image, values[tags.STRTAB], size) is None:
        return
    start = image.offset_of(values[tags.STRTAB], "string table") if size else 0
    strings = _Strings(image, start, start + size)
    needed = set()
    for tag, place in image.dynamic.entries:
        text = strings.at(place) if tag in _NAMES else b""
        if text is None:
            yield f"{_NAMES[tag]} is at {place:#x} of a string table of {size:#x} bytes"
        elif tag == tags.NEEDED:
            needed.add(text)
    held = _holding(image, values.get(tags.VERNEED, -1), 1)
    for need in needs(image) if held else ():
        library = strings.at(need.library)
        if library is None:
            yield f"needs versions of a library whose name is beyond the string table of {size:#x} bytes"
        elif library not in needed:
            name = library.decode("utf-8", "backslashreplace")
            yield f"needs versions of `{name}`, and does not need that library"


def _sections(image: Image) -> Iterator[str]:
    """Sections with bytes that the file does not have: it was cut off, or badly put together."""
    end = len(image.window.view)
    beyond = [
        (number, section)
        for number, section in enumerate(image.sections())
        if section.type not in {0, NO_BITS} and section.offset + section.size > end
    ]
    for number, section in beyond[:_SHOWN]:
        yield f"section {number}: ends at {section.offset + section.size:#x}, the file at {end:#x}"
    if len(beyond) > _SHOWN:
        yield f"and {len(beyond) - _SHOWN} more sections end there"


def _pages(image: Image) -> Iterator[str]:
    """Whether all machines can map it: glibc wants an alignment of whole pages."""
    largest = _LARGEST_PAGES.get(image.machine, _PAGE)
    least = min((load.alignment for load in image.of_type(LOAD)), default=largest)
    if _PAGE <= least < largest:
        yield (
            f"is aligned to {least >> 10} KiB: "
            f"machines with pages of {largest >> 10} KiB cannot load it"
        )


def _holding(image: Image, address: int, size: int, *, zeros: bool = False) -> Segment | None:
    """The load that brings some bytes of the file into memory, or `zeros` behind them too."""
    for load in image.segments:
        start, extent = load.address, load.memory if zeros else load.size
        if load.type == LOAD and start <= address and address + size <= start + extent:
            return load
    return None


_PARTS: Final = (_loads, _mapped, _tables, _names, _sections)
