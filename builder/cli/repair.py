"""`builder repair`."""

from __future__ import annotations

import sys
import tomllib
from importlib import resources
from pathlib import Path

import click

from builder.cli import surroundings
from builder.cli.common import print_json, shared_options, words
from builder.cli.display import display_for
from builder.config.recipe import Sibling
from builder.errors import UsageError

__all__ = ["command", "parse_sibling"]


@click.command("repair", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("wheels", nargs=-1, required=True, metavar="FILE…", type=click.Path(path_type=Path))
@click.option(
    "-w",
    "--wheel-dir",
    default="wheelhouse",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where repaired wheels go [wheelhouse].",
)
@click.option(
    "-L",
    "--lib-sdir",
    default=".libs",
    metavar="SUFFIX",
    help="Grafted libraries go to NAME + this [.libs].",
)
@click.option(
    "--add-path",
    "search",
    multiple=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Look for libraries here before the system's folders.",
)
@click.option(
    "--plat", "platform", default="auto", help="Refuse a wheel that needs more than this [auto]."
)
@click.option("--exclude", multiple=True, metavar="GLOB", help="Sonames that are not grafted.")
@click.option(
    "--sibling",
    "siblings",
    multiple=True,
    metavar="PACKAGE",
    help="Libraries owned by another wheel: a known one (torch), or NAME:DIRECTORY:GLOB[,GLOB].",
)
@click.option("--strip", is_flag=True, help="Strip debug symbols before anything is edited.")
@click.option(
    "-z",
    "--zip-compression-level",
    "level",
    type=click.IntRange(0, 9),
    default=6,
    help="Deflate level [6].",
)
@shared_options
def command(
    *,
    wheels: tuple[Path, ...],
    wheel_dir: Path,
    lib_sdir: str,
    search: tuple[Path, ...],
    platform: str,
    exclude: tuple[str, ...],
    siblings: tuple[str, ...],
    strip: bool,
    level: int,
    as_json: bool,
    verbose: int,
    quiet: int,
    log_file: Path | None,
    debug: bool,
) -> int:
    """Make wheels stand alone: graft the libraries they need, relink, and give them their lowest honest tag."""
    del debug  # read at the border, in `builder.cli.app`
    from builder.verbs.repair import repair, to_json  # noqa: PLC0415  # `builder repair --help` stays quick

    environ = surroundings.environment()
    display = display_for(sys.stderr, environ, verbosity=verbose - quiet, log=log_file)
    try:
        repaired = repair(
            wheels, machine=surroundings.this_machine(environ), wheel_dir=wheel_dir, exclude=words(exclude),
            siblings=tuple(parse_sibling(text) for text in siblings), platform=platform, search=search,
            library_suffix=lib_sdir, level=level, strip=strip, epoch=_epoch(environ.get("SOURCE_DATE_EPOCH", "")), events=display.hear,
        )  # fmt: skip
    finally:
        display.close()
    if as_json:
        print_json(to_json(repaired))
        return 0
    for row in repaired:
        click.echo(str(row.output))
    return 0


def parse_sibling(text: str) -> Sibling:
    """A row of `data/siblings.toml` by name, or `NAME:DIRECTORY:GLOB[,GLOB]`. Raises `UsageError`."""
    table = tomllib.loads(
        resources.files("builder.data").joinpath("siblings.toml").read_text("utf-8")
    )
    if text in table:
        row = table[text]
        return Sibling(text, tuple(row["libraries"]), row["directory"], row["requires"])
    name, _, rest = text.partition(":")
    directory, _, globs = rest.partition(":")
    if not (name and directory and globs):
        raise UsageError(
            f"no sibling `{text}` is known",
            hint=f"known: {', '.join(sorted(table))}; or write NAME:DIRECTORY:GLOB[,GLOB]",
        )
    return Sibling(name, words([globs]), directory, name)


def _epoch(text: str) -> int | None:
    """`SOURCE_DATE_EPOCH` as seconds, or None: then a wheel keeps its own time. Raises `UsageError`."""
    if not text:
        return None
    if not text.isascii() or not text.isdigit():
        raise UsageError(
            f"SOURCE_DATE_EPOCH is not a number of seconds: `{text}`",
            hint="unset it, or give the seconds since 1970",
        )
    return int(text)
