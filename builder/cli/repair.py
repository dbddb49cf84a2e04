"""`builder repair`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from builder.cli import surroundings
from builder.cli.common import epoch_of, print_json, shared_options, words
from builder.cli.display import display_for
from builder.errors import UsageError

if TYPE_CHECKING:
    from builder.config.recipe import Sibling
    from builder.relink.engine import EngineName
    from builder.relink.system import Placement

__all__ = ["command", "parse_sibling"]

_SIBLINGS = Path(__file__).parent.parent / "data" / "siblings.toml"


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
    default="",
    metavar="SUFFIX",
    help="Ends the name of the folder for grafted libraries [.libs, for macOS .dylibs].",
)
@click.option(
    "--add-path",
    "search",
    multiple=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Look for libraries here before the system's folders.",
)
@click.option(
    "--plat",
    "platform",
    default="auto",
    help="The platform tag the wheel must get [auto: an honest one].",
)
@click.option("--exclude", multiple=True, metavar="GLOB", help="Libraries that are not grafted.")
@click.option(
    "--include",
    multiple=True,
    metavar="FILE|GLOB",
    help="Graft these too, with all they need: libraries that are opened by name.",
)
@click.option(
    "--place",
    "placement",
    type=click.Choice(["libs", "beside"]),
    default="libs",
    help="Grafts get a folder and names of their own, or go where others look for them already [libs].",
)
@click.option(
    "--sibling",
    "siblings",
    multiple=True,
    metavar="PACKAGE",
    help="Libraries owned by another wheel: a known one (torch), or NAME:DIRECTORY:GLOB[,GLOB].",
)
@click.option(
    "--check-record", is_flag=True, help="Compare every byte with the digests in RECORD first."
)
@click.option(
    "--disable-isa-ext-check",
    "any_instructions",
    is_flag=True,
    help="Give a tag to code that needs a newer processor than the tag promises.",
)
@click.option(
    "--engine",
    type=click.Choice(["native", "auditwheel", "delocate", "delvewheel"]),
    default="native",
    help="Let a program of others do the grafting [native].",
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
    include: tuple[str, ...],
    placement: Placement,
    siblings: tuple[str, ...],
    check_record: bool,
    any_instructions: bool,
    engine: EngineName,
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
            include=include, placement=placement, check_record=check_record, any_instructions=any_instructions, engine=engine,
            library_suffix=lib_sdir, level=level, strip=strip, epoch=epoch_of(environ.get("SOURCE_DATE_EPOCH", "")), events=display.hear,
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
    import tomllib  # noqa: PLC0415  # slow to load, and few wheels have siblings

    from builder.config.recipe import Sibling  # noqa: PLC0415  # as above

    table = tomllib.loads(_SIBLINGS.read_text("utf-8"))
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
