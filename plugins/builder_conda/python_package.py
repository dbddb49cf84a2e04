"""The package for one Python: a raw wheel where conda's Python looks, linked to the core's libraries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement

from builder.archive.conda_package import CondaFile, CondaPackage
from builder.archive.wheel import Wheel, judge
from builder.archive.zip_read import Zip
from builder.backend import Package, Tools
from builder.binary import Binary, looks_like
from builder.config.python import Python
from builder.errors import BuilderError
from builder.relink.copies import changed_copy
from builder.stage.tree import Tree
from builder_conda.about import about, license_of
from builder_conda.core import Core
from builder_conda.layout import Layout
from builder_conda.linked import Around, Brought, Linked, has_device_code, known_libraries, linked
from builder_conda.members import WheelMembers
from builder_conda.names import conda_name
from builder_conda.needs import (
    Needs,
    of_any_python,
    of_one_python,
    parse_requirements,
    python_of,
    python_spec,
)
from builder_conda.order import Order, sorted_specs
from builder_conda.others import refuse_missing
from builder_conda.platforms import pythons_of
from builder_conda.specs import matched
from builder_conda.split import Split, read_member
from builder_conda.written import desk, floors, host_of, summary, too_short, unused, written

__all__ = ["package_finished", "package_python"]

_HEAD: Final = 8


def package_python(
    order: Order, wheel: Path, tree: Tree | None, out: Path, tools: Tools
) -> Package:
    """Write the package of a raw wheel into `out`; `tree` is the core tree.

    A wheel without binaries becomes a package for every Python. Where the recipe has no package for
    the core, the libraries of it that are needed come along. Raises `BuilderError`; then nothing is
    written.
    """
    with desk(tools) as work, Zip(wheel) as archive:
        found = judge(archive)
        python = None if found.name.is_pure else order.target.python
        core = Core.of(tree, order.recipe.archive) if tree is not None and python else None
        return _written(_Case(order, found, python, core, work), archive, out, tools)


def package_finished(order: Order, wheel: Path, out: Path, tools: Tools) -> Package:
    """Write the package of a finished wheel into `out`, without what the library package has of it.

    For macOS and Windows it stays whole, as it is: how their loaders follow links nobody can try here.
    Raises `BuilderError`, also for a wheel that is for another Python; then nothing is written.
    """
    with desk(tools) as work, Zip(wheel) as archive:
        found = judge(archive)
        python = None if found.name.is_pure else order.target.python
        served = pythons_of(found.name)
        if python is not None and served and python not in served:
            raise BuilderError(
                f"`{wheel.name}` is not for Python {python.spelling}",
                hint=f"ask for {', '.join(one.spelling for one in served)} with `--python`",
            )
        if python is None or order.companion is None or order.target.os != "linux":
            return _written(_Case(order, found, python, None, work), archive, out, tools)
        brought = known_libraries(order.conda.library_depends, order.conda.libraries)
        split = Split.of(found, order.recipe.archive, brought)
        core = split.core(archive, found, work / "library", whole=False)
        return _written(_Case(order, found, python, core, work, split), archive, out, tools)


def _written(case: _Case, archive: Zip, out: Path, tools: Tools) -> Package:
    made = case.made(archive)
    return written(
        case.order, made.package, made.files, out, tools, epoch=case.wheel.newest,
        notes=made.notes, outside=made.linked.outside, device_code=made.device_code,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Raw:
    """One binary of the wheel as it was built."""

    name: str
    content: bytes | Path
    binary: Binary


@dataclass(frozen=True, slots=True)
class _Made:
    """One package before it is written. `device_code` says whether its accelerator's code is to be in it."""

    package: CondaPackage
    files: tuple[CondaFile, ...]
    linked: Linked
    notes: tuple[str, ...]
    device_code: bool


@dataclass(frozen=True, slots=True)
class _Case:
    """One wheel that becomes a package. `python` is None when the installer fits it to any.

    `split` says which members of a finished wheel are in other packages.
    """

    order: Order
    wheel: Wheel
    python: Python | None
    core: Core | None
    work: Path
    split: Split | None = None

    def made(self, archive: Zip) -> _Made:
        """The package, before it is written."""
        own = self._own(archive)
        binaries = {path: raw.binary for path, raw in own.items()}
        taken, core = self._taken(binaries), self.core
        if core is not None:
            binaries |= {path: one for path, one in core.binaries.items() if path in taken}
        ends = {path: end for path, end in core.ends.items() if path in taken} if core else {}
        needs = self._needs()
        done = self._linked(binaries, ends, needs)
        members = self._members(archive, own, done)
        package = self._package(members, needs, binaries)
        files = [*members.files(members.entry_points())]
        if core is not None and taken:
            edits = {path: edit for path, edit in done.edits.items() if path in taken}
            files += core.packed(edits, self.work, taken)
        of_core = has_device_code(core.binaries) if core is not None else False
        device_code = has_device_code(binaries) or not of_core
        return _Made(package, tuple(files), done, self._notes(needs, done, files), device_code)

    def _linked(
        self, binaries: Mapping[str, Binary], ends: Mapping[str, str], needs: Needs
    ) -> Linked:
        if self.order.target.os != "linux":
            refuse_missing(self.order, binaries, self._brought(needs))
            return Linked({}, frozenset())
        return linked(self.order.name, binaries, ends, self._around(needs))

    @property
    def _subdir(self) -> str:
        return "noarch" if self.python is None else self.order.subdir

    @property
    def _layout(self) -> Layout:
        return Layout.of(self._subdir, self.python)

    @property
    def _companion(self) -> Order | None:
        """The package with the core tree."""
        return self.order.companion if self.core is not None else None

    @property
    def _elsewhere(self) -> Mapping[str, str]:
        """The members that other packages have."""
        return self.split.elsewhere if self.split is not None else {}

    def _own(self, archive: Zip) -> Mapping[str, _Raw]:
        """The binaries of the wheel, by the path that they are installed to."""
        places = WheelMembers(archive, self.wheel, self._layout)
        elsewhere = self._elsewhere
        found: dict[str, _Raw] = {}
        for entry in self.wheel.entries:
            if entry.kind != "file" or entry.name in elsewhere:
                continue
            if looks_like(archive.head(entry, _HEAD)) is None:
                continue
            content = self.work / "wheel" / entry.name
            archive.save(entry, content)
            binary = read_member(content, entry.name, self.wheel)
            if binary.is_loaded:
                found[places.place(entry)] = _Raw(entry.name, content, binary)
        return found

    def _taken(self, binaries: Mapping[str, Binary]) -> frozenset[str]:
        """What comes along of the core, where it has no package of its own."""
        if self.core is None or self._companion is not None:
            return frozenset()
        return self.core.needed_by(binaries)

    def _needs(self) -> Needs:
        """What its metadata requires, in conda's words."""
        metadata = self.wheel.metadata
        found = parse_requirements(metadata.get("Requires-Dist"), self.wheel.path.name)
        if self.python is None:
            allowed = python_of(",".join(metadata.get("Requires-Python")))
            return of_any_python(found, allowed, None, "", {})
        return of_one_python(found, self.python, (self._subdir,), {})

    def _required(self, needs: Needs) -> tuple[str, ...]:
        """Everything that is required by a name people chose: in the metadata, or in the recipe."""
        siblings = (
            matched(conda_name((asked := Requirement(row.requires)).name, {}), asked)[0]
            for row in self.order.recipe.bundle.siblings
            if row.requires
        )
        return (*needs.depends, *siblings, *self.order.conda.depends)

    def _around(self, needs: Needs) -> Around:
        order, required = self.order, self._required(needs)
        names = {spec.split(" ", 1)[0] for spec in required}
        siblings = tuple(
            Brought(name, row.libraries, f"{self._layout.site}/{row.directory}")
            for row in order.recipe.bundle.siblings
            if (name := conda_name(row.package, {})) in names
        )
        beside: Mapping[str, str] = {}
        companion = self._companion
        if companion is not None and self.core is not None:
            beside = self.core.beside
        return Around(
            companion.name if companion else "",
            beside,
            (*siblings, *self._brought(needs)),
            host_of(order),
        )

    def _brought(self, needs: Needs) -> tuple[Brought, ...]:
        """What well-known required packages have."""
        asked = ("python", *self._required(needs))
        return known_libraries(asked, self.order.conda.libraries)

    def _members(self, archive: Zip, own: Mapping[str, _Raw], done: Linked) -> WheelMembers:
        """The members of the wheel, its binaries edited."""
        changed = {
            raw.name: changed_copy(
                path, raw.content, raw.binary, done.edits[path], self.work / "edited" / path,
                leave_out="conda.host",
            )
            for path, raw in own.items()
            if path in done.edits
        }  # fmt: skip
        return WheelMembers(archive, self.wheel, self._layout, changed, self._elsewhere)

    def _package(
        self, members: WheelMembers, needs: Needs, binaries: Mapping[str, Binary]
    ) -> CondaPackage:
        order, metadata, is_any = self.order, self.wheel.metadata, self.python is None
        licenses = members.licenses()
        named = [file.path.removeprefix("licenses/") for file in licenses]
        points = members.entry_points()
        return CondaPackage(
            order.name, order.version, self._build, self._subdir,
            order.conda.build_number + order.post if is_any else order.number,
            "python" if is_any else "", self._depends(needs, binaries), order.conda.constrains,
            license_of(metadata), about={**summary(order), **about(metadata, named)},
            entry_points=tuple(map(str, points)) if is_any else (),
            info=licenses,
        )  # fmt: skip

    @property
    def _build(self) -> str:
        """A package for every Python says nothing of one, nor of an accelerator."""
        if self.python is not None:
            return self.order.build
        return f"py_{self.order.conda.build_number + self.order.post}"

    def _depends(self, needs: Needs, binaries: Mapping[str, Binary]) -> tuple[str, ...]:
        python, companion = self.python, self._companion
        if python is None:
            allowed = python_of(",".join(self.wheel.metadata.get("Requires-Python")))
            pins: tuple[str, ...] = (python_spec(allowed), *filter(None, (needs.virtual,)))
        else:
            version = f"{python.version}.*"
            pins = (f"python {version}", f"python_abi {version} *_{python.abi_tag}")
        library = (companion.exact,) if companion else ()
        machine = floors(self.order, binaries, self.wheel.name)
        return sorted_specs(pins, library, self._required(needs), machine)

    def _notes(self, needs: Needs, done: Linked, files: list[CondaFile]) -> tuple[str, ...]:
        conda, companion = self.order.conda, self._companion
        declared = known_libraries(conda.depends, conda.libraries)
        notes = [*needs.notes, *too_short(files), *unused(declared, done)]
        if companion and companion.name not in done.used:
            notes.append(f"requires `{companion.name}`, and no binary needs one of its libraries")
        return tuple(notes)
