"""What a wheel says about itself: its platform tags and the headers of its `*.dist-info`."""

from __future__ import annotations

import json
import re

from builder.archive.conda import INDEX
from builder.archive.content import MANIFEST
from builder.archive.metadata import Headers
from builder.archive.wheel import WheelError, WheelName
from smoke.subject import Content

__all__ = ["dist_info_text", "header", "manylinux_versions", "name_of", "version_of"]

_LEGACY = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}


def name_of(file: str) -> WheelName | None:
    """The parsed file name, or None when it is not a wheel's; the check `wheel.name` tells why."""
    try:
        return WheelName.parse(file)
    except WheelError:
        return None


def manylinux_versions(platforms: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
    """The glibc versions that platform tags claim (PEP 600 and its older names), lowest first."""
    found = set()
    for platform in platforms:
        legacy = platform.split("_", 1)[0]
        match = re.match(r"manylinux_(\d+)_(\d+)_", platform)
        if match:
            found.add((int(match[1]), int(match[2])))
        elif legacy in _LEGACY:
            found.add(_LEGACY[legacy])
    return tuple(sorted(found))


def version_of(content: Content) -> str:
    """The version that a package says it has: in METADATA, to conda, or in a list of contents."""
    if said := header(content, "METADATA", "Version"):
        return said[0].strip()
    for path, text in content.texts.items():
        if path == INDEX or path.rpartition("/")[2] == MANIFEST:
            try:
                document = json.loads(text)
            except (ValueError, RecursionError):
                continue
            version = document.get("version") if isinstance(document, dict) else None
            if isinstance(version, str):
                return version
    return ""


def dist_info_text(content: Content, name: str) -> str | None:
    """The text of one file of the `.dist-info` folder."""
    return next((text for path, text in content.texts.items() if path.endswith(f"/{name}")), None)


def header(content: Content | None, name: str, field: str) -> tuple[str, ...]:
    """All values of one header of METADATA or WHEEL; none when there is no such file."""
    text = dist_info_text(content, name) if content else None
    return Headers.parse((text or "").encode("utf-8", "surrogateescape")).get(field)
