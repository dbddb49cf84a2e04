"""Options and output that all verbs share."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import click

from builder.errors import UsageError

__all__ = [
    "Talk",
    "append_summary",
    "epoch_of",
    "print_json",
    "shared_options",
    "words",
]

F = TypeVar("F", bound=Callable[..., object])


@dataclass(frozen=True, slots=True)
class Talk:
    """How much a verb says and where: the values of the shared options."""

    json: bool
    verbosity: int
    log_file: Path | None


def shared_options(function: F) -> F:
    """Add `--json -v -q --log-file --debug` to a verb."""
    for option in (
        click.option("--debug", is_flag=True, help="Show the traceback of an error."),
        click.option("--log-file", type=click.Path(path_type=Path, dir_okay=False), help="Also write every line here."),
        click.option("-q", "--quiet", count=True, help="Say only what went wrong."),
        click.option("-v", "--verbose", count=True, help="Say more; every line a process prints."),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout."),
    ):  # fmt: skip
        function = option(function)
    return function


def print_json(document: object) -> None:
    """Print one JSON document on stdout."""
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))


def words(texts: Iterable[str]) -> tuple[str, ...]:
    """Repeated options and commas mean the same: `--python 3.7 --python 3.8,3.9`."""
    return tuple(word.strip() for text in texts for word in text.split(",") if word.strip())


def epoch_of(text: str) -> int | None:
    """`SOURCE_DATE_EPOCH` as seconds, or None: then a wheel keeps its own time. Raises `UsageError`."""
    if not text:
        return None
    if not text.isascii() or not text.isdigit():
        raise UsageError(
            f"SOURCE_DATE_EPOCH is not a number of seconds: `{text}`",
            hint="unset it, or give the seconds since 1970",
        )
    return int(text)


def append_summary(path: Path, text: str) -> None:
    """Add to the summary of a step of GitHub Actions. Raises `UsageError`."""
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise UsageError(
            f"the step summary `{path}` cannot be written: {error.strerror}",
            hint="unset GITHUB_STEP_SUMMARY, or point it at a writable file",
        ) from error
