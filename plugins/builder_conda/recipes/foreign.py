"""The door to conda recipes: a folder with `recipe.yaml` or `meta.yaml`, built by rattler-build or conda-build."""

from __future__ import annotations

import shlex
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from builder.config.accelerator import Accelerator
from builder.config.naming import subdir_of
from builder.config.plan import Plan, PlannedStage, Step
from builder.config.python import parse_pythons
from builder.errors import BuilderError, UsageError
from builder.foreign import ForeignOutcome, ForeignPackage, ForeignTools
from builder.requests import BuildRequest, Failure
from builder_conda.recipes import conda_build
from builder_conda.recipes.key import keys_of
from builder_conda.recipes.rattler import Rattler, channel_urls
from builder_conda.recipes.render import RECIPE, Order, render

if TYPE_CHECKING:
    from builder_conda.recipes.making import Made

__all__ = ["CondaRecipes"]


class CondaRecipes:
    """Recipes of rattler-build and conda-build."""

    @property
    def name(self) -> str:
        """The package type they make."""
        return "conda"

    def claims(self, folder: Path) -> bool:
        """Whether a folder holds such a recipe."""
        return any((folder / name).is_file() for name in (RECIPE, conda_build.META))

    def plan(self, folder: Path, request: BuildRequest, tools: ForeignTools) -> Plan:
        """One stage for each package, or the one call of conda-build."""
        if _engine(folder, request) == "conda-build":
            call = _call(folder, request, tools)
            step = Step(conda_build.argv(conda_build.find(tools.machine), call))
            return Plan((PlannedStage("package", "", False, (folder.name,), (step,)),))
        order, rattler = _order(folder, request, tools), _rattler(tools)
        _, outputs = render(order, rattler)
        keys = keys_of(order, rattler, outputs)
        return Plan(
            tuple(
                PlannedStage(
                    "package",
                    *keys.get(output.stem, ("", False)),
                    (f"{output.subdir}/{output.stem}",),
                    (),
                    _shown(output.variant),
                )
                for output in outputs
            )
        )

    def build(self, folder: Path, request: BuildRequest, tools: ForeignTools) -> ForeignOutcome:
        """Build, prove and deliver every output."""
        started = time.monotonic()
        if _engine(folder, request) == "conda-build":
            return _with_conda_build(_call(folder, request, tools), request, tools, started)
        from builder_conda.recipes.engine import build_all  # noqa: PLC0415  # a plan needs none of it

        order = _order(folder, request, tools)
        made = build_all(order, _rattler(tools), events=tools.events)
        return ForeignOutcome(
            tuple(_package(row) for row in made if row.path is not None),
            tuple(row.failure for row in made if row.failure is not None),
            round(time.monotonic() - started, 3),
        )

    def shell(self, folder: Path, request: BuildRequest, tools: ForeignTools) -> str:
        """How to enter a kept build."""
        from builder_conda.recipes.engine import debug_shell  # noqa: PLC0415  # as above

        return debug_shell(_order(folder, request, tools), request.debug_shell)


def _engine(folder: Path, request: BuildRequest) -> str:
    """Which of the two it is. Raises `UsageError` for a recipe that only the other one reads."""
    if (folder / RECIPE).is_file():
        return request.engine or "rattler"
    if request.engine != "conda-build":
        raise UsageError(
            f"`{folder / conda_build.META}` is read by conda-build alone",
            hint="`--engine conda-build` where you have it; or write a `recipe.yaml`, which both engines read",
        )
    return request.engine


def _rattler(tools: ForeignTools) -> Rattler:
    return Rattler(tools.machine, tools.processes, tools.store / "conda" / "cache")


def _order(folder: Path, request: BuildRequest, tools: ForeignTools) -> Order:
    words = ["builder", "build", request.recipe, "--type", "conda"]
    if request.store is not None:
        words += ["--store", str(request.store)]
    return Order(
        folder,
        request.output.absolute(),
        tools.store,
        request.channels,
        request.variant_files,
        _pythons(request),
        _accelerators(request),
        subdir_of(request.os, request.arch),
        epoch=request.epoch,
        jobs=request.jobs or tools.machine.cores,
        check=request.check,
        keep=request.keep,
        again=tuple(shlex.quote(word) for word in words),
        day=request.today.isoformat(),
    )


def _pythons(request: BuildRequest) -> tuple[str, ...]:
    """Versions as variants begin; none means all that the variants have."""
    if not request.pythons or request.pythons == ("all",):
        return ()
    return tuple(
        f"{python.version}{'t' * python.free_threaded}"
        for python in parse_pythons(request.pythons, ())
    )


def _accelerators(request: BuildRequest) -> tuple[str, ...]:
    """`cpu`, or the version of CUDA."""
    if "all" in request.accelerators:
        return ()
    found = [Accelerator.parse(word) for word in request.accelerators]
    return tuple(row.dotted if row.kind == "cuda" else row.kind for row in found)


def _shown(values: Mapping[str, str]) -> str:
    return ", ".join(f"{key} {value}" for key, value in sorted(values.items()))


def _package(made: Made) -> ForeignPackage:
    assert made.path is not None
    output = made.output
    facts = {
        "name": output.name,
        "version": output.version,
        "build": output.build,
        "subdir": output.subdir,
        "variant": dict(output.variant),
        "tests": made.tests,
        "hit": made.hit,
    }
    return ForeignPackage(made.path, made.sha256, made.path.stat().st_size, made.seconds, facts)


def _call(folder: Path, request: BuildRequest, tools: ForeignTools) -> conda_build.Call:
    work = tools.store / "conda" / f"conda-build-{folder.name}"
    return conda_build.Call(
        folder,
        work / "output",
        work,
        channel_urls(request.channels),
        tuple(path.absolute() for path in request.variant_files),
        _pythons(request),
        request.check,
    )


def _with_conda_build(
    call: conda_build.Call, request: BuildRequest, tools: ForeignTools, started: float
) -> ForeignOutcome:
    """One process makes all packages; each is written again and delivered."""
    from builder.channel import channel  # noqa: PLC0415  # as above

    program = conda_build.find(tools.machine)
    shutil.rmtree(call.work, ignore_errors=True)
    log = tools.store / "logs" / f"{call.work.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    failures: tuple[Failure, ...] = ()
    built: Sequence[Path] = ()
    try:
        built = conda_build.run(program, call, tools.machine, tools.processes, log)
    except BuilderError as error:
        failures = (Failure.of(call.folder.name, "build", error),)
    packages = tuple(_again(path, call, request) for path in built)
    if packages:
        channel.index(request.output.absolute())
    return ForeignOutcome(packages, failures, round(time.monotonic() - started, 3))


def _again(path: Path, call: conda_build.Call, request: BuildRequest) -> ForeignPackage:
    from builder.archive.deliver import deliver  # noqa: PLC0415  # as above
    from builder.archive.file import file_digest  # noqa: PLC0415  # as above
    from builder_conda.recipes.rewrite import unpack_package, write_again  # noqa: PLC0415  # as above

    started = time.monotonic()
    work = call.work / "again" / path.name
    unpacked = unpack_package(path, work / "unpacked", call.work)
    written = write_again(
        unpacked, work, epoch=request.epoch, profile="default", file_format="conda"
    )
    delivered = deliver(written, request.output.absolute() / unpacked.package.subdir)
    facts = {"name": unpacked.package.name, "build": unpacked.package.build}
    seconds = round(time.monotonic() - started, 3)
    return ForeignPackage(
        delivered, file_digest(delivered), delivered.stat().st_size, seconds, facts
    )
