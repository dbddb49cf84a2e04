"""From options and the old environment variables to a `BuildRequest`; a flag always wins over a variable."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from builder.cli import surroundings
from builder.cli.common import epoch_of, words
from builder.config import legacy
from builder.config.target import parse_platform
from builder.requests import EPOCH, BuildRequest

__all__ = ["request_from", "target_options"]

_CHANNELS = ("release", "test", "nightly")

F = TypeVar("F", bound=Callable[..., object])


def target_options(function: F) -> F:
    """Add the options that say which targets are meant."""
    for option in (
        click.option("--without-plugin", multiple=True, metavar="NAME", help="Do not use this plugin."),
        click.option("--recipes", multiple=True, type=click.Path(path_type=Path), help="Also look for recipes by name here."),
        click.option("--skip", multiple=True, metavar="GLOB", help="No targets whose id matches."),
        click.option("--select", multiple=True, metavar="GLOB", help="Only targets whose id matches, e.g. 'manywheel-cp31?-cuda*'."),
        click.option("--arch", default="", help="Architecture [this machine's]."),
        click.option("--os", "system", default="", help="Operating system: linux, macos, windows [this machine's]."),
        click.option("--variant", "variants", multiple=True, help="Variant of a C++ archive: shared-with-deps, shared-without-deps, static-with-deps, static-without-deps; for Windows also with -debug [shared-with-deps]."),
        click.option("--abi", default="", help="C++ ABI: cxx11 or precxx11."),
        click.option("--cuda", "--accelerator", "accelerators", multiple=True, metavar="A,…", help="cpu, 13.0, cu126, rocm6.2, … or all [cpu]."),
        click.option("--python", "pythons", multiple=True, metavar="X,…", help="3.7,3.9-3.13, all, or the path of an interpreter [the one running builder]."),
        click.option("--type", "types", multiple=True, metavar="T,…", help="Package types: manywheel, … [manywheel]."),
    ):  # fmt: skip
        function = option(function)
    return function


def request_from(
    environ: Mapping[str, str], options: Mapping[str, Any]
) -> tuple[BuildRequest, tuple[str, ...]]:
    """The request, and a notice for each old variable that was used.

    `options` are the parameters of the verb's command; `matrix` has fewer of them than `build`.
    """
    old, notices = legacy.read(environ)
    system, arch = _platform(options["system"] or old.os, options["arch"] or old.arch)
    types = words(options["types"]) or old.types
    folder = Path.cwd()
    roots = tuple(path.absolute() for path in options["recipes"])
    given = tuple(options.get("channels", ()))
    epoch = epoch_of(environ.get("SOURCE_DATE_EPOCH", ""))
    request = BuildRequest(
        recipe=options["recipe"],
        today=surroundings.today(),
        types=types,
        pythons=words(options["pythons"]) or old.pythons,
        accelerators=words(options["accelerators"]) or old.accelerators,
        os=system,
        arch=arch,
        abi=options["abi"] or old.abi,
        variants=words(options["variants"])
        or (old.variants if types in {(), ("libtorch",)} else ()),
        select=words(options["select"]),
        skip=words(options["skip"]),
        source=options.get("source") or old.source,
        version=options.get("version") or old.override or old.version,
        channel=next((word for word in given if word in _CHANNELS), old.channel or "release"),
        build_number=old.build_number
        if options.get("build_number") is None
        else options["build_number"],
        baseline=options.get("baseline", "auto"),
        architectures=words(options.get("architectures", ())) or old.architectures,
        output=options.get("output_dir") or Path(old.output or "dist"),
        store=options.get("store"),
        jobs=options.get("jobs", 0),
        check=old.check if options.get("check") is None else options["check"],
        keep=options.get("keep", False),
        recipe_roots=(*roots, *surroundings.recipe_roots(folder)),
        channels=tuple(word for word in given if word not in _CHANNELS),
        variant_files=tuple(options.get("variant_files", ())),
        engine=options.get("engine") or "",
        debug_shell=options.get("debug_shell") or "",
        epoch=EPOCH if epoch is None else epoch,
    )
    return request, notices


def _platform(system: str, arch: str) -> tuple[str, str]:
    here = surroundings.this_platform()
    if not system and not arch:
        return here
    return parse_platform(f"{system or here[0]}_{arch or here[1]}")
