"""What a wheel becomes: its subdir, its Python, its build string and everything it requires."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from builder.archive.wheel import Wheel
from builder.config.python import Python
from builder.converter import Conversion
from builder.errors import UsageError
from builder_conda.layout import Layout
from builder_conda.needs import (
    allows,
    of_any_python,
    of_one_python,
    parse_requirements,
    python_of,
    python_spec,
)
from builder_conda.platforms import Platform, platform_of, pythons_of
from builder_conda.specs import version_of

__all__ = ["Target", "target_of"]

_CUDA: Final = re.compile(r"(?:.*_)?cu(\d+)\d(?:_.*)?")


@dataclass(frozen=True, slots=True)
class Target:
    """Where a package will run: `python` is None when the installer fits it to any.

    `build` is the build string without its number.
    """

    platform: Platform
    python: Python | None
    build: str
    depends: tuple[str, ...]
    constrains: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def layout(self) -> Layout:
        """Its folders."""
        return Layout.of(self.platform.subdir, self.python)


def target_of(wheel: Wheel, wishes: Conversion) -> Target:
    """Decide what a wheel becomes. Raises `UsageError` for what conda cannot have, or an open choice."""
    requirements = parse_requirements(wheel.metadata.get("Requires-Dist"), wheel.path.name)
    allowed = python_of(",".join(wheel.metadata.get("Requires-Python")))
    _, local = version_of(wheel.name.version.replace("_", "-"))
    make = _for_any_system if wheel.name.is_pure else _for_one_system
    target = make(wheel, wishes, requirements, allowed)
    match = _CUDA.fullmatch(local)
    cuda = (f"__cuda >={match[1]}",) if match else ()
    build = "_".join(filter(None, (target.build, local)))
    return replace(target, build=build, depends=_sorted(target.depends, cuda))


def _for_any_system(
    wheel: Wheel, wishes: Conversion, requirements: Sequence[Requirement], allowed: SpecifierSet
) -> Target:
    """A package for the subdir `noarch`; the installer puts it where its Python looks."""
    pythons = pythons_of(wheel.name)
    own = pythons[0] if len(pythons) == 1 else None
    needs = of_any_python(requirements, allowed, own or wishes.python, wishes.subdir, wishes.names)
    pinned = own or needs.python
    python = f"python {pinned.version}.*" if pinned else python_spec(allowed)
    virtual = (needs.virtual,) if needs.virtual else ()
    build = "_".join(filter(None, (needs.virtual.strip("_"), _tag(pinned) if pinned else "py")))
    depends = _sorted((python,), virtual, needs.depends)
    return Target(Platform("noarch"), None, build, depends, (), needs.notes)


def _for_one_system(
    wheel: Wheel, wishes: Conversion, requirements: Sequence[Requirement], allowed: SpecifierSet
) -> Target:
    """A package with binaries: for one Python, or for any of them when the wheel is (CEP 20)."""
    platform = platform_of(wheel.name, wishes.subdir)
    python = _chosen(wheel, pythons_of(wheel.name), wishes.python)
    constrains: tuple[str, ...] = ()
    if python is None:
        needs = of_any_python(
            requirements, allowed, None, platform.subdir, wishes.names, native=True
        )
        build = "abi3" if "abi3" in wheel.name.abis else "py3"
        pins: tuple[str, ...] = (python_spec(allowed),)
        if build == "abi3":
            constrains = ("python-freethreading <0a0",)
    else:
        if not allows(allowed, python):
            raise UsageError(
                f"`{wheel.path.name}` says that it is not for Python {python.version}",
                hint=f"Requires-Python: {allowed}",
            )
        needs = of_one_python(requirements, python, (platform.subdir,), wishes.names)
        build, version = _tag(python), f"{python.version}.*"
        pins = (f"python {version}", f"python_abi {version} *_{python.abi_tag}")
    depends = _sorted(pins, platform.requires, needs.depends)
    notes = (*platform.notes, *needs.notes)
    return Target(platform, python, build, depends, constrains, notes)


def _chosen(wheel: Wheel, pythons: Sequence[Python], wanted: Python | None) -> Python | None:
    """The Python of a native wheel; None for one that serves any, unless one is wanted."""
    if not pythons:
        return wanted
    if wanted is not None and wanted not in pythons:
        served = ", ".join(python.spelling for python in pythons)
        raise UsageError(
            f"`{wheel.path.name}` is not for Python {wanted.spelling}", hint=f"it is for {served}"
        )
    if wanted is None and len(pythons) > 1:
        raise UsageError(
            f"`{wheel.path.name}` is for several Pythons, a conda package with binaries for one",
            hint=f"choose with `--python {pythons[-1].spelling}`",
        )
    return wanted or pythons[0]


def _tag(python: Python) -> str:
    """`py311`, `py313t`."""
    return f"py{python.major}{python.minor}{'t' if python.free_threaded else ''}"


def _sorted(*groups: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted({spec for group in groups for spec in group}))
