"""The group of verbs, the exit codes, and the border where errors become messages."""

from __future__ import annotations

import importlib
import signal
import sys
import traceback
import warnings
from collections.abc import Sequence
from types import FrameType

import click

from builder.errors import BuilderError

__all__ = ["run"]

# The module of each verb is imported only when the verb is called: `builder --help` stays quick.
_VERBS = {
    "build": ("builder.cli.build", "Compile once, package, check and deliver."),
    "channel": ("builder.cli.channel", "Make, fill, index, prove and try a conda channel."),
    "check": ("builder.cli.check", "Run the check suite on a package, a folder or an environment."),
    "convert": ("builder.cli.convert", "Turn wheels into conda packages."),
    "doctor": ("builder.cli.doctor", "Say what this machine can build and what is missing."),
    "inspect": ("builder.cli.inspect", "Show what is inside a package or a binary."),
    "matrix": ("builder.cli.matrix", "List the targets of a recipe."),
    "repair": ("builder.cli.repair", "Graft, relink and retag a wheel."),
}


class _Verbs(click.Group):
    """A group that knows its commands by name and imports one only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return sorted(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in _VERBS:
            return None
        command = importlib.import_module(_VERBS[cmd_name][0]).command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in sorted(_VERBS.items())])


def _show_version(
    ctx: click.Context, _option: click.Parameter, value: bool
) -> None:  # click's own signature
    if value and not ctx.resilient_parsing:
        versions = importlib.import_module("builder.cli.versions")
        click.echo(versions.describe())
        ctx.exit()


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version,
    help="Show the version, the plugins and the engines found.",
)  # fmt: skip
def _builder() -> None:
    """Turn one native source tree into every binary its users need, and prove each one sound.

    Exit codes: 0 done, 1 a build or a check failed, 2 bad usage, config or input, 3 nothing selected,
    130 interrupted.
    """


def run(argv: Sequence[str] | None = None) -> int:
    """Run one command and give back its exit code. A user's mistake never shows a traceback but with `--debug`."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not sys.warnoptions:
        warnings.simplefilter(
            "ignore"
        )  # build backends warn about the project; `python -W` shows it
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        answer = _builder.main(words, prog_name="builder", standalone_mode=False)
    except click.ClickException as error:
        error.show(sys.stderr)
        return 2
    except (KeyboardInterrupt, click.Abort):
        click.echo(
            "interrupted: finished stages are in the store, the same command goes on from there",
            err=True,
        )
        return 130
    except BuilderError as error:
        if "--debug" in words:
            traceback.print_exc()
        click.echo(f"error: {error}", err=True)
        return error.exit_code
    except BrokenPipeError:
        return 0
    return answer if isinstance(answer, int) else 0


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
