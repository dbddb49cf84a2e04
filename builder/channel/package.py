"""One conda package as a channel lists it: what its `info/` says, and the digests of its bytes.

Packages come from strangers: nothing of them is believed that others would stumble over.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from builder.archive.conda import INDEX, read_info
from builder.archive.conda_package import SUBDIRS, is_plain
from builder.errors import UsageError

__all__ = ["SUFFIXES", "Listed", "PackageError", "parse_object", "read_listed"]

SUFFIXES: Final = (".conda", ".tar.bz2")
_RUN_EXPORTS: Final = "info/run_exports.json"
_MOST: Final = 1 << 20
"""Bytes of a document; the longest of real packages have a few thousand."""
_WINDOW: Final = 1 << 20
_TEXTS: Final = frozenset({
    "arch", "features", "license", "license_family", "noarch", "platform",
    "python_site_packages_path", "track_features",
})  # fmt: skip
_LISTS: Final = frozenset({"constrains", "depends", "purls"})
_NUMBERS: Final = frozenset({"build_number", "timestamp"})
_NEEDED: Final = ("build", "name", "subdir", "version")
_LARGEST: Final = 1 << 53
"""Numbers from here on are others after a reader in JavaScript."""


class PackageError(UsageError):
    """A file that no channel can list; `faults` say every reason, each with the name of the file."""

    def __init__(self, file: str, *faults: str) -> None:
        super().__init__(
            f"{file!r} is no package that a channel can list",
            faults=[f"{file}: {fault}" for fault in faults],
            hint="build or download it again, or leave it out",
        )


@dataclass(frozen=True, slots=True)
class Listed:
    """A package: its file name, its entry of `repodata.json`, and what it exports to run."""

    file: str
    subdir: str
    entry: Mapping[str, object]
    run_exports: Mapping[str, object]

    @property
    def sha256(self) -> str:
        """The digest of the whole file, in hex."""
        return str(self.entry["sha256"])


def read_listed(path: Path) -> Listed:
    """Read the information of a package and hash it; its content is not unpacked, but for `.tar.bz2`.

    Raises `PackageError`, or another `UsageError` for what cannot be read at all.
    """
    if not path.is_file():
        raise PackageError(path.name, "there is no such file")
    if not path.name.endswith(SUFFIXES):
        raise PackageError(path.name, f"it ends with none of {', '.join(SUFFIXES)}")
    texts = read_info(path, {INDEX: _MOST, _RUN_EXPORTS: _MOST})
    if INDEX not in texts:
        raise PackageError(path.name, f"it has no {INDEX}")
    try:
        index = parse_object(texts[INDEX])
        exports = parse_object(texts.get(_RUN_EXPORTS, b"{}"))
    except ValueError as error:
        raise PackageError(path.name, f"its information is not readable: {error}") from error
    if faults := (*_faults(path.name, index), *_export_faults(exports)):
        raise PackageError(path.name, *faults)
    known = {*_TEXTS, *_LISTS, *_NUMBERS, *_NEEDED}
    entry = {key: value for key, value in index.items() if key in known}
    return Listed(path.name, str(index["subdir"]), {**entry, **_digests(path)}, exports)


def parse_object(text: bytes) -> Mapping[str, object]:
    """A JSON object that can be written again. Raises `ValueError`."""
    try:
        found = json.loads(text, parse_constant=_refuse_constant)
        json.dumps(found, ensure_ascii=False).encode()
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(found, dict):
        raise ValueError("it is no JSON object")  # noqa: TRY004  # one error for all that is wrong
    return found


def _refuse_constant(text: str) -> object:
    raise ValueError(f"{text} is no JSON")


def _faults(file: str, index: Mapping[str, object]) -> Iterator[str]:
    """Where `index.json` is not what every client expects."""
    for key in _NEEDED:
        if not isinstance(index.get(key), str):
            yield f"{INDEX} has no {key}"
    if all(isinstance(index.get(key), str) for key in _NEEDED):
        words = (str(index["name"]), str(index["version"]), str(index["build"]))
        if not is_plain(*words):
            yield f"{INDEX} has a name, version or build that is unsafe as a file name: {words!r}"
        elif file not in {"-".join(words) + suffix for suffix in SUFFIXES}:
            yield f"{INDEX} says it is {'-'.join(words)!r}, which is not its file name"
        if index["subdir"] not in SUBDIRS:
            yield f"{INDEX} has the subdir {index['subdir']!r}, which no client looks into"
    yield from _type_faults(index)


def _type_faults(index: Mapping[str, object]) -> Iterator[str]:
    for key in sorted(index.keys() & _TEXTS):
        if not (index[key] is None or isinstance(index[key], str | bool)):
            yield f"{INDEX}: {key} is no text"
    for key in sorted(index.keys() & _NUMBERS):
        number = index[key]
        if not isinstance(number, int) or not 0 <= number < _LARGEST:
            yield f"{INDEX}: {key} is no number that can be"
    for key in sorted(index.keys() & _LISTS):
        if not _is_list_of_texts(index[key]):
            yield f"{INDEX}: {key} is no list of texts"


def _export_faults(exports: Mapping[str, object]) -> Iterator[str]:
    for key, value in exports.items():
        if not _is_list_of_texts(value):
            yield f"{_RUN_EXPORTS}: {key!r} is no list of texts"


def _is_list_of_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _digests(path: Path) -> Mapping[str, object]:
    """Size and digests in one reading."""
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    size = 0
    try:
        with path.open("rb", buffering=0) as file:
            while window := file.read(_WINDOW):
                size += len(window)
                sha256.update(window)
                md5.update(window)
    except OSError as error:
        raise PackageError(path.name, f"it cannot be read: {error.strerror}") from error
    return {"md5": md5.hexdigest(), "sha256": sha256.hexdigest(), "size": size}
