"""`builder convert`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import click

from builder.cli import surroundings
from builder.cli.common import epoch_of, print_json, shared_options
from builder.cli.display import display_for
from builder.errors import UsageError

__all__ = ["command"]


@click.command("convert", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("files", nargs=-1, required=True, metavar="FILE…", type=click.Path(path_type=Path))
@click.option(
    "--to",
    "kind",
    default="conda",
    show_default=True,
    metavar="KIND",
    help="The kind of package to make.",
)
@click.option(
    "-o",
    "--output-dir",
    default="dist",
    show_default=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Where the packages go.",
)
@click.option(
    "--python",
    "python",
    default="",
    metavar="VERSION",
    help="The Python to make it for, where the wheel serves several.",
)
@click.option(
    "--subdir",
    default="",
    metavar="NAME",
    help="The platform to make it for (linux-64), where the wheel serves several.",
)
@click.option(
    "--compression",
    type=click.Choice(["fast", "default", "release"]),
    default="default",
    show_default=True,
    help="How hard it is packed.",
)
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["conda", "tar.bz2"]),
    default="conda",
    show_default=True,
    help="The newer or the older format.",
)
@click.option(
    "--name",
    "names",
    multiple=True,
    metavar="PROJECT=NAME",
    help="What a project is called in conda channels.",
)
@shared_options
def command(
    *, files: tuple[Path, ...], kind: str, output_dir: Path, python: str, subdir: str,
    compression: Literal["fast", "default", "release"], file_format: Literal["conda", "tar.bz2"],
    names: tuple[str, ...], as_json: bool, verbose: int, quiet: int, log_file: Path | None, debug: bool,
) -> int:  # fmt: skip
    """Turn finished wheels into conda packages, for any platform on any platform; nothing is compiled or unpacked."""
    del debug  # read at the border, in `builder.cli.app`
    from builder.config.python import Python  # noqa: PLC0415  # `builder convert --help` stays quick
    from builder.converter import Conversion  # noqa: PLC0415  # as above
    from builder.verbs.convert import convert, to_json  # noqa: PLC0415  # as above

    environ = surroundings.environment()
    wishes = Conversion(
        Python.parse(python) if python else None, subdir, compression, file_format,
        _names(names), epoch_of(environ.get("SOURCE_DATE_EPOCH", "")),
    )  # fmt: skip
    display = display_for(sys.stderr, environ, verbosity=verbose - quiet, log=log_file)
    try:
        rows = convert(files, to=kind, output_dir=output_dir, wishes=wishes, events=display.hear)
    finally:
        display.close()
    if as_json:
        print_json(to_json(rows))
        return 0
    for row in rows:
        click.echo(str(row.made.path))
    return 0


def _names(texts: tuple[str, ...]) -> Mapping[str, str]:
    from packaging.utils import canonicalize_name  # noqa: PLC0415  # slow to load

    pairs = [text.partition("=") for text in texts]
    if wrong := [
        text
        for text, (project, _, name) in zip(texts, pairs, strict=True)
        if not (project and name)
    ]:
        raise UsageError(
            f"`--name {wrong[0]}` is not PROJECT=NAME", hint="for example --name torch=pytorch"
        )
    return {canonicalize_name(project): name for project, _, name in pairs}
