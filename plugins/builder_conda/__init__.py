"""Conda packages from finished wheels, registered as any plugin is: by an entry point."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from builder.hookspecs import hookimpl

if TYPE_CHECKING:
    from builder.converter import Converter

__all__ = ["builder_converters"]


@hookimpl
def builder_converters() -> Iterable[Converter]:
    """Give the conversion of wheels; its machinery is imported when it is used."""
    from builder_conda.convert import WheelToConda  # noqa: PLC0415  # loading a plugin stays cheap

    return (WheelToConda(),)
