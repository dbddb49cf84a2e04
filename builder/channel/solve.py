"""Ask an independent client what it would install from channels: solved, and created, in a process of its own."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from builder.channel.question import Answer, Choice, Question, cause
from builder.config.machine import Machine
from builder.errors import BuilderError, UsageError
from builder.process import Command, ProcessError, Processes

__all__ = ["INSTALL", "Client", "channel_url"]

INSTALL: Final = "pip install 'manybuild[conda]'"
_WORKER: Final = Path(__file__).with_name("solver_worker.py")
_LIMIT: Final = 30 * 60.0


class Client:
    """py-rattler with the channels it looks into, the first with the highest priority.

    Where they `are_one`, a package is looked for in all of them.
    """

    def __init__(
        self,
        channels: Sequence[str],
        machine: Machine,
        processes: Processes,
        cache: Path,
        *,
        are_one: bool = False,
    ) -> None:
        self._are_one = are_one
        self._urls = tuple(dict.fromkeys(channel_url(text) for text in channels))
        self._machine, self._processes, self._cache = machine, processes, cache

    def solve(self, questions: Sequence[Question]) -> tuple[Answer, ...]:
        """An answer to each question. Raises `UsageError` for a spec or channel that cannot be read."""
        return self._ask(questions, None)

    def create(self, question: Question, prefix: Path) -> Answer:
        """Solve, and install into a new environment. Raises `UsageError` where something is already."""
        if prefix.exists():
            raise UsageError(f"`{prefix}` exists already", hint="give a folder that does not")
        return self._ask((question,), prefix.absolute())[0]

    def _ask(self, questions: Sequence[Question], prefix: Path | None) -> tuple[Answer, ...]:
        if find_spec("rattler") is None:
            raise BuilderError("solving needs py-rattler, which is not installed", hint=INSTALL)
        job = {
            "channels": self._urls,
            "are_one": self._are_one,
            "cache": str(self._cache.absolute()),
            "prefix": str(prefix or ""),
            "questions": [question.to_json() for question in questions],
        }
        with tempfile.TemporaryDirectory(prefix="builder-solve-") as folder:
            rows = self._run(job, Path(folder))
        return tuple(_answer(*pair) for pair in zip(questions, rows, strict=True))

    def _run(self, job: Mapping[str, object], folder: Path) -> Any:
        asked, answer = folder / "job.json", folder / "result.json"
        asked.write_text(json.dumps(job), encoding="utf-8")
        command = Command(
            (str(self._machine.python), "-I", str(_WORKER), str(asked), str(answer)),
            folder,
            {
                **self._machine.network,
                "PATH": ":".join(map(str, self._machine.path)),
                "HOME": str(folder),
                "TMPDIR": str(folder),
                "LC_ALL": "C.UTF-8",
            },
            title="solve",
            timeout=_LIMIT,
        )
        try:
            self._processes.run(command)
            return json.loads(answer.read_text(encoding="utf-8"))
        except ProcessError as error:
            raise _explained(error, str(job["prefix"])) from error


def _explained(error: ProcessError, prefix: str) -> BuilderError:
    told = [line for line in error.last_lines if line.strip()] or [error.message]
    if any("failed to link" in line for line in told):
        return BuilderError(
            f"the environment `{prefix}` cannot be made of these packages",
            faults=told,
            hint=f"its path has {len(prefix)} characters; prefixes in packages have up to 255",
        )
    return UsageError(
        "the solver cannot answer",
        faults=told,
        hint="check the spelling of specs and channels, and that the channels can be reached",
    )


def channel_url(text: str) -> str:
    """A channel as clients take it: a URL and a plain name as they are, a folder as a `file://` URL.

    Raises `UsageError` for a path where no folder is.
    """
    if "://" in text:
        return text
    folder = Path(text)
    if folder.is_dir():
        return folder.absolute().as_uri()
    if text and not text.startswith((".", "/", "~")) and "\\" not in text:
        return text
    raise UsageError(
        f"there is no channel in `{text}`",
        hint="give a folder with packages, a URL, or the name of a channel on anaconda.org",
    )


def _answer(question: Question, row: Mapping[str, Any]) -> Answer:
    chosen = sorted((_choice(found) for found in row["chosen"]), key=lambda choice: choice.name)
    return Answer(question, tuple(chosen), cause(row["why"]))


def _choice(row: Mapping[str, Any]) -> Choice:
    place = urlsplit(row["url"])
    folder = unquote(place.path).rpartition("/")[0]
    return Choice(
        row["name"],
        row["version"],
        row["build"],
        row["build_number"],
        tuple(row["features"]),
        tuple(row["depends"]),
        folder if place.scheme == "file" else f"{place.scheme}://{place.hostname}{folder}",
    )
