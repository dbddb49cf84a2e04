"""What the conda packages of a recipe are called: names, versions, build strings and build numbers.

A conda version says neither accelerator nor post-release: those are the build string's and the build
number's to say. Of two builds of one version a solver takes the one with the higher number, if the
machine can run it; that is how a machine with a CUDA driver gets the CUDA build.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from hashlib import sha256
from typing import Final

from builder.config.accelerator import Accelerator
from builder.config.naming import conda_build_string, conda_subdir
from builder.config.recipe import Recipe
from builder.config.target import Target
from builder.config.version import parse_version

__all__ = [
    "CHOICE_VERSION",
    "build_glob",
    "build_number",
    "build_string",
    "choice_name",
    "conda_file_name",
    "package_of",
    "release_of",
]

CHOICE_VERSION: Final = "1.0"
"""Of a choice that has no version of its own; what it says never changes."""
_DIGITS: Final = 7
_STEP: Final = 100
"""Room for the post-releases of one accelerator before the numbers of the next begin."""
_SEEN_BY_SOLVERS: Final = frozenset({"cpu", "cuda"})
"""A solver sees whether there is a CUDA driver; of all other hardware it knows nothing."""


def package_of(recipe: Recipe) -> str:
    """The name of the packages for Python."""
    return recipe.conda.name or recipe.name.replace("_", "-").lower()


def choice_name(recipe: Recipe, accelerator: Accelerator) -> str:
    """The name of the package by which people choose an accelerator: `torch-cuda`."""
    return f"{package_of(recipe)}-{accelerator.kind}"


def release_of(version: str, accelerator: Accelerator) -> tuple[str, int]:
    """The conda version of a full version, and its post-release, 0 for none. Raises `UsageError`.

    A local part goes when it is the label of the accelerator; any other one stays.
    """
    found = parse_version(version)
    post = found.post or 0
    public = found.public.replace(f".post{post}", "") if found.post is not None else found.public
    local = "" if found.local in {None, accelerator.label} else f"+{found.local}"
    return f"{public}{local}", post


def build_number(recipe: Recipe, target: Target, post: int) -> int:
    """The number that solvers compare: CUDA before the processor alone, newer before older CUDA.

    What no solver can see the hardware for comes last, so that nobody gets it without asking.
    """
    own = recipe.conda.build_number + post
    accelerator = target.accelerator
    if accelerator.kind == "cuda":
        return accelerator.version[0] * _STEP**2 + accelerator.version[1] * _STEP + own
    unseen = any(kind not in _SEEN_BY_SOLVERS for kind in _kinds(recipe.axes.accelerators))
    return own + (_STEP if accelerator.kind == "cpu" and unseen else 0)


def build_string(recipe: Recipe, target: Target, post: int = 0, *, cuda: str = "") -> str:
    """The build string; `cuda` is the full version of the toolkit (`13.0.88`) where it is known."""
    conda = recipe.conda
    number = conda.build_number + post
    if conda.build_string == "compatible":
        cudnn = conda.variant.get("cudnn", "")
        return conda_build_string(target, number, cuda=cuda, cudnn=cudnn)
    words = [_python(target), _word(target.accelerator), f"h{_digest(recipe, target)}", str(number)]
    return "_".join(filter(None, words))


def build_glob(recipe: Recipe, accelerator: Accelerator) -> str:
    """A glob that the build strings for one accelerator match, and those for no other one."""
    if recipe.conda.build_string == "compatible" and accelerator.kind == "cuda":
        return f"*cuda{accelerator.dotted}*"
    return f"*{_word(accelerator)}_*"


def conda_file_name(recipe: Recipe, target: Target, version: str) -> str:
    """The file of one package below its channel, as far as it is known before the build."""
    release, post = release_of(version, target.accelerator)
    build = build_string(recipe, target, post, cuda=target.accelerator.dotted)
    match target.package_type:
        case "conda_lib":
            stem = f"{conda_subdir(target)}/{recipe.conda.library}-{release}-{build}"
        case "conda_choice":
            name = choice_name(recipe, target.accelerator)
            stem = f"noarch/{name}-{target.accelerator.dotted or CHOICE_VERSION}-0"
        case _:
            stem = f"{conda_subdir(target)}/{package_of(recipe)}-{release}-{build}"
    return f"{stem}.{recipe.conda.format}"


def _word(accelerator: Accelerator) -> str:
    return f"{accelerator.kind}{accelerator.dotted.replace('.', '')}"


def _python(target: Target) -> str:
    if target.python is None:
        return ""
    version = target.python.version.replace(".", "")
    return f"py{version}t" if target.python.free_threaded else f"py{version}"


def _digest(recipe: Recipe, target: Target) -> str:
    """Everything that the packages of one name and version are told apart by."""
    python = target.python.spelling if target.python else ""
    keys = {"python": python, "accelerator": str(target.accelerator), "abi": target.abi}
    text = json.dumps([keys, dict(recipe.conda.variant)], sort_keys=True)
    return sha256(text.encode()).hexdigest()[:_DIGITS]


def _kinds(accelerators: Iterable[str]) -> Iterable[str]:
    return (Accelerator.parse(text).kind for text in accelerators)
