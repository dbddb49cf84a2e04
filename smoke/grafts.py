"""Libraries that were put into a package for its own use: by the folder, or the digest in the name."""

from __future__ import annotations

import posixpath
import re
from typing import Final

from smoke.subject import Content, Member

__all__ = ["grafts_of", "is_graft", "stem", "unhashed"]

_FOLDER: Final = re.compile(r"(?:.*/)?[^/]*\.(?:libs|dylibs)/[^/]+")
_DIGEST: Final = re.compile(r"(?:-[0-9a-f]{8,32})+(?=(?:\.\d+)*\.(?:so(?:\.|$)|dylib$|dll$))")
_SUFFIX: Final = re.compile(r"\.(?:so(?:\.|$)|dylib$|dll$)")


def unhashed(name: str) -> str:
    """A file name without the digests that grafting put into it; the same when there are none."""
    return _DIGEST.sub("", name, count=1)


def is_graft(path: str) -> bool:
    """Whether a file is a library that was put in for the package's own use, maybe renamed."""
    return bool(_FOLDER.fullmatch(path) or _DIGEST.search(posixpath.basename(path)))


def stem(path: str) -> str:
    """What a library is called without `lib` and suffix, in small letters: `gfortran`."""
    name = unhashed(posixpath.basename(path)).lower()
    return _SUFFIX.split(name, maxsplit=1)[0].removeprefix("lib")


def grafts_of(content: Content) -> tuple[Member, ...]:
    """The binaries among them."""
    return tuple(member for member, _ in content.binaries if is_graft(member.name))
