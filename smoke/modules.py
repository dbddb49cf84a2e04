"""Which modules a wheel most likely wants imported, when its recipe names none."""

from __future__ import annotations

from collections.abc import Iterable

from smoke.content import SITE
from smoke.subject import Content, Subject

__all__ = ["modules_of", "top_level_modules"]

_NOT_MEANT = frozenset(
    ("test", "tests", "testing", "example", "examples", "doc", "docs", "benchmark", "benchmarks")
)


def modules_of(subject: Subject) -> tuple[tuple[str, ...], bool]:
    """The modules to import, and whether they are a guess because the recipe names none."""
    if subject.checks.imports:
        return subject.checks.imports, False
    return (top_level_modules(subject.content) if subject.content else ()), True


def top_level_modules(content: Content) -> tuple[str, ...]:
    """Modules at the top of the installed wheel, namespace packages followed down to real ones.

    Private names and tests are left out; private ones come back when there is nothing else.
    """
    paths = [
        member.installed.removeprefix(f"{SITE}/").split("/")
        for member in content.members
        if member.installed.startswith(f"{SITE}/")
    ]
    modules = sorted(set(_modules(paths, ())))
    public = [
        name
        for name in modules
        if not name.rsplit(".", 1)[-1].startswith("_") and name.split(".")[-1] not in _NOT_MEANT
    ]
    return tuple(public or [name for name in modules if name not in _NOT_MEANT])


def _modules(paths: list[list[str]], above: tuple[str, ...]) -> Iterable[str]:
    """The packages and modules of one folder; `paths` are relative to it."""
    folders = sorted({path[0] for path in paths if len(path) > 1 and path[0].isidentifier()})
    for folder in folders:
        below = [path[1:] for path in paths if path[0] == folder and len(path) > 1]
        if any(len(path) == 1 and _module(path[0]) == "__init__" for path in below):
            yield ".".join((*above, folder))
        elif folder not in _NOT_MEANT:
            yield from _modules(below, (*above, folder))
    for path in paths:
        name = _module(path[0]) if len(path) == 1 else ""
        if name.isidentifier() and not name.startswith("__"):
            yield ".".join((*above, name))


def _module(file: str) -> str:
    """The module that a file defines, or nothing."""
    if file.endswith((".py", ".so", ".pyd")):
        return file.split(".", 1)[0]
    return ""
