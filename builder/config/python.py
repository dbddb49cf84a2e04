"""One CPython ABI, and every way people have spelled it.

Tags follow the platform compatibility specification (PEP 425): up to 3.7 the ABI tag carries `m`
(pymalloc), 2.7 also comes as `mu` (wide unicode), from 3.13 on `t` marks the free-threaded build.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

from builder.errors import UsageError

__all__ = ["Python", "parse_pythons"]

_LAST_PYMALLOC: Final = (3, 7)
_LAST_WIDE_UNICODE: Final = (3, 2)
_FIRST_FREE_THREADED: Final = (3, 13)

_DOTTED = re.compile(r"(?P<major>[1-9])\.(?P<minor>0|[1-9][0-9]*)(?P<flags>mu|m|t|)")
_COMPACT = re.compile(r"(?:cp)?(?P<major>[1-9])(?P<minor>0|[1-9][0-9]*)(?P<flags>mu|m|t|)")
_TAG_PAIR = re.compile(r"(?P<interpreter>cp[1-9][0-9]+)-(?P<abi>(?P=interpreter)[a-z]*)")
_HINT = "write it like 3.11, 3.7m, 2.7mu, 3.13t, cp311 or cp37-cp37m"


@dataclass(frozen=True, slots=True, order=True)
class Python:
    """One CPython ABI; `str` is its ABI tag (`cp37m`, `cp311`, `cp313t`), `parse` the inverse.

    `abiflags` is "" | "m" | "mu" | "t". A combination that never existed raises `UsageError`.
    """

    major: int
    minor: int
    abiflags: str = ""

    def __post_init__(self) -> None:
        if not 1 <= self.major <= 9 or self.minor < 0:  # noqa: PLR2004 - one digit keeps tags bijective
            raise UsageError(f"no such Python: {self.major}.{self.minor}", hint=_HINT)
        possible = _possible_flags(self.major, self.minor)
        if self.abiflags not in possible:
            raise UsageError(
                f"Python {self.version} has no ABI with the flags `{self.abiflags}`",
                hint=f"say {' or '.join(f'`{self.version}{flags}`' for flags in possible)}",
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read any known spelling of one Python.

        Without flags it is the ordinary build (`3.7` is `cp37m`, `3.13` is `cp313`). `m` behind a
        dotted version after 3.7 is what old configurations wrote; it is dropped.
        """
        word = text.strip().lower()
        if pair := _TAG_PAIR.fullmatch(word):
            word = pair["abi"]
        dotted = _DOTTED.fullmatch(word)
        match = dotted or _COMPACT.fullmatch(word)
        if match is None:
            raise UsageError(f"not a Python version: `{text}`", hint=_HINT)
        major, minor, flags = int(match["major"]), int(match["minor"]), match["flags"]
        ordinary = _possible_flags(major, minor)[0]
        if not flags or (dotted and flags == "m"):
            flags = ordinary
        return cls(major, minor, flags)

    def __str__(self) -> str:
        return self.abi_tag

    @property
    def version(self) -> str:
        """The dotted version, `3.7`."""
        return f"{self.major}.{self.minor}"

    @property
    def spelling(self) -> str:
        """The dotted version with its flags, as old job names had it: `3.7m`, `2.7mu`, `3.13t`."""
        return f"{self.version}{self.abiflags}"

    @property
    def interpreter_tag(self) -> str:
        """The python tag of a wheel, `cp37`."""
        return f"cp{self.major}{self.minor}"

    @property
    def abi_tag(self) -> str:
        """The ABI tag of a wheel, `cp37m`."""
        return f"{self.interpreter_tag}{self.abiflags}"

    @property
    def folder(self) -> str:
        """The folder below `opt/python` of a manylinux image, `cp37-cp37m`."""
        return f"{self.interpreter_tag}-{self.abi_tag}"

    @property
    def free_threaded(self) -> bool:
        """Whether this is the build without the global interpreter lock."""
        return self.abiflags == "t"


def parse_pythons(texts: Iterable[str], known: tuple[Python, ...]) -> tuple[Python, ...]:
    """Every Python that `texts` name, in the order given, each once.

    A text holds names, ranges (`3.9-3.13`, both ends included) and `all`, with commas between.
    `all` means `known`. A range names every minor version in it, known or not, so that a missing
    interpreter is noticed; `3.13t-3.14t` is a range of free-threaded builds. All faults at once.
    """
    found: dict[Python, None] = {}
    faults: list[str] = []
    hints: dict[str, None] = {}
    for text in texts:
        for word in filter(None, (part.strip() for part in text.split(","))):
            try:
                found.update(dict.fromkeys(_parse_word(word, known)))
            except UsageError as error:
                faults.append(error.message)
                hints[error.hint] = None
    if faults:
        raise UsageError("cannot read the list of Pythons", faults=faults, hint="; ".join(hints))
    return tuple(found)


def _parse_word(word: str, known: tuple[Python, ...]) -> tuple[Python, ...]:
    if word.lower() == "all":
        if not known:
            raise UsageError("`all` names no Python, because none is known", hint=_HINT)
        return known
    first, dash, last = word.partition("-")
    if not dash or _TAG_PAIR.fullmatch(word.lower()):
        return (Python.parse(word),)
    return _parse_range(word, Python.parse(first), Python.parse(last))


def _parse_range(word: str, first: Python, last: Python) -> tuple[Python, ...]:
    if first.major != last.major:
        raise UsageError(f"`{word}` spans two major versions", hint="give one range for each major")
    if first.minor > last.minor:
        raise UsageError(
            f"`{word}` runs backwards", hint=f"write `{last.spelling}-{first.spelling}`"
        )
    if first.free_threaded != last.free_threaded:
        raise UsageError(
            f"`{word}` mixes free-threaded and ordinary builds",
            hint="end both sides with `t` or neither, and list the others behind a comma",
        )
    if first.free_threaded:
        minors = range(first.minor, last.minor + 1)
        return tuple(Python(first.major, minor, "t") for minor in minors)
    between = range(first.minor + 1, last.minor)
    inner = (
        Python(first.major, minor, _possible_flags(first.major, minor)[0]) for minor in between
    )
    return tuple(dict.fromkeys((first, *inner, last)))


def _possible_flags(major: int, minor: int) -> tuple[str, ...]:
    """ABI flags that this version was ever built with, the ordinary one first."""
    version = (major, minor)
    if version <= _LAST_WIDE_UNICODE:
        return ("m", "mu")
    if version <= _LAST_PYMALLOC:
        return ("m",)
    return ("", "t") if version >= _FIRST_FREE_THREADED else ("",)
