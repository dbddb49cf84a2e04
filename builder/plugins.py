"""The typed face over pluggy: what plugins offer, and which of them are broken.

One broken plugin never stops the others; it is remembered and named when what it may have offered is asked for.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import entry_points
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pluggy

from builder import hookspecs
from builder.errors import BuilderError, UsageError

if TYPE_CHECKING:
    from builder.backend import Backend
    from builder.converter import Converter
    from builder.foreign import ForeignRecipes
    from builder.requests import BuildOutcome
    from smoke.catalogue import Check

__all__ = ["EntryPointLike", "Plugins"]

GROUP = "builder"


class EntryPointLike(Protocol):
    """What is used of an `importlib.metadata.EntryPoint`."""

    @property
    def name(self) -> str:
        """The plugin's name."""
        ...

    @property
    def value(self) -> str:
        """The module or object the name stands for."""
        ...

    def load(self) -> object:
        """Import it."""
        ...


@dataclass(frozen=True, slots=True)
class _FilePoint:
    """A plugin that is one Python file."""

    name: str
    value: str
    path: Path

    def load(self) -> object:
        """Run the file as a module of a name that nobody else has."""
        spec = spec_from_file_location(f"_{sha256(self.value.encode()).hexdigest()}", self.path)
        if spec is None or spec.loader is None:
            raise ImportError("it is no Python file")
        module = module_from_spec(spec)
        sys.modules[spec.name] = module  # a dataclass looks its own module up
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[spec.name]
            raise
        return module


class Plugins:
    """Every plugin that could be loaded, and the faults of those that could not."""

    def __init__(self, points: Iterable[EntryPointLike]) -> None:
        self._manager = pluggy.PluginManager(GROUP)
        self._manager.add_hookspecs(hookspecs)
        self._faults: dict[str, str] = {}
        for point in sorted(points, key=lambda point: (point.name, point.value)):
            self._register(point)

    @classmethod
    def installed(cls, *, without: Iterable[str] = ()) -> Plugins:
        """Load every installed entry point of the group `builder` but those named in `without`."""
        refused = frozenset(without)
        return cls(point for point in entry_points(group=GROUP) if point.name not in refused)

    def add_file(self, path: Path, name: str) -> None:
        """Take in the plugin that a recipe brings along. Raises `UsageError` when it is broken.

        A file that was taken in before is passed by.
        """
        if self._manager.has_plugin(name):
            return
        self._register(_FilePoint(name, str(path), path))
        if name in self._faults:
            raise UsageError(
                f"the checks of {name} cannot be used: {self._faults[name]}",
                hint="mend the file that `check.plugin` names, or take that line out of the recipe",
            )

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the plugins that work, sorted."""
        return tuple(sorted(name for name, _ in self._manager.list_name_plugin()))

    @property
    def faults(self) -> Mapping[str, str]:
        """What is wrong with each broken plugin, by name."""
        return dict(self._faults)

    def backends(self) -> Mapping[str, Backend]:
        """Every backend by package type. Raises `BuilderError` when two plugins offer one name."""
        offers = self._offers("builder_backends")
        found: dict[str, tuple[str, Backend]] = {}
        for plugin, offer in offers:
            backend: Backend = offer  # type: ignore[assignment]  # pluggy cannot type its results
            if backend.name in found:
                _refuse_twins("backend", backend.name, found[backend.name][0], plugin)
            found[backend.name] = (plugin, backend)
        return {name: backend for name, (_, backend) in sorted(found.items())}

    def backend(self, name: str) -> Backend:
        """The backend of one package type. Raises `UsageError` naming what there is and what is broken."""
        found = self.backends()
        if name in found:
            return found[name]
        raise UsageError(
            f"no backend makes packages of type `{name}`",
            faults=self._broken(),
            hint=f"installed backends: {', '.join(found) or 'none'}; "
            "a backend comes from a package with an entry point in the group `builder`",
        )

    def converter(self, name: str) -> Converter:
        """What makes packages of one kind from wheels. Raises `UsageError` naming what there is."""
        found: dict[str, tuple[str, Converter]] = {}
        for plugin, offer in self._offers("builder_converters"):
            converter: Converter = offer  # type: ignore[assignment]  # pluggy cannot type its results
            if converter.name in found:
                _refuse_twins("converter", converter.name, found[converter.name][0], plugin)
            found[converter.name] = (plugin, converter)
        if name in found:
            return found[name][1]
        raise UsageError(
            f"no plugin turns wheels into packages of the kind `{name}`",
            faults=self._broken(),
            hint=f"there are: {', '.join(sorted(found)) or 'none'}",
        )

    def foreign_recipes(self) -> Mapping[str, ForeignRecipes]:
        """Who builds the recipes of other tools, by package type. Raises `BuilderError` for two of one."""
        found: dict[str, tuple[str, ForeignRecipes]] = {}
        for plugin, offer in self._offers("builder_foreign_recipes"):
            recipes: ForeignRecipes = offer  # type: ignore[assignment]  # pluggy cannot type its results
            if recipes.name in found:
                _refuse_twins("builder of recipes", recipes.name, found[recipes.name][0], plugin)
            found[recipes.name] = (plugin, recipes)
        return {name: recipes for name, (_, recipes) in found.items()}

    def checks(self) -> tuple[Check, ...]:
        """The checks that plugins add. Raises `BuilderError` when two have one id."""
        found: dict[str, tuple[str, Check]] = {}
        for plugin, offer in self._offers("builder_checks"):
            check: Check = offer  # type: ignore[assignment]  # pluggy cannot type its results
            if check.id in found:
                _refuse_twins("check", check.id, found[check.id][0], plugin)
            found[check.id] = (plugin, check)
        return tuple(check for _, check in found.values())

    def build_finished(self, outcome: BuildOutcome) -> None:
        """Tell every plugin what a build did."""
        self._manager.hook.builder_build_finished(outcome=outcome)

    def _broken(self) -> tuple[str, ...]:
        return tuple(
            f"plugin `{plugin}` is broken: {fault}" for plugin, fault in self._faults.items()
        )

    def _register(self, point: EntryPointLike) -> None:
        """Load one plugin; whatever goes wrong is its own fault and is remembered."""
        try:
            plugin = point.load()
            self._manager.register(plugin, name=point.name)
        except Exception as error:  # noqa: BLE001  # a plugin may raise anything; this is the loader's border
            self._faults[point.name] = f"`{point.value}` cannot be loaded: {error}"
            return
        try:
            self._manager.check_pending()
        except pluggy.PluginValidationError as error:
            self._manager.unregister(name=point.name)
            self._faults[point.name] = f"`{point.value}` has a hook that does not exist: {error}"

    def _offers(self, hook: str) -> list[tuple[str, object]]:
        """What each plugin yields for a hook, with the plugin's name."""
        offers: list[tuple[str, object]] = []
        for implementation in getattr(self._manager.hook, hook).get_hookimpls():
            name = implementation.plugin_name
            try:
                offers += [(name, offer) for offer in implementation.function()]
            except Exception as error:  # noqa: BLE001  # a plugin may raise anything; this is the loader's border
                self._faults[name] = f"`{hook}` failed: {error}"
        return sorted(offers, key=lambda offer: offer[0])


def _refuse_twins(kind: str, name: str, first: str, second: str) -> None:
    raise BuilderError(
        f"two plugins offer a {kind} named `{name}`: `{first}` and `{second}`",
        hint=f"uninstall one of them, or switch one off with `--without-plugin {second}`",
    )
