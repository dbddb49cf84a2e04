"""What an output of a recipe is made of, as the key of its package in the store: the same call goes on where it ended.

What a key cannot hold, because it may be another thing tomorrow (a channel that is no folder, a source
without a digest), is believed for the day.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from builder.archive.file import file_digest
from builder.config.machine import Machine
from builder.process import Processes
from builder.stage.key import InputKey
from builder.stage.listing import describe, digest, source_paths, walk
from builder.stage.store import TreeStore
from builder_conda.recipes.outputs import Rendered, providers, waves_of
from builder_conda.recipes.rattler import Rattler, channel_urls
from builder_conda.recipes.render import Order

__all__ = ["Given", "keys_of"]

_FORMAT: Final = 1
_TOOLS: Final = ("cc", "c++", "gcc", "g++", "clang", "clang++", "gfortran", "ld", "nvcc")
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class Given:
    """What all outputs of one call are made of."""

    order: Order
    files: str
    channels: tuple[tuple[str, str], ...]
    tools: tuple[tuple[str, str, int, int], ...]
    engine: str

    @classmethod
    def of(cls, order: Order, machine: Machine, processes: Processes) -> Given:
        """Reads the folder of the recipe and the indexes of channels that are folders."""
        return cls(
            order,
            _folder(order, machine, processes),
            tuple((url, _index(url, order)) for url in channel_urls(order.channels)),
            tuple(_tools(machine)),
            version("py-rattler-build"),
        )

    def package(self, output: Rendered, needs: Mapping[str, str]) -> InputKey:
        """The key of a package; `needs` are the digests of the outputs that it is built with, by their name."""
        order = self.order
        return InputKey(
            "conda recipe",
            {
                "format": _FORMAT,
                "output": output.stem,
                "subdir": output.subdir,
                "platform": order.subdir,
                "recipe": output.recipe,
                "variant": dict(output.variant),
                "files": self.files,
                "sources": list(_sources(output, order)),
                "channels": list(self.channels),
                "needs": dict(needs),
                "tools": list(self.tools),
                "engine": self.engine,
                "epoch": order.epoch,
                "profile": order.profile,
                "file-format": order.file_format,
            },
        )

    def tests(self, output: Rendered, needs: Mapping[str, str], sha256: str) -> InputKey:
        """The key of what the tests of a package said."""
        built = self.package(output, needs).digest
        return InputKey("conda test", {"built": built, "package": sha256})


def keys_of(
    order: Order, rattler: Rattler, outputs: Sequence[Rendered]
) -> Mapping[str, tuple[str, bool]]:
    """The key of each package by its stem, and whether it is in the store; none where that has yet to be seen."""
    given = Given.of(order, rattler.machine, rattler.processes)
    store = TreeStore(order.store)
    found: dict[str, tuple[str, bool]] = {}
    digests: dict[str, str] = {}
    for output in (output for wave in waves_of(outputs) for output in wave):
        needed = providers(output, outputs)
        if any(other.stem not in digests for other in needed):
            continue
        key = given.package(output, {other.stem: digests[other.stem] for other in needed})
        tree = store.find(key)
        found[output.stem] = (key.digest, tree is not None and not order.keep)
        if tree is not None:
            digests[output.stem] = file_digest(tree.root / str(tree.facts["file"]))
    return found


def _folder(order: Order, machine: Machine, processes: Processes) -> str:
    """The digest of everything in the folder of the recipe that may be read, what is delivered into it left out."""
    folder = order.folder
    places = (order.output / order.subdir, order.output / "noarch", order.output, order.store)
    outside = tuple(
        f"{place.relative_to(folder).as_posix()}/"
        for place in places
        if place.is_relative_to(folder) and place != folder
    )
    paths = source_paths(folder, machine, processes)
    return digest(describe(folder, [path for path in paths if not path.startswith(outside)]))


def _index(url: str, order: Order) -> str:
    """What a channel has: the digest of its index, or for one that is no folder the day on which it is asked."""
    place = urlsplit(url)
    if place.scheme != "file":
        return order.day
    found = hashlib.sha256()
    for subdir in (order.subdir, "noarch"):
        file = Path(unquote(place.path)) / subdir / "repodata.json"
        found.update(file.read_bytes() if file.is_file() else b"")
        found.update(b"\0")
    return found.hexdigest()


def _sources(output: Rendered, order: Order) -> Iterator[str]:
    """What the recipe alone does not say of its sources: files beside it, and the day where they may move."""
    listed = output.recipe.get("source", ())
    for source in listed if isinstance(listed, list | tuple) else ():
        if not isinstance(source, Mapping):
            continue
        if (text := source.get("path")) is not None:
            path = order.folder / str(text)
            yield digest(describe(path, walk(path))) if path.is_dir() else _file(path)
        elif not _is_fixed(source):
            yield order.day


def _is_fixed(source: Mapping[str, object]) -> bool:
    has_digest = bool(source.get("sha256") or source.get("md5"))
    return has_digest or _COMMIT.fullmatch(str(source.get("rev", ""))) is not None


def _file(path: Path) -> str:
    return file_digest(path) if path.is_file() else ""


def _tools(machine: Machine) -> Iterator[tuple[str, str, int, int]]:
    """The compilers of the machine, which a recipe may use beside those of its channels."""
    search: Sequence[str] = list(map(str, machine.path))
    for name in _TOOLS:
        if found := shutil.which(name, path=os.pathsep.join(search)):
            real = Path(found).resolve()
            status = real.stat()
            yield name, str(real), status.st_size, status.st_mtime_ns
