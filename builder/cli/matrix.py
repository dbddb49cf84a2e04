"""`builder matrix`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from builder.cli import surroundings
from builder.cli.common import print_json, shared_options, words
from builder.cli.request import request_from, target_options

__all__ = ["command"]


@click.command("matrix", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("recipe", default=".")
@target_options
@shared_options
def command(
    *, as_json: bool, verbose: int, quiet: int, log_file: Path | None, debug: bool, **options: Any
) -> int:
    """List the targets of RECIPE, as a table or as JSON. Nothing is built and nothing is looked up."""
    del verbose, quiet, log_file, debug
    from builder.plugins import Plugins  # noqa: PLC0415  # as below
    from builder.verbs.matrix import matrix  # noqa: PLC0415  # `builder matrix --help` stays quick

    environ = surroundings.environment()
    request, notices = request_from(environ, options)
    for notice in notices:
        click.echo(f"note: {notice}", err=True)
    rows = matrix(request, Plugins.installed(without=words(options["without_plugin"])))
    if as_json:
        print_json({"schema": 1, "targets": [row.to_json() for row in rows]})
        return 0
    width = max(len(str(row.target)) for row in rows)
    for row in rows:
        click.echo(f"{row.target!s:<{width}}  {row.file_name}")
    return 0
