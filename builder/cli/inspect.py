"""`builder inspect`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from builder.cli.common import print_json, shared_options

if TYPE_CHECKING:
    from builder.verbs.inspection import Inspection, Subject

__all__ = ["command"]

_SHOWN_BLOCKERS = 12


@click.command("inspect", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("files", nargs=-1, required=True, metavar="FILE…", type=click.Path(path_type=Path))
@shared_options
def command(
    *,
    files: tuple[Path, ...],
    as_json: bool,
    verbose: int,
    quiet: int,
    log_file: Path | None,
    debug: bool,
) -> int:
    """Show what is inside wheels, folders and single binaries.

    What each binary needs, where it looks, which platform tag the whole deserves, and symbol by symbol why not a
    lower one. Nothing is unpacked.
    """
    del quiet, log_file, debug
    from builder.verbs.inspect import inspect  # noqa: PLC0415  # `builder inspect --help` stays quick

    found = inspect(files)
    if as_json:
        print_json(found.to_json())
    else:
        for line in _lines(found, every=verbose > 0):
            click.echo(line)
        for failure in found.failures:
            hint = f"\nhint: {failure.hint}" if failure.hint else ""
            click.echo(f"error: {failure.path}: {failure.error}{hint}", err=True)
    return 2 if found.failures else 0


def _lines(found: Inspection, *, every: bool) -> Iterator[str]:
    for subject in found.subjects:
        yield from _subject(subject, every=every)


def _subject(subject: Subject, *, every: bool) -> Iterator[str]:
    from builder.verbs.inspection import highest_versions  # noqa: PLC0415  # see above

    yield f"{subject.path} ({subject.kind})"
    claimed = (
        f", its name claims {', '.join(subject.platform.claimed)}"
        if subject.platform.claimed
        else ""
    )
    yield f"  deserves {subject.platform.tag or 'no tag'}{claimed}"
    shown = subject.platform.blockers if every else subject.platform.blockers[:_SHOWN_BLOCKERS]
    for blocker in shown:
        what = f"{blocker.symbol} of {blocker.library}" if blocker.symbol else blocker.library
        yield f"    not {blocker.tag}: {blocker.binary} needs {what}"
    if len(shown) < len(subject.platform.blockers):
        yield f"    and {len(subject.platform.blockers) - len(shown)} more (`-v` shows them)"
    for item in subject.binaries:
        binary = item.binary
        yield f"  {item.path}: {binary.format} {binary.machine}"
        for name, words in (
            ("soname", (binary.soname,)),
            ("needed", binary.needed),
            ("rpath", binary.rpath),
            ("runpath", binary.runpath),
            ("versions", [f"{k} {v}" for k, v in highest_versions(binary).items()]),
            ("cuda", binary.cuda_architectures),
        ):
            if any(words):
                yield f"    {name:<9} {', '.join(words)}"
    for unread in subject.unread:
        yield f"  {unread.path}: cannot be read: {unread.reason}"
    for external in subject.external:
        yield f"  {external.name}: {external.resolution}, for {', '.join(external.required_by)}"
