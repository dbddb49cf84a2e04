"""C++ archives: one per variant, from a core tree or out of a finished wheel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from builder.archive.content import MANIFEST
from builder.archive.deflate import codecs
from builder.archive.file import file_digest
from builder.backend import Package, Tools, Trees, Trial
from builder.config.plan import Step
from builder.config.recipe import Checks
from builder.config.spec import BuildSpec
from builder.errors import BuilderError
from builder.stage.tree import Tree
from builder_libtorch.bundle import Wants, grafts_of, outside_of, system_for
from builder_libtorch.consume import tried
from builder_libtorch.debug import objcopy_version
from builder_libtorch.package import Order, package_tree, package_wheel
from builder_libtorch.parts import from_tree

__all__ = ["Libtorch"]

_FORMAT = 2


class Libtorch:
    """The package type `libtorch`."""

    @property
    def name(self) -> str:
        """The package type."""
        return "libtorch"

    @property
    def needs_python(self) -> bool:
        """C++ serves every Python, and none."""
        return False

    def plan(self, spec: BuildSpec) -> tuple[Step, ...]:
        """The steps of `package` as readable commands; paths are placeholders."""
        order = Order.of(spec)
        keep = [word for glob in order.archive.keep for word in ("--keep", glob)]
        keep += [word for glob in order.archive.leave for word in ("--leave", glob)]
        graft = ["graft", "--into", f"{order.top}/lib"] if order.grafts else ["relink"]
        graft += [word for glob in outside_of(order.bundle) for word in ("--exclude", glob)]
        steps = [Step(("select", *keep, "{core}")), Step(("relocate", order.top))]
        if order.archive.debug:
            steps.append(
                Step(("objcopy", "--strip-debug", "--add-gnu-debuglink={dbg}", "{library}"))
            )
        steps += [Step((*graft, order.top))]
        name = order.name(spec.version or "{version}")
        return (*steps, Step(("pack", order.top, name)), Step(("verify", name)))

    def identity(self, spec: BuildSpec, trees: Trees, tools: Tools) -> Mapping[str, object]:
        """What packs, what strips, and digests of every library that will be grafted."""
        order = Order.of(spec)
        facts: dict[str, object] = {
            "format": _FORMAT,
            "archive": asdict(order.archive),
            "release": asdict(order.release),
            "codecs": dict(codecs()),
        }
        if (wheel := spec.finished_wheel) is not None:
            facts["wheel"] = wheel.sha256
            return facts
        if order.archive.debug:
            facts["objcopy"] = objcopy_version(tools)
        if order.grafts and trees.core is not None:
            facts["grafts"] = _grafts(trees.core, order, tools)
        return facts

    def package(self, spec: BuildSpec, trees: Trees, out: Path, tools: Tools) -> Package:
        """Write one archive into `out`. Raises `BuilderError`; then nothing is written.

        A core tree is packaged, or the finished wheel that is the source.
        """
        if (wheel := spec.finished_wheel) is not None:
            return package_wheel(Path(wheel.location), Order.of(spec), out, tools)
        if trees.core is None:
            raise BuilderError(
                f"`{spec.recipe.name}` has no core stage, so there is no C++ to package",
                hint="give the recipe a [core] table, or a finished wheel with `--source FILE.whl`",
            )
        epoch = trees.core.facts.get("epoch", 0)
        order = Order.of(spec, epoch if isinstance(epoch, int) else 0)
        return package_tree(trees.core, order, out, tools)

    def check(
        self, path: Path, checks: Checks, recipe: Path | None, tools: Tools
    ) -> tuple[Trial, ...]:
        """Use an archive as a stranger does, with the recipe's consumer. Raises `BuilderError`."""
        return tried(path, MANIFEST, checks, recipe, tools)


def _grafts(tree: Tree, order: Order, tools: Tools) -> Mapping[str, str]:
    """The digest of every library that will be grafted, by name; nothing is written."""
    folders = (tree.root / "lib", tree.root / "lib64")
    wants = Wants(
        name=str(order.target),
        system=system_for(order.target, tools.machine),
        grafts=True,
        outside=outside_of(order.bundle),
        search=tuple(folder for folder in folders if folder.is_dir()),
        work=tools.work,
    )
    found = grafts_of(from_tree(tree, order.archive), wants)
    return {path.name: file_digest(path) for path in found}
