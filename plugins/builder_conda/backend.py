"""Conda packages from trees: one for each Python, one with the core tree, and those to choose by."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from builder.archive.wheel_name import WheelName
from builder.backend import Home, Package, Tools, Trees, Trial
from builder.config.accelerator import Accelerator
from builder.config.machine import Machine
from builder.config.plan import Step
from builder.config.recipe import Recipe
from builder.config.spec import BuildSpec
from builder.errors import BuilderError, UsageError
from builder_conda.order import CHOICE, LIBRARY, PYTHON, Order

__all__ = ["Conda", "CondaChoice", "CondaLibrary"]

_FORMAT: Final = 2


class _InChannel:
    """What all three have in common: where they are delivered to is a channel."""

    def gather(self, output: Path) -> None:
        """Index the output folder. Raises `BuilderError`."""
        from builder.channel.channel import index  # noqa: PLC0415  # planning is quick

        index(output)


class Conda(_InChannel):
    """The package type `conda`: a package for one Python."""

    @property
    def name(self) -> str:
        """The package type."""
        return PYTHON

    @property
    def needs_python(self) -> bool:
        """A package is made for one Python."""
        return True

    def companions(self, recipe: Recipe) -> tuple[str, ...]:
        """The package with the core tree, and those to choose by, where the recipe has them."""
        conda = recipe.conda
        accelerators = {Accelerator.parse(text) for text in recipe.axes.accelerators}
        found = (
            (LIBRARY, bool(conda.library)),
            (CHOICE, conda.choice and len(accelerators) > 1),
        )
        return tuple(name for name, is_made in found if is_made)

    def judge(
        self, packages: tuple[Path, ...], channels: tuple[str, ...], tools: Tools
    ) -> tuple[Trial, ...]:
        """Which build users get, new ones and those of an earlier release, by the answers of a solver.

        Raises `BuilderError`.
        """
        from builder_conda.verdict import Judged  # noqa: PLC0415  # planning is quick

        judged = Judged(packages, channels, tools)
        return (judged.solved(), judged.upgraded())

    def absent(self, spec: BuildSpec, channels: tuple[str, ...], machine: Machine) -> str:
        """Why no environment can be made for a package here, or nothing."""
        from builder_conda.home import absent  # noqa: PLC0415  # planning is quick

        return absent(spec.target, channels, machine)

    def install(
        self,
        package: Path,
        beside: tuple[Path, ...],
        spec: BuildSpec,
        channels: tuple[str, ...],
        tools: Tools,
    ) -> Home:
        """What a user gets, in a prefix that is as long as they come. Raises `BuilderError`."""
        from builder_conda.home import install  # noqa: PLC0415  # as above

        return install(package, beside, spec, channels, tools)

    def splits(self, wheel: str) -> bool:
        """A wheel with binaries becomes a package for each Python; one without serves them all."""
        return not WheelName.parse(wheel).is_pure

    def plan(self, spec: BuildSpec) -> tuple[Step, ...]:
        """The steps of `package` as readable commands; paths are placeholders. Raises `UsageError`."""
        _refuse(spec)
        python = spec.target.python.version if spec.target.python else "{python}"
        site = f"{{prefix}}/lib/python{python}/site-packages"
        library = _order(spec).companion
        unpack = Step(("unpack", "{wheel}", "--into", site))
        if spec.finished_wheel is not None:
            if spec.target.os != "linux":
                return (unpack, *_pack(spec))
            split = (Step(("split", "--to", library.stem, site)),) if library else ()
            return (unpack, *split, Step(("relink", site)), *_pack(spec))
        relink = (
            "relink",
            *(("--to", library.stem) if library else ("--take", "{core}/lib")),
            site,
        )
        return (unpack, Step(relink), *_pack(spec))

    def identity(self, spec: BuildSpec, trees: Trees, tools: Tools) -> Mapping[str, object]:
        """What writes bytes, and everything that a recipe says of the package."""
        del trees, tools
        return _identity(spec)

    def package(self, spec: BuildSpec, trees: Trees, out: Path, tools: Tools) -> Package:
        """Write one package into `out`. Raises `BuilderError`; then nothing is written."""
        from builder_conda.python_package import (  # noqa: PLC0415  # planning is quick
            package_finished,
            package_python,
        )

        finished = spec.finished_wheel
        if finished is not None:
            wheel = Path(finished.location)
        elif trees.python is not None:
            wheel = next(trees.python.root.glob("*.whl"))
        else:
            raise BuilderError(
                f"`{spec.recipe.name}` has no python stage, so there is no wheel to package",
                hint="give the recipe a [python] table, or a finished wheel with `--source FILE.whl`",
            )
        order = Order.of(spec, WheelName.parse(wheel.name).version)
        if finished is not None:
            return package_finished(order, wheel, out, tools)
        return package_python(order, wheel, trees.core, out, tools)


class CondaLibrary(_InChannel):
    """The package type `conda_lib`: the core tree, which all Pythons share."""

    @property
    def name(self) -> str:
        """The package type."""
        return LIBRARY

    @property
    def needs_python(self) -> bool:
        """C++ serves every Python, and none."""
        return False

    def plan(self, spec: BuildSpec) -> tuple[Step, ...]:
        """The steps of `package` as readable commands; paths are placeholders. Raises `UsageError`."""
        _refuse(spec)
        if not spec.recipe.conda.library:
            raise UsageError(
                f"`{spec.recipe.name}` has no conda package for its core tree",
                hint="name it with `conda.library` in the recipe",
            )
        archive = spec.recipe.archive
        keep = [word for glob in archive.keep for word in ("--keep", glob)]
        keep += [word for glob in archive.leave for word in ("--leave", glob)]
        source = "{core}" if spec.finished_wheel is None else "{wheel}"
        relink = (Step(("relink", "{prefix}")),) if spec.target.os == "linux" else ()
        return (Step(("select", *keep, source)), *relink, *_pack(spec))

    def identity(self, spec: BuildSpec, trees: Trees, tools: Tools) -> Mapping[str, object]:
        """What writes bytes, and everything that a recipe says of the package."""
        del trees, tools
        return _identity(spec)

    def package(self, spec: BuildSpec, trees: Trees, out: Path, tools: Tools) -> Package:
        """Write one package into `out`. Raises `BuilderError`; then nothing is written."""
        from builder_conda import library  # noqa: PLC0415  # as above

        if (finished := spec.finished_wheel) is not None:
            wheel = Path(finished.location)
            order = Order.of(spec, WheelName.parse(wheel.name).version)
            return library.package_finished(order, wheel, out, tools)
        if trees.core is None:
            raise BuilderError(
                f"`{spec.recipe.name}` has no core stage, so there is no library to package",
                hint="give the recipe a [core] table, or a finished wheel with `--source FILE.whl`, or no "
                "`conda.library`",
            )
        return library.package_library(Order.of(spec), trees.core, out, tools)


class CondaChoice(_InChannel):
    """The package type `conda_choice`: a name by which people choose an accelerator."""

    @property
    def name(self) -> str:
        """The package type."""
        return CHOICE

    @property
    def needs_python(self) -> bool:
        """It is empty."""
        return False

    def plan(self, spec: BuildSpec) -> tuple[Step, ...]:
        """The steps of `package` as readable commands. Raises `UsageError`."""
        _refuse(spec)
        order = _order(spec)
        return (Step(("pack", "--constrain", order.glob, order.name)),)

    def identity(self, spec: BuildSpec, trees: Trees, tools: Tools) -> Mapping[str, object]:
        """What writes bytes, and everything that a recipe says of the package."""
        del trees, tools
        return _identity(spec)

    def package(self, spec: BuildSpec, trees: Trees, out: Path, tools: Tools) -> Package:
        """Write one package into `out`. Raises `BuilderError`; then nothing is written."""
        from builder_conda.library import package_choice  # noqa: PLC0415  # as above

        del trees
        return package_choice(_order(spec), out, tools)


def _order(spec: BuildSpec) -> Order:
    """The order of a plan, where the version may not be known."""
    return Order.of(spec, "0")


def _pack(spec: BuildSpec) -> tuple[Step, ...]:
    order = _order(spec)
    file = (
        order.file
        if spec.version
        else f"{order.name}-{{version}}-{order.build}.{order.conda.format}"
    )
    profile = ("--profile", order.conda.profile)
    return (Step(("pack", *profile, file)), Step(("verify", file)))


def _refuse(spec: BuildSpec) -> None:
    """Raise `UsageError` for a system whose trees are not relinked for conda here."""
    if spec.target.os != "linux" and spec.finished_wheel is None:
        raise UsageError(
            f"`{spec.target}` cannot be made of trees",
            hint="packages for macOS and Windows are made of finished wheels: `--source FILE.whl`, or "
            "`builder convert --to conda`",
        )


def _identity(spec: BuildSpec) -> Mapping[str, object]:
    import zstandard  # noqa: PLC0415  # as above

    return {
        "format": _FORMAT,
        "zstandard": list(zstandard.ZSTD_VERSION),
        "wheel": spec.finished_wheel.sha256 if spec.finished_wheel else "",
        **_order(spec).facts(),
    }
