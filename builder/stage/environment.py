"""Python environments: requirements locked once, installed at a stable path, shared by builds.

The path follows from the lock, so compiler caches see the same include folders in every build.
Environments cannot be moved, so they are made in place; a marker, written last, says one is whole.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from builder.archive.file import file_digest
from builder.config.machine import Machine
from builder.config.toolchain import Interpreter
from builder.errors import UsageError
from builder.process import ProcessError, Processes
from builder.stage.store import TreeStore
from builder.stage.uv import explain, index_digest, run_uv

__all__ = ["Environment", "ensure", "fresh", "known_lock", "lock"]

_FORMAT: Final = 1
_MARKER: Final = "builder-complete.json"
_WHEEL: Final = re.compile(r"(?P<project>[^-]+)-[^-]+(-\d[^-]*)?-[^-]+-[^-]+-[^-]+\.whl")


@dataclass(frozen=True, slots=True)
class Environment:
    """One virtual environment: its folder, its interpreter, its folder of programs."""

    root: Path
    python: Path
    path: Path


def lock(
    requirements: Sequence[str],
    interpreter: Interpreter,
    store: TreeStore,
    machine: Machine,
    processes: Processes,
) -> tuple[str, ...]:
    """The exact versions (`name==1.2.3`) that satisfy `requirements` for this interpreter, sorted.

    The first answer is kept in the store, so that later calls agree with it and need no network.
    Raises `BuilderError` with the resolver's explanation.
    """
    if (known := known_lock(requirements, interpreter, store, machine)) is not None:
        return known
    file = _lock_file(requirements, interpreter, store, machine)
    with store.exclusive(f"requirements-{file.stem}"):
        if (known := known_lock(requirements, interpreter, store, machine)) is not None:
            return known
        file.parent.mkdir(exist_ok=True)
        wanted = file.with_suffix(".in")
        wanted.write_text("".join(f"{text}\n" for text in sorted(set(requirements))), "utf-8")
        try:
            answer = run_uv(
                (
                    "pip", "compile", "--python", str(interpreter.executable), "--no-header",
                    "--no-annotate", "--quiet", wanted.name,
                ),
                machine,
                processes,
                directory=file.parent,
                title="resolve requirements",
            )  # fmt: skip
        except ProcessError as error:
            raise explain(
                error,
                f"no set of packages satisfies {', '.join(requirements)} "
                f"for CPython {interpreter.version}",
                "relax or correct the requirements, or choose another Python",
            ) from error
        finally:
            wanted.unlink(missing_ok=True)
        pins = sorted(line for line in answer.stdout.splitlines() if line and line[0] not in "#-")
        partial = file.with_suffix(".part")
        partial.write_text("".join(f"{pin}\n" for pin in pins), "utf-8")
        partial.replace(file)
    return tuple(pins)


def known_lock(
    requirements: Sequence[str], interpreter: Interpreter, store: TreeStore, machine: Machine
) -> tuple[str, ...] | None:
    """What `lock` answers, if it needs no network to answer."""
    if not requirements:
        return ()
    try:
        text = _lock_file(requirements, interpreter, store, machine).read_text("utf-8")
    except FileNotFoundError:
        return None
    return tuple(text.splitlines())


def ensure(
    locked: Sequence[str],
    interpreter: Interpreter,
    store: TreeStore,
    machine: Machine,
    processes: Processes,
) -> Environment:
    """The shared environment that holds exactly `locked`. Raises `BuilderError`.

    Builds use it side by side: treat it as read-only.
    """
    facts = {"format": _FORMAT, "locked": sorted(locked), "interpreter": interpreter.identity}
    root = store.environments / _digest(facts)[:16]
    if _is_whole(root, facts):
        return _environment(root, machine)
    with store.exclusive(f"environment-{root.name}"):
        if _is_whole(root, facts):
            return _environment(root, machine)
        shutil.rmtree(root, ignore_errors=True)
        _install(root, interpreter, tuple(locked), machine, processes, exact=True)
        marker = root / f"{_MARKER}.part"
        marker.write_text(json.dumps(facts, indent=1), "utf-8")
        marker.replace(root / _MARKER)
    return _environment(root, machine)


def fresh(
    folder: Path,
    interpreter: Interpreter,
    requirements: Sequence[str],
    machine: Machine,
    processes: Processes,
    *,
    wheel: Path | None = None,
    log: Path | None = None,
) -> Environment:
    """A new environment in `folder`: `requirements`, and the exact bytes of `wheel`.

    What the wheel requires comes along. `folder` must not exist. Raises `BuilderError` with the
    resolver's explanation.
    """
    if folder.exists():
        raise UsageError(
            f"`{folder}` exists already",
            hint="give the folder of an environment that is to be made",
        )
    wanted = tuple(requirements) if wheel is None else (_exact(wheel), *requirements)
    _install(folder, interpreter, wanted, machine, processes, log=log)
    return _environment(folder, machine)


def _install(
    root: Path,
    interpreter: Interpreter,
    wanted: tuple[str, ...],
    machine: Machine,
    processes: Processes,
    *,
    exact: bool = False,
    log: Path | None = None,
) -> None:
    """Make an environment in `root`, or leave nothing. `exact`: no dependency is looked for."""
    root.parent.mkdir(parents=True, exist_ok=True)
    try:
        create = ("venv", "--quiet", "--python", str(interpreter.executable), str(root))
        run_uv(
            create, machine, processes, directory=root.parent, title="create environment", log=log
        )
        if not wanted:
            return
        listing = root / "builder-requirements.txt"
        listing.write_text("".join(f"{text}\n" for text in wanted), "utf-8")
        install = (
            "pip", "install", "--quiet", "--python", str(_environment(root, machine).python),
            *(("--no-deps",) if exact else ()), "--requirements", str(listing),
        )  # fmt: skip
        run_uv(install, machine, processes, directory=root, title="install packages", log=log)
    except ProcessError as error:
        shutil.rmtree(root, ignore_errors=True)
        raise explain(
            error,
            f"{', '.join(wanted) or 'an empty environment'} cannot be installed "
            f"for CPython {interpreter.version}",
            "see what is said above; a package without a wheel for this Python needs compilers",
        ) from error
    except BaseException:
        shutil.rmtree(root, ignore_errors=True)
        raise


def _exact(wheel: Path) -> str:
    """A requirement that only the bytes of this file can satisfy."""
    match = _WHEEL.fullmatch(wheel.name)
    if match is None or not wheel.is_file():
        raise UsageError(f"`{wheel}` is not a wheel", hint="give the path of a `.whl` file")
    return f"{match['project']} @ {wheel.resolve().as_uri()}#sha256={file_digest(wheel)}"


def _is_whole(root: Path, facts: object) -> bool:
    try:
        marked = json.loads((root / _MARKER).read_text("utf-8"))
    except (OSError, ValueError):
        return False
    # The interpreter behind the link may have been removed since.
    return bool(marked == facts) and any(
        (root / place).exists() for place in ("bin/python", "Scripts/python.exe")
    )


def _environment(root: Path, machine: Machine) -> Environment:
    if machine.os == "windows":
        return Environment(root, root / "Scripts" / "python.exe", root / "Scripts")
    return Environment(root, root / "bin" / "python", root / "bin")


def _lock_file(
    requirements: Sequence[str], interpreter: Interpreter, store: TreeStore, machine: Machine
) -> Path:
    facts = {
        "format": _FORMAT,
        "requirements": sorted(set(requirements)),
        "interpreter": interpreter.identity,
        "index": index_digest(machine.index),
    }
    return store.root / "requirements" / f"{_digest(facts)[:32]}.txt"


def _digest(facts: object) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
