"""`builder channel`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from builder.cli import surroundings
from builder.cli.common import print_json, shared_options
from builder.cli.display import display_for
from builder.cli.solve import command as _solve

if TYPE_CHECKING:
    from builder.events import Events

__all__ = ["command"]

_NAMES = {"help_option_names": ["-h", "--help"]}
_FOLDER = click.argument("folder", type=click.Path(path_type=Path, file_okay=False))


@click.group("channel", context_settings=_NAMES)
def command() -> None:
    """Make, fill, index, prove and try a conda channel: a folder that any client installs from."""


@command.command("create", context_settings=_NAMES)
@_FOLDER
@click.option(
    "--subdir",
    "subdirs",
    multiple=True,
    metavar="NAME",
    help="Also a folder for this platform (linux-64); `noarch` is always there.",
)
@shared_options
def _create(
    *,
    folder: Path,
    subdirs: tuple[str, ...],
    as_json: bool,
    verbose: int,
    quiet: int,
    log_file: Path | None,
    debug: bool,
) -> int:
    """Make FOLDER an empty channel; what is there stays."""
    del debug  # read at the border, in `builder.cli.app`
    from builder.verbs.channel import create_channel  # noqa: PLC0415  # `--help` stays quick

    with _listening(verbose - quiet, log_file) as events:
        made = create_channel(folder, subdirs, events=events)
    if as_json:
        print_json({"schema": 1, "channel": str(folder), "subdirs": list(made)})
        return 0
    return _print(f"{folder / name}" for name in made)


@command.command("add", context_settings=_NAMES)
@_FOLDER
@click.argument(
    "packages", nargs=-1, required=True, metavar="PACKAGE…", type=click.Path(path_type=Path)
)
@shared_options
def _add(
    *,
    folder: Path,
    packages: tuple[Path, ...],
    as_json: bool,
    verbose: int,
    quiet: int,
    log_file: Path | None,
    debug: bool,
) -> int:
    """Copy packages into the channel FOLDER and list them; no other package is read."""
    del debug
    from builder.verbs.channel import add_packages, added_to_json  # noqa: PLC0415  # as above

    with _listening(verbose - quiet, log_file) as events:
        added = add_packages(folder, packages, events=events)
    if as_json:
        print_json(added_to_json(folder, added))
        return 0
    return _print(f"{row.path}{' (was there)' if row.was_there else ''}" for row in added)


@command.command("index", context_settings=_NAMES)
@_FOLDER
@click.option("--again", is_flag=True, help="Read every package, also those that did not change.")
@shared_options
def _index(
    *,
    folder: Path,
    again: bool,
    as_json: bool,
    verbose: int,
    quiet: int,
    log_file: Path | None,
    debug: bool,
) -> int:
    """Make the index of the packages in FOLDER; only new and changed ones are read."""
    del debug
    from builder.verbs.channel import index_channel, indexed_to_json  # noqa: PLC0415  # as above

    with _listening(verbose - quiet, log_file) as events:
        indexed = index_channel(folder, again=again, events=events)
    if as_json:
        print_json(indexed_to_json(folder, indexed))
        return 0
    return _print(
        f"{row.subdir}: {row.packages} packages, {len(row.read)} read, {len(row.dropped)} gone"
        for row in indexed
    )


@command.command("verify", context_settings=_NAMES)
@_FOLDER
@shared_options
def _verify(
    *, folder: Path, as_json: bool, verbose: int, quiet: int, log_file: Path | None, debug: bool
) -> int:
    """Read every package of the channel FOLDER and hold it against the index; 1 when something is wrong."""
    del debug, verbose, quiet, log_file
    from builder.verbs.channel import verify_channel  # noqa: PLC0415  # as above

    verdict = verify_channel(folder)
    if as_json:
        print_json(verdict.to_json())
    else:
        _print(verdict.problems)
        click.echo(f"{verdict.packages} packages, {len(verdict.problems)} problems")
    return 1 if verdict.problems else 0


command.add_command(_solve)


def _print(lines: Iterator[str] | tuple[str, ...]) -> int:
    for line in lines:
        click.echo(line)
    return 0


@contextmanager
def _listening(verbosity: int, log_file: Path | None) -> Iterator[Events]:
    display = display_for(sys.stderr, surroundings.environment(), verbosity=verbosity, log=log_file)
    hear: Callable[..., None] = display.hear
    try:
        yield hear
    finally:
        display.close()
