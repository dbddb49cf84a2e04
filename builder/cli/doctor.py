"""`builder doctor`."""

from __future__ import annotations

from pathlib import Path

import click

from builder.cli import surroundings
from builder.cli.common import print_json, shared_options, words

__all__ = ["command"]

_MARKS = {"ok": "ok     ", "missing": "MISSING", "note": "note   "}


@click.command("doctor", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--without-plugin", multiple=True, metavar="NAME", help="Do not use this plugin.")
@shared_options
def command(
    *,
    without_plugin: tuple[str, ...],
    as_json: bool,
    verbose: int,
    quiet: int,
    log_file: Path | None,
    debug: bool,
) -> int:
    """Say what this machine can build, what is missing, and the command that would add it.

    Exits with 1 when something is missing.
    """
    del verbose, log_file, debug
    from builder.plugins import Plugins  # noqa: PLC0415  # `builder doctor --help` stays quick
    from builder.verbs.doctor import doctor  # noqa: PLC0415

    machine = surroundings.this_machine()
    roots = surroundings.recipe_roots(Path.cwd())
    rows = doctor(machine, roots, plugins=Plugins.installed(without=words(without_plugin)))
    missing = [row for row in rows if row.state == "missing"]
    if as_json:
        print_json({"schema": 1, "diagnoses": [row.to_json() for row in rows]})
        return 1 if missing else 0
    for row in missing if quiet else rows:
        click.echo(f"{_MARKS[row.state]}  {row.area:<8}  {row.name:<14}  {row.detail}")
        if row.hint:
            click.echo(f"{'':9}{'':10}{'':14}  hint: {row.hint}")
    return 1 if missing else 0
