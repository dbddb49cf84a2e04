"""Package a core tree as `<name>-<version>-<platform>.tar.gz`: sorted, without owners and times."""

from __future__ import annotations

import gzip
import tarfile
from collections.abc import Mapping
from pathlib import Path

from builder.backend import Package, Tools, Trees
from builder.config.plan import Step
from builder.config.spec import BuildSpec
from builder.errors import BuilderError


class Tarball:
    """The backend of the package type `tarball`; satisfies `builder.backend.Backend`."""

    name = "tarball"
    needs_python = False

    def plan(self, spec: BuildSpec) -> tuple[Step, ...]:
        """One step: everything happens in this process."""
        return (Step(("tarball", "{core}", _file_name(spec))),)

    def identity(self, spec: BuildSpec, trees: Trees, tools: Tools) -> Mapping[str, object]:
        """Nothing but the trees changes the bytes."""
        del spec, trees, tools
        return {"format": 1}

    def package(self, spec: BuildSpec, trees: Trees, out: Path, tools: Tools) -> Package:
        """Write the archive. The store renames it into place only when this returns."""
        del tools
        if trees.core is None:
            raise BuilderError(
                f"`{spec.recipe.name}` has no core stage to package",
                hint="a tarball holds compiled C++; add a [core] table to the recipe",
            )
        path = out / _file_name(spec)
        with (
            gzip.GzipFile(path, "wb", mtime=0) as stream,
            tarfile.open(fileobj=stream, mode="w") as archive,
        ):
            for entry in sorted(trees.core.root.rglob("*")):
                archive.add(
                    entry, str(entry.relative_to(trees.core.root)), recursive=False, filter=_plain
                )
        return Package(path, {"files": len(trees.core.entries)})


def _file_name(spec: BuildSpec) -> str:
    return f"{spec.recipe.name}-{spec.version or '0'}-{spec.target.platform}.tar.gz"


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mtime = 0
    member.mode = 0o755 if member.mode & 0o100 else 0o644
    return member
