"""Manylinux wheels: graft, relabel with the lowest honest tag, and prove."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from builder.archive.wheel import read_wheel
from builder.backend import Package, Tools, Trees
from builder.config.plan import Step
from builder.config.spec import BuildSpec
from builder.errors import BuilderError
from builder.relink.auditwheel import Auditwheel
from builder.relink.host import Host
from builder.relink.policy import policies
from builder.relink.repair import Bench, Wanted, repair_wheel
from builder.relink.scan import arch_of, scan_wheel
from builder.relink.survey import asked_policy, survey

__all__ = ["Manywheel"]

_FORMAT = 1


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
        arch = spec.target.arch
        asked_policy(policies(arch), spec.toolchain.baseline, arch)
        bundle = spec.recipe.bundle
        outside = (*bundle.exclude, *(glob for row in bundle.siblings for glob in row.libraries))
        graft = ["auditwheel", "repair", "--plat", "auto"]
        graft += [word for glob in outside for word in ("--exclude", glob)]
        steps = [
            Step((*graft, "{wheel}"), environment={"AUDITWHEEL_LD_LIBRARY_PATH": "{core}/lib"})
        ]
        steps += [
            Step(("patchelf", "--set-rpath", f"$ORIGIN/{{up}}/{row.directory}", "{binary}"))
            for row in bundle.siblings
        ]
        label = ["relabel", "--tag", "{lowest}"]
        label += ["--version", spec.version] if spec.version else []
        return (*steps, Step((*label, "{wheel}")), Step(("verify", "{wheel}")))

    def identity(self, spec: BuildSpec, trees: Trees, tools: Tools) -> Mapping[str, object]:
        """Versions of the engine and digests of every library that will be grafted."""
        wanted = _wanted(spec, trees)
        wheel = read_wheel(wanted.wheel)
        members = scan_wheel(wheel, arch_of(wheel.name.platforms))
        host = Host(wanted.search)
        found = survey(wheel.path.name, members, wanted.exclude, wanted.siblings, host)
        digests = {Path(path).name: digest for path, digest in found.digests.items()}
        return {"format": _FORMAT, "engine": dict(_engine(tools).identity()), "grafts": digests}

    def package(self, spec: BuildSpec, trees: Trees, out: Path, tools: Tools) -> Package:
        """Write one repaired wheel into `out`. Raises `BuilderError`; then nothing is written."""
        bench = Bench(
            _engine(tools), tools.processes, tools.machine.cores, tools.work / "repair", tools.log
        )
        made = repair_wheel(_wanted(spec, trees), out, bench)
        return Package(made.path, made.facts())


def _engine(tools: Tools) -> Auditwheel:
    return Auditwheel(tools.python, tools.machine.path, tools.processes)


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
    return Wanted(
        wheel=found[0],
        search=search,
        exclude=spec.recipe.bundle.exclude,
        siblings=spec.recipe.bundle.siblings,
        version=spec.version,
        baseline=spec.toolchain.baseline,
    )
