"""Facts of archives that outlive the process: a second look inflates nothing."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from builder.relink.memory import SETTLED, Memory, Place, digest_of_source
from builder.relink.packed import DAMAGE, joined, pack, split, unpack

if TYPE_CHECKING:
    from builder.relink.facts import Facts

__all__ = ["FactCache", "Remembered"]

_ROOT: Final = Path(__file__).parent.parent
_READERS: Final = tuple(
    _ROOT / name
    for name in (
        "binary",
        "archive",
        "relink/facts.py",
        "relink/look.py",
        "relink/cache.py",
        "relink/packed.py",
    )
)


@dataclass(frozen=True, slots=True)
class Remembered:
    """The place of one archive in the cache, and its facts: None when they are not known."""

    place: Place
    facts: Facts | None = None


class FactCache:
    """Facts in a `Memory`, which also holds what else is known of files.

    `most` and `settled` are those of the memory.
    """

    def __init__(self, folder: Path, *, most: int = 256 << 20, settled: int = SETTLED) -> None:
        self.memory = Memory(folder, most=most, settled=settled)

    def look(self, archive: Path, descriptor: int | None = None) -> Remembered:
        """What is known of an archive. Ask before it is opened, or give its open `descriptor`."""
        place = self.memory.look(archive, _code(), descriptor)
        if place.content is None:
            return Remembered(place)
        try:
            return Remembered(place, _decoded(place.content))
        except DAMAGE:
            self.memory.forget(place)
            return Remembered(place)

    def keep(self, remembered: Remembered, facts: Facts) -> None:
        """Remember what was read; not when the archive changed meanwhile or a moment before."""
        self.memory.keep(remembered.place, _encoded(facts))


@cache
def _code() -> bytes:
    return digest_of_source(_READERS)


def _encoded(facts: Facts) -> bytes:
    document = {
        "binaries": [[path, pack(binary)] for path, binary in facts.binaries.items()],
        "broken": list(facts.broken.items()),
        "links": list(facts.links.items()),
        "tops": joined(facts.tops),
        "claimed": joined(facts.claimed),
        "notes": joined(facts.notes),
    }
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "surrogatepass")


def _decoded(content: bytes) -> Facts:
    """Raises an error of `DAMAGE` for what `_encoded` did not write."""
    from builder.relink.facts import Facts  # noqa: PLC0415  # which knows this module

    document = json.loads(content.decode("utf-8", "surrogatepass"))
    return Facts(
        binaries={path: unpack(row) for path, row in document["binaries"]},
        broken=dict(document["broken"]),
        links=dict(document["links"]),
        tops=split(document["tops"]),
        claimed=split(document["claimed"]),
        notes=split(document["notes"]),
    )
