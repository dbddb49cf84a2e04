"""The CPythons of this machine: where they are, what they are, which one serves a target."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from builder.config.machine import Machine
from builder.config.python import Python
from builder.config.toolchain import Interpreter
from builder.errors import BuilderError, UsageError
from builder.process import Command, Processes
from builder.stage.remembered import Remembered

__all__ = ["Found", "find", "survey"]

_PROBE: Final = Path(__file__).with_name("_probe.py")
_NAME: Final = re.compile(r"python(?:\d(?:\.\d+)?)?(?:mu|m|t)?(?:\.exe)?")
_ANSWER: Final = "builder-probe "
_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Found:
    """One CPython, and what decides between several of one ABI.

    `headers` says whether extensions can be compiled for it.
    """

    interpreter: Interpreter
    release: tuple[int, ...]
    headers: bool


def find(
    wanted: Sequence[Python | Path] | Literal["all"], machine: Machine, processes: Processes
) -> Mapping[Python, Interpreter | BuilderError]:
    """One interpreter for each wanted Python, or the error that says where it was looked for.

    A path is an interpreter the user insists on; one that is no CPython raises `UsageError`. Of
    several with one ABI the one with headers wins, then the newest, then the first on the search
    path. `all` is every one there is.
    """
    if wanted == "all":
        return _best(machine, processes)
    memory = _memory(machine)
    answers: dict[Python, Interpreter | BuilderError] = {}
    for path in (word for word in wanted if isinstance(word, Path)):
        given = _explicit(path, machine, processes, memory)
        answers.setdefault(given.python, given)
    memory.save()
    pythons = [word for word in wanted if isinstance(word, Python) and word not in answers]
    best = _best(machine, processes) if pythons else {}
    return answers | {python: best.get(python, _missing(python, machine)) for python in pythons}


def _best(machine: Machine, processes: Processes) -> dict[Python, Interpreter | BuilderError]:
    return {found.interpreter.python: found.interpreter for found in survey(machine, processes)}


def _memory(machine: Machine) -> Remembered:
    return Remembered(machine.cache, "interpreters", _digest(_PROBE.read_bytes()))


def survey(machine: Machine, processes: Processes) -> tuple[Found, ...]:
    """The best interpreter of every ABI on this machine, ordered by ABI."""
    memory = _memory(machine)
    found: list[Found] = []
    for path in _candidates(machine):
        facts = _probe(path, machine, processes, memory)
        if isinstance(facts, dict) and (judged := _judge(path, facts)):
            found.append(judged)
    memory.save()
    return _preferred(found)


def _preferred(found: Sequence[Found]) -> tuple[Found, ...]:
    """Of each ABI the one with headers, then the newest, then the first."""
    best: dict[Python, Found] = {}
    for choice in found:
        rival = best.get(choice.interpreter.python)
        if rival is None or (choice.headers, choice.release) > (rival.headers, rival.release):
            best[choice.interpreter.python] = choice
    return tuple(best[python] for python in sorted(best))


def _candidates(machine: Machine) -> Iterator[Path]:
    """Real files that are called like an interpreter, in the order of preference, each once."""
    folders = [*machine.path]
    for root in machine.python_roots:
        folders += [root / "bin", *sorted(_listed(root, "*/bin"), reverse=True)]
    seen: set[Path] = set()
    for folder in folders:
        for file in sorted(_listed(folder, "python*")):
            if not _NAME.fullmatch(file.name):
                continue
            real = file.resolve()
            if real in seen or not _is_program(real):
                continue
            seen.add(real)
            yield real


def _listed(folder: Path, pattern: str) -> Iterable[Path]:
    try:
        return list(folder.glob(pattern))
    except OSError:
        return ()


def _is_program(real: Path) -> bool:
    """Whether this is a binary of its own: no shim, no wrapper, no copy inside an environment."""
    try:
        with real.open("rb") as file:
            script = file.read(2) == b"#!"
    except OSError:
        return False
    return not script and not (real.parent.parent / "pyvenv.cfg").exists()


def _explicit(
    path: Path, machine: Machine, processes: Processes, memory: Remembered
) -> Interpreter:
    if not path.is_file():
        raise UsageError(
            f"there is no interpreter `{path}`", hint="give the path of a python executable"
        )
    real = path.resolve()
    facts = _probe(real, machine, processes, memory)
    if isinstance(facts, str):
        raise UsageError(
            f"`{path}` does not answer as a Python does", faults=[facts] if facts else [],
            hint="run it by hand; it must start without any environment variables",
        )  # fmt: skip
    found = _judge(real, facts)
    if found is None:
        raise UsageError(
            f"`{path}` is {facts['implementation']} {facts['version']} "
            f"with the ABI flags `{facts['abiflags']}`",
            hint="wheels are built with ordinary and free-threaded builds of CPython",
        )
    return found.interpreter


def _probe(
    real: Path, machine: Machine, processes: Processes, memory: Remembered
) -> dict[str, object] | str:
    """What an interpreter says of itself, remembered until its file changes; or its last words."""
    known = memory.get(real)
    if known is not None:
        return known
    command = Command(
        (str(real), "-E", "-s", "-S", "-c", _PROBE.read_text(encoding="utf-8")),
        real.parent,
        {"PATH": ":".join(map(str, machine.path)), "HOME": str(machine.home), "LC_ALL": "C.UTF-8"},
        title=f"probe {real.name}",
        timeout=_SECONDS,
    )
    try:
        completed = processes.run(command, capture=True, check=False)
    except BuilderError as error:
        if error.exit_code != BuilderError.exit_code:
            raise
        return error.message
    lines = [line for line in completed.stdout.splitlines() if line.startswith(_ANSWER)]
    if completed.returncode or not lines:
        return "\n".join(completed.last_lines[-3:])
    facts: dict[str, object] = json.loads(lines[-1].removeprefix(_ANSWER))
    memory.put(real, facts)
    return facts


def _judge(real: Path, facts: Mapping[str, object]) -> Found | None:
    """A usable CPython, or None for another implementation or a debug build."""
    if facts["implementation"] != "CPython":
        return None
    version = str(facts["version"])
    try:
        python = Python(int(str(facts["major"])), int(str(facts["minor"])), str(facts["abiflags"]))
    except UsageError:
        return None
    identity = _digest(json.dumps([str(python), version, facts["suffix"], facts["build"]]).encode())
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:3])
    # Headers come and go with a package, while the program's file stays as it is: look every time.
    return Found(
        Interpreter(python, real, version, identity), numbers, Path(str(facts["headers"])).is_file()
    )


def _missing(python: Python, machine: Machine) -> BuilderError:
    places = [f"{folder}/python*" for folder in machine.path]
    places += [f"{root}/*/bin/python*" for root in machine.python_roots]
    free_threaded = "t" if python.free_threaded else ""
    return BuilderError(
        f"there is no CPython {python.spelling} on this machine",
        faults=[f"searched {place}" for place in dict.fromkeys(places)],
        hint=f"`apt-get install python{python.version}-dev`, "
        f"`pyenv install {python.version}{free_threaded}`, "
        "or give its path with `--python /path/to/python`",
    )


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
