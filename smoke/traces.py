"""Traces in the bytes of one file: paths of the building machine, and secrets.

A path counts as a whole: `/home/me` is neither found in `/home/mere` nor in `/mnt/home/me`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from smoke.subject import Trace

__all__ = ["Scan", "scanner", "secrets"]

Scan = Callable[[Iterable[bytes]], tuple[Trace, ...]]

_MOST: Final = 3
"""Traces that are told of one file."""
_ENOUGH: Final = 1000
"""Traces after which a file is known to be full of them."""
_WORD: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-")
_BEFORE, _AFTER = 40, 120
"""Bytes of text that are shown around a trace."""
_SECRETS: Final = tuple(
    (start, re.compile(rb"(?<![A-Za-z0-9])" + re.escape(start) + rest))
    for start, rest in (
        (b"-----BEGIN ", rb"(?:[A-Z]+ )?PRIVATE KEY-----[\s\\nr]+[A-Za-z0-9+/=]{16}"),
        (b"AKIA", rb"[0-9A-Z]{16}(?![A-Za-z0-9])"),
        (b"ghp_", rb"[A-Za-z0-9]{36}(?![A-Za-z0-9])"),
        (b"gho_", rb"[A-Za-z0-9]{36}(?![A-Za-z0-9])"),
        (b"ghs_", rb"[A-Za-z0-9]{36}(?![A-Za-z0-9])"),
        (b"github_pat_", rb"[A-Za-z0-9_]{82}"),
        (b"glpat-", rb"[A-Za-z0-9_-]{20}(?![A-Za-z0-9])"),
        (b"npm_", rb"[A-Za-z0-9]{36}(?![A-Za-z0-9])"),
        (b"pypi-AgE", rb"[A-Za-z0-9_-]{60}"),
        (b"xoxb-", rb"[0-9]{10,}-[A-Za-z0-9-]{10}"),
        (b"xoxp-", rb"[0-9]{10,}-[A-Za-z0-9-]{10}"),
        (b"sk_live_", rb"[A-Za-z0-9]{24}"),
    )
)
"""Keys and tokens whose issuers gave them a form of their own: nothing else is written like this.

Each with how it begins.
"""
_BAR: Final = (
    rb"_(?<=gh[pos]_|npm_|pat_|ive_)[A-Za-z0-9_]{24}"
    rb"(?:(?<=gh[pos]_.{24})|(?<=npm_.{24})|(?<=github_pat_.{24})|(?<=sk_live_.{24}))"
)
_DASH: Final = rb"-(?<=KEY-|pat-|ypi-|oxb-|oxp-)(?:----|[A-Za-z0-9_-]{12})"
_HINTS: Final = tuple(re.compile(hint).search for hint in (rb"AKIA", _BAR, _DASH))
"""One of them finds something in every text with a secret, and in hardly any other.

Each begins with a plain letter, which `re` looks for quickly, and stands for all forms that share it:
to look for how each form begins takes three times as long.
"""
_SHOWN: Final = 12


def scanner(paths: Sequence[str]) -> Scan:
    """A function that finds the first places where one of the paths is written into a stream."""
    needles = sorted({text.rstrip("/").encode() for text in paths} - {b""})
    if not needles:
        return lambda _windows: ()
    overlap = max(map(len, needles)) + 1

    def scan(windows: Iterable[bytes]) -> tuple[Trace, ...]:
        found: dict[int, Trace] = {}
        for start, window, is_last in _overlapping(windows, overlap):
            for needle in needles:
                for place in _whole(window, needle, is_first=not start, is_last=is_last):
                    if len(found) < _ENOUGH:
                        excerpt = _excerpt(window, place)
                        found.setdefault(start + place, Trace(start + place, excerpt))
        return tuple(found[offset] for offset in sorted(found)[:_MOST])

    return scan


def secrets(content: bytes) -> tuple[Trace, ...]:
    """Private keys and access tokens in a text; what is shown of them is of no use to anybody."""
    for hint in _HINTS:
        if hint(content):
            break
    else:
        return ()
    found = [
        Trace(match.start(), f"{match[0][:_SHOWN].decode('ascii', 'replace')}...", "secret")
        for start, form in _SECRETS
        if start in content
        for match in form.finditer(content)
    ]
    return tuple(sorted(found, key=lambda trace: trace.offset)[:_MOST])


def _whole(window: bytes, needle: bytes, *, is_first: bool, is_last: bool) -> Iterator[int]:
    """Where a path begins that is not a part of a longer word.

    A hit at an inner edge lacks the byte beyond it; the neighbouring window has it.
    """
    place = window.find(needle)
    while place >= 0:
        end = place + len(needle)
        before = window[place - 1] if place else None
        after = window[end] if end < len(window) else None
        known = (before is not None or is_first) and (after is not None or is_last)
        if known and before not in _WORD and after not in _WORD:
            yield place
        place = window.find(needle, place + 1)


def _overlapping(windows: Iterable[bytes], overlap: int) -> Iterator[tuple[int, bytes, bool]]:
    """Each window with the end of the one before it, its offset, and whether it is the last."""
    offset, tail = 0, b""
    pending: tuple[int, bytes] | None = None
    for window in windows:
        if pending:
            yield *pending, False
        pending = (offset - len(tail), tail + window)
        offset += len(window)
        tail = pending[1][-overlap - 1 :]
    if pending:
        yield *pending, True


def _excerpt(window: bytes, start: int) -> str:
    """The text around a hit, as `strings` would show it."""
    end = begin = start
    while end < len(window) and end - start < _AFTER and 32 <= window[end] < 127:  # noqa: PLR2004  # printable ASCII
        end += 1
    while begin > 0 and start - begin < _BEFORE and 32 <= window[begin - 1] < 127:  # noqa: PLR2004  # printable ASCII
        begin -= 1
    return window[begin:end].decode("ascii")
