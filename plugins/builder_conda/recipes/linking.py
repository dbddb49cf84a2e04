"""Which libraries a package is linked to, held against what it depends on. Pure.

A library that comes from nowhere works on the machine that built it (overlinking); one that is depended on and
never used makes every environment larger and every solve harder (overdepending).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from posixpath import basename
from typing import Any, Final

from builder_conda.linked import host_libraries

__all__ = ["Linked", "allowed_by", "link_problems"]

_MORE: Final = (
    "ld-linux*.so*", "ld64.so*", "linux-vdso.so.1", "libcuda.so.1", "libnvidia-ml.so.1",
)  # fmt: skip
"""What a machine brings besides glibc and the compilers' own runtimes: loaders, the driver's libraries."""
_ELSEWHERE: Final = frozenset({"python"})
"""Depended on for what it runs, whether or not it is linked to."""


@dataclass(frozen=True, slots=True)
class Linked:
    """A package as its binaries see it.

    `needed` are the libraries that each binary asks for; `files` are all paths of the package;
    `owners` says which package each file of the build's host environment is of; `depends` are the
    specs of the package.
    """

    needed: Mapping[str, tuple[str, ...]]
    files: frozenset[str]
    owners: Mapping[str, str]
    depends: tuple[str, ...]
    allowed: tuple[str, ...] = ()
    unused_allowed: tuple[str, ...] = ()


def link_problems(linked: Linked) -> tuple[str, ...]:
    """Every library that is missing from the dependencies, and every dependency that is for nothing."""
    own = {basename(path) for path in linked.files}
    owners = {basename(path): name for path, name in linked.owners.items() if _is_library(path)}
    depends = {spec.split()[0] for spec in linked.depends}
    used: set[str] = set()
    problems: list[str] = []
    for path, needed in sorted(linked.needed.items()):
        for library in needed:
            owner = owners.get(library, "")
            used.add(owner)
            if library not in own and owner not in depends:
                problems += _missing(path, library, owner, linked.allowed)
    problems += _unused(linked, depends - used, set(owners.values()))
    return tuple(problems)


def allowed_by(recipe: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What a recipe itself allows: libraries from nowhere, and packages that are not linked to.

    The first is `build.dynamic_linking.missing_dso_allowlist`, the second `extra.builder.unlinked`:
    the recipe format has no word for it.
    """
    linking = recipe.get("build", {}).get("dynamic_linking", {})
    extra = recipe.get("extra", {}).get("builder", {})
    return tuple(linking.get("missing_dso_allowlist", ())), tuple(extra.get("unlinked", ()))


def _missing(path: str, library: str, owner: str, allowed: Iterable[str]) -> Iterator[str]:
    patterns = (*host_libraries(), *_MORE, *allowed)
    if any(fnmatchcase(library, pattern) for pattern in patterns):
        return
    if owner:
        yield f"{path}: needs {library} of `{owner}`, which the package does not depend on"
    else:
        yield f"{path}: needs {library}, which neither the package nor a dependency brings"


def _unused(linked: Linked, unused: set[str], libraries: set[str]) -> Iterator[str]:
    """Dependencies that bring libraries, none of which is used by a package that has binaries."""
    if not linked.needed:
        return
    for name in sorted(unused & libraries - _ELSEWHERE):
        if not any(fnmatchcase(name, pattern) for pattern in linked.unused_allowed):
            yield f"depends on `{name}`, and links to none of its libraries"


def _is_library(path: str) -> bool:
    return path.startswith("lib/") and "/" not in path.removeprefix("lib/") and ".so" in path
