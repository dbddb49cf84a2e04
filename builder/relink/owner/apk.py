"""apk: `lib/apk/db/installed` has a paragraph per package, with its folders and files."""

from __future__ import annotations

from pathlib import Path

from builder.relink.owner.model import Owner
from builder.relink.owner.release import distribution

__all__ = ["owner_of"]


def owner_of(library: Path, root: Path) -> Owner | None:
    """The Alpine package that installed a file."""
    try:
        text = (root / "lib/apk/db/installed").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    wanted = library.relative_to(root).as_posix()
    for paragraph in text.split("\n\n"):
        fields: dict[str, str] = {}
        folder = ""
        found = False
        for line in paragraph.splitlines():
            key, _, value = line.partition(":")
            if key == "F":
                folder = value
            elif key == "R":
                found = found or f"{folder}/{value}" == wanted
            else:
                fields.setdefault(key, value)
        if found:
            return _owner(fields, root)
    return None


def _owner(fields: dict[str, str], root: Path) -> Owner:
    name = fields.get("P", "")
    texts = sorted(
        path for path in (root / "usr/share/licenses" / name).glob("*") if path.is_file()
    )
    return Owner(
        "apk",
        name,
        fields.get("V", ""),
        fields.get("A", ""),
        distribution(root),
        fields.get("L", ""),
        tuple(texts),
    )
