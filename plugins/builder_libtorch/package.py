"""Package C++: choose, relocate, bundle, write down what there is, pack, and prove.

Nothing of a tree or a wheel is changed in its place; what has to change is changed in a copy.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from builder.archive.content import MANIFEST, Content, Item
from builder.archive.record import Row
from builder.archive.tally import Tally
from builder.archive.tar_write import TarItem, write_tar
from builder.archive.wheel import WheelName
from builder.archive.zip_format import stamp_of
from builder.archive.zip_items import Item as ZipItem
from builder.archive.zip_items import Keep, Link, Put
from builder.archive.zip_read import Zip
from builder.archive.zip_write import write_zip
from builder.backend import Package, Tools
from builder.config.naming import archive_name
from builder.config.recipe import Bundle, CppArchive, GitRevision
from builder.config.spec import BuildSpec
from builder.config.target import Target
from builder.errors import BuilderError
from builder.relink.system import System
from builder.stage.tree import Tree
from builder_libtorch.bundle import (
    Bundled,
    Wants,
    binaries_of,
    bundled,
    literal,
    outside_of,
    system_for,
)
from builder_libtorch.debug import apart, split, write_debug
from builder_libtorch.examine import examined
from builder_libtorch.interface import expected_of_parts
from builder_libtorch.layout import Release, read_release, refuse_wrong_linking
from builder_libtorch.parts import (
    Part,
    from_tree,
    from_wheel,
    linked_copies,
    outside_of_wheel,
    without_links,
)
from builder_libtorch.prove import Proof, refuse_if_unsound
from builder_libtorch.relocate import relocated
from builder_libtorch.suits import debug_runtime, refuse_other_machines, refuse_other_runtime

__all__ = ["Order", "build_folders", "package_tree", "package_wheel"]

_LEVEL = 6
_COMMIT = re.compile(r"[0-9a-f]{40}")
_TEXTS = (".cmake", ".pc", "-config")
_LARGEST_TEXT = 16 << 20


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked for: an archive of one target. `project` is the recipe's name.

    `release` is what `build-version` and `build-hash` will say; a wheel says it itself. `epoch` is
    the time stamp of what is new.
    """

    project: str
    archive: CppArchive
    target: Target
    bundle: Bundle = field(default_factory=Bundle)
    release: Release = field(default_factory=Release)
    epoch: int = 0

    @classmethod
    def of(cls, spec: BuildSpec, epoch: int = 0) -> Self:
        """The order of a build."""
        recipe = spec.recipe
        revision = spec.source_digest
        if isinstance(recipe.source, GitRevision) and _COMMIT.fullmatch(recipe.source.revision):
            revision = recipe.source.revision
        release = Release(spec.version, revision)
        return cls(recipe.name, recipe.archive, spec.target, recipe.bundle, release, epoch)

    @property
    def grafts(self) -> bool:
        """Whether the variant takes along what it needs."""
        return "without-deps" not in self.target.variant

    @property
    def top(self) -> str:
        """The one folder in the archive."""
        name = self.project
        return self.archive.top or (name if name.startswith("lib") else f"lib{name}")

    def name(self, version: str) -> str:
        """The file name of the archive."""
        project, suffix = self.archive.name or self.project, f".{self.archive.format}"
        return archive_name(self.target, version, project=project, suffix=suffix)


def package_tree(tree: Tree, order: Order, out: Path, tools: Tools) -> Package:
    """Write the archive of a core tree into `out`, its manifest beside it. Raises `BuilderError`.

    Then nothing is written. The facts are `grafted`, `host`, `content` (a file beside the archive),
    `debug` (others), `notes` and `aliases` (names that it may also be published under).
    """
    if not order.release.version:
        raise BuilderError(
            f"the version of `{order.project}` is not known before it is packaged",
            hint="give `version.number` in the recipe",
        )
    with _desk(tools) as work:
        given = from_tree(tree, order.archive)
        roots = build_folders(tree)
        parts = tuple(_relocated(part, roots[0]) for part in given)
        folders = (tree.root / "lib", tree.root / "lib64")
        search = tuple(folder for folder in folders if folder.is_dir())
        system = system_for(order.target, tools.machine)
        case = _Case(
            order, order.release, order.release.version, system, search, work, tools, roots
        )
        return case.package(parts, None, out)


def package_wheel(wheel: Path, order: Order, out: Path, tools: Tools) -> Package:
    """The same for the C++ part of a finished wheel, which is not imported.

    What it needs is taken from the wheel alone, never from this machine.
    """
    name = WheelName.parse(wheel.name)
    with _desk(tools) as work, Zip(wheel) as archive:
        parts = from_wheel(archive, order.archive, work / "parts")
        search = outside_of_wheel(archive, order.archive, work / "outside")
        release = _release(archive, order, name.version)
        system = system_for(order.target)
        case = _Case(order, release, name.version, system, search, work, tools, ())
        return case.package(parts, archive, out)


def build_folders(tree: Tree) -> tuple[str, ...]:
    """The prefix that a tree was installed into, and the store that it was made in."""
    store = tree.root.parent.parent.parent
    prefix = tree.facts.get("prefix") or store / "work" / tree.key[:16] / "content"
    return (str(prefix), str(tree.root), str(store))


@dataclass(frozen=True, slots=True)
class _Case:
    """One archive in the making. `version` is that of its name."""

    order: Order
    release: Release
    version: str
    system: System
    search: tuple[Path, ...]
    work: Path
    tools: Tools
    roots: tuple[str, ...]

    def package(self, given: tuple[Part, ...], source: Zip | None, out: Path) -> Package:
        """The way of every archive; `source` is the wheel that unchanged parts are copied from."""
        order, name = self.order, self.order.name(self.version)
        stem = name.removesuffix(f".{order.archive.format}")
        given, beside = apart(given, order.target.os)
        parts = self._suitable(given, source)
        parts, debugs = split(parts, self.tools) if order.archive.debug else (parts, ())
        done = bundled(parts, self._wants(name, parts))
        parts = (*done.parts, *self._notes())
        items = examined(parts, self.roots)
        linked = expected_of_parts(parts, order.target)
        content = self._content(items, sorted({*done.host, *linked}))
        with _outbox(out, name) as box:
            extras = [
                write_debug(one, stem, box, epoch=order.epoch, threads=self._threads)
                for one in debugs
            ]
            if beside:
                extras.append(box / f"debug-{stem}.zip")
                self._write_zip((_zipped(part, "") for part in beside), source, extras[-1])
            manifest = box / f"{stem}.content.json"
            manifest.write_bytes(bytes(content))
            rows = self._packed((*parts, Part(MANIFEST, bytes(content))), source, box / name)
            proof = Proof(content, MANIFEST, order.top, self.system, self.work, rows)
            refuse_if_unsound(box / name, proof)
            if source is not None and source.has_changed():
                # What is kept packed is not digested again.
                raise BuilderError(
                    f"`{source.path}` changed while it was packed",
                    hint="run the same command again when nothing writes there",
                )
        facts = _facts(done, content.host, manifest, extras)
        return Package(out / name, {**facts, "aliases": [order.name("latest")]})

    def _suitable(self, given: tuple[Part, ...], source: Zip | None) -> tuple[Part, ...]:
        """The parts as the target's system has them. Raises `BuilderError` for another's."""
        target = self.order.target
        refuse_wrong_linking([part.path for part in given], target, finished=source is not None)
        parts = without_links(given) if target.os == "windows" else linked_copies(given)
        binaries = binaries_of(parts)
        refuse_other_machines(binaries, target)
        refuse_other_runtime(binaries, target)
        return parts

    @property
    def _threads(self) -> int:
        return max(1, self.tools.machine.cores)

    def _wants(self, name: str, parts: tuple[Part, ...]) -> Wants:
        order = self.order
        # Nobody may hand on the debug runtime, and who debugs has it.
        runtime = debug_runtime(binaries_of(parts)) if order.target.os == "windows" else ()
        outside = (*outside_of(order.bundle), *map(literal, runtime))
        return Wants(name, self.system, order.grafts, outside, self.search, self.work)

    def _notes(self) -> Iterator[Part]:
        """The files that say which release this is, as far as it is known."""
        for name, text in (("version", self.release.version), ("hash", self.release.revision)):
            if text:
                yield Part(f"build-{name}", f"{text}\n".encode())

    def _content(self, items: Mapping[str, Item], host: Iterable[str]) -> Content:
        order = self.order
        files = tuple(sorted(items.values()))
        return Content(order.project, self.version, str(order.target), files, tuple(host))

    def _packed(self, parts: Iterable[Part], source: Zip | None, target: Path) -> Mapping[str, Row]:
        """Write the archive; the rows of what was packed anew, where the format has them."""
        top = self.order.top
        if self.order.archive.format == "tar.zst":
            items = (
                TarItem(f"{top}/{one.path}", one.content, one.executable, one.link) for one in parts
            )
            write_tar(items, target, epoch=self.order.epoch, threads=self._threads)
            return {}
        return self._write_zip((_zipped(part, f"{top}/") for part in parts), source, target)

    def _write_zip(
        self, items: Iterable[ZipItem], source: Zip | None, target: Path
    ) -> Mapping[str, Row]:
        return write_zip(
            source, target, items,
            stamp=stamp_of(self.order.epoch), level=_LEVEL, threads=self._threads, tally=Tally(),
        )  # fmt: skip


def _facts(
    done: Bundled, host: tuple[str, ...], manifest: Path, extras: list[Path]
) -> Mapping[str, object]:
    facts: dict[str, object] = {
        "grafted": [graft.to_json() for graft in done.grafts],
        "host": list(host),
        "content": manifest.name,
    }
    if extras:
        facts["debug"] = [file.name for file in extras]
    if done.notes:
        facts["notes"] = list(done.notes)
    return facts


def _zipped(part: Part, below: str) -> ZipItem:
    name = f"{below}{part.path}"
    if part.link:
        return Link(name, part.link)
    if part.entry is not None:
        return Keep(part.entry, name)
    return Put(name, part.content, part.executable)


def _relocated(part: Part, prefix: str) -> Part:
    """A text that finds its prefix from its own place; all else as it is."""
    if not isinstance(part.content, Path) or part.link or not part.path.endswith(_TEXTS):
        return part
    if part.content.stat().st_size > _LARGEST_TEXT:
        return part
    before = part.content.read_bytes()
    after = relocated(part.path, before, prefix)
    return part if after == before else part.with_content(after)


def _release(wheel: Zip, order: Order, version: str) -> Release:
    """What the wheel's version file says, or at least the version in its name."""
    path = order.archive.version
    if not path:
        return Release(version, order.release.revision)
    name = f"{order.archive.wheel}/{path}" if order.archive.wheel else path
    entry = next((entry for entry in wheel.entries if entry.name == name), None)
    if entry is None:
        raise BuilderError(
            f"`{wheel.path.name}` has no `{name}`, which is to say its version",
            hint="name the project's version file in `archive.version` of the recipe",
        )
    return read_release(wheel.read(entry), name)


@contextlib.contextmanager
def _desk(tools: Tools) -> Iterator[Path]:
    """A folder for what is on its way, gone afterwards."""
    tools.work.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="archive-", dir=tools.work))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _outbox(out: Path, name: str) -> Iterator[Path]:
    """A folder whose files all appear in `out` when all went well, the one called `name` last."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        box = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=out))
        try:
            yield box
            for file in sorted(box.iterdir(), key=lambda file: file.name == name):
                file.replace(out / file.name)
        finally:
            shutil.rmtree(box, ignore_errors=True)
    except OSError as error:
        raise BuilderError(
            f"`{out / name}` cannot be written: {error.strerror or error}",
            hint="free space or choose another folder",
        ) from error
