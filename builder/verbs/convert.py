"""`builder convert`: a finished wheel as a package of another kind, without compiling it again."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from builder.archive.deliver import workplace
from builder.archive.file import file_digest
from builder.converter import Conversion, Converted
from builder.errors import BuilderError, UsageError
from builder.events import Event, Events, ignore
from builder.plugins import Plugins

if TYPE_CHECKING:
    from builder.converter import Converter

__all__ = ["Row", "convert", "to_json"]


@dataclass(frozen=True, slots=True)
class Row:
    """One converted file."""

    input: Path
    made: Converted
    sha256: str
    size: int
    seconds: float

    def to_json(self) -> Mapping[str, object]:
        """One entry of the document of `builder convert --json`."""
        return {
            "input": str(self.input),
            "output": str(self.made.path),
            **self.made.facts,
            "sha256": self.sha256,
            "size": self.size,
            "seconds": self.seconds,
            "notes": list(self.made.notes),
        }


def to_json(rows: Iterable[Row]) -> Mapping[str, object]:
    """The whole document of `builder convert --json`."""
    return {"schema": 1, "converted": [row.to_json() for row in rows]}


def convert(
    files: Sequence[Path],
    *,
    to: str = "conda",
    output_dir: Path = Path("dist"),
    wishes: Conversion | None = None,
    plugins: Plugins | None = None,
    events: Events = ignore,
) -> tuple[Row, ...]:
    """Turn each wheel into a package of the kind `to` below `output_dir`, for conda in its subdir.

    A package that is there already is replaced, but not one of the same call. The same wheel and
    wishes give the same bytes. Raises `UsageError` for what is no wheel or cannot be such a package,
    and `BuilderError` when one failed, after all the others were done.
    """
    if bad := [f"`{file}` is no file" for file in files if not file.is_file()]:
        raise UsageError("`convert` cannot start", faults=bad, hint="see `builder convert --help`")
    converter = (plugins or Plugins.installed()).converter(to)
    done: list[Row] = []
    failed: list[BuilderError] = []
    for file in files:
        job, started = f"convert {file.name}", time.monotonic()
        events(Event("started", job))
        try:
            taken = {row.made.path: row.input for row in done}
            row = _converted(converter, file, output_dir, wishes or Conversion(), taken)
            done.append(replace(row, seconds=round(time.monotonic() - started, 3)))
        except BuilderError as error:
            if error.exit_code > 2:  # noqa: PLR2004  # an interrupt ends everything
                raise
            events(Event("failed", job, error.message, time.monotonic() - started))
            failed.append(error)
            continue
        events(Event("finished", job, done[-1].made.path.name, done[-1].seconds))
        for note in done[-1].made.notes:
            events(Event("note", job, note))
    if len(failed) == 1:
        raise failed[0]
    if failed:
        raise BuilderError(
            f"{len(failed)} of {len(files)} files could not be converted",
            faults=[line for error in failed for line in str(error).splitlines()],
        )
    return tuple(done)


def _converted(
    converter: Converter, file: Path, folder: Path, wishes: Conversion, taken: Mapping[Path, Path]
) -> Row:
    """One package, made beside its place, which it only gets when nothing of this call is there."""
    with workplace(folder.absolute()) as work:
        made = converter.convert(file.absolute(), work, wishes)
        target = folder.absolute() / made.path.relative_to(work)
        if target in taken:
            raise UsageError(
                f"`{file.name}` and `{taken[target].name}` become one package, `{target.name}`",
                hint="convert one of them, or give each call an `--output-dir` of its own",
            )
        digest, size = file_digest(made.path), made.path.stat().st_size
        target.parent.mkdir(parents=True, exist_ok=True)
        made.path.replace(target)
    return Row(file, replace(made, path=target), digest, size, 0.0)
