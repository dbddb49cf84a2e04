"""The content manifest of an archive: every file with its digest, its size and what it is for.

It lies in the archive and beside it as JSON (`"schema": 1`), so that two releases can be compared
without unpacking either.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, cast, get_args

from builder.archive.tar import read_tar
from builder.archive.tar_source import open_source
from builder.archive.zip_read import Zip
from builder.errors import UsageError

__all__ = ["MANIFEST", "Content", "Item", "Role", "compare", "is_loss", "read_content", "role_of"]

MANIFEST = "build-content.json"
"""The manifest in the top folder of an archive."""

Role = Literal["library", "header", "config", "tool", "data"]

_LARGEST: Final = 64 << 20
_LIBRARY = re.compile(r".+\.(so(\.[0-9]+)*|dylib|dll|a|lib|pyd)")
_CONFIG = re.compile(r".+\.(cmake|pc)|.+-config")
_HEADERS = frozenset({".h", ".hh", ".hpp", ".hxx", ".cuh", ".inc", ".inl", ".ipp", ".tpp", ".def"})


@dataclass(frozen=True, slots=True, order=True)
class Item:
    """One file. `link` is the target of a symbolic link, which has no digest and no size.

    `exports` is the number of symbols a library offers, None for what is no library.
    """

    path: str
    role: Role
    size: int = 0
    sha256: str = ""
    link: str = ""
    exports: int | None = None

    def to_json(self) -> Mapping[str, object]:
        """One entry of `files`; what does not apply is left out."""
        entry: dict[str, object] = {"path": self.path, "role": self.role}
        if self.link:
            return {**entry, "link": self.link}
        entry |= {"size": self.size, "sha256": self.sha256}
        return entry if self.exports is None else {**entry, "exports": self.exports}


@dataclass(frozen=True, slots=True)
class Content:
    """The manifest of one archive; `items` are sorted by path. `host` are libraries it expects."""

    name: str
    version: str
    target: str
    items: tuple[Item, ...]
    host: tuple[str, ...] = ()

    def to_json(self) -> Mapping[str, object]:
        """The whole document."""
        return {
            "schema": 1,
            "name": self.name,
            "version": self.version,
            "target": self.target,
            "host": list(self.host),
            "files": [item.to_json() for item in self.items],
        }

    def __bytes__(self) -> bytes:
        return (json.dumps(self.to_json(), indent=1, ensure_ascii=False) + "\n").encode()

    @classmethod
    def parse(cls, text: bytes, where: str) -> Content:
        """Read a manifest; `where` names it in the error. Raises `UsageError`."""
        try:
            return _content(json.loads(text))
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise UsageError(
                f"`{where}` is no content manifest: {error}",
                hint="give the `.content.json` that lies beside an archive, or an archive with one inside",
            ) from error


def role_of(path: str) -> Role:
    """What a file is for, by its name and folder."""
    name = posixpath.basename(path)
    if _LIBRARY.fullmatch(name):
        return "library"
    if _CONFIG.fullmatch(name):
        return "config"
    if posixpath.splitext(name)[1] in _HEADERS or "include" in path.split("/")[:-1]:
        return "header"
    return "tool" if posixpath.basename(posixpath.dirname(path)) == "bin" else "data"


def compare(old: Content, new: Content) -> tuple[str, ...]:
    """What a user of the old release loses or gets, a line each; other bytes alone are no line.

    A name with a version in it (`libx.so.1.2`) that became another is one lost and one new file.
    """
    return tuple(_differences(old, new))


def is_loss(line: str) -> bool:
    """Whether a line of `compare` is more than something new."""
    return re.search(r": is new \([a-z]+\)$", line) is None


def read_content(path: Path) -> Content:
    """The manifest in an archive (`.zip`, or any tar), or the file with one that lies beside it.

    Raises `UsageError` when there is none.
    """
    if path.suffix == ".json":
        try:
            return Content.parse(path.read_bytes(), str(path))
        except OSError as error:
            raise UsageError(
                f"`{path}` cannot be read: {error.strerror or error}", hint="give another file"
            ) from error
    found = _inside_zip(path) if path.suffix == ".zip" else _inside_tar(path)
    if found is None:
        raise UsageError(
            f"`{path.name}` has no content manifest",
            hint=f"an archive made by `builder build` has `{MANIFEST}` in its top folder",
        )
    return Content.parse(found, f"{path.name}: {MANIFEST}")


def _inside_zip(path: Path) -> bytes | None:
    with Zip(path) as archive:
        for entry in archive.entries:
            if _is_manifest(entry.name) and entry.size <= _LARGEST:
                return archive.read(entry)
    return None


def _inside_tar(path: Path) -> bytes | None:
    with open_source(path) as source:
        for member, stream in read_tar(source, path.name):
            if _is_manifest(member.path) and member.size <= _LARGEST:
                return stream.read(member.size)
    return None


def _is_manifest(name: str) -> bool:
    return name.count("/") == 1 and name.endswith(f"/{MANIFEST}")


def _differences(old: Content, new: Content) -> Iterator[str]:
    before = {item.path: item for item in old.items}
    after = {item.path: item for item in new.items}
    for path in sorted(before.keys() - after.keys()):
        yield f"{path}: is gone ({before[path].role})"
    for path in sorted(after.keys() - before.keys()):
        yield f"{path}: is new ({after[path].role})"
    for path in sorted(before.keys() & after.keys()):
        was, now = before[path], after[path]
        if was.link != now.link:
            yield f"{path}: {_kind(was)} became {_kind(now)}"
        elif was.exports is not None and now.exports is not None and now.exports < was.exports:
            yield f"{path}: exports {now.exports} symbols, {was.exports - now.exports} fewer"
    for name in sorted(set(new.host) - set(old.host)):
        yield f"{name}: is now expected on the host"


def _kind(item: Item) -> str:
    return f"a link to {item.link}" if item.link else "a file"


def _content(document: Mapping[str, object]) -> Content:
    """The document of a manifest. Raises `ValueError`, `KeyError`, `TypeError` or `OverflowError`."""
    if document["schema"] != 1:
        raise ValueError(f"schema {document['schema']!r} is not known")
    files = cast("Sequence[Mapping[str, object]]", document["files"])
    return Content(
        _text(document["name"]),
        _text(document["version"]),
        _text(document["target"]),
        tuple(sorted(_item(entry) for entry in files)),
        tuple(map(_text, cast("Sequence[str]", document["host"]))),
    )


def _item(entry: Mapping[str, object]) -> Item:
    """One entry of `files`. Raises `ValueError`, `TypeError` or `OverflowError`."""
    role, exports = entry["role"], entry.get("exports")
    if role not in get_args(Role):
        raise ValueError(f"role {role!r} is not known")
    if not (exports is None or isinstance(exports, int)):
        raise TypeError("`exports` is no number")
    return Item(
        _text(entry["path"]),
        cast("Role", role),
        int(cast("int", entry.get("size", 0))),
        _text(entry.get("sha256", "")),
        _text(entry.get("link", "")),
        exports,
    )


def _text(value: object) -> str:
    """A text that can be written. Raises `ValueError` for half a character, which JSON allows."""
    text = str(value)
    text.encode()
    return text
