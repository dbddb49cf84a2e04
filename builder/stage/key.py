"""Input keys: everything that can change a stage's result, as one digest."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

__all__ = ["InputKey", "canonical"]

_SCHEMA = 1
_PLAIN_NAME = re.compile(r"[\w-]+")


@dataclass(frozen=True, slots=True)
class InputKey:
    """What one stage is made from.

    `parts` are JSON values: mappings with text keys, lists or tuples, text, finite numbers, truth
    values, None. Anything else is a mistake of ours and raises TypeError; above all a path, because
    where a thing lies must not change what comes of it.
    """

    stage: str
    parts: Mapping[str, object]

    @property
    def digest(self) -> str:
        """The sha256 of the canonical JSON, in hex."""
        document = {"schema": _SCHEMA, "stage": self.stage, "parts": self.parts}
        return hashlib.sha256(canonical(document)).hexdigest()

    def differences(self, other: InputKey) -> tuple[str, ...]:
        """What is different in `other`, a line each: `compiler: 'gcc 12' -> 'gcc 13'`."""
        mine = dict(_leaves("", self.parts))
        theirs = dict(_leaves("", other.parts))
        lines = [
            f"{name}: {mine.get(name, 'nothing')} -> {theirs.get(name, 'nothing')}"
            for name in (*mine, *(name for name in theirs if name not in mine))
            if mine.get(name) != theirs.get(name)
        ]
        if self.stage != other.stage:
            lines.insert(0, f"stage: {self.stage!r} -> {other.stage!r}")
        return tuple(lines)


def canonical(value: object) -> bytes:
    """JSON with one spelling for each value: sorted keys, no spaces, ASCII."""
    plain = _plain(value, "")
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _plain(value: object, place: str) -> object:
    match value:
        case None | bool() | int():
            return value
        case str():
            return str(value)
        case float() if math.isfinite(value):
            return value
        case Mapping() if all(isinstance(name, str) for name in value):
            return {name: _plain(item, f"{place}.{name}") for name, item in value.items()}
        case list() | tuple():
            return [_plain(item, f"{place}[{index}]") for index, item in enumerate(value)]
    raise TypeError(f"a key cannot hold the {type(value).__name__} {value!r} at `{place}`")


def _leaves(place: str, value: object) -> Iterator[tuple[str, str]]:
    """Every value that holds no others, as `name.name[index]` and what a reader is shown of it."""
    if isinstance(value, Mapping) and value:
        for name, item in value.items():
            shown = name if _PLAIN_NAME.fullmatch(name) else repr(name)
            yield from _leaves(f"{place}.{shown}" if place else shown, item)
    elif isinstance(value, (list, tuple)) and value:
        for index, item in enumerate(value):
            yield from _leaves(f"{place}[{index}]", item)
    elif place:
        yield place, repr(list(value) if isinstance(value, tuple) else value)
