"""`builder inspect`: what is in a package, an archive or a binary, and which tag it deserves.

Nothing is unpacked, started, or looked up on this machine: the answer depends on the bytes alone.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from builder.archive.tally import Tally
from builder.errors import BuilderError, UsageError
from builder.verbs.inspection import (
    External,
    Failure,
    Found,
    Inspection,
    Platform,
    Subject,
    Unread,
    printable,
)

if TYPE_CHECKING:
    from builder.relink.cache import FactCache

__all__ = ["External", "Failure", "Found", "Inspection", "Platform", "Subject", "Unread", "inspect"]


def inspect(
    paths: Sequence[Path],
    *,
    cache: FactCache | None = None,
    folder: Path | None = None,
    threads: int = 0,
) -> Inspection:
    """Look into wheels, conda packages, archives, static libraries, folders and single binaries.

    What was looked into before comes from the `cache`. Big members lie in `folder` meanwhile, by
    default the one for temporary files. `threads` 0 means one per core.

    A path that cannot be looked into (hostile, damaged, of another kind) is a `Failure` and does
    not stop the others; so is a single file in a package or folder, as `Unread` of its subject.
    Raises `UsageError` when no path is given.
    """
    if not paths:
        raise UsageError("no file to inspect was given", hint="see `builder inspect --help`")
    tally = Tally()
    subjects: list[Subject] = []
    failures: list[Failure] = []
    for path in paths:
        try:
            subjects.append(_inspected(path, _Ways(tally, cache, folder, threads)))
        except BuilderError as error:
            lines = (error.message, *error.faults)
            failures.append(Failure(_shown(path), "\n".join(lines), error.hint))
    return Inspection(tuple(subjects), tuple(failures), tally)


@dataclass(frozen=True, slots=True)
class _Ways:
    """The arguments of `inspect`."""

    tally: Tally
    cache: FactCache | None
    folder: Path | None
    threads: int


def _inspected(path: Path, ways: _Ways) -> Subject:
    """One subject: as it is remembered, or looked into and judged."""
    if ways.cache is None or not path.is_file():
        return _looked(path, ways)
    from builder.verbs.inspected import recall, remember  # noqa: PLC0415  # only with a cache

    memory = ways.cache.memory
    place, subject = recall(memory, path, _shown(path))
    if subject is None:
        subject = _looked(path, ways)
        remember(memory, place, subject)
    return subject


def _looked(path: Path, ways: _Ways) -> Subject:
    # What is remembered needs no reader and no rule, and is told before these are loaded.
    from builder.relink.look import Desk, look_into  # noqa: PLC0415
    from builder.verbs.inspect_judge import judged  # noqa: PLC0415

    threads = ways.threads or os.cpu_count() or 1
    return judged(_shown(path), look_into(path, Desk(ways.tally, ways.cache, ways.folder, threads)))


def _shown(path: Path) -> str:
    """A path as text that can always be printed, whatever bytes the file system has in it."""
    return printable(path.as_posix())
