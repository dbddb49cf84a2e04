"""The seam between the core and a conversion: what turns a finished wheel into a package of another kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from builder.config.python import Python

__all__ = ["Conversion", "Converted", "Converter"]


@dataclass(frozen=True, slots=True)
class Conversion:
    """What a caller wants of a conversion.

    `python` and `subdir` choose where a wheel serves several. `names` say what projects (normalized)
    are called on the other side, before the table that a converter brings. `epoch` is the time of
    everything inside, None the newest of the wheel; `threads` 0 means one per core.
    """

    python: Python | None = None
    subdir: str = ""
    compression: Literal["fast", "default", "release"] = "default"
    file_format: Literal["conda", "tar.bz2"] = "conda"
    names: Mapping[str, str] = field(default_factory=dict)
    epoch: int | None = None
    threads: int = 0


@dataclass(frozen=True, slots=True)
class Converted:
    """A package that was written, what it says about itself, and what its user should know."""

    path: Path
    facts: Mapping[str, object]
    notes: tuple[str, ...] = ()


class Converter(Protocol):
    """One kind of package that wheels are turned into, without compiling."""

    @property
    def name(self) -> str:
        """The word behind `--to`, for example `conda`."""
        ...

    def convert(self, wheel: Path, folder: Path, wishes: Conversion) -> Converted:
        """Write one package below `folder`. Raises `UsageError` and `BuilderError`."""
        ...
