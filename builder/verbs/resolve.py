"""From a request to specs: targets, interpreters, toolchains, source, version. All looking up happens here."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from builder.archive.file import file_digest
from builder.config import discover
from builder.config.apply import for_target
from builder.config.matrix import refuse_collisions
from builder.config.python import Python
from builder.config.recipe import Archive, Folder, Recipe
from builder.config.spec import BuildSpec
from builder.config.target import Target
from builder.config.toolchain import Interpreter, Toolchain
from builder.errors import BuilderError, UsageError
from builder.requests import BuildRequest, Failure
from builder.stage import interpreters, source, toolchain
from builder.stage.source import SourceTree
from builder.stage.workbench import Workbench
from builder.verbs.targets import file_name, is_path, target_version, targets_of

__all__ = ["Resolved", "find_recipe", "resolve"]


@dataclass(frozen=True, slots=True)
class Resolved:
    """Every spec of one call, its one pinned source, and the targets that cannot be built here."""

    recipe: Recipe
    source: SourceTree
    specs: tuple[BuildSpec, ...]
    failures: tuple[Failure, ...]


def find_recipe(request: BuildRequest, folder: Path) -> Recipe:
    """The recipe a request names, with `--source` put in its place. Raises `UsageError`."""
    recipe = discover.find(request.recipe, request.recipe_roots, folder)
    if not request.source:
        return recipe
    path = (folder / request.source).absolute()
    if path.is_dir():
        return replace(recipe, source=Folder(path))
    if path.is_file():
        return replace(recipe, source=Archive(str(path), file_digest(path)))
    raise UsageError(
        f"`--source {request.source}` is neither a folder nor an archive",
        hint="give a source folder, or the file of an sdist, a source archive or a finished wheel",
    )


def resolve(
    recipe: Recipe,
    request: BuildRequest,
    bench: Workbench,
    pythonless: Collection[str] = (),
    types: Sequence[str] = (),
    *,
    planning: bool = False,
) -> Resolved:
    """Look up everything a build needs.

    Raises `UsageError` for a request that cannot be meant; a missing interpreter or toolchain is a `Failure` of the
    targets that need it, and the rest goes on. `pythonless` are the package types that have no Python, `types`
    those that are asked for with their companions. With `planning`, a toolkit that is not there is imagined.
    """
    given, words = _explicit_interpreters(request.pythons, bench)
    everything = _found(bench) if "all" in ",".join(words).split(",") else ()
    targets = targets_of(
        recipe, replace(request, pythons=words), bench.host.python, everything, pythonless, types
    )
    tree = source.fetch(recipe.source, bench.store, bench.machine, bench.processes)
    wanted = {target.python for target in targets if target.python} - set(given)
    answers = {
        **interpreters.find(sorted(wanted), bench.machine, bench.processes),
        **given,
    }
    chains: dict[tuple[str, str, str], Toolchain | BuilderError] = {}
    specs: list[BuildSpec] = []
    failures: list[Failure] = []
    for target in targets:
        chain = _chain(target, request, chains, bench, planning=planning)
        answer = _spec(recipe, target, request, tree, answers, chain)
        if isinstance(answer, BuilderError):
            failures.append(Failure.of(str(target), "resolve", answer))
        else:
            specs.append(answer)
    refuse_collisions(
        (spec.target, file_name(spec.recipe, spec.target, spec.version)) for spec in specs
    )
    return Resolved(recipe, tree, tuple(specs), tuple(failures))


def _explicit_interpreters(
    words: tuple[str, ...], bench: Workbench
) -> tuple[dict[Python, Interpreter | BuilderError], tuple[str, ...]]:
    """Interpreters given by path, and the request's words with each path replaced by its version."""
    paths = [Path(word).absolute() for word in words if is_path(word)]
    given = dict(interpreters.find(paths, bench.machine, bench.processes)) if paths else {}
    return given, tuple(
        dict.fromkeys([*(word for word in words if not is_path(word)), *map(str, given)])
    )


def _found(bench: Workbench) -> tuple[Python, ...]:
    answers = interpreters.find("all", bench.machine, bench.processes)
    return tuple(sorted(p for p, answer in answers.items() if isinstance(answer, Interpreter)))


def _spec(
    recipe: Recipe,
    target: Target,
    request: BuildRequest,
    tree: SourceTree,
    answers: Mapping[Python, Interpreter | BuilderError],
    chain: Toolchain | BuilderError,
) -> BuildSpec | BuilderError:
    """One spec, or why it cannot be had on this machine."""
    resolved = for_target(recipe, target)
    interpreter = answers[target.python] if target.python else None
    if isinstance(interpreter, BuilderError):
        return interpreter
    if isinstance(chain, BuilderError):
        return chain
    base = (
        resolved.version.number
        or source.version_of(tree.root / _project(resolved))
        or source.version_of(tree.root)
    )
    version = target_version(resolved, target, request, base)
    return BuildSpec(resolved, target, chain, version, tree.digest, interpreter)


def _chain(
    target: Target,
    request: BuildRequest,
    chains: dict[tuple[str, str, str], Toolchain | BuilderError],
    bench: Workbench,
    *,
    planning: bool,
) -> Toolchain | BuilderError:
    """The toolchain of a target, which those like it share."""
    key = (str(target.accelerator), target.platform, target.abi)
    if key not in chains:
        chains[key] = _toolchain(target, request, bench, planning=planning)
    return chains[key]


def _toolchain(
    target: Target, request: BuildRequest, bench: Workbench, *, planning: bool
) -> Toolchain | BuilderError:
    if request.source.endswith(".whl"):  # everything in it is compiled, for whatever machine
        return Toolchain(Path("cc"), Path("c++"), "none", "none", baseline=request.baseline)
    if (target.os, target.arch) != (bench.machine.os, bench.machine.arch):
        return BuilderError(
            f"`{target}` cannot be compiled on this machine ({bench.machine.os}_{bench.machine.arch})",
            hint="run the same command on a machine of that platform",
        )
    try:
        return toolchain.choose(
            target,
            bench.machine,
            bench.processes,
            baseline=request.baseline,
            architectures=request.architectures,
            planning=planning,
        )
    except UsageError:
        raise
    except BuilderError as error:
        return error


def _project(recipe: Recipe) -> str:
    return recipe.python.subdirectory if recipe.python else "."
