"""From a valid TOML table to recipe values; loading and overriding are the same merge.

Every function takes a table and the value it changes: keys that are absent keep what the value has,
mappings merge key by key, lists and other values replace. The tables were validated before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from types import MappingProxyType
from typing import Literal, cast

from builder.config.recipe import (
    Bundle,
    Checks,
    CMake,
    Conda,
    Consumer,
    CoreStage,
    CppArchive,
    CxxAbi,
    PythonStage,
    Recipe,
    Sibling,
    Sizes,
    VersionRule,
    Waiver,
)

__all__ = ["Table", "freeze", "merge"]

Table = Mapping[str, object]


def merge(recipe: Recipe, table: Table) -> Recipe:
    """`recipe` changed by the tables that an override may have."""
    core, python = recipe.core, recipe.python
    if "core" in table:
        core = _core(_table(table, "core"), core or CoreStage())
    if "python" in table:
        python = _python(_table(table, "python"), python or PythonStage())
    return replace(
        recipe,
        version=_version(_table(table, "version"), recipe.version),
        core=core,
        python=python,
        bundle=_bundle(_table(table, "bundle"), recipe.bundle),
        archive=_archive(_table(table, "archive"), recipe.archive),
        conda=_conda(_table(table, "conda"), recipe.conda),
        checks=_checks(_table(table, "check"), recipe.checks),
    )


def freeze(value: object) -> object:
    """A deep read-only copy of what `tomllib` returned: lists become tuples."""
    if isinstance(value, Mapping):
        return MappingProxyType({key: freeze(inner) for key, inner in value.items()})
    if isinstance(value, list):
        return tuple(freeze(inner) for inner in value)
    return value


def _version(table: Table, base: VersionRule) -> VersionRule:
    environment = table.get("environment", base.environment)
    return VersionRule(
        number=_text(table, "number", base.number),
        environment=(environment,) if isinstance(environment, str) else _words(environment),
        local=cast("Literal['auto', 'accelerator', 'none']", table.get("local", base.local)),
    )


def _core(table: Table, base: CoreStage) -> CoreStage:
    cmake, commands = base.cmake, base.commands
    if "commands" in table:
        cmake, commands = None, _commands(table, "commands", ())
    elif "cmake" in table:
        cmake, commands = _cmake(_table(table, "cmake"), cmake or CMake()), ()
    return CoreStage(
        cmake=cmake,
        commands=commands,
        requires=_texts(table, "requires", base.requires),
        system=_texts(table, "system", base.system),
        environment=_strings(table, "environment", base.environment),
    )


def _cmake(table: Table, base: CMake) -> CMake:
    return CMake(
        source=_text(table, "source", base.source),
        options=_strings(table, "options", base.options),
        targets=_texts(table, "targets", base.targets),
    )


def _python(table: Table, base: PythonStage) -> PythonStage:
    return PythonStage(
        subdirectory=_text(table, "subdirectory", base.subdirectory),
        prepare=_commands(table, "prepare", base.prepare),
        commands=_commands(table, "commands", base.commands),
        requires=_texts(table, "requires", base.requires),
        system=_texts(table, "system", base.system),
        config_settings=_strings(table, "config-settings", base.config_settings),
        environment=_strings(table, "environment", base.environment),
        serves=cast("Literal['auto', 'version', 'abi3', 'py3']", table.get("serves", base.serves)),
    )


def _bundle(table: Table, base: Bundle) -> Bundle:
    siblings = base.siblings
    if "sibling" in table:
        siblings = tuple(_sibling(entry) for entry in cast("Sequence[Table]", table["sibling"]))
    return Bundle(exclude=_texts(table, "exclude", base.exclude), siblings=siblings)


def _sibling(table: Table) -> Sibling:
    return Sibling(
        package=_text(table, "package", ""),
        libraries=_texts(table, "libraries", ()),
        directory=_text(table, "directory", ""),
        requires=_text(table, "requires", ""),
    )


def _archive(table: Table, base: CppArchive) -> CppArchive:
    return CppArchive(
        name=_text(table, "name", base.name),
        top=_text(table, "top", base.top),
        format=cast("Literal['zip', 'tar.zst']", table.get("format", base.format)),
        keep=_texts(table, "keep", base.keep),
        leave=_texts(table, "leave", base.leave),
        wheel=_text(table, "wheel", base.wheel),
        version=_text(table, "version", base.version),
        debug=bool(table.get("debug", base.debug)),
    )


def _conda(table: Table, base: Conda) -> Conda:
    libraries = {name: _words(globs) for name, globs in _table(table, "libraries").items()}
    return Conda(
        name=_text(table, "name", base.name),
        library=_text(table, "library", base.library),
        choice=bool(table.get("choice", base.choice)),
        build_string=cast(
            "Literal['modern', 'compatible']", table.get("build-string", base.build_string)
        ),
        build_number=cast("int", table.get("build-number", base.build_number)),
        variant=_strings(table, "variant", base.variant),
        depends=_texts(table, "depends", base.depends),
        constrains=_texts(table, "constrains", base.constrains),
        library_depends=_texts(table, "library-depends", base.library_depends),
        libraries=MappingProxyType({**base.libraries, **libraries}),
        host=_texts(table, "host", base.host),
        run_exports=cast(
            "Literal['major', 'minor', 'patch', 'none']",
            table.get("run-exports", base.run_exports),
        ),
        format=cast("Literal['conda', 'tar.bz2']", table.get("format", base.format)),
        profile=cast("Literal['fast', 'default', 'release']", table.get("profile", base.profile)),
    )


def _checks(table: Table, base: Checks) -> Checks:
    consumer = base.consumer
    if "consumer" in table:
        consumer = _consumer(_table(table, "consumer"), consumer or Consumer("", "", ()))
    return Checks(
        imports=_texts(table, "imports", base.imports),
        commands=_commands(table, "commands", base.commands),
        requires=_texts(table, "requires", base.requires),
        system=_texts(table, "system", base.system),
        consumer=consumer,
        timeout=float(cast("float", table.get("timeout", base.timeout))),
        memory=int(cast("int", table["memory"])) if "memory" in table else base.memory,
        neighbours=_texts(table, "neighbours", base.neighbours),
        upgrades=_texts(table, "upgrades", base.upgrades),
        severity=MappingProxyType(
            {
                **base.severity,
                **cast("dict[str, Literal['error', 'warning']]", table.get("severity", {})),
            }
        ),
        waivers=tuple(map(_waiver, cast("Sequence[Table]", table["waiver"])))
        if "waiver" in table
        else base.waivers,
        plugin=_text(table, "plugin", base.plugin),
        forbidden_libraries=_texts(table, "forbidden-libraries", base.forbidden_libraries),
        forbidden_symbols=_texts(table, "forbidden-symbols", base.forbidden_symbols),
        abi=_abi(_table(table, "abi"), base.abi or CxxAbi()) if "abi" in table else base.abi,
        size=_sizes(_table(table, "size"), base.size),
        nightly_age=cast("int | None", table.get("nightly-age", base.nightly_age)),
    )


def _waiver(table: Table) -> Waiver:
    until = table["until"]
    return Waiver(
        check=_text(table, "check", ""),
        match=_text(table, "match", "*"),
        reason=_text(table, "reason", ""),
        until=until if isinstance(until, date) else date.fromisoformat(str(until)),
    )


def _abi(table: Table, base: CxxAbi) -> CxxAbi:
    return CxxAbi(
        cxx11=bool(table.get("cxx11", base.cxx11)),
        namespaces=_texts(table, "namespaces", base.namespaces),
        libraries=_texts(table, "libraries", base.libraries),
        at_least=cast("int", table.get("at-least", base.at_least)),
    )


def _sizes(table: Table, base: Sizes) -> Sizes:
    growth = cast("float | None", table.get("growth", base.growth))
    budget = cast("Mapping[str, int]", _table(table, "budget"))
    return Sizes(
        budget=MappingProxyType({**base.budget, **budget}),
        growth=None if growth is None else float(growth),
    )


def _consumer(table: Table, base: Consumer) -> Consumer:
    return Consumer(
        source=_text(table, "source", base.source),
        package=_text(table, "package", base.package),
        targets=_texts(table, "targets", base.targets),
    )


def _table(table: Table, key: str) -> Table:
    return cast("Table", table.get(key, {}))


def _text(table: Table, key: str, base: str) -> str:
    return str(table.get(key, base))


def _texts(table: Table, key: str, base: tuple[str, ...]) -> tuple[str, ...]:
    return _words(table.get(key, base))


def _words(value: object) -> tuple[str, ...]:
    return tuple(cast("Sequence[str]", value))


def _commands(
    table: Table, key: str, base: tuple[tuple[str, ...], ...]
) -> tuple[tuple[str, ...], ...]:
    return tuple(_words(command) for command in cast("Sequence[object]", table.get(key, base)))


def _strings(table: Table, key: str, base: Mapping[str, str]) -> Mapping[str, str]:
    """A mapping merged key by key; `true` and `false` as CMake spells them."""
    names = {True: "ON", False: "OFF"}
    values = {
        name: names[value] if isinstance(value, bool) else str(value)
        for name, value in _table(table, key).items()
    }
    return MappingProxyType({**base, **values})
