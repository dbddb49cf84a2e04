"""`builder build` of a recipe of another tool: its options, and what is printed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from builder.cli.common import Talk, append_summary, print_json
from builder.cli.summary import plan_json, plan_text

if TYPE_CHECKING:
    from builder.foreign import ForeignOutcome
    from builder.verbs.foreign import Foreign

__all__ = ["foreign_options", "print_foreign", "print_foreign_plan", "print_shell"]

F = TypeVar("F", bound=Callable[..., object])


def foreign_options(function: F) -> F:
    """Add what only recipes of other tools understand."""
    for option in (
        click.option("--debug-shell", default="", metavar="PACKAGE", help="For a conda recipe: print the command that enters the kept build of this package."),
        click.option("--engine", type=click.Choice(["rattler", "conda-build"]), default=None, help="What builds a conda recipe: rattler (recipe.yaml) or conda-build (also meta.yaml) [rattler]."),
        click.option("--variants", "variant_files", multiple=True, type=click.Path(path_type=Path, dir_okay=False), help="For a conda recipe: more variants, as in conda_build_config.yaml."),
    ):  # fmt: skip
        function = option(function)
    return function


def print_shell(foreign: Foreign) -> int:
    """Print how to enter a kept build."""
    click.echo(foreign.shell())
    return 0


def print_foreign_plan(foreign: Foreign, talk: Talk) -> int:
    """Print what would be made."""
    planned = foreign.plan()
    if talk.json:
        print_json(plan_json(planned))
    else:
        click.echo(plan_text(planned, verbose=talk.verbosity > 0))
    return 0


def print_foreign(outcome: ForeignOutcome, environ: Mapping[str, str], talk: Talk) -> int:
    """Print what was made, and the failures; the exit code of the command."""
    for failure in outcome.failures:
        text = f"error: {failure.target}: {failure.stage}: {failure.error}"
        text += f"\n  log: {failure.log}" if failure.log else ""
        text += f"\nhint: {failure.hint}" if failure.hint else ""
        click.echo(text, err=True)
    made, failed = len(outcome.packages), len(outcome.failures)
    line = f"{made} package{'s' * (made != 1)}, {failed} failed, {outcome.seconds:.1f} s"
    if talk.verbosity >= 0:
        click.echo(line, err=True)
    if environ.get("GITHUB_STEP_SUMMARY"):
        names = "".join(f"- {row.path.name}\n" for row in outcome.packages)
        names += "".join(f"- **{row.target}** failed in {row.stage}\n" for row in outcome.failures)
        text = f"## builder build\n\n{names}\n{line}\n"
        append_summary(Path(environ["GITHUB_STEP_SUMMARY"]), text)
    if talk.json:
        print_json(outcome.to_json())
    else:
        for package in outcome.packages:
            click.echo(str(package.path))
    return 1 if outcome.failures else 0
