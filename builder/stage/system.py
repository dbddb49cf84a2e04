"""Packages of the operating system that a stage needs: their versions enter the input key.

Two package databases are read, as data: dpkg (Debian, Ubuntu) and rpm (the RHEL family).
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass

from builder.config.machine import Machine
from builder.errors import BuilderError
from builder.process import Command, Processes

__all__ = ["installed"]


@dataclass(frozen=True, slots=True)
class _Database:
    program: str
    query: tuple[str, ...]
    install: str


_DATABASES = (
    _Database(
        "dpkg-query", ("-W", "-f", "${Package} ${Version} ${db:Status-Status}\n"), "apt-get install"
    ),
    _Database("rpm", ("-q", "--qf", "%{NAME} %{VERSION}-%{RELEASE} installed\n"), "dnf install"),
)


def installed(names: tuple[str, ...], machine: Machine, processes: Processes) -> dict[str, str]:
    """The version of each named package.

    Raises `BuilderError` naming every package that is missing and the command that adds them. On a machine with no
    package database that is known here the versions are `unknown`.
    """
    if not names:
        return {}
    search = ":".join(map(str, machine.path))
    database = next((row for row in _DATABASES if shutil.which(row.program, path=search)), None)
    if database is None:
        return dict.fromkeys(names, "unknown")
    command = Command(
        (database.program, *database.query, *names),
        machine.home,
        {"PATH": search, "LC_ALL": "C.UTF-8"},
        title="system packages",
        timeout=60,
    )
    answer = processes.run(command, capture=True, check=False).stdout
    rows = [line.split(" ") for line in answer.splitlines()]
    found = {row[0]: row[1] for row in rows if len(row) == 3 and row[2] == "installed"}  # noqa: PLR2004
    missing = tuple(name for name in names if name not in found)
    if missing:
        raise BuilderError(
            f"packages of the operating system are missing: {', '.join(missing)}",
            hint=f"{database.install} {' '.join(missing)}",
        )
    return {name: found[name] for name in names}
