"""What all conda packages of a build have in common: floors of the machine, notes, and the file."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from builder.archive.conda_package import CondaFile, CondaPackage
from builder.archive.conda_write import write_conda
from builder.archive.wheel_name import WheelName
from builder.backend import Package, Tools
from builder.binary import Binary
from builder.errors import BuilderError
from builder_conda.linked import Brought, Linked, cuda_floor, glibc_floor
from builder_conda.order import Order
from builder_conda.platforms import platform_of
from builder_conda.scripts import PLACEHOLDER

__all__ = ["desk", "floors", "host_of", "summary", "too_short", "unused", "written"]

_PREFIX: Final = 255
"""Bytes of the longest prefix that conda installs into."""


def written(
    order: Order,
    package: CondaPackage,
    files: Iterable[CondaFile],
    out: Path,
    tools: Tools,
    *,
    epoch: int,
    notes: Iterable[str] = (),
    outside: Iterable[str] = (),
    device_code: bool = False,
) -> Package:
    """Write one package, read it back, and say what it is. Raises `BuilderError` and `UsageError`.

    `notes` are told to the user, `outside` are the libraries that come from elsewhere, `device_code` says
    whether code for the accelerator is to be in it.
    """
    path = write_conda(
        out, package, files,
        epoch=epoch, profile=order.conda.profile, file_format=order.conda.format,
        threads=max(1, tools.machine.cores),
    )  # fmt: skip
    facts = {
        "name": package.name,
        "version": package.version,
        "build": package.build,
        "build_number": package.build_number,
        "subdir": package.subdir,
        "folder": package.subdir,
        "depends": list(package.depends),
        "constrains": list(package.constrains),
        "run_exports": {kind: list(specs) for kind, specs in package.run_exports.items()},
        "warnings": list(notes),
        "outside": list(outside),
        "device_code": device_code,
    }
    return Package(path, facts)


def floors(
    order: Order, binaries: Mapping[str, Binary], finished: WheelName | None = None
) -> tuple[str, ...]:
    """What the binaries need of a machine, as virtual packages; that of macOS is in the tag of a wheel."""
    linux = order.target.os == "linux"
    tagged = () if linux or finished is None else platform_of(finished, order.subdir).requires
    glibc = glibc_floor(binaries, order.target.arch) if linux else ""
    cuda = ""
    if order.accelerator.kind == "cuda":
        cuda = cuda_floor(binaries, order.accelerator.dotted)
    pairs = (("__glibc", glibc), ("__cuda", cuda))
    return (*tagged, *(f"{name} >={floor}" for name, floor in pairs if floor))


def host_of(order: Order) -> tuple[str, ...]:
    """Globs over libraries that the recipe expects on every machine."""
    return (*order.conda.host, *order.recipe.bundle.exclude)


def summary(order: Order) -> Mapping[str, object]:
    """What `about.json` says of the recipe."""
    return {"summary": order.recipe.summary} if order.recipe.summary else {}


def too_short(files: Iterable[CondaFile]) -> Iterator[str]:
    """Binaries with a prefix in them that is shorter than others may be."""
    for file in files:
        size = len(file.placeholder.encode())
        if file.mode == "binary" and file.placeholder != PLACEHOLDER and size < _PREFIX:
            yield (
                f"{file.path}: holds the prefix that it was built for, so it cannot be installed into "
                f"one of more than {size} bytes: find it at run time from the library's own place"
            )


def unused(declared: Iterable[Brought], done: Linked) -> Iterator[str]:
    """Required packages whose libraries nothing needs."""
    for brought in declared:
        if brought.package not in done.used:
            yield f"requires `{brought.package}`, and no binary needs one of its libraries"


@contextmanager
def desk(tools: Tools) -> Iterator[Path]:
    """A folder for what is on its way, gone afterwards. Raises `BuilderError`."""
    try:
        tools.work.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="conda-", dir=tools.work))
    except OSError as error:
        raise BuilderError(
            f"`{tools.work}` cannot be used: {error.strerror or error}",
            hint="free space or choose another temporary folder",
        ) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
