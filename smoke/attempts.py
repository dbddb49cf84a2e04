"""One import or one command of the recipe in a ready environment: why it does not succeed."""

from __future__ import annotations

from pathlib import Path

from builder.process import Command, ProcessError, clean_environment
from smoke.endings import ending, starved
from smoke.probing import ask
from smoke.subject import Subject, installed_of

__all__ = ["command_fault", "import_fault"]

_SHELL_LINES = 3


def import_fault(subject: Subject, module: str) -> str:
    """Why one module does not import in a process of its own, or nothing."""
    limits = subject.checks.timeout, subject.checks.memory
    answer = ask(installed_of(subject), "import_probe.py", (module,), *limits)
    if answer.said is None:
        return answer.ending
    error = answer.said.get("error")
    if error:
        return starved(str(error), subject.checks.memory)
    return f"imports, then {answer.ending}" if answer.ending else ""


def command_fault(subject: Subject, argv: tuple[str, ...]) -> str:
    """Why one command fails in the neutral folder, with what it said last, or nothing."""
    installed = installed_of(subject)
    environment = clean_environment(installed.scratch, (installed.python.parent, *installed.path))
    command = Command(
        argv,
        installed.scratch,
        environment,
        title=Path(argv[0]).name,
        timeout=subject.checks.timeout,
        memory=subject.checks.memory,
    )
    try:
        completed = installed.processes.run(command, check=False)
    except ProcessError as error:
        return error.message
    fault = ending(completed)
    more = completed.last_lines[-_SHELL_LINES - 1 : -1]
    return f"{fault} (before that: {' | '.join(more)})" if fault and more else fault
