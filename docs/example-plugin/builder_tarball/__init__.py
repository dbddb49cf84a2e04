"""An example plugin: a package type of its own, and one listener. Importing this module imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from builder.hookspecs import hookimpl

if TYPE_CHECKING:
    from builder.backend import Backend


@hookimpl
def builder_backends() -> Iterable[Backend]:
    """Offer the package type `tarball`."""
    from builder_tarball.backend import Tarball

    return [Tarball()]
