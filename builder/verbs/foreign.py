"""`builder build` of a folder that holds the recipe of another tool."""

from __future__ import annotations

from pathlib import Path

from builder.backend import Installs
from builder.config import discover
from builder.config.machine import Machine
from builder.config.plan import Plan
from builder.errors import UsageError
from builder.events import Events, ignore
from builder.foreign import ForeignOutcome, ForeignRecipes, ForeignTools
from builder.plugins import Plugins
from builder.process import Processes
from builder.requests import BuildRequest

__all__ = ["Foreign", "claimed"]


class Foreign:
    """A folder and who builds it."""

    def __init__(
        self,
        recipes: ForeignRecipes,
        folder: Path,
        request: BuildRequest,
        machine: Machine,
        events: Events = ignore,
    ) -> None:
        store = (request.store or machine.cache / "store").absolute()
        self._tools = ForeignTools(Processes(events), machine, store, events)
        self._recipes, self._folder, self._request = recipes, folder, request

    def plan(self) -> Plan:
        """What `build` would make. Raises `UsageError`."""
        return self._recipes.plan(self._folder, self._request, self._tools)

    def build(self) -> ForeignOutcome:
        """Build everything. Raises `UsageError`, `Interrupted`."""
        return self._recipes.build(self._folder, self._request, self._tools)

    def shell(self) -> str:
        """A shell command that enters a kept build. Raises `UsageError`."""
        return self._recipes.shell(self._folder, self._request, self._tools)


def claimed(
    request: BuildRequest, machine: Machine, plugins: Plugins, events: Events = ignore
) -> Foreign | None:
    """Who builds the folder of a request, when that is no recipe of ours; else nothing.

    Raises `UsageError` for options that only such recipes have, in a request without one.
    """
    cwd = Path.cwd()
    folder = (cwd / request.recipe).resolve()
    ours = discover.is_ours(request.recipe, request.recipe_roots, cwd)
    if len(request.types) == 1 and folder.is_dir() and not ours:
        recipes = plugins.foreign_recipes().get(request.types[0])
        if recipes is not None and recipes.claims(folder):
            return Foreign(recipes, folder, request, machine, events)
    backends = [plugins.backends().get(name) for name in request.types]
    installs = any(isinstance(backend, Installs) for backend in backends)
    given = {
        "--channel": bool(request.channels) and not installs,
        "--variants": bool(request.variant_files),
        "--engine": bool(request.engine),
        "--debug-shell": bool(request.debug_shell),
    }
    if words := [word for word, is_given in given.items() if is_given]:
        raise UsageError(
            f"{' and '.join(words)} {'are' if len(words) > 1 else 'is'} for recipes of other tools",
            faults=[
                f"`{request.recipe}` is none, or `--type` does not name one type that builds it"
            ],
            hint="`builder build FOLDER --type conda` builds a folder with a `recipe.yaml`; without `--type "
            "conda`, `--channel` is release, test or nightly",
        )
    return None
