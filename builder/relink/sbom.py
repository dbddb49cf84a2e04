"""The software bill of materials of a wheel: what was grafted, from where, under which licence.

Format: CycloneDX 1.6 JSON, in `.dist-info/sboms/` (PEP 770). The same grafts give the same bytes.
"""

from __future__ import annotations

import json
import posixpath
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from builder.relink.owner import Owner

__all__ = ["FILE", "Component", "licence_files", "render"]

FILE: Final = "sboms/builder.cdx.json"
"""Where the bill is, below `.dist-info`."""
_SPACE: Final = uuid.UUID("5c6f4a1e-52f5-4f0c-9f2b-1f2d64c0a7ce")


@dataclass(frozen=True, slots=True)
class Component:
    """One grafted library: its `path` in the wheel, and both digests, as found and as shipped.

    `owner` is the package it belongs to where it came from, if any.
    """

    name: str
    path: str
    found_sha256: str
    shipped_sha256: str
    owner: Owner | None = None


def render(project: str, version: str, components: Sequence[Component], *, file: str = "") -> bytes:
    """The bill as UTF-8 text. `file` is the wheel's file name."""
    wheel = f"pkg:pypi/{quote(project)}@{quote(version)}"
    main = f"{wheel}?file_name={quote(file)}" if file else wheel
    rows = sorted(components, key=lambda row: row.path)
    body: dict[str, object] = {
        "metadata": {
            "component": {
                "type": "library",
                "bom-ref": main,
                "name": project,
                "version": version,
                "purl": main,
            },
            "tools": {"components": [{"type": "application", "name": "manybuild"}]},
        },
        "components": [_component(row) for row in rows],
        "dependencies": [
            {"ref": main, "dependsOn": [_reference(row) for row in rows]},
            *({"ref": _reference(row)} for row in rows),
        ],
    }
    serial = uuid.uuid5(_SPACE, json.dumps(body, sort_keys=True))
    head = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
    }
    return (json.dumps({**head, **body}, indent=2, ensure_ascii=False) + "\n").encode()


def licence_files(components: Sequence[Component]) -> Mapping[str, bytes]:
    """The licence texts of what was grafted, by their path below `.dist-info`.

    One folder for each package; a text that cannot be read is left out, and so is said nowhere.
    """
    files: dict[str, bytes] = {}
    for row in sorted(components, key=lambda row: row.path):
        for text in row.owner.licences if row.owner is not None else ():
            name = f"licenses/grafted/{row.owner.name if row.owner else row.name}/{text.name}"
            try:
                files[name] = text.read_bytes()
            except OSError:
                continue
    return files


def _reference(row: Component) -> str:
    return f"{row.owner.purl if row.owner else 'pkg:generic/' + quote(row.name)}#{row.path}"


def _component(row: Component) -> Mapping[str, object]:
    owner = row.owner
    facts: dict[str, object] = {
        "type": "library",
        "bom-ref": _reference(row),
        "name": owner.name if owner else row.name,
    }
    if owner and owner.version:
        facts["version"] = owner.version
    if owner and owner.licence:
        facts["licenses"] = [{"license": {"name": owner.licence}}]
    facts["hashes"] = [{"alg": "SHA-256", "content": row.shipped_sha256}]
    if owner and owner.kind != "generic":
        facts["purl"] = owner.purl
    found: dict[str, object] = {
        "type": "library",
        "name": row.name,
        "hashes": [{"alg": "SHA-256", "content": row.found_sha256}],
    }
    facts["pedigree"] = {
        "ancestors": [found],
        "notes": f"copied to {posixpath.basename(row.path)}; names and search path changed",
    }
    facts["evidence"] = {"occurrences": [{"location": row.path}]}
    return facts
