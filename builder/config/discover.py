"""From what the user typed to a recipe: a name, a folder, or a project without any recipe."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path

from builder.config import toml_file
from builder.config.project_name import project_name
from builder.config.recipe import Folder, PythonStage, Recipe
from builder.config.recipe_file import RECIPE_FILE, load, project_table
from builder.errors import UsageError

__all__ = ["find", "is_ours", "known"]

_PACKAGES = (".whl", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".zip", ".conda")


def find(name_or_folder: str, roots: tuple[Path, ...], cwd: Path) -> Recipe:
    """The recipe that `name_or_folder` means, seen from the absolute folder `cwd`.

    A word without a slash is first the name of a folder below one of `roots` that has a
    `recipe.toml`, in their order; `./NAME` always means the folder. A folder gives its
    `recipe.toml`, `builder.toml` or `[tool.builder]`, the first there is, or else, when it holds a
    Python project, a recipe that builds it by PEP 517. Raises `UsageError`.
    """
    text = name_or_folder.strip()
    if not text:
        raise UsageError("no recipe given", hint="give a name or a folder, `.` for this one")
    is_path = "/" in text or "\\" in text or text in (".", "..")
    if not is_path:
        for root in roots:
            path = root / text / RECIPE_FILE
            if toml_file.is_file(path):
                return load(path.absolute())
    place = cwd / text
    if _is_folder(place):
        return _of_folder(place.resolve())  # so that `..` has a name too
    if toml_file.is_file(place):
        return _of_file(place)
    if is_path:
        raise UsageError(
            f"no such folder: `{text}`",
            hint=f"looked at {place}; a recipe is a name, a folder or a `.toml` file",
        )
    raise _unknown(text, roots, cwd)


def is_ours(name_or_folder: str, roots: tuple[Path, ...], cwd: Path) -> bool:
    """Whether `find` would come to a recipe of ours: by its name, or in a file of the folder."""
    text = name_or_folder.strip()
    is_name = text not in {"", ".", ".."} and "/" not in text and "\\" not in text
    if is_name and any(toml_file.is_file(root / text / RECIPE_FILE) for root in roots):
        return True
    folder = cwd / text
    if any(toml_file.is_file(folder / name) for name in (RECIPE_FILE, "builder.toml")):
        return True
    pyproject = folder / "pyproject.toml"
    if not toml_file.is_file(pyproject):
        return False
    return project_table(toml_file.parse(pyproject, toml_file.read(pyproject))) is not None


def known(roots: tuple[Path, ...]) -> tuple[tuple[str, Path], ...]:
    """Names of recipes and their files below `roots`, sorted; an earlier root hides a later one."""
    found: dict[str, Path] = {}
    for root in roots:
        try:
            folders = sorted(root.iterdir())
        except OSError:
            continue
        for folder in folders:
            path = folder / RECIPE_FILE
            if toml_file.is_file(path):
                found.setdefault(folder.name, path.absolute())
    return tuple(sorted(found.items()))


def _of_file(path: Path) -> Recipe:
    if path.suffix == ".toml":
        return load(path)
    if path.name.endswith(_PACKAGES):
        raise UsageError(
            f"`{path}` is a package, not a recipe",
            hint="unpack it and give the folder, or give it as `--source` of a recipe",
        )
    raise UsageError(f"`{path}` is not a recipe", hint="give a folder or a `.toml` file")


def _of_folder(folder: Path) -> Recipe:
    for name in (RECIPE_FILE, "builder.toml"):
        if toml_file.is_file(folder / name):
            return load(folder / name)
    document: Mapping[str, object] = {}
    pyproject = folder / "pyproject.toml"
    if toml_file.is_file(pyproject):
        document = toml_file.parse(pyproject, toml_file.read(pyproject))
        if project_table(document) is not None:
            return load(pyproject)
    declared = "project" in document or "build-system" in document
    configured = toml_file.is_file(pyproject) and toml_file.is_file(folder / "setup.cfg")
    if not (declared or configured or toml_file.is_file(folder / "setup.py")):
        raise _nothing_there(folder)
    return Recipe(
        name=project_name(folder), folder=folder, source=Folder(folder), python=PythonStage()
    )


def _nothing_there(folder: Path) -> UsageError:
    notes = []
    for name in (RECIPE_FILE, "builder.toml", "pyproject.toml", "setup.py"):
        path = folder / name
        if toml_file.is_file(path):
            notes.append(f"`{name}` has neither `[project]` nor `[build-system]`")
        elif toml_file.exists(path):
            notes.append(f"`{name}` is not a readable file")
        else:
            notes.append(f"no `{name}`")
    return UsageError(
        f"nothing to build in `{folder}`",
        faults=notes,
        hint="give a folder with a Python project or a recipe (docs/reference/recipe.md)",
    )


def _unknown(name: str, roots: tuple[Path, ...], cwd: Path) -> UsageError:
    names = [found for found, _ in known(roots)]
    lowered = {found.lower(): found for found in names}
    close = difflib.get_close_matches(name.lower(), lowered, n=3, cutoff=0.5)
    guess = " or ".join(f"`{lowered[match]}`" for match in close)
    return UsageError(
        f"unknown recipe `{name}`",
        faults=(
            *(f"searched: {root / name / RECIPE_FILE}" for root in roots),
            f"searched: {cwd / name}",
            f"known recipes: {', '.join(names) or 'none'}",
        ),
        hint=f"did you mean {guess}?" if guess else "give one of these, or a folder such as `.`",
    )


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False
