"""A project's own `recipe.yaml`, rendered: which packages it would make. Nothing is built, and little is loaded."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from builder.errors import UsageError
from builder_conda.recipes.outputs import Rendered, Variants, chosen, cuda_key, read_outputs
from builder_conda.recipes.unhashed import scripts_of, unhashed

if TYPE_CHECKING:
    from builder.archive.conda_write import Format, Profile
    from builder_conda.recipes.rattler import Rattler

__all__ = ["RECIPE", "Order", "question", "render"]

RECIPE: Final = "recipe.yaml"
_BESIDE: Final = ("conda_build_config.yaml", "variants.yaml")
_LONGEST_SCRIPT: Final = 1 << 20
_KEY: Final = 16


@dataclass(frozen=True, slots=True)
class Order:
    """What to build, from what, and where to.

    `folder` holds the recipe. `channels` are folders, URLs or names, the first with the highest
    priority; `variants` are files that win over those beside the recipe. `pythons` (`3.11`, `3.13t`)
    and `accelerators` (`cpu`, `12.8`) choose from their values, or add to them. `output` becomes a channel.
    `store` has a folder for each output, the packages that were made, and the unpacked ones. `epoch` is the time
    of everything inside. With `keep` everything is built again, and its folders stay. `again` are the words of
    the command that asked, for hints; `day` is today.
    """

    folder: Path
    output: Path
    store: Path
    channels: tuple[str, ...] = ()
    variants: tuple[Path, ...] = ()
    pythons: tuple[str, ...] = ()
    accelerators: tuple[str, ...] = ()
    subdir: str = "linux-64"
    profile: Profile = "default"
    file_format: Format = "conda"
    epoch: int = 315532800
    jobs: int = 1
    check: bool = True
    keep: bool = False
    again: tuple[str, ...] = ("builder", "build")
    day: str = ""

    def place(self, stem: str) -> Path:
        """The folder of one output: the same for the same recipe, wherever that lies."""
        text = (self.folder / RECIPE).read_bytes() + stem.encode()
        return self.store / "conda" / hashlib.sha256(text).hexdigest()[:_KEY]


def render(order: Order, rattler: Rattler) -> tuple[Variants, tuple[Rendered, ...]]:
    """The variants, and every output of each of them, once. Builds and solves nothing.

    Raises `UsageError` with rattler-build's own words, for zipped keys that do not fit, and for a key
    that a script reads although it does not enter the hash.
    """
    if order.pythons or order.accelerators:
        variants = _chosen(order, rattler)
        answer = rattler.ask({"do": "render", **question(order, variants)}, "render")
    else:
        variants, answer = _all(order, rattler)
    outputs = read_outputs(answer["outputs"], order.subdir)
    _refuse_unhashed(order, outputs, variants)
    return variants, outputs


def question(order: Order, variants: Variants) -> Mapping[str, object]:
    """What a worker has to know to render the same again."""
    return {
        **_asked(order),
        "values": {key: list(row) for key, row in variants.values.items()},
        "zipped": [list(group) for group in variants.zipped],
    }


def _asked(order: Order) -> Mapping[str, object]:
    return {
        "recipe": str((order.folder / RECIPE).absolute()),
        "platform": order.subdir,
        "experimental": False,
    }


def _all(order: Order, rattler: Rattler) -> tuple[Variants, Mapping[str, Any]]:
    """Everything that the files say, in one question: each starts an interpreter."""
    job = {"do": "render", **_asked(order), "files": _files(order)}
    try:
        answer = rattler.ask(job, "render")
    except UsageError:
        _read(order, rattler)  # says it in better words where the variants are to blame
        raise
    return Variants.of(answer["variants"]), answer


def _chosen(order: Order, rattler: Rattler) -> Variants:
    """The variants that the command asks for."""
    found = chosen(_read(order, rattler), "python", order.pythons)
    return chosen(found, cuda_key(found), order.accelerators)


def _read(order: Order, rattler: Rattler) -> Variants:
    files = _files(order)
    if not files:
        return Variants()
    job = {"do": "variants", "files": files, "platform": order.subdir}
    return Variants.of(rattler.ask(job, "variants"))


def _files(order: Order) -> list[str]:
    """The files with variants, a later one stronger. Raises `UsageError` for one that is not there."""
    if missing := [path for path in order.variants if not path.is_file()]:
        raise UsageError(f"there is no file `{missing[0]}`", hint="give a variants file")
    beside = tuple(order.folder / name for name in _BESIDE if (order.folder / name).is_file())
    return [str(path.absolute()) for path in (*beside, *order.variants)]


def _refuse_unhashed(order: Order, outputs: Sequence[Rendered], variants: Variants) -> None:
    texts = dict(_texts(order.folder))
    faults = [
        f"{output.name}: {problem}"
        for output in outputs
        for problem in unhashed(scripts_of(output.recipe, texts), variants.values, output.variant)
    ]
    if faults:
        raise UsageError(
            "scripts read variant keys that do not enter the hash: variants would overwrite each other",
            faults=list(dict.fromkeys(faults)),
            hint="add the `use_keys` that are named above to the recipe",
        )


def _texts(folder: Path) -> Iterator[tuple[str, str]]:
    """The files of the recipe's folder that may be scripts."""
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.stat().st_size <= _LONGEST_SCRIPT:
            yield path.name, path.read_text(encoding="utf-8", errors="replace")
