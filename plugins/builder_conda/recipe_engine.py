"""A project's own `recipe.yaml` becomes packages: every output a process of its own, all merged under one index.

The table of contents, once it is rendered: for each output build, write again, judge its links, test, add to the
channel. What fails is a failure of its own and of what needs it; the others go on.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from builder.archive.deliver import deliver
from builder.archive.file import file_digest
from builder.binary import BinaryError, read
from builder.channel import channel
from builder.errors import BuilderError, Interrupted, UsageError
from builder.events import Event, Events, ignore
from builder.process import ProcessError
from builder.requests import Failure
from builder.stage.lock import exclusive
from builder_conda.linking import Linked, allowed_by, link_problems
from builder_conda.outputs import Rendered, Variants, providers
from builder_conda.rattler import Rattler, channel_urls
from builder_conda.recipe_render import Order, question, render
from builder_conda.rewrite import Unpacked, unpack_package, write_again

__all__ = ["Made", "build_all", "debug_shell"]


@dataclass(frozen=True, slots=True)
class Made:
    """A package in the output folder, or why there is none; `seconds` include its tests."""

    output: Rendered
    path: Path | None
    failure: Failure | None = None
    seconds: float = 0.0
    sha256: str = ""
    tests: int = 0


def build_all(order: Order, rattler: Rattler, *, events: Events = ignore) -> tuple[Made, ...]:
    """Build, prove and deliver every output; one that fails is in the result, with what it said last.

    Raises `UsageError` for what `render` refuses, `Interrupted` on Ctrl-C.
    """
    variants, outputs = render(order, rattler)
    urls = channel_urls(order.channels)
    done: dict[str, Made] = {}
    waves = tuple(_waves(outputs))
    shared = order.store / "conda" / f"channel-{time.time_ns()}"
    try:
        channel.create(shared, (order.subdir,))
        for wave in waves:
            taken = shared if wave is not waves[-1] else None
            work = _Work(order, rattler, variants, taken, (shared.as_uri(), *urls), events)
            jobs = [partial(work.make, output, _lacking(output, outputs, done)) for output in wave]
            done |= {made.output.stem: made for made in _side_by_side(jobs, order.jobs, rattler)}
    finally:
        shutil.rmtree(shared, ignore_errors=True)
    if any(made.path for made in done.values()):
        channel.index(order.output)
    return tuple(done[output.stem] for output in outputs)


def debug_shell(order: Order, stem: str) -> str:
    """A command that enters the environment of a build that was kept. Raises `UsageError`."""
    found = sorted(order.place(stem).glob("bld/*/work/build_env.sh"))
    if not found:
        raise UsageError(
            f"no build of `{stem}` was kept",
            hint="a failed build is, once its environment could be solved, until the recipe changes; "
            "`--keep` keeps the others too",
        )
    return f"cd '{found[0].parent}' && env -i TERM=\"$TERM\" bash --rcfile build_env.sh -i"


class _Work:
    """What all outputs of one wave have in common; `shared` is a channel for those that wait for them, if any do."""

    def __init__(
        self,
        order: Order,
        rattler: Rattler,
        variants: Variants,
        shared: Path | None,
        channels: Sequence[str],
        events: Events,
    ) -> None:
        self._order, self._rattler, self._variants = order, rattler, variants
        self._shared, self._channels, self._events = shared, tuple(channels), events

    def make(self, output: Rendered, lacking: str) -> Made:
        """One output from nothing to its place in the output folder."""
        started = time.monotonic()
        if lacking:
            hint = "see that failure; the same command goes on when it is mended"
            failure = Failure(output.stem, "build", f"not built: it needs {lacking}", hint, "")
            return Made(output, None, failure)
        self._events(Event("started", output.stem))
        try:
            made = self._made(output)
        except _Failed as failed:
            seconds = time.monotonic() - started
            text = failed.failure.error.partition("\n")[0]
            self._events(Event("failed", output.stem, text, seconds))
            return Made(output, None, failed.failure, seconds)
        seconds = time.monotonic() - started
        self._events(Event("finished", output.stem, "", seconds))
        return replace(made, seconds=round(seconds, 3))

    def _made(self, output: Rendered) -> Made:
        place = self._order.place(output.stem)
        logs = self._order.store / "logs"
        for folder in (place.parent, logs):
            folder.mkdir(parents=True, exist_ok=True)
        log = logs / f"{output.stem}.log"
        log.unlink(missing_ok=True)
        with exclusive(place.with_suffix(".lock")):
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
            built = self._build(output, place, log)
            package = self._again(output, place, built)
            tests = self._test(output, place, package, log) if self._order.check else 0
            if self._shared is not None:
                channel.add(self._shared, (package,))
            path = deliver(package, self._order.output / output.subdir)
            if not self._order.keep:
                shutil.rmtree(place, ignore_errors=True)
        return Made(output, path, sha256=file_digest(path), tests=tests)

    def _build(self, output: Rendered, place: Path, log: Path) -> Mapping[str, object]:
        named = {"name": output.name, "version": output.version, "build": output.build}
        job = {
            "do": "build",
            "output": named,
            "folder": str(place),
            "channels": self._channels,
            **question(self._order, self._variants),
        }
        title = f"build {output.stem}"
        with _stage(output, "build", self._hint(output), log):
            answer: Mapping[str, object] = self._rattler.run(
                job, place, title=title, log=log, variables=_pretended(output)
            )
        return answer

    def _again(self, output: Rendered, place: Path, built: Mapping[str, object]) -> Path:
        """The package in our own bytes, its links judged."""
        order = self._order
        with _stage(output, "package", self._hint(output), None):
            unpacked = unpack_package(Path(str(built["package"])), place / "unpacked", place)
            owners = built["owners"]
            assert isinstance(owners, Mapping)
            _refuse_links(output, unpacked, owners)
            folder = place / "package"
            return write_again(
                unpacked,
                folder,
                epoch=order.epoch,
                profile=order.profile,
                file_format=order.file_format,
            )

    def _test(self, output: Rendered, place: Path, package: Path, log: Path) -> int:
        """How many tests the package has; all passed."""
        job = {"do": "test", "package": str(package), "channels": self._channels}
        with _stage(output, "test", self._hint(output), log):
            results = self._rattler.run(
                job, place, title=f"test {output.stem}", log=log, variables=_pretended(output)
            )
            failed = [row for row in results if not row["success"]]
            if failed:
                lines = [
                    line for row in failed for text in row["output"] for line in text.splitlines()
                ]
                raise BuilderError(
                    f"{len(failed)} of {len(results)} tests of the recipe failed",
                    faults=[line for line in lines if line.strip()][-_TAIL:],
                    hint=f"the package is in {package}; {self._hint(output)}",
                )

        return len(results)

    def _hint(self, output: Rendered) -> str:
        words = " ".join((*self._order.again, "--debug-shell", output.stem))
        return f"`{words}` says how to enter the environment of this build"


class _Failed(Exception):  # noqa: N818  # a signal inside this module, not an error of the caller
    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.error)
        self.failure = failure


class _stage:  # noqa: N801  # a context manager that reads as one
    """Makes every `BuilderError` inside a failure of one stage of one output."""

    def __init__(self, output: Rendered, stage: str, hint: str, log: Path | None) -> None:
        self._output, self._stage, self._hint, self._log = output, stage, hint, log

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Interrupted) or not isinstance(error, BuilderError):
            return
        log = error.log or (str(self._log) if self._log else "")
        told = error
        if isinstance(error, ProcessError):
            last = [line for line in error.last_lines if line.strip()]
            told = BuilderError(error.message.rpartition("` ")[2], faults=last[-_TAIL:], log=log)
        told.log, told.hint = log, told.hint or error.hint or self._hint
        if isinstance(error, ProcessError):
            told.hint = "; ".join(filter(None, (error.hint, self._hint)))
        raise _Failed(Failure.of(self._output.stem, self._stage, told)) from error


_TAIL: Final = 20


def _waves(outputs: Sequence[Rendered]) -> Iterator[tuple[Rendered, ...]]:
    """Outputs that can be built at once, those that others need first. Raises `UsageError` for a circle."""
    left = list(outputs)
    while left:
        wave = tuple(output for output in left if not providers(output, left))
        if not wave:
            raise UsageError(
                f"the outputs need each other: {', '.join(sorted({row.name for row in left}))}",
                hint="take one of them out of the requirements or tests of the other",
            )
        yield wave
        left = [output for output in left if output not in wave]


def _side_by_side(
    jobs: Sequence[Callable[[], Made]], count: int, rattler: Rattler
) -> tuple[Made, ...]:
    """The results of all jobs; on Ctrl-C their processes are ended first, else nobody could wait for them."""
    with ThreadPoolExecutor(count) as pool:
        futures = [pool.submit(job) for job in jobs]
        try:
            return tuple(future.result() for future in futures)
        except BaseException:
            rattler.processes.stop()
            for future in futures:
                future.cancel()
            raise


def _lacking(output: Rendered, outputs: Sequence[Rendered], done: Mapping[str, Made]) -> str:
    """A needed output of which no variant was made, or nothing."""
    needed = providers(output, outputs)
    there = {other.name for other in needed if done[other.stem].path is not None}
    return next(
        (f"`{other.stem}`, which failed" for other in needed if other.name not in there), ""
    )


def _pretended(output: Rendered) -> Mapping[str, str]:
    """A package for CUDA is solved and tested as on a machine that has it; there may be none here."""
    return {"CONDA_OVERRIDE_CUDA": output.cuda} if output.cuda else {}


def _refuse_links(output: Rendered, unpacked: Unpacked, owners: Mapping[str, str]) -> None:
    missing, unused = allowed_by(output.recipe)
    linked = Linked(
        {name: _needed(path) for name, path in unpacked.binaries.items()},
        frozenset(file.path for file in unpacked.files),
        owners,
        unpacked.package.depends,
        missing,
        unused,
    )
    if problems := link_problems(linked):
        raise BuilderError(
            "its binaries and its dependencies do not agree",
            faults=problems,
            hint="mend the requirements; or allow a library in `build.dynamic_linking."
            "missing_dso_allowlist`, an unused package in `extra.builder.unlinked`",
        )


def _needed(path: Path) -> tuple[str, ...]:
    try:
        return read(path).needed
    except BinaryError:
        return ()  # objects and damaged files are linked to nothing
