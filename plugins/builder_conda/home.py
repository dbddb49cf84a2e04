"""The environment that a user gets with a package: solved and created by an independent client, far down."""

from __future__ import annotations

import platform
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from builder.backend import Home, Tools
from builder.channel import channel
from builder.channel.question import Question
from builder.channel.solve import INSTALL, Client
from builder.config.machine import Machine
from builder.config.naming import conda_subdir
from builder.config.spec import BuildSpec
from builder.config.target import Target
from builder.errors import BuilderError
from builder_conda.needs import of_one_python, parse_requirements
from builder_conda.order import Order

__all__ = ["absent", "install"]

_LONG: Final = 220
"""Bytes of the prefix: more than people have, and fewer than the 255 that packages allow."""
_PART: Final = 100


def absent(target: Target, channels: tuple[str, ...], machine: Machine) -> str:
    """Why no environment can be made for a target here, or nothing."""
    if (target.os, target.arch) != (machine.os, machine.arch):
        return f"packages for {target.platform} do not run on this machine"
    if not channels:
        return "no channel was given that brings Python: `--channel`"
    if find_spec("rattler") is None:
        return f"py-rattler is not installed: {INSTALL}"
    return ""


def install(
    package: Path,
    beside: tuple[Path, ...],
    spec: BuildSpec,
    channels: tuple[str, ...],
    tools: Tools,
) -> Home:
    """An environment below `tools.work` with this very build, and with what its checks require.

    A package for CUDA is solved as if its driver were there. Raises `BuilderError` when nothing fits.
    """
    ours = tools.work / "channel"
    channel.create(ours, (conda_subdir(spec.target),))
    added = {row.path.name: row.package.entry for row in channel.add(ours, beside)}
    own = added[package.name]
    words = [f"{own['name']} {own['version']} {own['build']}"]
    if spec.target.python is not None:
        words.append(f"python {spec.target.python.version}.*")
    words += _beside(spec)
    question = Question(
        tuple(words),
        conda_subdir(spec.target),
        cuda=spec.target.accelerator.dotted if spec.target.accelerator.kind == "cuda" else "",
        virtual=_libc(),
    )
    client = Client(
        (str(ours), *channels), tools.machine, tools.processes, tools.machine.cache / "conda"
    )
    prefix = _deep(tools.work)
    prefix.parent.mkdir(parents=True, exist_ok=True)
    answer = client.create(question, prefix)
    if answer.why:
        raise BuilderError(
            f"nothing can be installed for {question}",
            faults=answer.why,
            hint="give the channels that bring what it requires: `--channel`",
        )
    has_core = Order.of(spec, str(own["version"])).companion is not None
    return Home(prefix / "bin" / "python", prefix if has_core else None)


def _beside(spec: BuildSpec) -> tuple[str, ...]:
    """What the checks of the recipe require, in conda's words."""
    python, texts = spec.target.python, spec.recipe.checks.requires
    if python is None:
        return ()
    found = parse_requirements(texts, "check.requires")
    return of_one_python(found, python, (conda_subdir(spec.target),), {}).depends


def _deep(work: Path) -> Path:
    """A folder whose path is long."""
    missing = max(1, _LONG - len(bytes(work)) - len("/environment/"))
    parts = [min(_PART, missing - start) for start in range(0, missing, _PART + 1)]
    return work.joinpath("environment", *("p" * size for size in parts if size > 0))


def _libc() -> dict[str, str]:
    """The glibc of this machine, which is what decides here; the solver would think of a newer one."""
    name, version = platform.libc_ver()
    return {"__glibc": version} if name == "glibc" and version else {}
