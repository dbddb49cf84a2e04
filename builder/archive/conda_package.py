"""What a conda package is made of, as values, and the documents of its `info/` folder.

Formats: conda's `index.json`, `paths.json` (version 1), `about.json`, `run_exports.json`, `link.json`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

from builder.errors import UsageError

__all__ = [
    "SUBDIRS",
    "CondaFile",
    "CondaPackage",
    "FileMode",
    "Placed",
    "Streamed",
    "documents",
    "is_plain",
    "paths_document",
    "refuse_faults",
]

FileMode = Literal["text", "binary"]
Sink = Callable[[memoryview], None]

SUBDIRS: Final[Mapping[str, tuple[str | None, str | None]]] = MappingProxyType({
    "linux-64": ("linux", "x86_64"),
    "linux-32": ("linux", "x86"),
    "linux-aarch64": ("linux", "aarch64"),
    "linux-armv7l": ("linux", "armv7l"),
    "linux-ppc64le": ("linux", "ppc64le"),
    "linux-riscv64": ("linux", "riscv64"),
    "linux-s390x": ("linux", "s390x"),
    "noarch": (None, None),
    "osx-64": ("osx", "x86_64"),
    "osx-arm64": ("osx", "arm64"),
    "win-32": ("win", "x86"),
    "win-64": ("win", "x86_64"),
    "win-arm64": ("win", "arm64"),
})  # fmt: skip
"""What `index.json` calls platform and architecture, for each folder of a channel."""

_NAME: Final = re.compile(r"[a-z0-9_][a-z0-9._-]{0,127}")
_VERSION: Final = re.compile(r"[A-Za-z0-9._!+]{1,128}")
_BUILD: Final = re.compile(r"[A-Za-z0-9._+]{1,128}")
_ABOUT: Final = frozenset({
    "description", "dev_url", "doc_url", "extra", "home", "keywords", "license", "license_family",
    "license_file", "source_url", "summary", "tags",
})  # fmt: skip
_PROSE: Final = frozenset({"description", "summary"})
_RUN_EXPORTS: Final = frozenset({
    "noarch", "strong", "strong_constrains", "weak", "weak_constrains"
})  # fmt: skip
_LOCAL: Final = re.compile(r"/|[A-Za-z]:[\\/]|~")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_EMPTY: Final = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
"""The sha256 of nothing: what conda's own tools write for a link that leads out of its package."""
_MOST_HOPS: Final = 40


@dataclass(frozen=True, slots=True)
class Streamed:
    """Content that comes in pieces: `pour` hands them to a sink, `size` bytes in all."""

    size: int
    pour: Callable[[Sink], None]


@dataclass(frozen=True, slots=True)
class CondaFile:
    """One file of a package: its bytes, a file that has them, or a stream; or the target of a link.

    `path` is relative to the prefix it is installed into. `placeholder` is the prefix inside that the
    installer replaces, as `mode` says: in a text, or in a binary, where it is padded with zeros.
    `sha256` (hex) is what the content must have, where that is known before.
    """

    path: str
    source: bytes | Path | Streamed = b""
    executable: bool = False
    link: str = ""
    placeholder: str = ""
    mode: FileMode = "text"
    sha256: str = ""

    @property
    def size(self) -> int:
        """How many bytes the content has; none of a link."""
        if self.link:
            return 0
        if isinstance(self.source, bytes):
            return len(self.source)
        return self.source.stat().st_size if isinstance(self.source, Path) else self.source.size


@dataclass(frozen=True, slots=True)
class CondaPackage:
    """What a package says about itself; `stem` is its file name without the ending.

    `noarch` is `python`, `generic` or empty. Without a platform of its own, a package goes to the subdir
    `noarch`; one that is `python` elsewhere serves every Python on that platform (CEP 20). `entry_points`
    (`name = module:function`) are those of a `noarch: python` package: the installer writes the
    scripts. `info` are more files below `info/`: licences (`licenses/LICENSE`), tests.
    """

    name: str
    version: str
    build: str
    subdir: str
    build_number: int = 0
    noarch: str = ""
    depends: tuple[str, ...] = ()
    constrains: tuple[str, ...] = ()
    license: str = ""
    license_family: str = ""
    track_features: str = ""
    about: Mapping[str, object] = field(default_factory=dict)
    run_exports: Mapping[str, Sequence[str]] = field(default_factory=dict)
    entry_points: tuple[str, ...] = ()
    info: tuple[CondaFile, ...] = ()

    @property
    def stem(self) -> str:
        """`name-version-build`."""
        return f"{self.name}-{self.version}-{self.build}"


@dataclass(frozen=True, slots=True)
class Placed:
    """A file that was written: its real size and sha256 (hex), empty for a link."""

    file: CondaFile
    size: int
    sha256: str


def refuse_faults(package: CondaPackage) -> None:
    """Raise `UsageError` with everything that makes a package one that others refuse or misread."""
    if faults := tuple(_faults(package)):
        raise UsageError(
            f"`{package.stem}` cannot be a conda package",
            faults=faults,
            hint="change what the recipe, the metadata or the options say about it",
        )


def documents(package: CondaPackage, epoch: int) -> Iterator[tuple[str, bytes]]:
    """Name below `info/` and content of every document but `paths.json`; `epoch` is its time stamp."""
    yield "about.json", _json(package.about)
    yield "index.json", _json(_index(package, epoch))
    if package.noarch == "python":
        points = {"entry_points": list(package.entry_points), "type": "python"}
        yield "link.json", _json({"noarch": points, "package_metadata_version": 1})
    if exports := {kind: list(specs) for kind, specs in package.run_exports.items() if specs}:
        yield "run_exports.json", _json(exports)


def paths_document(placed: Iterable[Placed]) -> bytes:
    """`info/paths.json` of files in the order of the package."""
    rows = tuple(placed)
    known = {row.file.path: row for row in rows}
    paths = [_path_entry(row, known) for row in rows]
    return _json({"paths": paths, "paths_version": 1})


def is_plain(name: str, version: str, build: str) -> bool:
    """Whether the three words of a file name can be told apart again, and harm nobody as a path."""
    return bool(_NAME.fullmatch(name) and _VERSION.fullmatch(version) and _BUILD.fullmatch(build))


def _faults(package: CondaPackage) -> Iterator[str]:
    if not _NAME.fullmatch(package.name):
        yield f"the name {package.name!r} is not lower-case letters, digits, `.`, `_` and `-`"
    if not _VERSION.fullmatch(package.version):
        yield f"the version {package.version!r} is not letters, digits, `.`, `_`, `!` and `+`"
    if not _BUILD.fullmatch(package.build):
        yield f"the build string {package.build!r} is not letters, digits, `.`, `_` and `+`"
    if package.build_number < 0:
        yield f"the build number {package.build_number} is negative"
    yield from _platform_faults(package)
    yield from _spec_faults(package)
    yield from _about_faults(package.about)


def _platform_faults(package: CondaPackage) -> Iterator[str]:
    if package.subdir not in SUBDIRS:
        yield f"the subdir {package.subdir!r} is not one of {', '.join(SUBDIRS)}"
    if package.noarch not in {"", "generic", "python"}:
        yield f"noarch is {package.noarch!r}, not `python` or `generic`"
    fits = package.noarch == "python" or (package.noarch == "generic") == (
        package.subdir == "noarch"
    )
    if not fits:
        yield f"noarch {package.noarch!r} does not go with the subdir {package.subdir!r}"
    if package.entry_points and package.noarch != "python":
        yield "only a `noarch: python` package has entry points that the installer writes"


def _spec_faults(package: CondaPackage) -> Iterator[str]:
    exported = (spec for specs in package.run_exports.values() for spec in specs)
    for spec in (*package.depends, *package.constrains, *package.entry_points, *exported):
        if not spec.strip() or _CONTROL.search(spec):
            yield f"{spec!r} is no requirement or entry point"
    for kind in sorted(package.run_exports.keys() - _RUN_EXPORTS):
        yield f"run_exports has {kind!r}, which is not one of {', '.join(sorted(_RUN_EXPORTS))}"


def _about_faults(about: Mapping[str, object]) -> Iterator[str]:
    """What would tell strangers about the machine that made the package."""
    for key in sorted(about.keys() - _ABOUT):
        yield f"about has {key!r}, which is not one of {', '.join(sorted(_ABOUT))}"
    for key in sorted(about.keys() & _ABOUT):
        for text in _texts(about[key]):
            if "file:" in text or (key not in _PROSE and _LOCAL.match(text)):
                yield f"about names a place of one machine in {key!r}: {text!r}"


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, Sequence):
        for inner in value:
            yield from _texts(inner)


def _index(package: CondaPackage, epoch: int) -> Mapping[str, object]:
    platform, machine = SUBDIRS[package.subdir]
    document: dict[str, object] = {
        "arch": machine,
        "build": package.build,
        "build_number": package.build_number,
        "depends": list(package.depends),
        "name": package.name,
        "platform": platform,
        "subdir": package.subdir,
        "timestamp": epoch * 1000,
        "version": package.version,
    }
    optional = {
        "constrains": list(package.constrains),
        "license": package.license,
        "license_family": package.license_family,
        "noarch": package.noarch,
        "track_features": package.track_features,
    }
    return document | {key: value for key, value in optional.items() if value}


def _path_entry(row: Placed, known: Mapping[str, Placed]) -> Mapping[str, object]:
    file = row.file
    entry: dict[str, object] = {"_path": file.path}
    if file.link:
        end = _followed(file, known)
        entry["path_type"] = "softlink"
        entry["sha256"] = end.sha256 if end is not None else _EMPTY
        entry["size_in_bytes"] = end.size if end is not None else 0
        return entry
    entry |= {"path_type": "hardlink", "sha256": row.sha256, "size_in_bytes": row.size}
    if file.placeholder:
        entry |= {"file_mode": file.mode, "prefix_placeholder": file.placeholder}
    return entry


def _followed(file: CondaFile, known: Mapping[str, Placed]) -> Placed | None:
    """The file of the package that a link leads to in the end."""
    from posixpath import dirname, join, normpath  # noqa: PLC0415  # few packages have links

    for _ in range(_MOST_HOPS):
        row = known.get(normpath(join(dirname(file.path), file.link)))
        if row is None or not row.file.link:
            return row
        file = row.file
    return None


def _json(document: object) -> bytes:
    text = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False)
    return f"{text}\n".encode()
