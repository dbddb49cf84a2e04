"""The programs of a wheel: entry points, and scripts whose first line waits for an interpreter.

Formats: the specifications "Entry points" and "Binary distribution format" (`#!python`).
"""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from builder.archive.conda_package import CondaFile
from builder.errors import UsageError
from builder_conda.launchers import launcher
from builder_conda.layout import Layout

__all__ = ["PLACEHOLDER", "EntryPoint", "entry_points", "interpreter_line", "programs"]

PLACEHOLDER: Final = "/opt/" + 25 * "placehold_"
"""255 characters, as everybody has it: any prefix that fits elsewhere fits in its place."""
_GROUPS: Final = {"console_scripts": False, "gui_scripts": True}
"""Groups of programs, and whether they are without a console."""
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_WORDS: Final = r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*"
_TARGET: Final = re.compile(rf"({_WORDS})\s*:\s*({_WORDS})\s*(?:\[[^\]]*\])?")
_SHEBANG: Final = re.compile(rb"#!pythonw?(?=[ \t\r\n]|$)")
_SCRIPT: Final = """\
# -*- coding: utf-8 -*-
import re
import sys

from {module} import {top}

if __name__ == "__main__":
    sys.argv[0] = re.sub(r"(-script\\.pyw?|\\.exe)?$", "", sys.argv[0])
    sys.exit({function}())
"""


@dataclass(frozen=True, slots=True, order=True)
class EntryPoint:
    """A program by the function it calls; `str` is what `link.json` has. `gui` is without a console."""

    name: str
    module: str
    function: str
    gui: bool = False

    def __str__(self) -> str:
        return f"{self.name} = {self.module}:{self.function}"

    @property
    def script(self) -> str:
        """The program, without its first line."""
        top = self.function.partition(".")[0]
        return _SCRIPT.format(module=self.module, top=top, function=self.function)


def entry_points(content: bytes) -> tuple[EntryPoint, ...]:
    """The programs that `entry_points.txt` asks for, sorted. Raises `UsageError` for what is none."""
    parser = configparser.RawConfigParser(delimiters=("=",), strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]  # documented: names keep their case
    try:
        parser.read_string(content.decode("utf-8"))
    except (configparser.Error, UnicodeDecodeError) as error:
        raise _wrong(str(error).splitlines()[0]) from error
    found = {}
    for group, gui in _GROUPS.items():
        for name, target in parser.items(group) if parser.has_section(group) else ():
            match = _TARGET.fullmatch(target.strip())
            if match is None or not _NAME.fullmatch(name):
                raise _wrong(f"{name!r} = {target!r} is no program")
            found[name] = EntryPoint(name, match[1], match[2], gui)
    return tuple(sorted(found.values()))


def programs(points: tuple[EntryPoint, ...], layout: Layout) -> Iterator[CondaFile]:
    """The scripts of a package for one Python; those of any Python are written by the installer."""
    for point in points:
        if layout.kind == "unix":
            text = f"#!{PLACEHOLDER}/bin/python\n{point.script}"
            yield CondaFile(
                f"{layout.scripts}/{point.name}", text.encode(), True, placeholder=PLACEHOLDER
            )
        else:
            program = launcher(layout.subdir, point.script, gui=point.gui)
            yield CondaFile(f"{layout.scripts}/{point.name}.exe", program)


def interpreter_line(head: bytes, layout: Layout) -> tuple[bytes, int] | None:
    """What stands for the `#!python` that a script begins with, and how many bytes that has.

    None for a script that names its own, and on Windows, where no first line counts.
    """
    if layout.kind == "windows" or not (match := _SHEBANG.match(head)):
        return None
    return f"#!{PLACEHOLDER}/bin/python".encode(), match.end()


def _wrong(why: str) -> UsageError:
    return UsageError(f"entry_points.txt cannot be used: {why}", hint="build the wheel again")
