"""A recipe file: TOML in, one `Recipe` or every fault of the file out.

The format is the JSON Schema `builder/data/recipe.schema.json`; `recipe_sense` says what it cannot.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from builder.config import toml_file
from builder.config.accelerator import Accelerator
from builder.config.fault import Fault, dotted
from builder.config.project_name import project_name
from builder.config.python import parse_pythons
from builder.config.recipe import (
    Archive,
    Axes,
    Folder,
    GitRevision,
    IndexSdist,
    PythonStage,
    Recipe,
    Source,
)
from builder.config.recipe_sense import sense_faults
from builder.config.recipe_shape import shape_faults
from builder.config.recipe_table import Table, freeze, merge
from builder.config.target import parse_platform
from builder.config.toml_lines import KeyPath, line_of, lines
from builder.errors import UsageError

__all__ = ["FORMAT", "PROJECT_FILES", "RECIPE_FILE", "load", "project_table"]

RECIPE_FILE = "recipe.toml"
PROJECT_FILES = ("builder.toml", "pyproject.toml")
"""Files of a project itself: its folder is the source unless they say otherwise."""
FORMAT = 1
"""The version of the format, the `schema` of a file."""

_HINT = "the format is described in docs/reference/recipe.md"


def load(path: Path) -> Recipe:
    """The recipe in `path`: a `pyproject.toml` with `[tool.builder]`, or a file of its own.

    Raises `UsageError`, whose `faults` are all that is wrong, as `file:line: key.path: message`.
    """
    text = toml_file.read(path)
    document = toml_file.parse(path, text)
    try:
        return _load(path, text, document)
    except RecursionError as error:
        raise UsageError(f"`{path}` is nested too deeply") from error


def project_table(document: Mapping[str, object]) -> object:
    """The value of `tool.builder` in a `pyproject.toml`, None when it has none."""
    tool = document.get("tool")
    return tool.get("builder") if isinstance(tool, dict) else None


def _load(path: Path, text: str, document: Mapping[str, object]) -> Recipe:
    prefix: KeyPath = ()
    table: object = document
    if path.name == "pyproject.toml":
        prefix, table = ("tool", "builder"), project_table(document)
    if table is None:
        raise UsageError(f"`{path}` has no `[tool.builder]`", hint=_HINT)
    if not isinstance(table, dict):
        raise _faulty(path, text, prefix, [Fault((), "expected a table")])
    number = table.get("schema", FORMAT)
    if type(number) is int and number > FORMAT:
        newer = Fault(("schema",), f"written for format {number}, this builder reads {FORMAT}")
        raise _faulty(path, text, prefix, [newer], hint="use a newer builder")
    project = path.name in PROJECT_FILES
    faults = [*shape_faults(table), *sense_faults(table, project=project)]
    if faults:
        raise _faulty(path, text, prefix, faults)
    return _recipe(table, path.absolute().parent, project=project)


def _faulty(
    path: Path, text: str, prefix: KeyPath, faults: list[Fault], *, hint: str = _HINT
) -> UsageError:
    known = lines(text)
    placed = []
    for fault in faults:
        where = dotted((*prefix, *fault.path))
        line = line_of(known, (*prefix, *fault.path))
        message = f"{where}: {fault.message}" if where else fault.message
        placed.append((line, f"{path}:{line}: {message}"))
    texts = tuple(dict.fromkeys(text for _, text in sorted(placed, key=lambda item: item[0])))
    count = "1 fault" if len(texts) == 1 else f"{len(texts)} faults"
    return UsageError(f"`{path}` has {count}", faults=texts, hint=hint)


def _recipe(table: Table, folder: Path, *, project: bool) -> Recipe:
    about = cast("Mapping[str, str]", table.get("recipe", {}))
    overrides = cast("list[Mapping[str, object]]", table.get("override", []))
    implied = project and "core" not in table and "python" not in table
    recipe = Recipe(
        name=about.get("name") or project_name(folder),
        folder=folder,
        source=_source(cast("Mapping[str, str]", table.get("source", {})), folder),
        summary=about.get("summary", ""),
        axes=_axes(cast("Mapping[str, list[str]]", table.get("matrix", {}))),
        python=PythonStage() if implied else None,
        overrides=tuple((str(entry["select"]), _changes(entry)) for entry in overrides),
    )
    return merge(recipe, table)


def _changes(override: Table) -> Table:
    changes = {key: value for key, value in override.items() if key != "select"}
    return cast("Table", freeze(changes))


def _source(table: Mapping[str, str], folder: Path) -> Source:
    match table:
        case {"git": url, "revision": revision}:
            remote = "://" in url or re.match(r"[^/\\]+:", url)
            return GitRevision(url if remote else _below(folder, url), revision)
        case {"project": project, "version": version, "sha256": sha256}:
            return IndexSdist(project, version, sha256.lower())
        case {"archive": location, "sha256": sha256}:
            place = location if "://" in location else _below(folder, location)
            return Archive(place, sha256.lower())
        case _:
            return Folder(Path(_below(folder, table.get("path", "."))))


def _below(folder: Path, path: str) -> str:
    """`path` seen from `folder`, absolute and without dots."""
    return os.path.normpath(folder / path)


def _axes(table: Mapping[str, list[str]]) -> Axes:
    """Canonical spellings; `all` among the Pythons lifts the limit."""
    pythons = table.get("python", [])
    if any(word.strip().lower() == "all" for text in pythons for word in text.split(",")):
        pythons = []
    accelerators = (str(Accelerator.parse(text)) for text in table.get("accelerator", []))
    platforms = ("_".join(parse_platform(text)) for text in table.get("platform", []))
    return Axes(
        types=tuple(dict.fromkeys(table.get("types", []))),
        pythons=tuple(str(python) for python in parse_pythons(pythons, ())),
        accelerators=tuple(dict.fromkeys(accelerators)),
        platforms=tuple(dict.fromkeys(platforms)),
    )
