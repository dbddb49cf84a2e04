"""`builder channel solve`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from builder.cli import surroundings
from builder.cli.common import print_json, shared_options
from builder.cli.display import display_for
from builder.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from builder.channel.judge import Verdict
    from builder.channel.question import Answer

__all__ = ["command"]


@click.command("solve", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("folder", metavar="CHANNEL")
@click.argument("specs", nargs=-1, required=True, metavar="SPEC…")
@click.option(
    "--platform", "subdir", default="", help="Solve for this one, e.g. osx-arm64 [this machine's]."
)
@click.option(
    "--cuda",
    default="none",
    metavar="X.Y|none",
    help="What the driver of the machine supports [none].",
)
@click.option(
    "--channel",
    "channels",
    multiple=True,
    help="Further channels, after the first: folders, URLs, names.",
)
@click.option(
    "--installed", multiple=True, metavar="SPEC", help="What is in the environment before."
)
@click.option(
    "--virtual",
    multiple=True,
    metavar="NAME=VERSION",
    help="What else the machine has, e.g. __glibc=2.17.",
)
@click.option(
    "--expect",
    "expect",
    multiple=True,
    metavar="NAME=GLOB",
    help="The build that is meant, e.g. 'pytorch=*cuda*'; 1 when it is another.",
)
@click.option(
    "--create",
    "prefix",
    type=click.Path(path_type=Path),
    help="Install what was solved into this new folder.",
)
@shared_options
def command(
    *,
    folder: str,
    specs: tuple[str, ...],
    subdir: str,
    cuda: str,
    channels: tuple[str, ...],
    installed: tuple[str, ...],
    virtual: tuple[str, ...],
    expect: tuple[str, ...],
    prefix: Path | None,
    as_json: bool,
    verbose: int,
    quiet: int,
    log_file: Path | None,
    debug: bool,
) -> int:
    """Say what `install SPEC…` would get from CHANNEL, as an independent client solves it; 1 when nothing fits."""
    del debug  # read at the border, in `builder.cli.app`
    from builder.channel.question import Question  # noqa: PLC0415  # `--help` stays quick
    from builder.verbs.solve import answer_to_json, expected, solve_channel  # noqa: PLC0415

    environ = surroundings.environment()
    driver = "" if cuda.strip().lower() in {"", "none"} else cuda
    question = Question(
        specs, subdir or surroundings.this_subdir(), driver, installed, _pairs(virtual)
    )
    display = display_for(sys.stderr, environ, verbosity=verbose - quiet, log=log_file)
    try:
        answer, verdicts = solve_channel(
            (folder, *channels),
            question,
            surroundings.this_machine(environ),
            expectations=expected(question, expect),
            prefix=prefix,
            events=display.hear,
        )
    finally:
        display.close()
    if as_json:
        print_json(answer_to_json(answer, verdicts))
    else:
        _print(answer, verdicts)
    return 1 if answer.why or any(verdict.problem for verdict in verdicts) else 0


def _print(answer: Answer, verdicts: Sequence[Verdict]) -> None:
    for choice in answer.chosen:
        click.echo(f"{choice}  {choice.channel}")
    if answer.why:
        click.echo(f"error: {answer.question}: nothing fits", err=True)
        for line in answer.why:
            click.echo(f"  {line}", err=True)
    for verdict in verdicts:
        if verdict.problem:
            click.echo(f"error: {verdict.problem}", err=True)


def _pairs(texts: Sequence[str]) -> dict[str, str]:
    found = dict(text.partition("=")[::2] for text in texts)
    if wrong := [name for name, value in found.items() if not (name.startswith("__") and value)]:
        raise UsageError(
            f"`--virtual {wrong[0]}` is no virtual package", hint="write it like `__glibc=2.17`"
        )
    return found
