"""`manifest.json`: what a stored tree is, sealed so that a change of the manifest itself shows."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import astuple
from pathlib import Path
from typing import Any

from builder.stage.key import InputKey
from builder.stage.tree import Entry, Tree

__all__ = ["DamagedManifest", "compose", "read_key", "read_tree"]

_SCHEMA = 1
_SEALED = re.compile(rb'(.*), "seal": "([0-9a-f]{64})"\}\n', re.DOTALL)


class DamagedManifest(Exception):  # noqa: N818 - the name says what is wrong
    """A manifest that is not what was written; the text says how."""


def compose(key: InputKey, entries: tuple[Entry, ...], facts: Mapping[str, object]) -> bytes:
    """The bytes of a manifest. `facts` are JSON values."""
    document = {
        "schema": _SCHEMA,
        "digest": key.digest,
        "key": {"stage": key.stage, "parts": key.parts},
        "facts": dict(facts),
        "entries": [astuple(entry) for entry in entries],
    }
    body = json.dumps(document, allow_nan=False, default=_plain).removesuffix("}").encode()
    return b'%s, "seal": "%s"}\n' % (body, hashlib.sha256(body).hexdigest().encode())


def read_tree(manifest: Path, root: Path) -> Tree:
    """The tree a manifest describes, with its content in `root`. Raises `DamagedManifest`."""
    document = _read(manifest)
    entries = tuple(Entry(*fields) for fields in document["entries"])
    return Tree(document["digest"], root, entries, document["facts"])


def read_key(manifest: Path) -> InputKey:
    """The input key a manifest names. Raises `DamagedManifest`."""
    return InputKey(**_read(manifest)["key"])


def _read(manifest: Path) -> dict[str, Any]:
    try:
        sealed = _SEALED.fullmatch(manifest.read_bytes())
    except OSError as error:
        raise DamagedManifest(f"cannot be read: {error.strerror}") from error
    if sealed is None or hashlib.sha256(sealed[1]).hexdigest().encode() != sealed[2]:
        raise DamagedManifest("was changed or cut short")
    document: dict[str, Any] = json.loads(sealed[1] + b"}")
    return document


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a manifest cannot hold {value!r}")
