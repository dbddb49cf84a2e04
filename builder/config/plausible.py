"""Whether a glob can match the id of any target at all, known today or not; catches misspelt globs.

The glob runs as a state machine over the fields of an id; a state is a place in the glob.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import translate

from builder.config.python import parse_pythons
from builder.config.target import ABIS, ARCHITECTURES, PACKAGE_TYPES, VARIANTS

__all__ = ["can_match_a_target"]

_COMPANION = re.compile(r"([a-z][a-z0-9]*)_[a-z0-9_]+-")
"""A type that a plugin brings along with a known one is called after that."""
_TOKEN = re.compile(r"\*+|\[!?\]?[^\]]*\]|.", re.DOTALL)


def can_match_a_target(glob: str) -> bool:
    """Whether some target id, with any plausible version in it, matches `glob`."""
    tokens = _TOKEN.findall(glob)
    patterns = [None if token.startswith("*") else re.compile(translate(token)) for token in tokens]
    states = _closed({0}, patterns)
    for words in _fields(glob):
        states = {state for word in words for state in _after(word, states, patterns)}
    return len(patterns) in states


def _after(word: str, states: set[int], patterns: list[re.Pattern[str] | None]) -> set[int]:
    """The states that `word` leads to."""
    for letter in word:
        if not states:
            break
        reached = set()
        for state in states:
            if state == len(patterns):
                continue
            pattern = patterns[state]
            if pattern is None:
                reached.add(state)
            elif pattern.match(letter):
                reached.add(state + 1)
        states = _closed(reached, patterns)
    return states


def _closed(states: Iterable[int], patterns: list[re.Pattern[str] | None]) -> set[int]:
    """`states`, and those behind a star that matches nothing."""
    closed = set(states)
    for state in sorted(closed):
        following = state
        while following < len(patterns) and patterns[following] is None:
            following += 1
            closed.add(following)
    return closed


def _fields(glob: str) -> tuple[tuple[str, ...], ...]:
    """The words that each field of an id may be, with the dashes around it."""
    companion = _COMPANION.match(glob)
    companions = (companion[0],) if companion and companion[1] in PACKAGE_TYPES else ()
    pythons = parse_pythons(["2.7m,2.7mu,3.0-3.40,3.13t-3.40t"], ())
    cuda = [f"cuda{major}{minor}" for major in range(5, 20) for minor in range(12)]
    rocm = [f"rocm{major}.{minor}" for major in range(3, 10) for minor in range(10)]
    patched = [f"{version}.{patch}" for version in rocm for patch in range(5)]
    platforms = [f"{os}_{arch}" for os, arches in ARCHITECTURES.items() for arch in arches]
    variants = [name.replace("-", "_") for names in VARIANTS.values() for name in names]
    return (
        (*(f"{name}-" for name in PACKAGE_TYPES), *companions),
        tuple(f"{name}-" for name in ("none", *pythons)),
        tuple(f"{name}-" for name in ("cpu", "xpu", *cuda, *rocm, *patched)),
        tuple(platforms),
        ("", *(f"-{name}" for name in ABIS)),
        ("", *(f"-{name}" for name in variants)),
    )
