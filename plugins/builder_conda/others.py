"""Binaries for macOS and Windows, which go into a package as they are: what they need is somebody's, or an error."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from builder.binary import Binary
from builder.errors import BuilderError
from builder.relink.closure import Rules
from builder.relink.macos import MacOS
from builder.relink.windows import Windows
from builder_conda.linked import Brought
from builder_conda.order import Order
from builder_conda.written import host_of

__all__ = ["refuse_missing"]


def refuse_missing(
    order: Order, binaries: Mapping[str, Binary], brought: Iterable[Brought]
) -> None:
    """Raise `BuilderError` naming each library that neither the package, nor another, nor the system has."""
    globs = [glob for row in brought for glob in row.libraries]
    system = MacOS() if order.target.os == "macos" else Windows()
    rules = Rules(exclude=(*host_of(order), *globs))
    found = system.resolve(binaries, rules, system.libraries(()), only_inside=True)
    missing = sorted({(need.requirer, need.name) for need in found.of("missing")})
    if missing:
        raise BuilderError(
            f"`{order.name}` needs libraries that neither it nor what it requires has",
            faults=[f"{path}: needs {name}" for path, name in missing],
            hint="name the package that brings them in `conda.depends` or `conda.library-depends` (and "
            "in `conda.libraries` what it brings), or, if every machine has them, in `conda.host`",
        )
