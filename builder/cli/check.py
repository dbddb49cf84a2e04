"""`builder check`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from builder.cli import surroundings
from builder.cli.common import print_json, shared_options, words
from builder.cli.display import display_for

if TYPE_CHECKING:
    from smoke.catalogue import Check

__all__ = ["command"]


@click.command("check", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("subjects", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--python",
    type=click.Path(path_type=Path),
    help="Probe this ready environment (its folder or interpreter).",
)
@click.option(
    "--recipe",
    default="",
    metavar="R",
    help="The recipe (name or folder) whose checks count; its C++ consumer tries an archive.",
)
@click.option(
    "--recipes",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Also look for recipes by name here.",
)
@click.option("--select", multiple=True, metavar="GLOB", help="Only checks whose id matches.")
@click.option("--skip", multiple=True, metavar="GLOB", help="No checks whose id matches.")
@click.option(
    "--junit",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also write the results here as JUnit XML.",
)
@click.option(
    "--expect",
    type=click.Path(path_type=Path),
    help="Compare C++ archives with this older one, or its `.content.json`, and do nothing else.",
)
@click.option(
    "--list", "listed", is_flag=True, help="List the checks and what to do when one fails."
)
@click.option("--without-plugin", multiple=True, metavar="NAME", help="Do not use this plugin.")
@shared_options
def command(
    *,
    subjects: tuple[Path, ...],
    python: Path | None,
    recipe: str,
    recipes: tuple[Path, ...],
    select: tuple[str, ...],
    skip: tuple[str, ...],
    junit: Path | None,
    expect: Path | None,
    listed: bool,
    without_plugin: tuple[str, ...],
    as_json: bool,
    verbose: int,
    quiet: int,
    log_file: Path | None,
    debug: bool,
) -> int:
    """Run the check suite on wheels, folders or environments, and try C++ archives.

    An archive is proven on its bytes, and each of its libraries is loaded by itself; with `--recipe` a program is
    compiled against it and run. What cannot be done on this machine says why.
    """
    del debug  # read at the border, in `builder.cli.app`
    from builder.config.discover import find  # noqa: PLC0415
    from builder.plugins import Plugins  # noqa: PLC0415  # `builder check --help` stays quick
    from builder.verbs.check import check  # noqa: PLC0415
    from smoke.junit import to_junit  # noqa: PLC0415
    from smoke.report import document, to_lines  # noqa: PLC0415

    plugins = Plugins.installed(without=words(without_plugin))
    extra = plugins.checks()
    if listed:
        _list(extra, select, skip, as_json=as_json)
        return 0
    environ = surroundings.environment()
    folder = Path.cwd()
    roots = (*(path.absolute() for path in recipes), *surroundings.recipe_roots(folder))
    found = find(recipe, roots, folder) if recipe else None
    display = display_for(sys.stderr, environ, verbosity=verbose - quiet - 1, log=log_file)
    try:
        reports = check(
            subjects, surroundings.this_machine(environ), python=python, select=words(select),
            skip=words(skip), extra=extra, backends=plugins.backends(), recipe=found, expect=expect, events=display.hear,
        )  # fmt: skip
    finally:
        display.close()
    if junit is not None:
        junit.write_text(to_junit(reports), encoding="utf-8")
    if as_json:
        print_json(document(reports))
    else:
        for report in reports:
            click.echo("\n".join(to_lines(report, every=verbose > 0)))
    return 0 if all(report.ok for report in reports) else 1


def _list(
    extra: tuple[Check, ...], select: tuple[str, ...], skip: tuple[str, ...], *, as_json: bool
) -> None:
    from smoke.catalogue import choose, listing  # noqa: PLC0415  # see above
    from smoke.checks import CATALOGUE  # noqa: PLC0415

    chosen = choose((*CATALOGUE, *extra), words(select), words(skip))
    if as_json:
        print_json(listing(chosen))
        return
    for item in chosen:
        click.echo(f"{item.id}: {item.summary}\n    {item.severity}, {item.applies}; {item.remedy}")
