"""A padded search path: room for edits that is reserved when a file is linked.

A path that ends in many slashes means the same as the one without them, to every loader. Linked
with one, a file can later be given another path, and other names of libraries as well, in the place
of these slashes: nothing grows or moves, and `strip` and linkers see nothing unusual.
"""

from __future__ import annotations

from typing import Final

__all__ = ["PADDING", "padded", "without_padding"]

PADDING: Final = 32
"""That many slashes are no accident."""


def padded(path: str, room: int = 384) -> str:
    """A search path with room for `room` bytes more, for a linker's `-rpath`; `path` is not empty."""
    return path + "/" * max(room, PADDING)


def without_padding(path: str) -> str:
    """A search path as it was before it was padded, or just as it is."""
    bare = path.rstrip("/")
    if len(path) - len(bare) < PADDING:
        return path
    return bare if bare and not bare.endswith(":") else bare + "/"
