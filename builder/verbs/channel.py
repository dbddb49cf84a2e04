"""`builder channel`: a conda channel in a folder, for a web server or for `--channel`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from builder.channel import channel as room
from builder.channel.verify import verify
from builder.events import Event, Events, ignore

if TYPE_CHECKING:
    from builder.channel.channel import Added, Indexed, Waiting

__all__ = [
    "Verdict",
    "add_packages",
    "added_to_json",
    "create_channel",
    "index_channel",
    "indexed_to_json",
    "verify_channel",
]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What reading a whole channel again found."""

    channel: Path
    packages: int
    problems: tuple[str, ...]

    def to_json(self) -> Mapping[str, object]:
        """The document of `builder channel verify --json`."""
        return {
            "schema": 1,
            "channel": str(self.channel),
            "packages": self.packages,
            "problems": list(self.problems),
        }


def create_channel(
    folder: Path, subdirs: Sequence[str] = (), *, events: Events = ignore
) -> tuple[str, ...]:
    """Make an empty channel with `noarch` and these subdirs, and give back all it has.

    A channel that is there keeps what it has. Raises `UsageError` and `BuilderError`.
    """
    return room.create(folder, subdirs, waiting=_telling(folder, events))


def add_packages(
    folder: Path, packages: Sequence[Path], *, events: Events = ignore
) -> tuple[Added, ...]:
    """Copy packages into a channel and list them, without reading any other.

    Raises `UsageError` for what is no package, or has the name of another one with other bytes.
    """
    return room.add(folder, packages, waiting=_telling(folder, events))


def index_channel(
    folder: Path, *, again: bool = False, events: Events = ignore
) -> tuple[Indexed, ...]:
    """Make the index of a folder with packages; what has size and time of before is not read.

    With `again`, everything is. Raises `UsageError` naming every file that cannot be listed.
    """
    return room.index(folder, again=again, waiting=_telling(folder, events))


def verify_channel(folder: Path) -> Verdict:
    """Read every package of a channel and hold it against the index. Raises `UsageError`."""
    count, problems = verify(folder)
    return Verdict(folder, count, problems)


def added_to_json(folder: Path, added: Iterable[Added]) -> Mapping[str, object]:
    """The document of `builder channel add --json`."""
    rows = [
        {
            "path": str(row.path),
            "subdir": row.package.subdir,
            "sha256": row.package.sha256,
            "size": row.package.entry["size"],
            "was_there": row.was_there,
        }
        for row in added
    ]
    return {"schema": 1, "channel": str(folder), "added": rows}


def indexed_to_json(folder: Path, indexed: Iterable[Indexed]) -> Mapping[str, object]:
    """The document of `builder channel index --json`, and of `create`."""
    rows = [
        {
            "subdir": row.subdir,
            "packages": row.packages,
            "read": list(row.read),
            "dropped": list(row.dropped),
        }
        for row in indexed
    ]
    return {"schema": 1, "channel": str(folder), "subdirs": rows}


def _telling(folder: Path, events: Events) -> Waiting:
    """Say once that somebody else is at work there."""
    told = False

    def waiting() -> None:
        nonlocal told
        if not told:
            told = True
            events(Event("note", "channel", f"waiting for another builder that writes to {folder}"))

    return waiting
