"""Packages used where a client of their own installs them, after all packages of a call are made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from builder.backend import Installs, Tools
from builder.errors import BuilderError, Interrupted
from builder.stage.workbench import Workbench
from builder.verbs.check import check_home
from builder.verbs.companions import belongs
from builder.verbs.lines import Line
from builder.verbs.outcome import Made, Results
from builder.verbs.trials import scratch
from smoke.catalogue import Check
from smoke.report import Report, Result, merged

__all__ = ["Using"]

_ID: Final = "env.install"
_REMEDY: Final = (
    "give the channels that bring what it requires (`--channel`), or correct what it requires"
)


@dataclass(frozen=True, slots=True)
class Using:
    """Where the packages of one call are installed from, besides each other, and what their checks are."""

    lines: Sequence[Line]
    channels: tuple[str, ...]
    bench: Workbench
    extra: tuple[Check, ...] = ()

    def beside(self, line: Line) -> tuple[Line, ...]:
        """The lines whose packages may be installed with that of a line: of no Python, or of the same one."""
        name, pythons = line.backend.name, {None, line.spec.target.python}
        targets = ((one, one.spec.target) for one in self.lines)
        return tuple(
            one
            for one, target in targets
            if belongs(target.package_type, name) and target.python in pythons
        )

    def use(self, line: Line, done: Results, *, own: bool) -> Made:
        """The checked package of a line, with what an environment says that it was installed into.

        `own` says whether the C++ consumer is this line's to compile.
        """
        made = done[f"check {line.name}"]
        assert isinstance(made, Made)
        assert isinstance(line.backend, Installs)
        found = [done[f"check {other.name}"] for other in self.beside(line)]
        files = tuple(dict.fromkeys(other.file for other in found if isinstance(other, Made)))
        if reason := line.backend.absent(line.spec, self.channels, self.bench.machine):
            report = Report(str(made.file), (Result(_ID, "skip", reason=reason),))
        else:
            report = self._tried(line, made.file, files, own=own)
        return replace(made, report=merged(made.report, report) if made.report else report)

    def _tried(self, line: Line, package: Path, beside: tuple[Path, ...], *, own: bool) -> Report:
        """Install the package and ask its environment."""
        backend, bench = line.backend, self.bench
        assert isinstance(backend, Installs)
        with scratch(bench.machine) as folder:
            tools = Tools(
                bench.processes, bench.machine, bench.machine.python, folder, folder / "log"
            )
            try:
                home = backend.install(package, beside, line.spec, self.channels, tools)
            except Interrupted:
                raise
            except BuilderError as error:
                problems = (error.message, *error.faults)
                row = Result(_ID, "fail", problems=problems, remedy=_REMEDY)
                return Report(str(package), (row,))
            asked = home if own else replace(home, core=None)
            return check_home(asked, line.spec, bench, folder, self.extra)
