"""What delivered packages are together, made once at the end of a call: the index of a channel, for example."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from builder.backend import Gathers
from builder.errors import BuilderError
from builder.requests import Failure
from builder.verbs.companions import belongs
from builder.verbs.lines import Line
from builder.verbs.outcome import Made, Results

__all__ = ["gathered"]


def gathered(lines: Sequence[Line], results: Results, output: Path) -> tuple[Failure, ...]:
    """The failures of backends that gather what was delivered of theirs, and of their companions."""
    failures: list[Failure] = []
    delivered = {
        line.spec.target.package_type
        for line in lines
        if isinstance(results.get(f"deliver {line.name}"), Made)
    }
    backends = {
        line.backend.name: line.backend for line in lines if isinstance(line.backend, Gathers)
    }
    for name, backend in backends.items():
        is_led = any(other != name and belongs(name, other) for other in backends)
        if not is_led and any(belongs(kind, name) for kind in delivered):
            try:
                backend.gather(output.absolute())
            except BuilderError as error:
                failures.append(Failure.of(str(output), "index", error))
    return tuple(failures)
