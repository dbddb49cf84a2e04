"""Solve and install with py-rattler, in a process of its own: the only module of the core that knows it.

It is run by its path, with a file that holds the job and one for the result (both JSON), and imports nothing of
`builder`. Threads of the bindings may crash an interpreter that ends in the usual way; this one ends at once.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rattler import Gateway, GenericVirtualPackage, RepoDataRecord

__all__ = ["main"]

Job = Mapping[str, Any]


def main(words: list[str]) -> int:
    """Do the job in the file `words[0]`, write its result to `words[1]`; 1 when it failed."""
    job = json.loads(Path(words[0]).read_text(encoding="utf-8"))
    try:
        result = asyncio.run(_answers(job))
    except Exception as error:  # noqa: BLE001  # the border: the parent reads what is printed
        sys.stdout.write(f"{type(error).__name__}: {error}\n")
        return 1
    Path(words[1]).write_text(json.dumps(result), encoding="utf-8")
    return 0


async def _answers(job: Job) -> Sequence[Mapping[str, object]]:
    from rattler import Gateway  # noqa: PLC0415  # slow to load

    gateway = Gateway(cache_dir=Path(job["cache"]) / "repodata")
    return [await _answer(question, job, gateway) for question in job["questions"]]


async def _answer(question: Job, job: Job, gateway: Gateway) -> Mapping[str, object]:
    """What the solver chose, or why it could not."""
    from rattler.exceptions import SolverError  # noqa: PLC0415  # as above

    try:
        records = await _solved(question, job, gateway)
    except SolverError as error:
        return {"chosen": [], "why": str(error)}
    if job["prefix"]:
        await _install(records, question["subdir"], job)
    return {"chosen": [_told(record) for record in records], "why": ""}


async def _solved(question: Job, job: Job, gateway: Gateway) -> list[RepoDataRecord]:
    """The environment; of one that is there before, everything is kept that the question does not name."""
    from rattler import ChannelPriority, MatchSpec, solve  # noqa: PLC0415  # as above

    channels: Sequence[str] = job["channels"]
    priority = ChannelPriority.Disabled if job["are_one"] else ChannelPriority.Strict
    specs = [MatchSpec(spec, strict=False) for spec in question["specs"]]  # as people write them
    named = {spec.name.normalized for spec in specs}
    platforms = [question["subdir"], "noarch"]
    virtual = [_virtual(*row) for row in question["virtual"]]
    before: list[RepoDataRecord] = []
    if question["installed"]:
        before = await solve(
            channels,
            [MatchSpec(spec, strict=False) for spec in question["installed"]],
            gateway,
            platforms,
            virtual_packages=virtual,
            channel_priority=priority,
        )
    kept = [record for record in before if record.name.normalized not in named]
    return await solve(
        channels,
        [*specs, *(record.name.normalized for record in kept)],
        gateway,
        platforms,
        locked_packages=kept,
        virtual_packages=virtual,
        channel_priority=priority,
    )


def _virtual(name: str, version: str, build: str) -> GenericVirtualPackage:
    from rattler import (  # noqa: PLC0415  # as above
        BuildString,
        GenericVirtualPackage,
        PackageName,
        Version,
    )

    return GenericVirtualPackage(PackageName(name), Version(version), BuildString(build))


async def _install(records: list[RepoDataRecord], subdir: str, job: Job) -> None:
    from rattler import Subdir, install  # noqa: PLC0415  # as above

    await install(
        records,
        target_prefix=job["prefix"],
        cache_dir=Path(job["cache"]) / "packages",
        platform=Subdir(subdir),
        show_progress=False,
    )


def _told(record: RepoDataRecord) -> Mapping[str, object]:
    return {
        "name": record.name.normalized,
        "version": str(record.version),
        "build": str(record.build),
        "build_number": record.build_number,
        "features": list(record.track_features),
        "depends": [str(spec) for spec in record.depends],
        "url": str(record.url),
    }


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(code)
