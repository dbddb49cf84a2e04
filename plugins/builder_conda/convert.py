"""A wheel as a conda package: read member by member, never unpacked to the disk.

What the wheel's RECORD says of each member is what `paths.json` says of it.
"""

from __future__ import annotations

import re
from pathlib import Path

from builder.archive.conda_package import CondaFile, CondaPackage
from builder.archive.conda_write import write_conda
from builder.archive.wheel import Wheel, judge
from builder.archive.zip_read import Zip
from builder.converter import Conversion, Converted
from builder_conda.about import about, license_of
from builder_conda.members import WheelMembers
from builder_conda.names import conda_name
from builder_conda.scripts import EntryPoint
from builder_conda.specs import version_of
from builder_conda.target import Target, target_of

__all__ = ["WheelToConda", "convert_wheel"]


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
        target = target_of(read, wishes)
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
    return Converted(path, facts, target.notes)


def _package(
    wheel: Wheel,
    target: Target,
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
