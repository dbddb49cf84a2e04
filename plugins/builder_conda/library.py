"""The packages for no Python: the one with the core tree, and those that people choose by."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from builder.archive.conda_package import CondaPackage
from builder.archive.wheel import judge
from builder.archive.wheel_name import WheelName
from builder.archive.zip_read import Zip
from builder.backend import Package, Tools
from builder.binary import Binary
from builder.config.naming_conda import CHOICE_VERSION, package_of
from builder.stage.tree import Tree
from builder_conda.core import Core
from builder_conda.linked import Around, has_device_code, known_libraries, linked
from builder_conda.order import Order, sorted_specs
from builder_conda.others import refuse_missing
from builder_conda.split import Split
from builder_conda.written import (
    desk,
    floors,
    host_of,
    summary,
    too_short,
    unused,
    written,
)

__all__ = ["package_choice", "package_finished", "package_library"]


def package_library(order: Order, tree: Tree, out: Path, tools: Tools) -> Package:
    """Write the package with a core tree into `out`. Raises `BuilderError`; then nothing is written.

    Who links to it requires, from then on, this library or a later one that still serves.
    """
    epoch = tree.facts.get("epoch", 0)
    core = Core.of(tree, order.recipe.archive)
    with desk(tools) as work:
        return _package(order, core, epoch if isinstance(epoch, int) else 0, work, out, tools)


def package_finished(order: Order, wheel: Path, out: Path, tools: Tools) -> Package:
    """The same for the C++ part of a finished wheel. What a required package brings is left to that.

    For macOS and Windows nothing is relinked: the libraries stay beside each other, as they were.
    """
    brought = known_libraries(order.conda.library_depends, order.conda.libraries)
    with desk(tools) as work, Zip(wheel) as archive:
        found = judge(archive)
        split = Split.of(found, order.recipe.archive, brought)
        core = split.core(archive, found, work / "wheel", whole=True)
        if order.target.os == "linux":
            return _package(order, core, found.newest, work, out, tools)
        placed = {_place(path, order): one for path, one in core.binaries.items()}
        refuse_missing(order, placed, brought)
        package = _described(order, core.binaries, order.conda.library_depends, found.name)
        files = tuple(
            replace(file, path=_place(file.path, order)) for file in core.packed({}, work)
        )
        return written(
            order, package, files, out, tools, epoch=found.newest,
            outside=sorted(map(posixpath.basename, split.brought)),
            device_code=has_device_code(core.binaries),
        )  # fmt: skip


def _place(path: str, order: Order) -> str:
    """Where a file of the C++ part goes: on Windows below `Library`, what is loaded into its `bin`."""
    if order.target.os != "windows":
        return path
    folder, _, name = path.partition("/")
    if path.lower().endswith(".dll") and folder in {"lib", "bin"}:
        return f"Library/bin/{name}"
    return f"Library/{path}"


def _described(
    order: Order,
    binaries: Mapping[str, Binary],
    requires: Sequence[str],
    finished: WheelName | None = None,
) -> CondaPackage:
    return CondaPackage(
        order.name, order.version, order.build, order.subdir, order.number,
        depends=sorted_specs(requires, floors(order, binaries, finished)),
        about=summary(order), run_exports=order.run_exports,
    )  # fmt: skip


def _package(order: Order, core: Core, epoch: int, work: Path, out: Path, tools: Tools) -> Package:
    requires = order.conda.library_depends
    brought = known_libraries(requires, order.conda.libraries)
    done = linked(
        order.name, core.binaries, core.ends, Around(brought=brought, host=host_of(order))
    )
    package = _described(order, core.binaries, requires)
    files = tuple(core.packed(done.edits, work))
    return written(
        order, package, files, out, tools, epoch=epoch,
        notes=(*too_short(files), *unused(brought, done)),
        outside=done.outside, device_code=has_device_code(core.binaries),
    )  # fmt: skip


def package_choice(order: Order, out: Path, tools: Tools) -> Package:
    """Write the package by whose name people choose an accelerator: it is empty, and keeps others out.

    It says nothing of a version, so that those who chose go on to the next; and it has the same bytes
    on every system and in every release.
    """
    main = package_of(order.recipe)
    constrains = tuple(f"{name} * {order.glob}" for name in (main, order.conda.library) if name)
    package = CondaPackage(
        order.name, order.accelerator.dotted or CHOICE_VERSION, "0", "noarch",
        noarch="generic", constrains=constrains,
        about={"summary": f"keeps {main} to its builds for {order.accelerator}"},
    )  # fmt: skip
    return written(order, package, (), out, tools, epoch=0)
