"""How what two tools made differs: packages, and indexes of channels."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from builder.archive.conda import open_package, read_info

__all__ = ["differing_channels", "differing_packages", "only"]

_MOST: Final = 1 << 26
_SHOWN: Final = 6
_CLOCK: Final = frozenset({"indexed_timestamp", "timestamp"})
"""When it was made differs from run to run."""


def differing_packages(ours: Path, theirs: Path) -> Iterator[str]:
    """Between the packages below two folders: names, files, information, bytes."""
    first, second = _packages(ours), _packages(theirs)
    yield from only("packages", set(first), set(second))
    found: dict[str, None] = {}
    for name in sorted(first.keys() & second.keys()):
        found |= dict.fromkeys(_differing(first[name], second[name]))
    yield from found


def differing_channels(ours: Path, theirs: Path) -> Iterator[str]:
    """Between the `repodata.json` of two channels: packages, and what is said of them."""
    first, second = _entries(ours), _entries(theirs)
    yield from only("entries", set(first), set(second))
    found: dict[str, None] = {}
    for name in sorted(first.keys() & second.keys()):
        found |= dict.fromkeys(_fields(first[name], second[name]))
    yield from found


def only(what: str, ours: set[str], theirs: set[str]) -> Iterator[str]:
    """A line for what each side has alone."""
    for side, names in (("ours", ours - theirs), ("theirs", theirs - ours)):
        if names:
            shown = ", ".join(f"`{name}`" for name in sorted(names)[:_SHOWN])
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            yield f"{what} only in {side}: {shown}{more}"


def _packages(folder: Path) -> Mapping[str, Path]:
    """By name; the older format of a package is another one."""
    found = (*folder.glob("*.conda"), *folder.glob("*/*.conda"))
    return {path.name: path for path in found if path.parent.name != "broken"}


def _differing(ours: Path, theirs: Path) -> Iterator[str]:
    first, second = _members(ours), _members(theirs)
    yield from only("files", set(map(_short, first)), set(map(_short, second)))
    yield from _fields(*(_index(path) for path in (ours, theirs)))
    for name in sorted(first.keys() & second.keys()):
        if not name.startswith("info/") and first[name] != second[name]:
            yield f"other bytes in `{_short(name)}`"


def _short(name: str) -> str:
    """The name of a file as it is in every package."""
    return re.sub(r"[^/]+(?=\.dist-info/)", "*", name)


def _fields(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterator[str]:
    for key in sorted((ours.keys() | theirs.keys()) - _CLOCK):
        own, other = ours.get(key), theirs.get(key)
        if isinstance(own, list) and isinstance(other, list):
            yield from only(f"of `{key}`", set(own), set(other))
        elif own != other:
            yield f"`{key}` is `{json.dumps(own)}`, theirs `{json.dumps(other)}`"


def _index(path: Path) -> Mapping[str, Any]:
    name = "info/index.json"
    found: Mapping[str, Any] = json.loads(read_info(path, {name: _MOST})[name])
    return found


def _members(path: Path) -> Mapping[str, bytes]:
    """The content of every file of a package by its name, and the target of every link."""
    found: dict[str, bytes] = {}
    with open_package(path) as members:
        for member, content in members:
            if member.kind == "file":
                found[member.name] = content.read(member.size)
            elif member.kind == "link":
                found[member.name] = member.target.encode()
    return found


def _entries(channel: Path) -> Mapping[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    for path in sorted(channel.glob("*/repodata.json")):
        document = json.loads(path.read_text("utf-8"))
        found |= document["packages"] | document["packages.conda"]
    return found
