"""Reading a TOML file that nobody has checked; every way to fail is one `UsageError`."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from builder.errors import UsageError

__all__ = ["LARGEST", "exists", "is_file", "parse", "read"]

LARGEST = 1 << 20
"""Bytes; a larger file is not a recipe."""

_PLACE = re.compile(r" \(at (?:line (?P<line>\d+), column \d+|end of document)\)$")


def is_file(path: Path) -> bool:
    """Whether a regular file is there and its folder can be read."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def exists(path: Path) -> bool:
    """Whether anything is there, also a link that leads nowhere."""
    try:
        path.lstat()
    except (OSError, ValueError):
        return False
    return True


def read(path: Path) -> str:
    """The text of a file, its lines ended in the Unix way."""
    if not is_file(path):
        what = "is not a file" if exists(path) else "does not exist"
        raise UsageError(f"`{path}` {what}")
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise UsageError(f"cannot read `{path}`: {error.strerror}") from error
    if len(content) > LARGEST:
        raise UsageError(f"`{path}` is larger than {LARGEST >> 20} MiB")
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _invalid(path, line, "not UTF-8") from error


def parse(path: Path, text: str) -> Mapping[str, object]:
    """The document in `text`, which was read from `path`."""
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise _invalid(path, 1, "nested too deeply") from error
    except ValueError as error:
        place = _PLACE.search(str(error))
        line = int(place["line"]) if place and place["line"] else text.rstrip().count("\n") + 1
        message = _PLACE.sub("", str(error))
        raise _invalid(path, line, message[:1].lower() + message[1:]) from error


def _invalid(path: Path, line: int, message: str) -> UsageError:
    return UsageError(f"`{path}` is not valid TOML", faults=(f"{path}:{line}: {message}",))
