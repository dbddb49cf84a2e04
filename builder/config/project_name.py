"""What a Python project is called, found without running any of it."""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from builder.config import toml_file
from builder.errors import UsageError

__all__ = ["project_name"]

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_FIELD = re.compile(r"^Name:[ \t]*(\S+)[ \t]*$", re.MULTILINE)


def project_name(folder: Path) -> str:
    """The name in `pyproject.toml`, `setup.cfg` or `PKG-INFO`, or else that of the folder.

    Files that cannot be read, and names that are none (`attr: package.name`), count as absent.
    """
    for name in _candidates(folder):
        if _NAME.fullmatch(name):
            return name
    return re.sub(r"[^A-Za-z0-9]+", "-", folder.name).strip("-") or "project"


def _candidates(folder: Path) -> Iterator[str]:
    yield _of_pyproject(folder / "pyproject.toml")
    yield _of_setup_cfg(_text(folder / "setup.cfg"))
    header, _, _ = _text(folder / "PKG-INFO").partition("\n\n")
    match = _FIELD.search(header)
    yield match[1] if match else ""
    yield folder.name


def _of_pyproject(path: Path) -> str:
    try:
        project = toml_file.parse(path, toml_file.read(path)).get("project")
    except UsageError:
        return ""
    return str(project.get("name", "")) if isinstance(project, Mapping) else ""


def _of_setup_cfg(text: str) -> str:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(text)
    except configparser.Error:
        return ""
    return parser.get("metadata", "name", fallback="").strip()


def _text(path: Path) -> str:
    try:
        return toml_file.read(path)
    except UsageError:
        return ""
