"""Reading the release to compare with: a package of any kind, or the list of contents of an archive."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from builder.archive.content import read_content
from builder.errors import UsageError
from smoke.release import of_manifest, offers, snapshot
from smoke.runner import Request, subject_of
from smoke.subject import Release

__all__ = ["read_release"]


def read_release(path: Path) -> Release:
    """What users had of a release. Raises `UsageError` when the file does not tell."""
    if path.suffix == ".json":
        return of_manifest(read_content(path))
    subject = subject_of(Request(path.absolute()))
    if subject.content is None:
        raise UsageError(
            f"`{path}` is an environment", hint="compare with a package, an archive or a folder"
        )
    if subject.content.faults:
        raise UsageError(
            f"`{path}` cannot be compared with: {subject.content.faults[0]}",
            hint="give a sound one",
        )
    return replace(snapshot(subject), offered=dict(offers(subject)))
