"""A wheel as a conda package: read member by member, never unpacked to the disk.

What the wheel's RECORD says of each member is what `paths.json` says of it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from builder.archive.conda_package import CondaFile, CondaPackage
from builder.archive.conda_write import write_conda
from builder.archive.wheel import Wheel, judge
from builder.archive.zip_read import Zip
from builder.config.python import Python
from builder.converter import Conversion, Converted
from builder.errors import UsageError
from builder_conda.about import about, license_of
from builder_conda.layout import Layout
from builder_conda.members import WheelMembers
from builder_conda.names import conda_name
from builder_conda.needs import (
    allows,
    of_any_python,
    of_one_python,
    parse_requirements,
    python_of,
    python_spec,
)
from builder_conda.platforms import Platform, platform_of, pythons_of
from builder_conda.scripts import EntryPoint
from builder_conda.specs import version_of

__all__ = ["WheelToConda", "convert_wheel"]

_CUDA: Final = re.compile(r"(?:.*_)?cu(\d+)\d(?:_.*)?")


class WheelToConda:
    """The converter behind `builder convert --to conda`."""

    name = "conda"

    def convert(self, wheel: Path, folder: Path, wishes: Conversion) -> Converted:
        """As `convert_wheel`."""
        return convert_wheel(wheel, folder, wishes)


def convert_wheel(wheel: Path, folder: Path, wishes: Conversion) -> Converted:
    """Write a wheel as a conda package for its platform and Python, or for any.

    It goes into the folder of its subdir below `folder`: names of conda packages say no platform.
    Raises `UsageError` for a wheel that is not sound, or that conda cannot have, and `BuilderError`
    when a member does not have the bytes that RECORD says.
    """
    with Zip(wheel) as archive:
        read = judge(archive)
        target = _target(read, wishes)
        source = WheelMembers(archive, read, target.layout)
        points = source.entry_points()
        files = tuple(source.files(points))
        package = _package(read, target, points, source.licenses(), wishes)
        path = write_conda(
            folder / package.subdir, package, files,
            epoch=wishes.epoch if wishes.epoch is not None else read.newest,
            profile=wishes.compression, file_format=wishes.file_format, threads=wishes.threads,
        )  # fmt: skip
    facts = {
        "name": package.name,
        "version": package.version,
        "build": package.build,
        "subdir": package.subdir,
        "depends": list(package.depends),
    }
    return Converted(path, facts, (*target.notes, *source.notes(points)))


@dataclass(frozen=True, slots=True)
class _Target:
    """Where a package will run: `python` is None when the installer fits it to any."""

    platform: Platform
    python: Python | None
    build: str
    depends: tuple[str, ...]
    constrains: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def layout(self) -> Layout:
        return Layout.of(self.platform.subdir, self.python)


def _target(wheel: Wheel, wishes: Conversion) -> _Target:
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
) -> _Target:
    """A package for the subdir `noarch`; the installer puts it where its Python looks."""
    pythons = pythons_of(wheel.name)
    own = pythons[0] if len(pythons) == 1 else None
    needs = of_any_python(requirements, allowed, own or wishes.python, wishes.subdir, wishes.names)
    pinned = own or needs.python
    python = f"python {pinned.version}.*" if pinned else python_spec(allowed)
    virtual = (needs.virtual,) if needs.virtual else ()
    build = "_".join(filter(None, (needs.virtual.strip("_"), _tag(pinned) if pinned else "py")))
    depends = _sorted((python,), virtual, needs.depends)
    return _Target(Platform("noarch"), None, build, depends, (), needs.notes)


def _for_one_system(
    wheel: Wheel, wishes: Conversion, requirements: Sequence[Requirement], allowed: SpecifierSet
) -> _Target:
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
    return _Target(platform, python, build, depends, constrains, notes)


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


def _package(
    wheel: Wheel,
    target: _Target,
    points: tuple[EntryPoint, ...],
    licenses: tuple[CondaFile, ...],
    wishes: Conversion,
) -> CondaPackage:
    version, _ = version_of(wheel.name.version.replace("_", "-"))
    digits = re.match(r"\d+", wheel.name.build)
    number = int(digits[0]) if digits else 0
    any_python = target.python is None
    return CondaPackage(
        conda_name(wheel.name.project, wishes.names), version, f"{target.build}_{number}",
        target.platform.subdir, number, "python" if any_python else "", target.depends,
        target.constrains, license_of(wheel.metadata),
        about=about(wheel.metadata, [file.path.removeprefix("licenses/") for file in licenses]),
        entry_points=tuple(map(str, points)) if any_python else (),
        info=licenses,
    )  # fmt: skip
