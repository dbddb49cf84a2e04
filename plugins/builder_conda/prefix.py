"""Where a build prefix is in a file: whole, which an installer replaces, or in pieces, which nobody does.

Compilers make 16-byte constants and immediate operands of a long text that is copied at once (a
`std::string` that begins with the prefix): there is no place left where it stands as a whole, nothing
to record in `paths.json`, and the installed program looks where the package was built.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from builder.archive.conda_package import FileMode
from builder.binary.elf.image import LOAD, Image, Segment, open_image
from builder.binary.model import BinaryError

__all__ = ["Leak", "leaks", "mode_of", "occurrences"]

_PAD: Final = b"placehold_"
_GRAM: Final = len(_PAD) - 2
"""Of a padded prefix, as much as one immediate operand holds."""
_PIECE: Final = 16
"""Of any other one, as much as one constant holds."""
_ANCHOR: Final = 8
_WINDOW: Final = 1 << 20
_NEAR: Final = 16
"""Pieces that are not farther apart are of one text."""
_MOST: Final = 1000
_AROUND: Final = 48
_X86_64: Final = 62
_EXECUTABLE: Final = 1
_TABLES: Final = (2, 11)
"""Section types of symbols: all of them, and those of the dynamic linker."""
_FUNCTION: Final = 2
_MOST_CODE: Final = 64 << 20
_PRINTABLE: Final = re.compile(rb"[\x20-\x7e]+")


@dataclass(frozen=True, slots=True)
class Leak:
    """A piece of a prefix: where it begins, how long it is, the text there, the function that uses it.

    `function` is the linker's name for it, empty where no symbol says so.
    """

    offset: int
    size: int
    text: str
    function: str = ""

    def __str__(self) -> str:
        where = f"in `{self.function}`" if self.function else f"near {self.text!r}"
        return (
            f"{self.size} bytes of the build prefix at {self.offset:#x}, {where}: the compiler cut it into "
            "pieces that no installer can replace"
        )


def occurrences(windows: Iterable[bytes], prefix: bytes) -> tuple[int, ...]:
    """Where the whole prefix begins in a content that comes in pieces."""
    found: list[int] = []
    tail, place = b"", 0
    for window in windows:
        data = tail + window
        start = data.find(prefix)
        while start >= 0:
            found.append(place + start)
            start = data.find(prefix, start + 1)
        keep = min(len(prefix) - 1, len(data))
        tail = data[len(data) - keep :]
        place += len(data) - keep
    return tuple(found)


def mode_of(content: bytes | memoryview) -> FileMode:
    """How an installer has to replace a prefix in a content: padded with zeros where there are some."""
    return "binary" if b"\0" in bytes(content) else "text"


def leaks(content: memoryview, prefix: str) -> tuple[Leak, ...]:
    """Pieces of a prefix that stand in no whole occurrence, in the order of the file.

    Of an ELF file only what is loaded counts. A damaged one is looked at as bytes.
    """
    raw = prefix.encode()
    pieces = _pieces(raw)
    if not pieces or not _may_hold(content, pieces):
        return ()
    data = bytes(content)
    pattern = re.compile(b"(?=" + b"|".join(map(re.escape, pieces)) + b")")
    size = len(pieces[0])
    whole = occurrences((data,), raw)
    loose = (match.start() for match in pattern.finditer(data))
    runs = _runs((at for at in loose if not _is_within(at, size, whole, len(raw))), size)
    image = _image(content)
    if image is not None:
        loads = image.of_type(LOAD)
        runs = [run for run in runs if _address(loads, run[0]) is not None]
    runs = runs[:_MOST]
    functions = _functions_of(image, runs) if image is not None and runs else {}
    return tuple(
        Leak(start, end - start, _text(data, start, end), functions.get(start, ""))
        for start, end in runs
    )


def _pieces(prefix: bytes) -> tuple[bytes, ...]:
    """What tells a piece of this prefix from any other text."""
    if 2 * _PAD in prefix:
        # Without the first two: many a program has the word `placeholder` in it.
        return tuple((2 * _PAD)[start : start + _GRAM] for start in range(2, len(_PAD)))
    # What lies before the last folder is the beginning of other paths as well.
    first = max(0, prefix.rstrip(b"/").rfind(b"/") + 2 - _PIECE)
    return tuple(prefix[at : at + _PIECE] for at in range(first, len(prefix) - _PIECE + 1))


def _may_hold(content: memoryview, pieces: Sequence[bytes]) -> bool:
    """Whether some piece may be in a content: nearly none has any, and looking for each takes long."""
    anchors = _anchors(pieces)
    windows = (
        bytes(content[at : at + _WINDOW + _ANCHOR]) for at in range(0, len(content), _WINDOW)
    )
    return any(anchor in window for window in windows for anchor in anchors)


def _anchors(pieces: Sequence[bytes]) -> tuple[bytes, ...]:
    """Few short texts, one of which is in every piece; the pieces follow each other, a byte apart."""
    text = pieces[0] + b"".join(piece[-1:] for piece in pieces[1:])
    step = len(pieces[0]) - _ANCHOR + 1
    return tuple(text[at : at + _ANCHOR] for at in range(0, len(text) - _ANCHOR + 1, step))


def _is_within(at: int, size: int, whole: Sequence[int], length: int) -> bool:
    index = bisect_right(whole, at) - 1
    return index >= 0 and at + size <= whole[index] + length


def _runs(places: Iterable[int], size: int) -> list[tuple[int, int]]:
    """Begin and end of pieces that lie together."""
    found: list[tuple[int, int]] = []
    for at in places:
        if found and at <= found[-1][1] + _NEAR:
            found[-1] = (found[-1][0], at + size)
        else:
            found.append((at, at + size))
    return found


def _text(data: bytes, start: int, end: int) -> str:
    """The letters around a piece, or the piece."""
    around = data[max(0, start - _AROUND) : min(end, start + _AROUND) + _AROUND]
    longest = max(_PRINTABLE.findall(around), key=len, default=data[start:end])
    return longest[: 2 * _AROUND].decode("ascii", "backslashreplace")


def _image(content: memoryview) -> Image | None:
    if bytes(content[:4]) != b"\x7fELF":
        return None
    try:
        image = open_image(content)
        image.sections()
    except BinaryError:
        return None
    return image


def _functions_of(image: Image, runs: Sequence[tuple[int, int]]) -> dict[int, str]:
    """The function that uses each piece, by its offset, where a symbol and the code tell."""
    symbols = _symbols(image)
    if not symbols:
        return {}
    loads = image.of_type(LOAD)
    found: dict[int, str] = {}
    elsewhere: list[tuple[int, int, int]] = []
    for start, end in runs:
        address = _address(loads, start)
        assert address is not None, "others were left out"
        if name := _name_at(symbols, address):
            found[start] = name
        else:
            elsewhere.append((address, address + end - start, start))
    if elsewhere and image.machine == _X86_64:
        for user, target in _references(image, elsewhere):
            if target not in found and (name := _name_at(symbols, user)):
                found[target] = name
    return found


def _references(image: Image, wanted: Sequence[tuple[int, int, int]]) -> Iterator[tuple[int, int]]:
    """Addresses of code that names one of these ranges relative to itself, and which it is.

    Any four bytes that would lead there count: this is only asked when there is a leak.
    """
    low, high = min(row[0] for row in wanted), max(row[1] for row in wanted)
    for segment in image.of_type(LOAD):
        if not segment.flags & _EXECUTABLE or segment.size > _MOST_CODE:
            continue
        code = bytes(image.window.cut(segment.offset, segment.size, "code"))
        for shift in range(4):
            words = memoryview(code)[shift : shift + (len(code) - shift) // 4 * 4].cast("i")
            base = segment.address + shift + 4
            for index, distance in enumerate(words):
                target = base + 4 * index + distance
                if low <= target < high:
                    hit = next((row for row in wanted if row[0] <= target < row[1]), None)
                    if hit is not None:
                        yield base + 4 * index - 4, hit[2]


def _symbols(image: Image) -> list[tuple[int, int, str]]:
    """Begin, end and name of every function, sorted; of the whole table where there is one."""
    if image.layout.bits != 64:  # noqa: PLR2004  # a class, not a number
        return []
    sections = image.sections()
    for kind in _TABLES:
        table = next((section for section in sections if section.type == kind), None)
        if table is None or not table.link < len(sections):
            continue
        try:
            return _functions(image, table.offset, table.size, sections[table.link].offset)
        except BinaryError:
            return []
    return []


def _functions(image: Image, offset: int, size: int, strings: int) -> list[tuple[int, int, str]]:
    found = []
    rows = image.window.rows("IBBHQQ", offset, size // 24, "symbols")
    for name, info, _, section, value, length in rows:
        if info & 15 == _FUNCTION and section and length:
            text = bytes(image.window.view[strings + name : strings + name + 256])
            found.append(
                (value, value + length, text.partition(b"\0")[0].decode("utf-8", "replace"))
            )
    return sorted(found)


def _name_at(symbols: Sequence[tuple[int, int, str]], address: int) -> str:
    index = bisect_right(symbols, (address, 1 << 64, "")) - 1
    return symbols[index][2] if index >= 0 and address < symbols[index][1] else ""


def _address(loads: Sequence[Segment], offset: int) -> int | None:
    for segment in loads:
        if segment.offset <= offset < segment.offset + segment.size:
            return offset - segment.offset + segment.address
    return None
