"""Licence texts that lie near a library which no package manager knows."""

from __future__ import annotations

from pathlib import Path

__all__ = ["is_licence", "licences_beside"]

_STARTS = ("copying", "copyright", "licence", "license", "notice")
_LIBRARY_FOLDERS = frozenset({"bin", "lib", "lib32", "lib64", "libs"})
_LARGEST = 1 << 20


def is_licence(file: Path) -> bool:
    """Whether a file is named like a licence text, and is of a size that a text has."""
    return file.name.lower().startswith(_STARTS) and file.stat().st_size <= _LARGEST


def licences_beside(library: Path, root: Path) -> tuple[Path, ...]:
    """The licence texts of the install prefix that a library is in.

    They are looked for beside the library, at the top of its prefix, in `share/licenses` and in
    `share/doc`, where a folder must be named as the library.
    """
    folder = library.parent
    prefix = folder.parent if folder.name in _LIBRARY_FOLDERS else folder
    name = library.name.split(".", 1)[0].removeprefix("lib")
    named = [
        prefix / "share" / kind / word
        for kind in ("licenses", "licences", "doc")
        for word in (name, f"lib{name}")
    ]
    places = (
        (folder, prefix, *named)
        if prefix not in {root, root / "usr", root / "usr/local"}
        else named
    )
    return tuple(
        dict.fromkeys(
            file
            for place in places
            if place.is_dir()
            for file in sorted(place.iterdir())
            if file.is_file() and is_licence(file)
        )
    )
