"""Where the command line keeps what it may lose."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

__all__ = ["cache_folder"]


def cache_folder(environ: Mapping[str, str]) -> Path:
    """`BUILDER_CACHE`, else a folder in the user's cache."""
    own = environ.get("BUILDER_CACHE")
    if own:
        return Path(own).absolute()
    home = Path(environ.get("HOME") or Path.home())
    return Path(environ.get("XDG_CACHE_HOME") or home / ".cache", "builder").absolute()
