"""`builder inspect`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import click

from builder.cli.common import print_json, shared_options
from builder.cli.places import cache_folder

__all__ = ["command"]

_LOG = 160


@click.command("inspect", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("files", nargs=-1, required=True, metavar="FILE…", type=click.Path(path_type=Path))
@shared_options
def command(
    *,
    files: tuple[Path, ...],
    as_json: bool,
    verbose: int,
    quiet: int,
    log_file: Path | None,
    debug: bool,
) -> int:
    """Show what is inside packages, archives, folders and single binaries, of any system.

    What each binary needs, where it looks, which platform tag the whole deserves, and symbol by symbol why not a
    lower one. Wheels, conda packages, zip and tar archives, static libraries; nothing is unpacked.
    """
    del log_file, debug
    from builder.relink.cache import FactCache  # noqa: PLC0415  # `builder inspect --help` stays quick
    from builder.verbs.inspect import inspect  # noqa: PLC0415  # as above

    environ = os.environ
    found = inspect(files, cache=FactCache(cache_folder(environ) / "facts"))
    if as_json:
        print_json(found.to_json())
    elif not quiet:
        from builder.cli.report import report  # noqa: PLC0415  # as above

        color = False if environ.get("NO_COLOR") else None
        width = _width(environ)
        for line in report(found, width=width, every=verbose > 0):
            click.echo(line, color=color)
    for failure in found.failures if not as_json else ():
        hint = f"\nhint: {failure.hint}" if failure.hint else ""
        where = "" if f"`{failure.path}`" in failure.error else f"{failure.path}: "
        click.echo(f"error: {where}{failure.error}{hint}", err=True)
    return 2 if found.failures else 0


def _width(environ: Mapping[str, str]) -> int:
    """The columns of the terminal; a file or a pipe has room enough for a log."""
    if environ.get("COLUMNS", "").isdecimal():
        return int(environ["COLUMNS"])
    try:
        return os.get_terminal_size(1).columns
    except OSError:
        return _LOG
