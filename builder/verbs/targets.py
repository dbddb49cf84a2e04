"""Which targets a request means, for a recipe; shared by `build` and `matrix`. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

from builder.archive.wheel_name import WheelName
from builder.config.accelerator import Accelerator
from builder.config.matrix import expand
from builder.config.naming import package_name
from builder.config.naming_conda import conda_file_name
from builder.config.python import Python, parse_pythons
from builder.config.recipe import Archive, Recipe
from builder.config.select import choose
from builder.config.target import Target
from builder.config.version import full_version
from builder.errors import UsageError
from builder.requests import BuildRequest

__all__ = ["file_name", "is_path", "target_version", "targets_of", "types_of"]


_FAMILY: Final = {"conda": "wheel"}
"""Types that are made of the trees of another one; how they spell its version is a matter of naming."""


def is_path(text: str) -> bool:
    """Whether a `--python` word is the path of an interpreter rather than a version."""
    return "/" in text or "\\" in text


def targets_of(
    recipe: Recipe,
    request: BuildRequest,
    default: Python,
    found: tuple[Python, ...],
    pythonless: Collection[str] = ("libtorch",),
    types: Sequence[str] = (),
) -> tuple[Target, ...]:
    """Every target the request asks for, sorted.

    `all` means what the recipe lists, or `found` where it lists nothing. A silent request means
    `default` and `cpu`; `pythonless` types have no Python. `types` are those asked for with their
    companions, where there are any. Raises `UsageError` for a spelling nobody knows and
    `NothingSelected` for an empty selection.
    """
    known = tuple(Python.parse(text) for text in recipe.axes.pythons) or found
    pythons = parse_pythons(request.pythons, known) if request.pythons else (default,)
    listed = tuple(Accelerator.parse(text) for text in recipe.axes.accelerators)
    cpu = Accelerator.parse("cpu")
    asked = tuple(word for text in request.accelerators for word in text.split(","))
    if "all" in asked:
        accelerators = listed or (cpu,)
    elif asked:
        accelerators = tuple(dict.fromkeys(Accelerator.parse(word) for word in asked))
    else:
        accelerators = (cpu,) if not listed or cpu in listed else listed[:1]
    targets = expand(
        types=types or types_of(recipe, request),
        pythons=pythons,
        accelerators=accelerators,
        platforms=((request.os, request.arch),),
        abis=(request.abi,),
        variants=request.variants or ("",),
        pythonless=pythonless,
    )
    return choose(targets, request.select, request.skip)


def types_of(recipe: Recipe, request: BuildRequest) -> tuple[str, ...]:
    """The package types that a request asks for by name, or by saying nothing."""
    return request.types or recipe.axes.types or ("manywheel",)


def file_name(recipe: Recipe, target: Target, version: str) -> str:
    """The name a package will have as far as it is known now; two targets may not share one.

    `recipe` is the one with the overrides of the target.
    """
    if target.package_type in {"conda", "conda_lib", "conda_choice"}:
        return conda_file_name(recipe, target, version or "0")
    if target.package_type != "libtorch":
        return package_name(recipe.name, version or "0", target)
    project, suffix = recipe.archive.name or recipe.name, f".{recipe.archive.format}"
    source = recipe.source
    if not version and isinstance(source, Archive) and source.location.endswith(".whl"):
        version = WheelName.parse(Path(source.location).name).version
    return package_name(project, version or "0", target, suffix=suffix)


def target_version(recipe: Recipe, target: Target, request: BuildRequest, base: str) -> str:
    """The full version of one target, or empty when only the built wheel can say it.

    `base` is the version without channel and local part, or empty when nothing says it yet; a request that needs
    it then raises `UsageError`.
    """
    rule = recipe.version
    local = rule.local == "accelerator" or (
        rule.local == "auto" and len(recipe.axes.accelerators) > 1
    )
    if not base and not request.version:
        if local or request.channel == "nightly" or request.build_number > 1:
            raise UsageError(
                f"`{recipe.name}` does not say its version before it is built",
                hint="set `version.number` in the recipe, or give `--version`",
            )
        return ""
    return full_version(
        base,
        channel=request.channel,
        today=request.today,
        build_number=request.build_number,
        accelerator=target.accelerator,
        package_type=_FAMILY.get(target.package_type, target.package_type),
        os=target.os,
        local=local,
        override=request.version,
    )
