"""Variant keys that a build script reads, and that do not enter the hash: two variants would be one package. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["Script", "scripts_of", "unhashed"]

_DEFAULTS: Final = ("build.sh", "build.bat")
_COMMENT: Final = re.compile(r"\s*(#|::|@?rem\b)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Script:
    """A build script: what it is called in the recipe, and its text."""

    name: str
    text: str


def scripts_of(recipe: Mapping[str, Any], beside: Mapping[str, str]) -> tuple[Script, ...]:
    """The scripts of an evaluated output; `beside` are the text files of the recipe's folder by name."""
    script = recipe.get("build", {}).get("script")
    if script is None:
        return tuple(Script(name, beside[name]) for name in _DEFAULTS if name in beside)
    if isinstance(script, Mapping):
        file = str(script.get("file", ""))
        if file:
            names = (file, f"{file}.sh", f"{file}.bat")
            return tuple(Script(name, beside[name]) for name in names if name in beside)
        script = script.get("content", "")
    lines = [script] if isinstance(script, str) else [str(line) for line in script]
    if len(lines) == 1 and lines[0] in beside:
        return (Script(lines[0], beside[lines[0]]),)
    return (Script("build.script", "\n".join(lines)),)


def unhashed(
    scripts: Iterable[Script], keys: Iterable[str], hashed: Mapping[str, str]
) -> tuple[str, ...]:
    """Every place where a script reads a key that is not hashed, with the line to write in the recipe."""
    missing = sorted(set(keys) - hashed.keys())
    return tuple(problem for script in scripts for problem in _reads(script, missing))


def _reads(script: Script, keys: Iterable[str]) -> Iterator[str]:
    lines = script.text.splitlines()
    for key in keys:
        read, assigned = _patterns(key)
        for number, line in enumerate(lines, 1):
            if assigned.search(line):
                break
            if not _COMMENT.match(line) and read.search(line):
                yield (
                    f"{script.name}, line {number}: reads `{key}`, which does not enter the hash: "
                    f"add `variant: {{use_keys: [{key}]}}` to `build`"
                )
                break


def _patterns(key: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """How a variable is read by shells, batch files, PowerShell and Python, and how a shell sets its own."""
    name = re.escape(key)
    read = rf"\$\{{{name}\b|\${name}\b|%{name}%|\$env:{name}\b|(?:environ|getenv)\W{{1,6}}(?:get\W{{1,3}})?{name}\b"
    assigned = rf"^\s*(?:export\s+|local\s+)?{name}=(?!\$\{{?{name}\b)|^\s*for\s+{name}\s+in\b|^\s*read\s+{name}\b"
    return re.compile(read), re.compile(assigned)
