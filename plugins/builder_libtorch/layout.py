"""What of an install tree or a finished wheel belongs to a C++ archive, and which release it is."""

from __future__ import annotations

import ast
import posixpath
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from builder.config.matrix import expand
from builder.config.naming import archive_words
from builder.config.recipe import CppArchive
from builder.config.target import ABIS, ARCHITECTURES, VARIANTS, Target
from builder.errors import BuilderError

__all__ = [
    "Release",
    "chosen",
    "is_static",
    "misnamed",
    "read_release",
    "refuse_wrong_linking",
]

_LARGEST: Final = 1 << 20
_NAMES: Final = {"__version__": "version", "git_version": "revision"}
_STATIC: Final = re.compile(r".+\.(a|lib)", re.IGNORECASE)
_SHARED: Final = re.compile(r".+\.(so(\.[0-9]+)*|dylib|dll)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Release:
    """The version of a project and the revision it was made from; empty where nothing says it."""

    version: str = ""
    revision: str = ""


def chosen(
    paths: Iterable[str], archive: CppArchive, source: str = "the core tree"
) -> Mapping[str, str]:
    """The files that belong to the archive: their path in it (below its top) by that in the source.

    Raises `BuilderError` when there is none; `source` is what it calls the source.
    """
    found = {path: inner for path in paths if (inner := archive.inner(path))}
    if not found:
        where = f"below `{archive.wheel}` in {source}" if archive.wheel else f"in {source}"
        raise BuilderError(
            f"there is no C++ part {where}: no file matches {', '.join(archive.keep)}",
            hint="set `archive.keep` in the recipe to what is C++, and `archive.wheel` to its folder",
        )
    return found


def read_release(text: bytes, where: str) -> Release:
    """What a version file says, by reading it as Python and not running it. Raises `BuilderError`."""
    values: dict[str, str] = {}
    try:
        body = ast.parse(_bounded(text)).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise BuilderError(
            f"`{where}` cannot be read as Python: {error}",
            hint="name the project's version file in `archive.version` of the recipe",
        ) from error
    for statement in body:
        for name, value in _assigned(statement):
            if name in _NAMES and isinstance(value, ast.Constant) and isinstance(value.value, str):
                values[_NAMES[name]] = value.value
    if "version" not in values:
        raise BuilderError(
            f"`{where}` does not say `__version__`",
            hint="name the project's version file in `archive.version` of the recipe",
        )
    return Release(**values)


def is_static(target: Target) -> bool:
    """Whether the variant is made of libraries for a linker."""
    return target.variant.startswith("static")


def misnamed(name: str, version: str, target: Target) -> tuple[str, ...]:
    """What the file name of an archive says otherwise than its manifest, a line each.

    A name that says nothing of a target is no lie.
    """
    others = expand(
        types=[target.package_type], pythons=(), accelerators=[target.accelerator],
        platforms=[(os, arch) for os, arches in ARCHITECTURES.items() for arch in arches],
        abis=["", *ABIS], variants=VARIANTS["libtorch"],
    )  # fmt: skip
    said = {words: one for one in others if f"-{(words := archive_words(one))}-" in name}
    if not said:
        return ()
    words = max(said, key=len)
    rest = name.rpartition(f"-{words}-")[2]
    found: list[str] = []
    if words != archive_words(target):
        found.append(f"{name}: is named like `{said[words]}`, and is for `{target}`")
    if not rest.startswith((f"{version}.", "latest.")):
        found.append(f"{name}: does not say its version, {version}")
    return tuple(found)


def refuse_wrong_linking(paths: Collection[str], target: Target, *, finished: bool = False) -> None:
    """Raise `BuilderError` when a static variant has no static library, or a shared one no shared.

    `finished` paths are those of a wheel that nobody builds again.
    """
    kind, pattern = ("static", _STATIC) if is_static(target) else ("shared", _SHARED)
    names = {path: posixpath.basename(path) for path in paths}
    doors = _import_libraries(names) if target.os == "windows" and is_static(target) else []
    if doors or not any(map(pattern.fullmatch, names.values())):
        other = "shared" if kind == "static" else "static"
        hint = f"make the core stage of `*-{kind}*` build them, with an [[override]] in the recipe"
        if finished:
            hint = f"give another wheel, or choose a {other} variant"
        has = "libraries that are in DLLs" if doors else "none"
        raise BuilderError(
            f"`{target}` asks for {kind} libraries, and its {'wheel' if finished else 'tree'} has {has}",
            faults=doors,
            hint=hint,
        )


def _import_libraries(names: Mapping[str, str]) -> list[str]:
    """The libraries for a linker that only lead to a DLL of the same name."""
    ends = {name.lower() for name in names.values()}
    return [
        f"{path}: leads to `{stem}.dll`"
        for path, name in names.items()
        if name.lower().endswith(".lib") and f"{(stem := name[:-4])}.dll".lower() in ends
    ]


def _bounded(text: bytes) -> bytes:
    if len(text) > _LARGEST:
        raise ValueError("it is too large for a version file")
    return text


def _assigned(statement: ast.stmt) -> Iterable[tuple[str, ast.expr]]:
    """The names that a plain assignment gives a value, annotated or not."""
    match statement:
        case ast.Assign(targets=targets, value=value):
            return [(one.id, value) for one in targets if isinstance(one, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=name), value=value) if value is not None:
            return [(name, value)]
        case _:
            return []
