"""Which of the packages of one call users get: asked of a real solver, before they are delivered.

What the packages require and nobody here brings (`python`, `numpy`) is imagined, in the version that they ask
for: the question is which of our builds a solver takes, and not whether the rest of the world is there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Final, cast

from builder.archive.conda_package import SUBDIRS
from builder.backend import Tools, Trial
from builder.channel import channel
from builder.channel.judge import Expectation, judge, needs_gpu, standard
from builder.channel.package import Listed, read_listed
from builder.channel.question import Question
from builder.channel.solve import INSTALL, Client

__all__ = ["Judged", "expectations", "imagined", "upgrades"]

_ID: Final = "conda.solver"
_UPGRADE: Final = "conda.upgrade"
_NEWEST: Final = "99.0"
"""A driver that runs everything."""
_BOUND: Final = re.compile(r"(>=|<=|==|!=|~=|<|>|=|)\s*(\d[\w.!+]*)")
_LEAST: Final = frozenset({"", "=", "==", "~=", ">="})
_PYTHON: Final = re.compile(r"python (\d+\.\d+)\.\*")


class Judged:
    """The packages of one call, and what people have already in `channels`."""

    def __init__(self, packages: Sequence[Path], channels: tuple[str, ...], tools: Tools) -> None:
        self._packages, self._channels, self._tools = packages, channels, tools

    def solved(self) -> Trial:
        """What users would not get as they are meant to. Raises `BuilderError` when nothing can be asked."""
        asked = expectations(self._listed)
        if not asked:
            return Trial(_ID, reason="no package is there with and without a requirement of a GPU")
        if find_spec("rattler") is None:
            return Trial(_ID, reason=f"py-rattler is not installed: {INSTALL}")
        return _trial(_ID, asked, self._client(self._shown))

    def upgraded(self) -> Trial:
        """What users of an earlier release would not get when they upgrade. Raises `BuilderError`."""
        if not self._channels:
            return Trial(_UPGRADE, reason="no channel was given that may hold an earlier release")
        if find_spec("rattler") is None:
            return Trial(_UPGRADE, reason=f"py-rattler is not installed: {INSTALL}")
        asked = upgrades(self._listed)
        before = [
            replace(one.question, specs=one.question.installed, installed=()) for one in asked
        ]
        answers = self._client(*self._channels).solve(before) if asked else ()
        there = [row for row, answer in zip(asked, answers, strict=True) if answer.chosen]
        if not there:
            reason = "the channels hold no earlier release that can be installed"
            return Trial(_UPGRADE, reason=reason)
        return _trial(_UPGRADE, there, self._client(self._shown, *self._channels))

    @cached_property
    def _listed(self) -> Sequence[Listed]:
        return [read_listed(path) for path in self._packages]

    @cached_property
    def _shown(self) -> str:
        """A channel that holds the packages."""
        folder = self._tools.work / "channel"
        channel.create(folder)
        channel.add(folder, self._packages)
        return str(folder)

    def _client(self, *channels: str) -> Client:
        """A solver to whom the packages are in the same channel as what people have."""
        tools = self._tools
        return Client(channels, tools.machine, tools.processes, tools.work / "cache", are_one=True)


def _trial(name: str, asked: Sequence[Expectation], client: Client) -> Trial:
    return Trial(name, tuple(one.problem for one in judge(asked, client) if one.problem))


def expectations(listed: Sequence[Listed]) -> tuple[Expectation, ...]:
    """The questions about every package, for each Python and platform that it is for."""
    own = {str(row.entry["name"]) for row in listed}
    groups = _groups(row for row in listed if row.subdir in SUBDIRS and row.subdir != "noarch")
    return tuple(
        replace(one, question=replace(one.question, virtual=imagined(specs, own)))
        for (name, subdir, _), rows in groups
        for specs in [[spec for row in (*rows, *_others(listed, name)) for spec in _depends(row)]]
        for one in standard(name, [row.entry for row in rows], subdir)
    )


def upgrades(listed: Sequence[Listed]) -> tuple[Expectation, ...]:
    """Upgrades where an earlier version or build is: to the new build that is for the machine.

    People who chose the processor keep it. What is newer than this release is not looked at.
    """
    names = {str(row.entry["name"]) for row in listed}
    return tuple(
        Expectation(
            replace(question, installed=(earlier, *question.installed)),
            name,
            str(row.entry["build"]),
            str(row.entry["version"]),
        )
        for (name, _, _), rows in _groups(filter(_python_of, listed))
        for question, row in _owners(rows, has_choice=f"{name}-cpu" in names)
        for earlier in _earlier(row)
    )


def _groups(
    listed: Iterable[Listed],
) -> Sequence[tuple[tuple[str, str, str], Sequence[Listed]]]:
    """The builds of one name, subdir and Python, which users choose from; sorted."""
    groups: dict[tuple[str, str, str], list[Listed]] = {}
    for row in listed:
        place = (str(row.entry["name"]), row.subdir, _python_of(row))
        groups.setdefault(place, []).append(row)
    return sorted(groups.items())


def _owners(rows: Sequence[Listed], *, has_choice: bool) -> Iterator[tuple[Question, Listed]]:
    """Each kind of machine with what is on it, and the one of the new builds that it is to get."""
    name, version, python = rows[0].entry["name"], rows[0].entry["version"], _python_of(rows[0])
    bare = Question((f"{name} <={version}",), rows[0].subdir, installed=(f"python {python}.*",))
    plain = [row for row in rows if not needs_gpu(row.entry)]
    others = [row for row in rows if needs_gpu(row.entry)]
    if plain:
        yield bare, max(plain, key=_number)
    if others:
        yield replace(bare, cuda=_NEWEST), max(others, key=_number)
    if plain and others and has_choice:
        chose = (*bare.installed, f"{name}-cpu")
        yield replace(bare, cuda=_NEWEST, installed=chose), max(plain, key=_number)


def _earlier(row: Listed) -> tuple[str, ...]:
    """What people may have: an earlier version, or an earlier build of this one."""
    name, version = row.entry["name"], row.entry["version"]
    return (f"{name} <{version}", f"{name}[version='=={version}',build_number='<{_number(row)}']")


def _number(row: Listed) -> int:
    return cast("int", row.entry["build_number"])


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
