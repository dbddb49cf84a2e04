"""`builder build`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from builder.cli import surroundings
from builder.cli.common import Talk, append_summary, print_json, shared_options, words
from builder.cli.display import display_for
from builder.cli.foreign import foreign_options, print_foreign, print_foreign_plan, print_shell
from builder.cli.request import request_from, target_options
from builder.cli.summary import outcome_json, plan_json, plan_text, summary_markdown, summary_table
from builder.config.machine import Machine
from builder.requests import BuildOutcome, BuildRequest

if TYPE_CHECKING:
    from builder.plugins import Plugins

__all__ = ["command"]


@click.command("build", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("recipe", default=".")
@target_options
@click.option(
    "--source",
    default="",
    metavar="PATH",
    help="Build this folder, sdist or archive instead of the recipe's source.",
)
@click.option("--version", "version", default="", help="Build exactly this version.")
@click.option(
    "--channel",
    "channels",
    multiple=True,
    metavar="C",
    help="What the version is for: release, test or nightly [release]. For conda packages: a channel to take others "
    "from (URL, folder, name), for the build and its checks; the first has the highest priority.",
)
@foreign_options
@click.option(
    "--build-number", type=click.IntRange(min=0), default=None, help="2 and more adds `.postN`."
)
@click.option(
    "--plat",
    "baseline",
    default="auto",
    help="Refuse a wheel that needs more than this, e.g. manylinux_2_28 [auto].",
)
@click.option(
    "--cuda-arch",
    "architectures",
    multiple=True,
    metavar="A,…",
    help="CUDA architectures, e.g. 80-real,90-virtual.",
)
@click.option(
    "-o",
    "--output-dir",
    default=None,
    type=click.Path(path_type=Path, file_okay=False),
    help="Where packages go [dist].",
)
@click.option(
    "--store",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where compiled trees are kept.",
)
@click.option(
    "-j",
    "--jobs",
    type=click.IntRange(min=0),
    default=0,
    help="Stages that run side by side [one per core].",
)
@click.option(
    "--check/--no-check", default=None, help="Prove each package in a clean environment [on]."
)
@click.option("--keep", is_flag=True, help="Keep the work folders of failed stages.")
@click.option(
    "-n", "--dry-run", is_flag=True, help="Print the plan, its keys, hit or miss; build nothing."
)
@shared_options
def command(
    *,
    as_json: bool,
    verbose: int,
    quiet: int,
    log_file: Path | None,
    debug: bool,
    dry_run: bool,
    **options: Any,
) -> int:
    """Build RECIPE (a name, a folder with a recipe, or any PEP 517 project) for every target asked for.

    Compiled stages are kept in a store and never compiled twice. Each package is checked before it appears in the
    output folder.
    """
    del debug  # read at the border, in `builder.cli.app`
    from builder.plugins import Plugins  # noqa: PLC0415  # `builder build --help` stays quick

    environ = surroundings.environment()
    request, notices = request_from(environ, options)
    for notice in notices:
        click.echo(f"note: {notice}", err=True)
    machine = surroundings.this_machine(environ)
    plugins = Plugins.installed(without=words(options["without_plugin"]))
    talk = Talk(as_json, verbose - quiet, log_file)
    if _is_foreign(request, machine, plugins):
        return _foreign(request, machine, plugins, environ, talk, dry_run=dry_run)
    if dry_run:
        return _plan(request, machine, plugins, environ, talk)
    return _build(request, machine, plugins, environ, talk)


def _is_foreign(request: BuildRequest, machine: Machine, plugins: Plugins) -> bool:
    from builder.verbs.foreign import claimed  # noqa: PLC0415  # `builder build --help` stays quick

    return claimed(request, machine, plugins) is not None


def _foreign(
    request: BuildRequest,
    machine: Machine,
    plugins: Plugins,
    environ: Mapping[str, str],
    talk: Talk,
    *,
    dry_run: bool,
) -> int:
    """A folder with the recipe of another tool."""
    from builder.verbs.foreign import claimed  # noqa: PLC0415  # as above

    display = display_for(sys.stderr, environ, verbosity=talk.verbosity, log=talk.log_file)
    try:
        foreign = claimed(request, machine, plugins, display.hear)
        assert foreign is not None
        if request.debug_shell:
            return print_shell(foreign)
        if dry_run:
            return print_foreign_plan(foreign, talk)
        outcome = foreign.build()
    finally:
        display.close()
    return print_foreign(outcome, environ, talk)


def _plan(
    request: BuildRequest,
    machine: Machine,
    plugins: Plugins,
    environ: Mapping[str, str],
    talk: Talk,
) -> int:
    from builder.verbs.build import plan  # noqa: PLC0415  # `builder build --help` stays quick

    display = display_for(sys.stderr, environ, verbosity=min(talk.verbosity, -1), log=talk.log_file)
    try:
        planned = plan(request, machine, plugins=plugins, events=display.hear)
    finally:
        display.close()
    if talk.json:
        print_json(plan_json(planned))
    else:
        click.echo(plan_text(planned, verbose=talk.verbosity > 0))
    return 0


def _build(
    request: BuildRequest,
    machine: Machine,
    plugins: Plugins,
    environ: Mapping[str, str],
    talk: Talk,
) -> int:
    from builder.verbs.build import build  # noqa: PLC0415  # `builder build --help` stays quick

    display = display_for(sys.stderr, environ, verbosity=talk.verbosity, log=talk.log_file)
    try:
        outcome = build(request, machine, plugins=plugins, events=display.hear)
    finally:
        display.close()
    _print(outcome, environ, talk)
    return 1 if outcome.failures else 0


def _print(outcome: BuildOutcome, environ: Mapping[str, str], talk: Talk) -> None:
    if talk.verbosity >= 0:
        click.echo(summary_table(outcome), err=True)
    for failure in outcome.failures:
        text = f"error: {failure.target}: {failure.stage}: {failure.error}"
        text += f"\n  log: {failure.log}" if failure.log else ""
        text += f"\nhint: {failure.hint}" if failure.hint else ""
        click.echo(text, err=True)
    if environ.get("GITHUB_STEP_SUMMARY"):
        append_summary(Path(environ["GITHUB_STEP_SUMMARY"]), summary_markdown(outcome))
    if talk.json:
        print_json(outcome_json(outcome))
        return
    for artifact in outcome.artifacts:
        click.echo(str(artifact.path))
