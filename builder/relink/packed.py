"""Binaries in JSON, for what is kept between two processes: quick to read, and short.

The form is nobody else's business: what wrote an entry is part of what it is known by.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any, Final

from builder.binary.model import Binary, VersionNeed

__all__ = ["DAMAGE", "joined", "pack", "split", "unpack"]

DAMAGE: Final = (ValueError, KeyError, TypeError, IndexError, RecursionError)
"""What reading something raises that was not written here."""
_BETWEEN: Final = "|"
"""Rare in names, and not escaped in JSON."""


def pack(binary: Binary) -> Mapping[str, object]:
    """A binary for JSON: the fields that are not what they would be anyway."""
    row: dict[str, object] = {}
    for field in fields(binary):
        value = getattr(binary, field.name)
        if field.name in _DEFAULTS and value == _DEFAULTS[field.name]:
            continue
        if field.name == "versions_needed":
            value = [[need.library, need.version, joined(need.symbols)] for need in value]
        elif field.name == "slices":
            value = list(map(pack, value))
        elif field.name in _TEXTS:
            value = joined(value)
        row[field.name] = value
    return row


def unpack(row: dict[str, Any]) -> Binary:
    """The binary that `pack` made a row of, which is used up. Raises an error of `DAMAGE`."""
    for name, value in row.items():
        if name in _TEXTS:
            row[name] = split(value)
        elif name == "versions_needed":
            row[name] = tuple(
                VersionNeed(library, version, split(symbols)) for library, version, symbols in value
            )
        elif name == "slices":
            row[name] = tuple(map(unpack, value))
        elif isinstance(value, list):
            row[name] = tuple(value)
    return Binary(**row)


def joined(texts: tuple[str, ...]) -> str | list[str]:
    """Texts as one, for one long string is read far quicker than many short ones."""
    text = _BETWEEN.join(texts)
    return text if text.count(_BETWEEN) + 1 == len(texts) else list(texts)


def split(value: str | list[str]) -> tuple[str, ...]:
    """The texts that were joined."""
    return tuple(value.split(_BETWEEN) if isinstance(value, str) else value)


_DEFAULTS: Final[Mapping[str, object]] = {
    field.name: field.default for field in fields(Binary) if field.default is not MISSING
}
_TEXTS: Final = frozenset(name for name, default in _DEFAULTS.items() if default == ()) - {
    "versions_needed",
    "slices",
}
