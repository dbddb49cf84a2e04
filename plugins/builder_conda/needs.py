"""What a converted wheel requires: its markers evaluated for where it will run, its names translated."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from builder.archive.conda_package import SUBDIRS
from builder.config.python import Python
from builder.errors import UsageError
from builder_conda.names import conda_name
from builder_conda.platforms import environment
from builder_conda.specs import matched, translate

__all__ = [
    "Needs",
    "allows",
    "of_any_python",
    "of_one_python",
    "parse_requirements",
    "python_of",
    "python_spec",
]

KNOWN: Final = tuple(Python(3, minor, "m" if minor <= 7 else "") for minor in range(7, 15))  # noqa: PLR2004  # pymalloc
"""The Pythons that a wheel without one of its own is thought to meet."""
_LAST_MICRO: Final = 99
_SYSTEMS: Final = {
    "linux": ("linux-64", "linux-aarch64", "linux-ppc64le", "linux-s390x"),
    "osx": ("osx-64", "osx-arm64"),
    "win": ("win-64", "win-arm64"),
}


@dataclass(frozen=True, slots=True)
class Needs:
    """`depends` of a package. `virtual` is the kind of system that they are right for, empty for all.

    `python` is the one Python they are right for, None for all.
    """

    depends: tuple[str, ...]
    virtual: str = ""
    python: Python | None = None
    notes: tuple[str, ...] = ()


def parse_requirements(texts: Iterable[str], wheel: str) -> tuple[Requirement, ...]:
    """The `Requires-Dist` of a wheel. Raises `UsageError` naming all that are none."""
    found, faults = [], []
    for text in texts:
        try:
            found.append(Requirement(text))
        except (ValueError, RecursionError) as error:
            faults.append(f"Requires-Dist: {text!r}: {str(error).splitlines()[0]}")
    if faults:
        raise UsageError(
            f"`{wheel}` requires what cannot be read", faults=faults, hint="build the wheel again"
        )
    return tuple(found)


def python_of(text: str) -> SpecifierSet:
    """`Requires-Python` as a set. Raises `UsageError`."""
    try:
        return SpecifierSet(text)
    except ValueError as error:
        raise UsageError(
            f"`Requires-Python: {text}` cannot be read", hint="build the wheel again"
        ) from error


def of_one_python(
    requirements: Sequence[Requirement],
    python: Python,
    subdirs: Sequence[str],
    names: Mapping[str, str],
) -> Needs:
    """What is required with one Python on any of these subdirs.

    A marker that is about the last part of Python's version counts when it holds for one of them.
    """
    found: dict[str, None] = {}
    notes: dict[str, None] = {}
    for requirement in requirements:
        if not any(_holds(requirement, python, subdir) for subdir in subdirs):
            continue
        spec, told = matched(conda_name(requirement.name, names), requirement)
        found[spec] = None
        notes.update(dict.fromkeys(told))
    return Needs(tuple(sorted(found)), notes=tuple(notes))


def of_any_python(
    requirements: Sequence[Requirement],
    allowed: SpecifierSet,
    wanted: Python | None,
    subdir: str,
    names: Mapping[str, str],
    *,
    native: bool = False,
) -> Needs:
    """What is required with every Python that a wheel allows, on every system.

    What differs between Pythons is required without a version, unless `wanted` is the one to be right
    for. What differs between systems makes a package for those like that of `subdir` (Linux); with
    `native`, `subdir` is the only one.
    """
    pythons = [python for python in KNOWN if allows(allowed, python)]
    if subdir and subdir not in SUBDIRS:
        raise UsageError(f"there is no subdir `{subdir}`", hint=f"known: {', '.join(SUBDIRS)}")
    if wanted is not None and not allows(allowed, wanted):
        raise UsageError(
            f"the wheel is not for Python {wanted.version}", hint=f"it says `{allowed}`"
        )
    if not pythons and wanted is None:
        raise UsageError(
            f"`Requires-Python: {allowed}` allows no Python that is known here",
            hint="say which one with `--python`",
        )
    if native:
        return _over(requirements, pythons, wanted, (subdir,), names)
    by_system = {
        system: _over(requirements, pythons, wanted, subdirs, names)
        for system, subdirs in _SYSTEMS.items()
    }
    linux, macos, windows = (by_system[system].depends for system in _SYSTEMS)
    if linux == macos == windows:
        return by_system["linux"]
    chosen = subdir.partition("-")[0] if subdir not in {"", "noarch"} else "linux"
    virtual = "__unix" if linux == macos and chosen != "win" else f"__{chosen}"
    found = by_system[chosen]
    note = f"its requirements differ between systems: this is the package for {virtual.strip('_')}"
    return Needs(found.depends, virtual, found.python, (*found.notes, note))


def allows(allowed: SpecifierSet, python: Python) -> bool:
    """Whether any release of a Python may be used."""
    return any(
        allowed.contains(f"{python.version}.{micro}", prereleases=True)
        for micro in range(_LAST_MICRO + 1)
    )


def _over(
    requirements: Sequence[Requirement],
    pythons: Sequence[Python],
    wanted: Python | None,
    subdirs: Sequence[str],
    names: Mapping[str, str],
) -> Needs:
    each = [of_one_python(requirements, python, subdirs, names) for python in pythons]
    if each and all(needs.depends == each[0].depends for needs in each):
        return each[0]
    if wanted is not None:
        exact = of_one_python(requirements, wanted, subdirs, names)
        return Needs(exact.depends, "", wanted, exact.notes)
    depends: list[str] = []
    notes = dict.fromkeys(note for needs in each for note in needs.notes)
    everywhere = set.intersection(*(set(needs.depends) for needs in each))
    sometimes = {spec for needs in each for spec in needs.depends} - everywhere
    for name in sorted({spec.partition(" ")[0] for spec in sometimes}):
        specs = sorted(spec for spec in sometimes if spec.partition(" ")[0] == name)
        depends.append(specs[0] if len(specs) == 1 else name)
        notes[f"not every Python requires {' and '.join(specs)}: {depends[-1]} is for all, "
              "unless one is chosen with `--python`"] = None  # fmt: skip
    return Needs(tuple(sorted({*everywhere, *depends})), notes=tuple(notes))


def _holds(requirement: Requirement, python: Python, subdir: str) -> bool:
    marker = requirement.marker
    if marker is None:
        return True
    try:
        return any(
            marker.evaluate(dict(environment(python, subdir, micro))) for micro in (0, _LAST_MICRO)
        )
    except ValueError as error:
        raise UsageError(
            f"the marker of `{canonicalize_name(requirement.name)}` cannot be evaluated: {error}",
            hint="build the wheel again",
        ) from error


def python_spec(allowed: SpecifierSet) -> str:
    """`python` with the versions that a wheel allows."""
    versions, _ = translate(allowed)
    return f"python {versions}" if versions else "python"
