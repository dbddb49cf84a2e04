"""One output of a recipe: built, written again, its links judged, tested, delivered. Twice the same is made once."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from builder.archive.deliver import deliver
from builder.archive.file import file_digest
from builder.binary import BinaryError, read
from builder.channel import channel
from builder.errors import BuilderError, Interrupted
from builder.events import Event, Events
from builder.process import ProcessError
from builder.requests import Failure
from builder.stage.lock import exclusive
from builder.stage.store import TreeStore, Workspace
from builder_conda.recipes.key import Given
from builder_conda.recipes.linking import Linked, allowed_by, link_problems
from builder_conda.recipes.outputs import Rendered, Variants, profile_of
from builder_conda.recipes.rattler import Rattler
from builder_conda.recipes.render import Order, question
from builder_conda.recipes.rewrite import Unpacked, unpack_package, write_again

__all__ = ["Made", "Wave"]

_TAIL: Final = 20


@dataclass(frozen=True, slots=True)
class Made:
    """A package in the output folder, or why there is none; `seconds` include its tests.

    `hit` says that it was in the store, and nothing was built.
    """

    output: Rendered
    path: Path | None
    failure: Failure | None = None
    seconds: float = 0.0
    sha256: str = ""
    tests: int = 0
    hit: bool = False


@dataclass(frozen=True, slots=True)
class Wave:
    """What the outputs of one wave have in common; `shared` is a channel for those that wait for them, if any do."""

    order: Order
    rattler: Rattler
    store: TreeStore
    variants: Variants
    given: Given
    shared: Path | None
    channels: Sequence[str]
    events: Events

    def make(self, output: Rendered, needs: Mapping[str, str], lacking: str) -> Made:
        """One output from nothing to its place in the output folder.

        `needs` are the digests of the outputs that it is built with, by name; `lacking` is one that could not
        be made.
        """
        started = time.monotonic()
        if lacking:
            hint = "see that failure; the same command goes on when it is mended"
            failure = Failure(output.stem, "build", f"not built: it needs {lacking}", hint, "")
            return Made(output, None, failure)
        self.events(Event("started", output.stem))
        try:
            made = self._made(output, needs)
        except _Failed as failed:
            made = Made(output, None, failed.failure)
        except Interrupted:
            raise
        except BuilderError as error:  # the store or the output folder cannot be written
            made = Made(output, None, Failure.of(output.stem, "store", error))
        seconds = time.monotonic() - started
        if made.failure is not None:
            text = made.failure.error.partition("\n")[0]
            self.events(Event("failed", output.stem, text, seconds))
        else:
            self.events(Event("finished", output.stem, "", seconds, hit=made.hit))
        return replace(made, seconds=round(seconds, 3))

    def _made(self, output: Rendered, needs: Mapping[str, str]) -> Made:
        place = self.order.place(output.stem)
        logs = self.order.store / "logs"
        for folder in (place.parent, logs):
            folder.mkdir(parents=True, exist_ok=True)
        log = logs / f"{output.stem}.log"
        with exclusive(place.with_suffix(".lock")):
            package, hit = self._package(output, needs, place, log)
            tests = self._tested(output, needs, place, package, log) if self.order.check else 0
            if self.shared is not None:
                channel.add(self.shared, (package,))
            path = deliver(package, self.order.output / output.subdir)
            if not self.order.keep:
                shutil.rmtree(place, ignore_errors=True)
        return Made(output, path, sha256=file_digest(path), tests=tests, hit=hit)

    def _package(
        self, output: Rendered, needs: Mapping[str, str], place: Path, log: Path
    ) -> tuple[Path, bool]:
        """The package, and whether it was there."""
        if self.order.keep:
            return self._fresh(output, place, log), False

        def build(workspace: Workspace) -> Mapping[str, object]:
            package = self._fresh(output, place, log)
            shutil.copy2(package, workspace.content / package.name)
            return {"file": package.name}

        tree, hit = self.store.make(self.given.package(output, needs), build)
        return tree.root / str(tree.facts["file"]), hit

    def _fresh(self, output: Rendered, place: Path, log: Path) -> Path:
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        log.unlink(missing_ok=True)
        return self._again(output, place, self._build(output, place, log))

    def _tested(
        self, output: Rendered, needs: Mapping[str, str], place: Path, package: Path, log: Path
    ) -> int:
        """How many tests the package has; all passed, now or on the same bytes before."""
        if self.order.keep:
            return self._test(output, place, package, log)

        def test(workspace: Workspace) -> Mapping[str, object]:
            del workspace
            return {"tests": self._test(output, place, package, log)}

        key = self.given.tests(output, needs, file_digest(package))
        tree, _ = self.store.make(key, test)
        return int(str(tree.facts["tests"]))

    def _build(self, output: Rendered, place: Path, log: Path) -> Mapping[str, object]:
        named = {"name": output.name, "version": output.version, "build": output.build}
        job = {
            "do": "build",
            "output": named,
            "folder": str(place),
            "channels": self.channels,
            **question(self.order, self.variants),
        }
        title = f"build {output.stem}"
        with _stage(output, "build", self._hint(output), log):
            answer: Mapping[str, object] = self.rattler.run(
                job, place, title=title, log=log, variables=_pretended(output)
            )
        return answer

    def _again(self, output: Rendered, place: Path, built: Mapping[str, object]) -> Path:
        """The package in our own bytes, its links judged."""
        order = self.order
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
                profile=profile_of(output.recipe) or order.profile,
                file_format=order.file_format,
            )

    def _test(self, output: Rendered, place: Path, package: Path, log: Path) -> int:
        """How many tests the package has; all passed."""
        job = {"do": "test", "package": str(package), "channels": self.channels}
        with _stage(output, "test", self._hint(output), log):
            results = self.rattler.run(
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
        words = " ".join((*self.order.again, "--debug-shell", output.stem))
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
