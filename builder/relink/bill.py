"""The bill of materials and the licences of what one repair grafts, made from its plan."""

from __future__ import annotations

import base64
import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from builder.archive.record import Row
from builder.relink.owner import Owners
from builder.relink.plan import Plan, Subject
from builder.relink.sbom import FILE, Component, licence_files, render

__all__ = ["Bill", "hex_of"]


@dataclass(frozen=True, slots=True)
class Bill:
    """What comes with the grafts: licence texts by path, and the place of the bill."""

    path: str
    files: Mapping[str, bytes]
    project: str
    version: str
    wheel: str
    components: tuple[Component, ...]

    @classmethod
    def of(cls, subject: Subject, todo: Plan, owners: Owners | None = None) -> Bill:
        """The bill of a plan that grafts something. What is there stays."""
        known = owners or Owners()
        components = tuple(
            Component(
                posixpath.basename(graft.source), graft.path, graft.sha256, "",
                known.of(Path(graft.source)),
            )
            for graft in todo.relinked.grafts
        )  # fmt: skip
        taken = {
            f"{todo.dist_info}{path[len(subject.wheel.dist_info) :]}"
            for path in subject.members.entries
            if path.startswith(subject.wheel.dist_info)
        }
        texts = {
            f"{todo.dist_info}/{path}": text for path, text in licence_files(components).items()
        }
        return cls(
            _free(f"{todo.dist_info}/{FILE}", taken),
            {path: text for path, text in texts.items() if path not in taken},
            todo.name.project,
            todo.name.version,
            str(todo.name),
            components,
        )

    def render(self, rows: Mapping[str, Row]) -> bytes:
        """The bill, once the digests of what is shipped are known from the rows of RECORD."""
        shipped = tuple(
            Component(
                one.name, one.path, one.found_sha256, hex_of(rows[one.path].digest), one.owner
            )
            for one in self.components
        )
        return render(self.project, self.version, shipped, file=self.wheel)


def _free(path: str, taken: Iterable[str]) -> str:
    """A path that no earlier bill has."""
    others = set(taken)
    stem, suffix = path.removesuffix(".cdx.json"), ".cdx.json"
    number = 1
    while path in others:
        number += 1
        path = f"{stem}-{number}{suffix}"
    return path


def hex_of(digest: str) -> str:
    """A digest as RECORD writes it, in hex."""
    text = digest.partition("=")[2]
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).hex()
