"""Manylinux wheels: graft, relabel with the lowest honest tag, and prove."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from builder.archive.wheel import read_wheel
from builder.backend import Package, Tools, Trees
from builder.config.plan import Step
from builder.config.spec import BuildSpec
from builder.errors import BuilderError, UsageError
from builder.relink.cache import FactCache
from builder.relink.policy import arch_of
from builder.relink.repair import Bench, Wanted, grafts_of, identity, repair_wheel
from builder.relink.systems import asked_tags

__all__ = ["Manywheel"]

_FORMAT = 2


class Manywheel:
    """The package type `manywheel`."""

    @property
    def name(self) -> str:
        """The package type."""
        return "manywheel"

    @property
    def needs_python(self) -> bool:
        """A wheel is made for one Python, or serves many."""
        return True

    def plan(self, spec: BuildSpec) -> tuple[Step, ...]:
        """The steps of `package` as readable commands; paths are placeholders. Raises `UsageError`."""
        arch, baseline, bundle = spec.target.arch, spec.toolchain.baseline, spec.recipe.bundle
        if baseline != "auto":
            asked_tags("linux", baseline, arch)
        words = ["builder", "repair", "--add-path", "{core}/lib"]
        words += [word for glob in bundle.exclude for word in ("--exclude", glob)]
        words += [word for row in bundle.siblings for word in ("--sibling", row.package)]
        label = ["relabel", "--tag", "{lowest}"] + (["--at-most", baseline] * (baseline != "auto"))
        label += ["--version", spec.version] if spec.version else []
        return (
            Step((*words, "{wheel}")),
            Step((*label, "{wheel}")),
            Step(("verify", "{wheel}")),
        )

    def identity(self, spec: BuildSpec, trees: Trees, tools: Tools) -> Mapping[str, object]:
        """Everything that writes bytes, by version, and digests of every library to be grafted."""
        grafts = grafts_of(_wanted(spec, trees), _bench(tools))
        return {
            "format": _FORMAT,
            "engine": dict(identity()),
            "grafts": {Path(path).name: digest for path, digest in grafts.items()},
        }

    def package(self, spec: BuildSpec, trees: Trees, out: Path, tools: Tools) -> Package:
        """Write one repaired wheel into `out`. Raises `BuilderError`; then nothing is written."""
        made = repair_wheel(_wanted(spec, trees), out, _bench(tools))
        return Package(made.path, made.facts())


def _bench(tools: Tools) -> Bench:
    cache = FactCache(tools.machine.cache / "facts") if tools.machine.cache != Path() else None
    return Bench(tools.machine, tools.work / "repair", cache)


def _wanted(spec: BuildSpec, trees: Trees) -> Wanted:
    """What the recipe asks of the raw wheel in the python tree."""
    if trees.python is None:
        raise BuilderError(
            f"`{spec.recipe.name}` has no python stage, so there is no wheel to package",
            hint="give the recipe a [python] table",
        )
    found = sorted(trees.python.root.glob("*.whl"))
    if len(found) != 1:
        raise BuilderError(
            f"the python tree of `{spec.recipe.name}` holds {len(found)} wheels, not 1",
            faults=[path.name for path in found],
            hint="make the python stage leave exactly one wheel",
        )
    search: tuple[Path, ...] = ()
    if trees.core is not None:
        folders = (trees.core.root / "lib", trees.core.root / "lib64")
        search = tuple(folder for folder in folders if folder.is_dir())
    name = read_wheel(found[0]).name
    others = [tag for tag in name.platforms if tag != "any" and not arch_of((tag,))]
    if others:
        raise UsageError(
            f"`{name}` is no wheel for Linux: {', '.join(others)}",
            hint="build a package type of its own system",
        )
    return Wanted(
        wheel=found[0],
        search=search,
        exclude=spec.recipe.bundle.exclude,
        siblings=spec.recipe.bundle.siblings,
        version=spec.version,
        baseline=spec.toolchain.baseline,
    )
