"""Faults that a JSON Schema cannot see: requirements, paths, placeholders, spellings, stages.

Works on documents of any shape: what the schema refuses is passed over here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from pathlib import PurePosixPath, PureWindowsPath

from builder.config import placeholders
from builder.config.accelerator import Accelerator
from builder.config.fault import Fault, listed
from builder.config.plausible import can_match_a_target
from builder.config.python import Python, parse_pythons
from builder.config.target import parse_platform
from builder.config.toml_lines import KeyPath
from builder.errors import UsageError

__all__ = ["sense_faults"]

_Check = Callable[[str], str]
_Table = Mapping[str, object]


def sense_faults(document: _Table, *, project: bool) -> Iterator[Fault]:
    """What is wrong with the meaning of a parsed document.

    `project` says that the file belongs to the project itself: then its folder is the source and
    a PEP 517 build is the stage, unless the file says otherwise.
    """
    yield from _leaf_faults((), document)
    for pattern, check in (*_FILE_RULES, *_RULES, *_override_rules()):
        for path, text in _strings((), document, tuple(pattern.split("."))):
            message = check(text)
            if message:
                yield Fault(path, message)
    if not project:
        if "source" not in document:
            yield Fault((), "the table `source` is missing")
        if not {"core", "python"} & document.keys() and not _repackages(document):
            yield Fault((), "there is nothing to build: give `core`, `python` or both")
    yield from _consumer_faults((), document, document)
    for index, override in enumerate(_list(document.get("override"))):
        yield from _override_faults(("override", index), _table(override), document)


def _override_faults(path: KeyPath, override: _Table, document: _Table) -> Iterator[Fault]:
    core = override.get("core")
    if isinstance(core, dict) and "core" not in document and not {"cmake", "commands"} & set(core):
        yield Fault((*path, "core"), "there is no core stage to change: give `cmake` or `commands`")
    yield from _consumer_faults(path, override, document)


def _consumer_faults(path: KeyPath, table: _Table, document: _Table) -> Iterator[Fault]:
    """A consumer is whole when its table and that of the document are put together."""
    consumer = _table(table.get("check")).get("consumer")
    if not isinstance(consumer, dict):
        return
    place = (*path, "check", "consumer")
    base = _table(_table(document.get("check")).get("consumer"))
    missing = [key for key in ("source", "package", "targets") if key not in {**base, **consumer}]
    if missing:
        yield Fault(place, f"{listed(missing)} {'is' if len(missing) == 1 else 'are'} missing")
    if "core" not in document and "core" not in table and not _repackages(document):
        yield Fault(place, "a consumer is compiled against the core tree, and there is no `core`")


def _repackages(document: _Table) -> bool:
    """Whether finished wheels may be the source: then nothing needs to be built."""
    return "wheel" in _table(document.get("archive"))


def _leaf_faults(path: KeyPath, value: object) -> Iterator[Fault]:
    """Values that no process and no limit can take, wherever they are."""
    match value:
        case dict():
            for key, inner in value.items():
                yield from _leaf_faults((*path, key), inner)
        case list():
            for index, inner in enumerate(value):
                yield from _leaf_faults((*path, index), inner)
        case str() if "\0" in value:
            yield Fault(path, "holds a NUL character")
        case float() if math.isnan(value):
            yield Fault(path, "is not a number")
        case _:
            return


def _strings(
    path: KeyPath, value: object, pattern: tuple[str, ...]
) -> Iterator[tuple[KeyPath, str]]:
    """Every string that a pattern of keys leads to; `*` is any key or index."""
    if not pattern:
        if isinstance(value, str):
            yield path, value
        return
    inner: Iterator[tuple[str | int, object]] | enumerate[object] = iter(())
    if isinstance(value, dict):
        inner = iter(value.items())
    elif isinstance(value, list):
        inner = enumerate(value)
    for key, entry in inner:
        if pattern[0] in ("*", str(key)):
            yield from _strings((*path, key), entry, pattern[1:])


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _table(value: object) -> _Table:
    return value if isinstance(value, dict) else {}


def _requirement(text: str) -> str:
    from packaging.requirements import InvalidRequirement, Requirement  # noqa: PLC0415 - start-up

    try:
        Requirement(text)
    except InvalidRequirement:
        return f"not a requirement: `{text}`; write it like `cmake>=3.28`"
    return ""


def _match(text: str) -> str:
    """A match specification: a name, then versions and builds; what they mean is the solver's to say."""
    if re.fullmatch(r"[a-z0-9_][a-z0-9._-]*( [^ \x00-\x1f]+){0,2}", text):
        return ""
    return f"not a match specification: {text!r}; write it like `numpy >=1.21,<3` or `blas * mkl`"


def _version(text: str) -> str:
    from packaging.version import InvalidVersion, Version  # noqa: PLC0415 - start-up

    try:
        Version(text)
    except InvalidVersion:
        return f"not a version: `{text}`"
    return ""


def _base_version(text: str) -> str:
    if "+" in text:
        return f"a local part is added later, as `local` says; write `{text.partition('+')[0]}`"
    return _version(text)


def _day(text: str) -> str:
    """A day of the calendar; other spellings are the schema's to refuse."""
    try:
        date.fromisoformat(text)
    except ValueError as error:
        return f"is no day: {error}" if re.fullmatch(r"\d{4}-\d\d-\d\d", text) else ""
    return ""


def _inside(text: str) -> str:
    """A relative path that never leaves the folder it starts in."""
    if PurePosixPath(text).is_absolute() or PureWindowsPath(text).is_absolute():
        return f"must be a relative path, not `{text}`"
    depth = 0
    for part in re.split(r"[/\\]", text):
        depth += {"..": -1, ".": 0, "": 0}.get(part, 1)
        if depth < 0:
            return f"must stay inside its folder: `{text}` leaves it"
    return ""


def _location(text: str) -> str:
    """A path below the recipe's folder, or an absolute one."""
    return "" if PurePosixPath(text).is_absolute() else _inside(text)


def _repository(text: str) -> str:
    if text.startswith("-"):
        return f"not a repository: `{text}`"
    return "" if "://" in text or re.match(r"[^/\\]+:", text) else _location(text)


def _revision(text: str) -> str:
    return f"not a revision: `{text}`" if re.search(r"^-|\s", text) else ""


def _archive(text: str) -> str:
    scheme, separator, _ = text.partition("://")
    if not separator:
        return _location(text)
    return "" if scheme in ("https", "file") else f"must be a `https:` or `file:` URL: `{text}`"


def _pythons(text: str) -> str:
    return _refused(lambda: parse_pythons([text], known=(Python(3, 11),)))


def _accelerator(text: str) -> str:
    return _refused(lambda: Accelerator.parse(text))


def _platform(text: str) -> str:
    return _refused(lambda: parse_platform(text))


def _refused(parse: Callable[[], object]) -> str:
    try:
        parse()
    except UsageError as error:
        return "; ".join(filter(None, (*(error.faults or (error.message,)), error.hint)))
    return ""


def _select(text: str) -> str:
    if can_match_a_target(text):
        return ""
    return f"`{text}` matches no target id; one reads `manywheel-cp311-cpu-linux_x86_64`"


def _program(text: str) -> str:
    return "" if text else "a command must begin with a program"


def _placeholders(known: tuple[str, ...]) -> _Check:
    def check(text: str) -> str:
        wrong = placeholders.unknown(text, known)
        if not wrong:
            return ""
        names = " ".join(f"{{{name}}}" for name in known)
        return (
            f"unknown placeholder {listed(dict.fromkeys(wrong))}; known here: {names}; "
            "a literal brace is written `{{`"
        )

    return check


def _override_rules() -> tuple[tuple[str, _Check], ...]:
    return tuple((f"override.*.{pattern}", check) for pattern, check in _RULES)


_FILE_RULES: tuple[tuple[str, _Check], ...] = (
    ("source.path", _location),
    ("source.git", _repository),
    ("source.revision", _revision),
    ("source.version", _version),
    ("source.archive", _archive),
    ("matrix.python.*", _pythons),
    ("matrix.accelerator.*", _accelerator),
    ("matrix.platform.*", _platform),
    ("override.*.select", _select),
)
_RULES: tuple[tuple[str, _Check], ...] = (
    ("version.number", _base_version),
    ("core.cmake.source", _inside),
    ("core.cmake.options.*", _placeholders(placeholders.CORE)),
    ("core.commands.*.0", _program),
    ("core.commands.*.*", _placeholders(placeholders.CORE)),
    ("core.environment.*", _placeholders(placeholders.CORE)),
    ("core.requires.*", _requirement),
    ("python.subdirectory", _inside),
    ("python.prepare.*.0", _program),
    ("python.prepare.*.*", _placeholders(placeholders.PYTHON)),
    ("python.commands.*.0", _program),
    ("python.commands.*.*", _placeholders(placeholders.PYTHON)),
    ("python.config-settings.*", _placeholders(placeholders.PYTHON)),
    ("python.environment.*", _placeholders(placeholders.PYTHON)),
    ("python.requires.*", _requirement),
    ("bundle.sibling.*.directory", _inside),
    ("bundle.sibling.*.requires", _requirement),
    ("archive.wheel", _inside),
    ("archive.version", _inside),
    ("conda.depends.*", _match),
    ("conda.constrains.*", _match),
    ("conda.library-depends.*", _match),
    ("check.commands.*.0", _program),
    ("check.commands.*.*", _placeholders(placeholders.CHECK)),
    ("check.requires.*", _requirement),
    ("check.upgrades.*", _requirement),
    ("check.consumer.source", _inside),
    ("check.plugin", _inside),
    ("check.waiver.*.until", _day),
)
