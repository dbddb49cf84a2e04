"""Which line of a TOML 1.0 document holds which key; `tomllib` does not say.

The scanner trusts that `tomllib` accepted the document: it only finds keys, values are skipped.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping

__all__ = ["KeyPath", "line_of", "lines"]

KeyPath = tuple[str | int, ...]

_SPACE = re.compile(r"[ \t]*")
_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_KEY = re.compile(r"""[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'""")
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}(?!")' "|'''.*?'{3,5}(?!')" r'|"(?:[^"\\\n]|\\.)*"' r"|'[^'\n]*'",
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]}\n#]+|.", re.DOTALL)


def lines(text: str) -> Mapping[KeyPath, int]:
    """The line, counted from 1, of every table, key and array element of a valid document.

    A path holds keys and, for elements of arrays (of tables), their index. Keys that are made by a
    dotted key or header are on the line of that.
    """
    return _Scanner(text).scan()


def line_of(known: Mapping[KeyPath, int], path: KeyPath) -> int:
    """The line of `path`, or of its nearest known ancestor; 1 for the document itself."""
    for length in range(len(path), 0, -1):
        line = known.get(path[:length])
        if line is not None:
            return line
    return 1


class _Scanner:
    """One pass over one document. `place` is the offset of what is read next."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.place = 0
        self.line = 1
        self.known: dict[KeyPath, int] = {}
        self.lengths: dict[KeyPath, int] = {}

    def scan(self) -> Mapping[KeyPath, int]:
        table: KeyPath = ()
        self._take(_BLANK)
        while self.place < len(self.text):
            if self._skip("[["):
                table = self._element(self._header("]]"))
            elif self._skip("["):
                table = self._header("]")
                self._remember(table)
            else:
                self._pair(table)
            self._take(_BLANK)
        return self.known

    def _pair(self, table: KeyPath) -> None:
        """Read `key = value`."""
        path = table
        for key in self._keys():
            path = (*path, key)
            self._remember(path)
        self._skip("=")
        self._take(_SPACE)
        self._value(path)

    def _value(self, path: KeyPath) -> None:
        """Skip a value, remembering what is inside arrays and inline tables."""
        if self._skip("["):
            self._list(path)
        elif self._skip("{"):
            self._take(_BLANK)
            while not self._done("}"):
                self._pair(path)
                self._take(_BLANK)
                self._skip(",")
                self._take(_BLANK)
        elif not self._take(_STRING):
            self._take(_SCALAR)

    def _list(self, path: KeyPath) -> None:
        self._take(_BLANK)
        index = 0
        while not self._done("]"):
            self._remember((*path, index))
            self._value((*path, index))
            self._take(_BLANK)
            self._skip(",")
            self._take(_BLANK)
            index += 1

    def _header(self, end: str) -> KeyPath:
        """The path of `[a.b]`; a name that is an array of tables means its last element."""
        path: KeyPath = ()
        keys = self._keys()
        for position, key in enumerate(keys, start=1):
            path = (*path, key)
            self._remember(path)
            if path in self.lengths and (position < len(keys) or end == "]"):
                path = (*path, self.lengths[path] - 1)
        self._skip(end)
        return path

    def _element(self, path: KeyPath) -> KeyPath:
        """The path of a new element of an array of tables."""
        index = self.lengths.get(path, 0)
        self.lengths[path] = index + 1
        self._remember((*path, index))
        return (*path, index)

    def _keys(self) -> tuple[str, ...]:
        keys = []
        while True:
            self._take(_SPACE)
            keys.append(_unquoted(self._take(_KEY)))
            self._take(_SPACE)
            if not self._skip("."):
                return tuple(keys)

    def _remember(self, path: KeyPath) -> None:
        self.known.setdefault(path, self.line)

    def _done(self, end: str) -> bool:
        """Whether the array or inline table ends here; its end is read."""
        return self._skip(end) or self.place >= len(self.text)

    def _skip(self, word: str) -> bool:
        found = self.text.startswith(word, self.place)
        if found:
            self.place += len(word)
        return found

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.place)
        if match is None:
            return ""
        self.line += match[0].count("\n")
        self.place = match.end()
        return match[0]


def _unquoted(key: str) -> str:
    if key.startswith('"'):
        return str(tomllib.loads(f"key = {key}")["key"])
    return key.strip("'")
