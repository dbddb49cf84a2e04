"""The tables of a PE file that name others or are named by them: imports, delay imports, exports."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from builder.binary.model import BinaryError
from builder.binary.pe.image import Directory, Image, Texts

__all__ = [
    "Exports",
    "Import",
    "exports_of",
    "folded",
    "forwards_of",
    "functions_of",
    "imports_of",
    "names_of",
    "symbols_of",
    "text",
]

_DESCRIPTOR: Final = ("IIIII", 20)  # lookup table, timestamp, forwarder chain, name, address table
_DELAYED: Final = ("I" * 8, 32)
"""Attributes, name, module handle, address table, lookup table, bound table, unload table,
timestamp."""
_DELAYED_BY_ADDRESS: Final = 1
_EXPORTS: Final = ("12xIIIIII4x", 40)
"""Name, first ordinal, number of functions and of names, functions, names."""
_MOST_LIBRARIES: Final = 0x4000
_MOST_SYMBOLS: Final = 1 << 18
"""Of all libraries together; each exports 65535 at most."""
_ORDINAL: Final = 0xFFFF


@dataclass(frozen=True, slots=True)
class Import:
    """One library that is imported: `at` is the place of its descriptor in the file.

    `name_at` is the address of the name. Addresses in the descriptor and its lookup table count
    from `base`: 0, but the image's base in the delay imports of Visual C++ 6. `bound` says that its
    addresses were looked up beforehand, and `lookups` where the names to do it again are, if any.
    """

    at: int
    name: bytes
    name_at: int
    lookups: int
    addresses: int
    base: int
    delayed: bool
    bound: bool


@dataclass(frozen=True, slots=True)
class Exports:
    """The export directory: its place in the file, its name, and where its tables are."""

    at: int
    name: bytes
    name_at: int
    functions: tuple[int, int]
    names: tuple[int, int]
    """Address and number."""


def imports_of(image: Image) -> tuple[Import, ...]:
    """What is imported, in the order of the loader; the delayed ones last."""
    texts = Texts(image)
    return (*_imports(image, texts), *_delayed(image, texts))


def _imports(image: Image, texts: Texts) -> Iterator[Import]:
    what = "import directory"
    fields, size = _DESCRIPTOR
    for address in _descriptors(image, Directory.IMPORT, size, what):
        lookups, time, _, name_at, addresses = image.numbers(fields, address, size, what)
        if not name_at or not addresses:
            return
        at = image.place(address, size, what)
        name = _library(texts, name_at, what)
        yield Import(at, name, name_at, lookups, addresses, 0, delayed=False, bound=bool(time))


def _delayed(image: Image, texts: Texts) -> Iterator[Import]:
    what = "delay import directory"
    fields, size = _DELAYED
    for address in _descriptors(image, Directory.DELAY_IMPORT, size, what):
        flags, name_at, _, addresses, lookups, _, _, time = image.numbers(
            fields, address, size, what
        )
        if not name_at:
            return
        base = 0 if flags & _DELAYED_BY_ADDRESS else image.base
        at = image.place(address, size, what)
        name = _library(texts, name_at - base, what)
        yield Import(
            at, name, name_at - base, lookups - base, addresses - base, base,
            delayed=True, bound=bool(time),
        )  # fmt: skip


def _descriptors(image: Image, which: int, size: int, what: str) -> Iterator[int]:
    """The addresses of the descriptors of a table, whose end only its last one tells."""
    start = image.directory(which)[0]
    if start:
        yield from range(start, start + _MOST_LIBRARIES * size, size)
        raise BinaryError(f"{what} at {start:#x}: more libraries than there can be")


def _library(texts: Texts, address: int, what: str) -> bytes:
    name = texts.at(address, f"{what}: name")
    if not name:
        raise BinaryError(f"{what}: the name at {address:#x} is empty")
    return name


def symbols_of(image: Image, libraries: Sequence[Import]) -> Iterator[tuple[Import, str]]:
    """Every symbol that is imported, with its library; one without a name is `#` and a number."""
    texts = Texts(image)
    left = _MOST_SYMBOLS
    for library in libraries:
        for symbol in _symbols(image, library, texts):
            left -= 1
            if left < 0:
                raise BinaryError("import lookup tables: more symbols than there can be")
            yield library, symbol


def _symbols(image: Image, library: Import, texts: Texts) -> Iterator[str]:
    wide = image.layout.bits == 64  # noqa: PLR2004  # a class, not a number
    size, flag = (8, 1 << 63) if wide else (4, 1 << 31)
    start = library.lookups if library.lookups > 0 else library.addresses
    offset, left = image.stretch(start, "import lookup table")
    for (entry,) in image.window.rows("Q" if wide else "I", offset, left // size, "lookup table"):
        if not entry:
            return
        if entry & flag:
            yield f"#{entry & _ORDINAL}"
        else:
            # A number that helps to find the name stands before it.
            yield text(texts.at(entry - library.base + 2, "imported name"))
    raise BinaryError(f"import lookup table at {start:#x} has no end")


def exports_of(image: Image) -> Exports | None:
    """The export directory; None when nothing is offered."""
    address = image.directory(Directory.EXPORT)[0]
    if not address:
        return None
    fields, size = _EXPORTS
    what = "export directory"
    name_at, _, functions, names, function_table, name_table = image.numbers(
        fields, address, size, what
    )
    if max(functions, names) > _MOST_SYMBOLS:
        raise BinaryError(f"{what} at {address:#x}: more symbols than there can be")
    name = Texts(image).at(name_at, f"{what}: name") if name_at else b""
    at = image.place(address, size, what)
    return Exports(at, name, name_at, (function_table, functions), (name_table, names))


def names_of(image: Image, exports: Exports) -> Iterator[str]:
    """The names of what is exported, in the order of their table, which is sorted."""
    texts = Texts(image)
    for address in _addresses(image, *exports.names):
        yield text(texts.at(address, "exported name"))


def functions_of(image: Image, exports: Exports) -> Iterator[int]:
    """The address of everything that is exported; for what is forwarded, that of a text."""
    return _addresses(image, *exports.functions)


def forwards_of(image: Image, exports: Exports) -> Iterator[str]:
    """The libraries to which exports are forwarded, without suffix, as often as they are named."""
    texts = Texts(image)
    start, size = image.directory(Directory.EXPORT)
    for address in functions_of(image, exports):
        if start <= address < start + size:
            yield text(texts.at(address, "forwarder")).rpartition(".")[0]


def _addresses(image: Image, start: int, count: int) -> Iterator[int]:
    if not count:
        return
    offset = image.place(start, 4 * count, "export tables")
    for (address,) in image.window.rows("I", offset, count, "export tables"):
        yield address


def text(raw: bytes) -> str:
    r"""A name as it is shown: UTF-8, with `\xNN` for what is none."""
    return raw.decode("utf-8", "backslashreplace")


def folded(raw: bytes) -> str:
    """A name of a library for comparison: Windows does not care for case."""
    return text(raw).lower()
