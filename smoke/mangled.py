"""C++ names as they are in a library (Itanium ABI): which of the two layouts of `std::string` they use.

Nothing is demangled. A name is cut into its words, so that what only looks like an abbreviation
(`Ss` inside of an identifier, `basic_string_view` for `basic_string`) is not taken for one.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Final, Literal

__all__ = ["Layout", "layouts_of", "words_of"]

Layout = Literal["cxx11", "old"]

_WORD: Final = re.compile(
    r"(?P<literal>L[a-z]n?\d+E)|(?P<place>[TS][0-9A-Z]*_)|(?P<array>A\d+_)|(?P<short>S[absiodt])"
    r"|(?P<length>\d+)|(?P<other>.)",
    re.DOTALL,
)
_MARKS: Final = ("basic_string", "4list", "Ss", "Sb", "B5cxx11")
"""A name without any of these speaks of neither layout."""
_CLASSES: Final = frozenset({"basic_string", "list"})
_LONGEST: Final = 1 << 14
"""Letters of a name that are looked at."""


def layouts_of(name: str, namespaces: Collection[str]) -> frozenset[Layout]:
    """The layouts that a name speaks of after one of the namespaces, or anywhere when none is given.

    Names of `std` itself are nobody's own; they count for nothing.
    """
    if not name.startswith("_Z") or not any(mark in name for mark in _MARKS):
        return frozenset()
    words = list(words_of(name[2:_LONGEST]))
    if namespaces:
        first = next(
            (at for at, word in enumerate(words) if word[1:] in namespaces and word[0] == "="), None
        )
        words = words[first:] if first is not None else []
    elif _is_of_std(words):
        return frozenset()
    return frozenset(_layouts(words))


def words_of(text: str) -> Iterator[str]:
    """Identifiers with `=` before them, abbreviations (`St`, `Ss`), and all else by its letters."""
    place = 0
    while place < len(text):
        match = _WORD.match(text, place)
        assert match is not None, "any letter is a word"  # invariant
        place = match.end()
        if match["length"]:
            end = place + int(match["length"][:6])
            yield "=" + text[place:end]
            place = end
        else:
            yield match[0]


def _layouts(words: list[str]) -> Iterator[Layout]:
    for at, word in enumerate(words):
        before = words[at - 1] if at else ""
        is_class = word[0] == "=" and word[1:] in _CLASSES
        if (word == "=cxx11" and before == "B") or (is_class and before == "=__cxx11"):
            yield "cxx11"
        elif word in {"Ss", "Sb"} or (word == "=list" and before == "St"):
            yield "old"


def _is_of_std(words: list[str]) -> bool:
    """Whether what is named is in `std`: `_ZSt..`, `_ZNSt..`, `_ZNKSs..`, `_ZTINSt..`."""
    first = next((word for word in words if word not in {*"NKVRO", "T", "I", "V", "S", "G"}), "")
    return first in {"St", "Ss", "Sb", "Sa", "So", "Si", "Sd", "=__gnu_cxx"}
