"""The backend for C++ archives, registered as any plugin is: by an entry point."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from builder.hookspecs import hookimpl

if TYPE_CHECKING:
    from builder.backend import Backend

__all__ = ["builder_backends"]


@hookimpl
def builder_backends() -> Iterable[Backend]:
    """Give the one backend of this plugin; its machinery is imported when it is used."""
    from builder_libtorch.backend import Libtorch  # noqa: PLC0415  # loading a plugin stays cheap

    return (Libtorch(),)
