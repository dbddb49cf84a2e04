"""Which package types a call is about: those asked for, and those that come with them."""

from __future__ import annotations

from builder.backend import Accompanied
from builder.config.recipe import Recipe
from builder.plugins import Plugins
from builder.requests import BuildRequest
from builder.verbs.targets import types_of

__all__ = ["belongs", "pythonless", "with_companions"]


def belongs(package_type: str, name: str) -> bool:
    """Whether a package type is that of a backend called `name`, or one of its companions."""
    return package_type == name or package_type.startswith(f"{name}_")


def with_companions(request: BuildRequest, recipe: Recipe, plugins: Plugins) -> tuple[str, ...]:
    """The types that a request is about, each once; those that no backend makes are left as they are."""
    backends = plugins.backends()
    found: dict[str, None] = {}
    for name in types_of(recipe, request):
        found[name] = None
        backend: object = backends.get(name)
        if isinstance(backend, Accompanied):
            found.update(dict.fromkeys(backend.companions(recipe)))
    return tuple(found)


def pythonless(plugins: Plugins) -> tuple[str, ...]:
    """The package types that have no Python."""
    return tuple(name for name, backend in plugins.backends().items() if not backend.needs_python)
