"""conda: `conda-meta/NAME.json` of an environment lists the files of one package."""

from __future__ import annotations

import json
from pathlib import Path

from builder.relink.owner.beside import is_licence
from builder.relink.owner.model import Owner

__all__ = ["owner_of"]


def owner_of(library: Path, root: Path) -> Owner | None:
    """The conda package that installed a file, for a library in an environment."""
    for prefix in library.parents:
        if prefix == root or root not in prefix.parents:
            break
        if (prefix / "conda-meta").is_dir():
            return _in_environment(library.relative_to(prefix).as_posix(), prefix)
    return None


def _in_environment(path: str, prefix: Path) -> Owner | None:
    for file in sorted((prefix / "conda-meta").glob("*.json")):
        try:
            content = file.read_text(encoding="utf-8")
            record = json.loads(content) if json.dumps(path) in content else {}
        except (OSError, ValueError):
            continue
        if isinstance(record, dict) and path in record.get("files", ()):
            package = Path(str(record.get("extracted_package_dir", ""))) / "info/licenses"
            texts = sorted(
                file for file in package.rglob("*") if file.is_file() and is_licence(file)
            )
            return Owner(
                "conda",
                str(record.get("name", "")),
                str(record.get("version", "")),
                str(record.get("subdir", "")),
                licence=str(record.get("license", "")),
                licences=tuple(texts),
            )
    return None
