"""The frame of a Mach-O file (Apple's `mach-o/loader.h` and `mach-o/fat.h`).

A file is one image, or a table of images for several machines. An image is a header, load commands,
and what these point to. Everything is bounds-checked here or on its way through `Window`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from builder.binary.model import BinaryError
from builder.binary.window import Window

__all__ = [
    "CODE_SIGNATURE",
    "DYLD_INFO",
    "DYSYMTAB",
    "EXPORTS_TRIE",
    "LINKEDIT",
    "LOADED",
    "MOST_NAMES",
    "SYMTAB",
    "Command",
    "Image",
    "Place",
    "Segment",
    "Slice",
    "open_image",
]

_REQUIRED: Final = 0x80000000
"""The bit of commands that a loader must understand."""
SYMTAB, DYSYMTAB, CODE_SIGNATURE, EXPORTS_TRIE = 0x2, 0xB, 0x1D, 0x33 | _REQUIRED
DYLD_INFO: Final = (0x22, 0x22 | _REQUIRED)
_SEGMENTS: Final = {
    0x1: ("IIIIIIII", 56, "32xIIIIIIIII", 68),
    0x19: ("QQQQIIII", 72, "32xQQIIIIIIII", 80),
}
"""Segments: the fields behind the name and where they end; those of a section and its size."""
_NAME_END: Final = 24
_LINKEDIT_DATA: Final = frozenset(
    {CODE_SIGNATURE, 0x1E, 0x26, 0x29, 0x2B, 0x2E, EXPORTS_TRIE, 0x34 | _REQUIRED, 0x36, 0x37}
)
"""Commands that are an offset and a size: signature, splits, function starts, chained fixups, …"""
_TABLES: Final = {0: 8, 2: 56, 4: 4, 6: 4, 8: 8, 10: 8}
"""The tables of the dynamic symbol table: place in the command, and the size of an entry."""
_ONCE: Final = frozenset({SYMTAB, DYSYMTAB, CODE_SIGNATURE, EXPORTS_TRIE, 0xD, 0x22 | _REQUIRED})
LINKEDIT: Final = b"__LINKEDIT"
_ZEROFILL: Final = frozenset({0x1, 0xC, 0x12})

_THIN: Final[dict[bytes, tuple[Literal["<", ">"], Literal[32, 64]]]] = {
    b"\xce\xfa\xed\xfe": ("<", 32),
    b"\xcf\xfa\xed\xfe": ("<", 64),
    b"\xfe\xed\xfa\xce": (">", 32),
    b"\xfe\xed\xfa\xcf": (">", 64),
}
_FAT: Final = {b"\xca\xfe\xba\xbe": ("IIIII", 20), b"\xca\xfe\xba\xbf": ("IIQQII", 32)}
_ARCHIVE: Final = b"!<arch>\n"
_OBJECT: Final = 1
LOADED: Final = frozenset({2, 6, 7, 8})
"""Programs, libraries, the loader itself and plug-ins."""
_MOST_MACHINES: Final = 64
MOST_NAMES: Final = 1 << 19
"""Of one kind, in one image."""
_LONGEST_COMMANDS: Final = 1 << 20
"""Bytes; the largest programs have a few ten thousand."""
_MOST_COMMANDS: Final = 1 << 13

_MACHINES: Final = {
    (7, 3): "i386",
    (0x01000007, 3): "x86_64",
    (0x01000007, 8): "x86_64h",
    (12, 6): "armv6",
    (12, 9): "armv7",
    (12, 11): "armv7s",
    (12, 12): "armv7k",
    (0x0100000C, 0): "arm64",
    (0x0100000C, 1): "arm64",
    (0x0100000C, 2): "arm64e",
    (0x0200000C, 0): "arm64_32",
    (0x0200000C, 1): "arm64_32",
}
_FAMILIES: Final = {
    7: "i386",
    12: "arm",
    18: "ppc",
    0x01000007: "x86_64",
    0x0100000C: "arm64",
    0x01000012: "ppc64",
}
"""By processor and model, and by processor alone."""


class Command(NamedTuple):
    """A load command: its number, and where it is in its image."""

    kind: int
    offset: int
    size: int


class Segment(NamedTuple):
    """A segment: the command it is from, and the part of the image that it maps."""

    command: Command
    name: bytes
    offset: int
    size: int

    @property
    def end(self) -> int:
        """The first byte behind it in the image."""
        return self.offset + self.size


class Place(NamedTuple):
    """A stretch of an image that a load command of some kind points to."""

    kind: int
    offset: int
    size: int

    @property
    def end(self) -> int:
        """The first byte behind it."""
        return self.offset + self.size


@dataclass(frozen=True, slots=True)
class Slice:
    """The image for one machine; an archive of objects has no load commands.

    Offsets count from its own start, which is at `offset` of the file. `alignment` is that of the
    start as a power of two.
    """

    window: Window
    machine: str
    bits: Literal[32, 64]
    type: int = _OBJECT
    flags: int = 0
    offset: int = 0
    alignment: int = 0
    commands: tuple[Command, ...] = ()
    commands_end: int = 0

    @property
    def size(self) -> int:
        """The number of bytes."""
        return len(self.window.view)

    @property
    def header_size(self) -> int:
        """Where the load commands begin."""
        return 32 if self.bits == 64 else 28  # noqa: PLR2004  # a class, not a number

    def of(self, *kinds: int) -> Iterator[Command]:
        """The load commands of some kinds, in their order."""
        return (command for command in self.commands if command.kind in kinds)

    def fields(self, command: Command, fields: str, at: int = 8) -> tuple[int, ...]:
        """Numbers in a load command; an error when it is shorter."""
        inside = Window(self._inside(command), self.window.order)
        return inside.numbers(fields, at, f"load command {command.kind:#x} at {command.offset:#x}")

    def text(self, command: Command, least: int) -> bytes:
        """The text in a load command, whose place is its first field and at least `least`."""
        (place,) = self.fields(command, "I")
        if not least <= place <= command.size:
            raise BinaryError(
                f"load command {command.kind:#x} at {command.offset:#x}: its text is at {place}"
            )
        return bytes(self._inside(command)[place:]).partition(b"\0")[0]

    def raw(self, command: Command) -> bytes:
        """All bytes of a load command."""
        return bytes(self._inside(command))

    def _inside(self, command: Command) -> memoryview:
        return self.window.cut(command.offset, command.size, "load command")

    @property
    def segments(self) -> tuple[Segment, ...]:
        """What is mapped, in the order of the load commands."""
        return tuple(self._segments())

    def _segments(self) -> Iterator[Segment]:
        for command in self.of(*_SEGMENTS):
            _, _, offset, size, *_ = self.fields(command, _SEGMENTS[command.kind][0], _NAME_END)
            name = self.raw(command)[8:_NAME_END].rstrip(b"\0")
            yield Segment(command, name, offset, size)

    @property
    def linkedit(self) -> Segment | None:
        """The segment with the tables for the linker and the loader."""
        return next((segment for segment in self.segments if segment.name == LINKEDIT), None)

    @property
    def tables(self) -> tuple[Place, ...]:
        """Every table for linker and loader that is not empty; the signature is one of them."""
        return tuple(place for place in self._tables() if place.size)

    def _tables(self) -> Iterator[Place]:
        entry = 16 if self.bits == 64 else 12  # noqa: PLR2004  # a class, not a number
        for command in self.of(*_LINKEDIT_DATA):
            yield Place(command.kind, *self.fields(command, "II"))
        for command in self.of(SYMTAB):
            offset, count, strings, size = self.fields(command, "IIII")
            yield Place(SYMTAB, offset, count * entry)
            yield Place(SYMTAB, strings, size)
        for command in self.of(DYSYMTAB):
            rows = self.fields(command, "12I", 32)
            for at, width in _TABLES.items():
                yield Place(DYSYMTAB, rows[at], rows[at + 1] * width)
        for command in self.of(*DYLD_INFO):
            rows = self.fields(command, "10I")
            for at in range(0, 10, 2):
                yield Place(command.kind, rows[at], rows[at + 1])

    @property
    def room_end(self) -> int:
        """Where the bytes end that load commands may grow into: the first that has another use."""
        starts = [place.offset for place in self.tables]
        for segment in self.segments:
            inside = list(self._contents(segment.command))
            starts += inside
            if segment.size and (segment.offset or not inside):
                # The first segment holds the header; without sections, only its end is known.
                starts.append(segment.offset or segment.offset + segment.size)
        return min(starts, default=self.size)

    def _contents(self, command: Command) -> Iterator[int]:
        """Where the sections of a segment begin, of those that have bytes in the file."""
        fields, start, section, step = _SEGMENTS[command.kind]
        count = self.fields(command, fields, _NAME_END)[6]
        if start + count * step > command.size:
            raise BinaryError(f"segment at {command.offset:#x}: {count} sections do not fit in it")
        for at in range(start, start + count * step, step):
            _, length, offset, _, _, _, flags, *_ = self.fields(command, section, at)
            if length and offset and flags & 0xFF not in _ZEROFILL:
                yield offset


@dataclass(frozen=True, slots=True)
class Image:
    """The whole file: its images, and for several machines the `struct` letters of a row of its table."""

    view: memoryview
    slices: tuple[Slice, ...]
    row: str = ""

    def naming(self, part: Slice) -> AbstractContextManager[None]:
        """Errors in here say which machine they are about, when there are several."""
        return _about(part.machine) if self.row else nullcontext()


def open_image(view: memoryview) -> Image:
    """The images of a file, headers and load commands only. Raises `BinaryError`."""
    magic = bytes(view[:4])
    if magic not in _FAT:
        return Image(view, (_open(view, 0, 0),))
    table = Window(view, ">")
    fields, size = _FAT[magic]
    (count,) = table.numbers("I", 4, "table of machines")
    if not 0 < count <= _MOST_MACHINES:
        raise BinaryError(f"table of machines: {count} of them")
    rows = tuple(table.rows(fields, 8, count, "table of machines"))
    end = 8 + size * count
    for _, _, offset, length, *_ in sorted(rows, key=lambda row: row[2]):
        if offset < end:
            raise BinaryError(f"table of machines: the image at {offset:#x} overlaps another")
        table.cut(offset, length, "image of a machine")
        end = offset + length
    return Image(view, tuple(_slice(table, row) for row in rows), fields)


def _slice(table: Window, row: tuple[int, ...]) -> Slice:
    processor, model, offset, size, alignment, *_ = row
    view = table.view[offset : offset + size]
    if bytes(view[:8]) == _ARCHIVE:
        bits: Literal[32, 64] = 64 if processor >> 24 == 1 else 32
        name = _machine(processor, model)
        return Slice(Window(view, "<"), name, bits, offset=offset, alignment=alignment)
    with _about(_machine(processor, model)):
        found = _open(view, offset, alignment)
    if found.machine != _machine(processor, model):
        raise BinaryError(
            f"table of machines: the image at {offset:#x} is for {found.machine}, "
            f"not {_machine(processor, model)}"
        )
    return found


def _open(view: memoryview, offset: int, alignment: int) -> Slice:
    """One image."""
    magic = bytes(view[:4])
    if magic not in _THIN:
        raise BinaryError(f"image at {offset:#x}: begins with {magic.hex(' ') or 'nothing'}")
    order, bits = _THIN[magic]
    window = Window(view, order)
    _, processor, model, type_, count, size, flags = window.numbers("7I", 0, "header")
    start = 32 if bits == 64 else 28  # noqa: PLR2004  # a class, not a number
    if size > _LONGEST_COMMANDS:
        raise BinaryError(f"header: {size} bytes of load commands")
    window.cut(start, size, "load commands")
    commands = _commands(window, start, count, start + size)
    return Slice(
        window=window,
        machine=_machine(processor, model),
        bits=bits,
        type=type_,
        flags=flags,
        offset=offset,
        alignment=alignment,
        commands=commands,
        commands_end=commands[-1].offset + commands[-1].size if commands else start,
    )


def _commands(window: Window, place: int, count: int, end: int) -> tuple[Command, ...]:
    found: list[Command] = []
    for _ in range(count):
        if place + 8 > end:
            raise BinaryError(f"load commands: {count} of them do not fit in what the header says")
        kind, size = window.numbers("II", place, "load command")
        if size < 8 or size % 4 or place + size > end:  # noqa: PLR2004  # its own two numbers
            raise BinaryError(f"load command {kind:#x} at {place:#x}: {size} bytes")
        found.append(Command(kind, place, size))
        place += size
        if len(found) > _MOST_COMMANDS:
            raise BinaryError(f"load commands: more than {_MOST_COMMANDS} of them")
    for kind in _ONCE:
        if sum(command.kind == kind for command in found) > 1:
            raise BinaryError(f"load commands: {kind:#x} is there more than once")
    return tuple(found)


@contextmanager
def _about(machine: str) -> Iterator[None]:
    try:
        yield
    except BinaryError as error:
        raise BinaryError(f"{machine}: {error.message}", hint=error.hint) from error


def _machine(processor: int, model: int) -> str:
    """The name of a machine; the upper bits of the model are capabilities."""
    name = _MACHINES.get((processor, model & 0xFFFFFF))
    return name or _FAMILIES.get(processor) or f"machine{processor:#x}"
