"""`builder check`."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypedDict

import click

from builder.cli import surroundings
from builder.cli.common import append_summary, print_json, shared_options, words
from builder.cli.display import display_for
from builder.errors import UsageError

if TYPE_CHECKING:
    from builder.backend import Backend
    from builder.config.machine import Machine
    from builder.config.recipe import Recipe
    from builder.events import Events
    from builder.plugins import Plugins
    from builder.process import Processes
    from smoke.catalogue import Check
    from smoke.report import Report

__all__ = ["command"]


@click.command("check", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("subjects", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--python",
    metavar="ENV|VERSION",
    help="Probe this ready environment (its folder or interpreter); with --from-index, --from-url or --from-channel: the Python to install for.",
)
@click.option(
    "--from-index",
    "published",
    multiple=True,
    metavar="NAME==VERSION",
    help="Check what a user gets from the package index, by the settings of pip.",
)
@click.option(
    "--from-url",
    "urls",
    multiple=True,
    metavar="URL",
    help="Check the file behind a URL: a wheel, a C++ archive, a conda package; `#sha256=HEX` behind it must hold.",
)
@click.option(
    "--from-channel",
    "channels",
    nargs=2,
    multiple=True,
    metavar="CHANNEL SPEC",
    help="Check the environment that a conda user gets; again for further channels and packages in it.",
)
@click.option(
    "--recipe",
    default="",
    metavar="NAME|FOLDER",
    help="What this recipe knows of the package: imports, commands, siblings, waivers, own checks, a C++ consumer.",
)
@click.option(
    "--target",
    metavar="ID",
    help="With --recipe: the target the package is for, whose overrides count.",
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
    "--sarif",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also write the findings here as SARIF 2.1.0.",
)
@click.option(
    "--expect",
    type=click.Path(path_type=Path),
    help="Compare with this older release: a package, or the `.content.json` of an archive.",
)
@click.option(
    "--list", "listed", is_flag=True, help="List the checks and what to do when one fails."
)
@click.option("--without-plugin", multiple=True, metavar="NAME", help="Do not use this plugin.")
@shared_options
def command(
    *,
    subjects: tuple[Path, ...],
    python: str | None,
    published: tuple[str, ...],
    urls: tuple[str, ...],
    channels: tuple[tuple[str, str], ...],
    recipe: str,
    recipes: tuple[Path, ...],
    target: str | None,
    select: tuple[str, ...],
    skip: tuple[str, ...],
    junit: Path | None,
    sarif: Path | None,
    expect: Path | None,
    listed: bool,
    without_plugin: tuple[str, ...],
    as_json: bool,
    verbose: int,
    quiet: int,
    log_file: Path | None,
    debug: bool,
) -> int:
    """Run the check suite on any package, library, folder or environment, of any system.

    An archive with a manifest is also tried: each of its libraries is loaded by itself, and with `--recipe` a
    program is compiled against it and run. What cannot be done on this machine says why. The same suite is
    `python -m smoke`.
    """
    del debug  # read at the border, in `builder.cli.app`
    from builder.plugins import Plugins  # noqa: PLC0415  # `builder check --help` stays quick
    from builder.verbs.check import check  # noqa: PLC0415
    from smoke.checks import CATALOGUE  # noqa: PLC0415
    from smoke.junit import to_junit  # noqa: PLC0415
    from smoke.report import document, to_lines, write_report  # noqa: PLC0415
    from smoke.sarif import to_sarif  # noqa: PLC0415

    plugins = Plugins.installed(without=words(without_plugin))
    found = _recipe(recipe, recipes, target, plugins)
    extra = plugins.checks()
    if listed:
        _list(extra, select, skip, as_json=as_json)
        return 0
    environ = surroundings.environment()
    display = display_for(sys.stderr, environ, verbosity=verbose - quiet - 1, log=log_file)
    machine = surroundings.this_machine(environ)
    asked: _Asked = {
        "select": words(select), "skip": words(skip), "extra": extra, "expect": expect,
        "recipe": found, "backends": plugins.backends(),
    }  # fmt: skip
    try:
        if published or urls or channels:
            wanted = _Wanted(words(published), urls, channels)
            reports = _published(wanted, subjects, python or "", asked, machine, display.hear)
        else:
            ready = Path(python) if python else None
            reports = check(subjects, machine, python=ready, events=display.hear, **asked)
    finally:
        display.close()
    if junit is not None:
        write_report(junit, to_junit(reports))
    if sarif is not None:
        write_report(sarif, json.dumps(to_sarif(reports, (*CATALOGUE, *extra)), indent=1) + "\n")
    _tell_github(reports, environ)
    if as_json:
        print_json(document(reports))
    else:
        for report in reports:
            click.echo("\n".join(to_lines(report, every=verbose > 0)))
    return 0 if all(report.ok for report in reports) else 1


class _Asked(TypedDict):
    """Which checks, what is known, and what to compare with."""

    select: tuple[str, ...]
    skip: tuple[str, ...]
    extra: tuple[Check, ...]
    expect: Path | None
    recipe: Recipe | None
    backends: Mapping[str, Backend]


def _recipe(
    name: str, folders: tuple[Path, ...], target: str | None, plugins: Plugins
) -> Recipe | None:
    """The recipe that counts, as it is for the target. Its own checks join the `plugins`."""
    from builder.config.apply import for_target  # noqa: PLC0415  # see above
    from builder.config.discover import find  # noqa: PLC0415
    from builder.config.target import Target  # noqa: PLC0415

    if not name:
        if target is not None:
            raise UsageError("`--target` is for a recipe", hint="give `--recipe` too")
        return None
    folder = Path.cwd()
    roots = (*(path.absolute() for path in folders), *surroundings.recipe_roots(folder))
    found = find(name, roots, folder)
    if target is not None:
        found = for_target(found, Target.parse(target))
    if found.checks.plugin:
        plugins.add_file(found.folder / found.checks.plugin, f"recipe {found.name}")
    return found


class _Wanted(NamedTuple):
    """What users get: from the index, by URLs, and from conda channels, each with a spec."""

    published: tuple[str, ...]
    urls: tuple[str, ...]
    channels: tuple[tuple[str, str], ...]


def _published(
    wanted: _Wanted,
    subjects: tuple[Path, ...],
    python: str,
    asked: _Asked,
    machine: Machine,
    events: Events,
) -> tuple[Report, ...]:
    """What the index, URLs and channels have, and the files given beside them, all for one Python."""
    from builder.process import Processes  # noqa: PLC0415  # see above

    processes = Processes(events)
    solved: tuple[Report, ...] = ()
    if wanted.channels:
        solved = (_solved(wanted.channels, python, asked, machine, processes),)
        if not (wanted.published or wanted.urls or subjects):
            return solved
    return (*_fetched(wanted, subjects, python, asked, machine, processes), *solved)


def _fetched(
    wanted: _Wanted,
    subjects: tuple[Path, ...],
    python: str,
    asked: _Asked,
    machine: Machine,
    processes: Processes,
) -> tuple[Report, ...]:
    from builder.verbs.check import check  # noqa: PLC0415  # see above
    from builder.verbs.published import chosen_interpreter, fetched  # noqa: PLC0415

    interpreter = chosen_interpreter(python, machine, processes)
    names = wanted.published, wanted.urls
    with fetched(*names, interpreter, machine, processes) as files:
        reports = check(
            (*files, *subjects), machine, interpreter=interpreter, processes=processes, **asked
        )
    known = {str(file): file.name for file in files}
    return tuple(replace(one, subject=known.get(one.subject, one.subject)) for one in reports)


def _solved(
    channels: tuple[tuple[str, str], ...],
    python: str,
    asked: _Asked,
    machine: Machine,
    processes: Processes,
) -> Report:
    """The report on one environment with all that was asked for, called by its specs."""
    from builder.verbs.check import check  # noqa: PLC0415  # see above
    from builder.verbs.solve import made_environment  # noqa: PLC0415

    places, specs = zip(*channels, strict=True)
    subdir = surroundings.this_subdir()
    with made_environment(places, specs, python, subdir, machine, processes) as prefix:
        (report,) = check((prefix,), machine, processes=processes, **asked)
    return replace(report, subject=" ".join(specs))


def _tell_github(reports: Sequence[Report], environ: Mapping[str, str]) -> None:
    """Annotations and a summary where GitHub Actions runs this; on stderr, which it reads as well."""
    from smoke.github import to_annotations, to_markdown  # noqa: PLC0415  # see above

    if environ.get("GITHUB_ACTIONS") == "true":
        for line in to_annotations(reports):
            click.echo(line, err=True)
    if environ.get("GITHUB_STEP_SUMMARY"):
        append_summary(Path(environ["GITHUB_STEP_SUMMARY"]), to_markdown(reports))


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
