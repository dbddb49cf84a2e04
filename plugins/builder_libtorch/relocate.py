"""Make the text files of an install tree say where they are, instead of where they were built.

CMake package files, pkg-config files (pkg-config(1)) and `*-config` scripts find their prefix from
their own place; any other text that names the build prefix cannot be helped and is reported.
"""

from __future__ import annotations

import posixpath
import re

__all__ = ["relocated"]

_SCRIPT_LINE = re.compile(rb"^(prefix|PREFIX)=(.*)$", re.MULTILINE)
_PKG_LINE = re.compile(rb"^prefix\s*=.*$", re.MULTILINE)
_ENDS = rb"(?![A-Za-z0-9_.-])"
"""A prefix is one only as a whole word: `/opt/x` is none in `/opt/x-1`."""


def relocated(path: str, content: bytes, prefix: str) -> bytes:
    """The content of a file with `prefix` made relative to the file, where its kind allows it.

    `path` is relative to the prefix. A file that does not name the prefix comes back as it is.
    """
    name = posixpath.basename(path)
    if prefix.encode() not in content or b"\0" in content[:4096]:
        return content
    if name.endswith(".cmake"):
        return _cmake(path, content, prefix.encode())
    if name.endswith(".pc"):
        return _pkg_config(path, content, prefix.encode())
    if name.endswith("-config") and content.startswith(b"#!"):
        return _script(path, content, prefix.encode())
    return content


def _up(path: str) -> str:
    """The way from the folder of a file to its prefix."""
    return posixpath.relpath(".", posixpath.dirname(path) or ".")


def _cmake(path: str, content: bytes, prefix: bytes) -> bytes:
    variable = b"_BUILDER_PREFIX"
    head = b'get_filename_component(%b "${CMAKE_CURRENT_LIST_DIR}/%b" ABSOLUTE)\n'
    body = re.sub(re.escape(prefix) + _ENDS, b"${" + variable + b"}", content)
    return head % (variable, _up(path).encode()) + body


def _pkg_config(path: str, content: bytes, prefix: bytes) -> bytes:
    own = b"prefix=${pcfiledir}/" + _up(path).encode()
    pattern = re.escape(prefix) + _ENDS
    if _PKG_LINE.search(content):
        first, *rest = _PKG_LINE.split(content, maxsplit=1)
        return first + own + b"".join(re.sub(pattern, b"${prefix}", part) for part in rest)
    return own + b"\n" + re.sub(pattern, b"${prefix}", content)


def _script(path: str, content: bytes, prefix: bytes) -> bytes:
    own = b'prefix=$(CDPATH= cd -- "$(dirname -- "$0")/%b" && pwd)' % _up(path).encode()
    first, _, rest = content.partition(b"\n")
    lines = _SCRIPT_LINE.sub(lambda match: own if prefix in match[2] else match[0], rest, count=1)
    if own not in lines:
        lines = own + b"\n" + lines
    return first + b"\n" + re.sub(re.escape(prefix) + _ENDS, b"${prefix}", lines)
