"""Which of the packages of one call users get: asked of a real solver, before they are delivered.

What the packages require and nobody here brings (`python`, `numpy`) is imagined, in the version that they ask
for: the question is which of our builds a solver takes, and not whether the rest of the world is there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Final, cast

from builder.archive.conda_package import SUBDIRS
from builder.backend import Tools, Trial
from builder.channel import channel
from builder.channel.judge import Expectation, judge, standard
from builder.channel.package import Listed, read_listed
from builder.channel.solve import INSTALL, Client

__all__ = ["expectations", "imagined", "solved"]

_ID: Final = "conda.solver"
_BOUND: Final = re.compile(r"(>=|<=|==|!=|~=|<|>|=|)\s*(\d[\w.!+]*)")
_LEAST: Final = frozenset({"", "=", "==", "~=", ">="})
_PYTHON: Final = re.compile(r"python (\d+\.\d+)\.\*")


def solved(packages: Sequence[Path], tools: Tools) -> Trial:
    """What users would not get as they are meant to. Raises `BuilderError` when nothing can be asked."""
    listed = [read_listed(path) for path in packages]
    asked = expectations(listed)
    if not asked:
        return Trial(_ID, reason="no package is there with and without a requirement of a GPU")
    if find_spec("rattler") is None:
        return Trial(_ID, reason=f"py-rattler is not installed: {INSTALL}")
    folder = tools.work / "channel"
    channel.create(folder, sorted({row.subdir for row in listed} - {"noarch"}))
    channel.add(folder, packages)
    client = Client((str(folder),), tools.machine, tools.processes, tools.work / "cache")
    return Trial(_ID, tuple(one.problem for one in judge(asked, client) if one.problem))


def expectations(listed: Sequence[Listed]) -> tuple[Expectation, ...]:
    """The questions about every package, for each Python and platform that it is for."""
    own = {str(row.entry["name"]) for row in listed}
    groups: dict[tuple[str, str, str], list[Listed]] = {}
    for row in listed:
        if row.subdir in SUBDIRS and row.subdir != "noarch":
            place = (str(row.entry["name"]), row.subdir, _python_of(row))
            groups.setdefault(place, []).append(row)
    return tuple(
        replace(one, question=replace(one.question, virtual=imagined(specs, own)))
        for (name, subdir, _), rows in sorted(groups.items())
        for specs in [[spec for row in (*rows, *_others(listed, name)) for spec in _depends(row)]]
        for one in standard(name, [row.entry for row in rows], subdir)
    )


def imagined(specs: Iterable[str], own: Iterable[str]) -> Mapping[str, str]:
    """What has to be there for the specifications, by name: a version, and a build where they name one."""
    known = set(own)
    found: dict[str, str] = {}
    for spec in sorted(set(specs)):
        name, _, rest = spec.partition(" ")
        if name in known or name.startswith("__"):
            continue
        versions, _, build = rest.partition(" ")
        text = f"{_least(versions)} {build.replace('*', '0')}" if build else _least(versions)
        found[name] = max(found.get(name, text), text, key=_rank)
    return found


def _least(versions: str) -> str:
    """A version that bounds allow: the highest of the lower ones, else something below all."""
    bounds = [(operator, version.rstrip(".")) for operator, version in _BOUND.findall(versions)]
    lower = [version for operator, version in bounds if operator in _LEAST]
    lower += [f"{version}.1" for operator, version in bounds if operator == ">"]
    return max(lower, key=_rank, default="0")


def _rank(text: str) -> tuple[tuple[int, ...], bool]:
    """Versions in their order, as far as their numbers go; one with a build says more."""
    version, _, build = text.partition(" ")
    return tuple(map(int, re.findall(r"\d+", version))), bool(build)


def _others(listed: Iterable[Listed], name: str) -> Iterator[Listed]:
    """Packages that may come along: those of another name that are for no Python."""
    return (row for row in listed if row.entry["name"] != name and not _python_of(row))


def _depends(row: Listed) -> tuple[str, ...]:
    return tuple(cast("Sequence[str]", row.entry.get("depends", ())))


def _python_of(row: Listed) -> str:
    found = (match[1] for spec in _depends(row) if (match := _PYTHON.fullmatch(spec)))
    return next(found, "")
