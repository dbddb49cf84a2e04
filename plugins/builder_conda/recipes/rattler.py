"""Ask rattler-build: every question a process of its own, with a clean environment and a time limit."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from builder.channel.solve import INSTALL, channel_url
from builder.config.machine import Machine
from builder.errors import BuilderError, UsageError
from builder.process import Command, ProcessError, Processes
from builder.relink.patchelf import patchelf_program

__all__ = ["Rattler", "channel_urls"]

_WORKER: Final = Path(__file__).with_name("rattler_worker.py")
_LIMIT: Final = 4 * 60 * 60.0
_SHORT: Final = 120.0


@dataclass(frozen=True, slots=True)
class Rattler:
    """How workers are started. `cache` is where packages are kept unpacked; `limit` is in seconds."""

    machine: Machine
    processes: Processes
    cache: Path
    limit: float = _LIMIT
    variables: Mapping[str, str] = field(default_factory=dict)

    def ask(self, job: Mapping[str, object], title: str) -> Any:
        """A question that builds nothing. Raises `UsageError` with rattler-build's own words."""
        with tempfile.TemporaryDirectory(prefix="builder-conda-") as folder:
            try:
                return self.run(job, Path(folder), title=title, limit=_SHORT)
            except ProcessError as error:
                raise UsageError(
                    f"rattler-build refuses `{job.get('recipe') or job.get('files')}`",
                    faults=error.last_lines,
                    hint="change what it names, then run the same command again",
                ) from error

    def run(
        self,
        job: Mapping[str, object],
        folder: Path,
        *,
        title: str,
        log: Path | None = None,
        limit: float = 0,
        variables: Mapping[str, str] | None = None,
    ) -> Any:
        """Do one job in `folder`, which is the worker's own. Raises `ProcessError`."""
        _require()
        for name in ("home", "tmp", "tools"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        asked, answer = folder / "job.json", folder / "result.json"
        answer.unlink(missing_ok=True)
        asked.write_text(json.dumps(job), encoding="utf-8")
        command = Command(
            (str(self.machine.python), "-I", str(_WORKER), str(asked), str(answer)),
            folder,
            {**self._environment(folder), **self.variables, **(variables or {})},
            title=title,
            timeout=limit or self.limit,
        )
        self.processes.run(command, log=log)
        try:
            return json.loads(answer.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise BuilderError(
                f"{title}: the worker ended without an answer",
                hint="the log shows how far it came",
                log=str(log or ""),
            ) from error

    def _environment(self, folder: Path) -> Mapping[str, str]:
        """Everything the worker sees: no shims, no caller's variables, `patchelf` first."""
        tools = folder / "tools"
        if self.machine.os == "linux":
            with suppress(FileExistsError):
                (tools / "patchelf").symlink_to(patchelf_program())
        return {
            **self.machine.network,
            "PATH": ":".join(map(str, (tools, *self.machine.path))),
            "HOME": str(folder / "home"),
            "TMPDIR": str(folder / "tmp"),
            "RATTLER_CACHE_DIR": str(self.cache),
            "LC_ALL": "C.UTF-8",
        }


def channel_urls(texts: Sequence[str]) -> tuple[str, ...]:
    """Every channel, in their order."""
    return tuple(dict.fromkeys(channel_url(text) for text in texts))


def _require() -> None:
    if find_spec("rattler_build") is None:
        raise BuilderError(
            "`recipe.yaml` is built by rattler-build, which is not installed", hint=INSTALL
        )
