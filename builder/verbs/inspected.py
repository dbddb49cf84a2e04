"""Inspections that are remembered: the second look at a file reads nothing but its verdict."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from builder.relink.memory import Memory, Place, digest_of_source
from builder.relink.packed import DAMAGE, joined, pack, split, unpack
from builder.relink.policy import Blocker
from builder.verbs.inspection import External, Found, Platform, Subject, Unread

__all__ = ["recall", "remember"]

_ROOT: Final = Path(__file__).parent.parent


def recall(memory: Memory, file: Path, shown: str) -> tuple[Place, Subject | None]:
    """What was said of a file, under the name it is `shown` by, and the place to remember it at."""
    place = memory.look(file, _code())
    if place.content is None:
        return place, None
    try:
        return place, _decoded(place.content, shown)
    except DAMAGE:
        memory.forget(place)
        return place, None


def remember(memory: Memory, place: Place, subject: Subject) -> None:
    """Keep what is said of a file."""
    memory.keep(place, _encoded(subject))


@cache
def _code() -> bytes:
    """A digest of all that a verdict depends on but the file: the readers, the rules, the tables."""
    return digest_of_source(_sources())


def _sources() -> Iterator[Path]:
    yield from (_ROOT / name for name in ("binary", "archive", "relink"))
    yield from (_ROOT / "data").glob("*_system.toml")
    yield from (_ROOT / "verbs").glob("inspect*.py")
    policies = find_spec("auditwheel")
    if policies is not None and policies.origin:
        yield from (Path(policies.origin).parent / "policy").glob("*.json")


def _encoded(subject: Subject) -> bytes:
    platform = subject.platform
    document = {
        "kind": subject.kind,
        "binaries": [[found.path, pack(found.binary)] for found in subject.binaries],
        "unread": [[row.path, row.reason] for row in subject.unread],
        "external": [
            [row.name, joined(row.required_by), row.resolution, joined(row.searched)]
            for row in subject.external
        ],
        "tag": platform.tag,
        "claimed": joined(platform.claimed),
        "blockers": [[row.tag, row.binary, row.symbol, row.library] for row in platform.blockers],
        "notes": list(subject.notes),
    }
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "surrogatepass")


def _decoded(content: bytes, shown: str) -> Subject:
    """Raises an error of `DAMAGE` for what `_encoded` did not write."""
    document: dict[str, Any] = json.loads(content.decode("utf-8", "surrogatepass"))
    return Subject(
        shown,
        document["kind"],
        tuple(Found(path, unpack(row)) for path, row in document["binaries"]),
        tuple(Unread(path, reason) for path, reason in document["unread"]),
        tuple(
            External(name, split(users), resolution, split(searched))
            for name, users, resolution, searched in document["external"]
        ),
        Platform(
            document["tag"],
            split(document["claimed"]),
            tuple(Blocker(*row) for row in document["blockers"]),
        ),
        tuple(document["notes"]),
    )
