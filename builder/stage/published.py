"""Where the package index has the files of one version; `uv` is asked, so its settings count."""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from packaging.tags import compatible_tags, cpython_tags, platform_tags
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from builder.config.machine import Machine
from builder.config.recipe import IndexSdist
from builder.config.toolchain import Interpreter
from builder.errors import BuilderError
from builder.process import ProcessError, Processes
from builder.stage.store import TreeStore
from builder.stage.uv import explain, run_uv

__all__ = ["Published", "find_sdist", "find_wheel"]

# Later than any: what counts is that the project is not left out for needing a newer Python.
_ANY_PYTHON: Final = "3.99"


@dataclass(frozen=True, slots=True)
class Published:
    """One file of an index: its URL with the login that it needs, and its sha256 when told."""

    name: str
    url: str
    sha256: str


def find_sdist(source: IndexSdist, store: TreeStore, machine: Machine, processes: Processes) -> str:
    """The URL of an sdist, with the login its index needs. Nothing is built to find it.

    Raises `BuilderError` when the index has no such sdist, or one with another sha256.
    """
    requirement = f"{source.project}=={source.version}"
    words = (
        "--python",
        str(machine.python),
        "--python-version",
        _ANY_PYTHON,
        "--no-binary",
        source.project,
    )
    package = _ask(
        requirement, words, store, machine, processes,
        f"the package index has no sdist of {requirement}", "check project and version in the recipe",
    )  # fmt: skip
    if "sdist" not in package:
        raise BuilderError(
            f"the package index has no sdist of {requirement}",
            hint="give the source another way: a git revision, an archive or a folder",
        )
    found = _published(cast("Mapping[str, object]", package["sdist"]), machine)
    if found.sha256 and found.sha256 != source.sha256:
        raise BuilderError(
            f"the sdist of {requirement} has other bytes than the recipe says",
            faults=[f"expected sha256 {source.sha256}", f"the index says   {found.sha256}"],
            hint="find out why it changed before you change the recipe",
        )
    return found.url


def find_wheel(
    requirement: str,
    interpreter: Interpreter,
    store: TreeStore,
    machine: Machine,
    processes: Processes,
) -> Published:
    """The wheel that an installer would take for this interpreter on this machine.

    Raises `BuilderError` when the index has none.
    """
    words = ("--python", str(interpreter.executable), "--only-binary", ":all:")
    what = f"the package index has no wheel of {requirement} for CPython {interpreter.version}"
    package = _ask(
        requirement,
        words,
        store,
        machine,
        processes,
        what,
        "check name and version, or choose another Python",
    )
    rows = cast("Sequence[Mapping[str, object]]", package.get("wheels", ()))
    found = [_published(row, machine) for row in rows]
    best = min(found, key=lambda one: _rank(one.name, interpreter), default=None)
    if best is None or _rank(best.name, interpreter) == _NEVER:
        raise BuilderError(
            what,
            faults=[one.name for one in found],
            hint="choose a Python and a machine that it is made for",
        )
    return best


_NEVER: Final = 1 << 30


def _rank(name: str, interpreter: Interpreter) -> int:
    """How soon an installer takes a wheel: what is nearest to the interpreter and the machine."""
    try:
        tags = parse_wheel_filename(name)[3]
    except InvalidWheelFilename:
        return _NEVER
    python = interpreter.python
    version, platforms = (python.major, python.minor), list(platform_tags())
    known = (
        *cpython_tags(version, abis=[python.abi_tag], platforms=platforms),
        *compatible_tags(version, python.interpreter_tag, platforms),
    )
    return min((place for place, tag in enumerate(known) if tag in tags), default=_NEVER)


def _ask(
    requirement: str,
    words: tuple[str, ...],
    store: TreeStore,
    machine: Machine,
    processes: Processes,
    what: str,
    hint: str,
) -> Mapping[str, object]:
    """The one package of a `pylock.toml` (PEP 751); paths in it are made absolute URLs."""
    folder = store.scratch()
    try:
        (folder / "wanted.txt").write_text(f"{requirement}\n", "utf-8")
        answer = run_uv(
            (
                "pip", "compile", *words, "--no-deps", "--format", "pylock.toml", "--no-header",
                "--quiet", "wanted.txt",
            ),
            machine,
            processes,
            directory=folder,
            title=f"find {requirement}",
        )  # fmt: skip
        packages = tomllib.loads(answer.stdout).get("packages", [])
        return _absolute(packages[0], folder) if packages else {}
    except ProcessError as error:
        raise explain(error, what, hint) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _absolute(package: Mapping[str, object], folder: Path) -> Mapping[str, object]:
    def whole(row: Mapping[str, object]) -> Mapping[str, object]:
        if "path" not in row:
            return row
        return {**row, "url": (folder / str(row["path"])).resolve().as_uri()}

    found: dict[str, object] = {}
    if "sdist" in package:
        found["sdist"] = whole(cast("Mapping[str, object]", package["sdist"]))
    rows = cast("Sequence[Mapping[str, object]]", package.get("wheels", ()))
    return {**found, "wheels": [whole(row) for row in rows]}


def _published(row: Mapping[str, object], machine: Machine) -> Published:
    url = str(row["url"])
    hashes = cast("Mapping[str, str]", row.get("hashes", {}))
    name = unquote(urlsplit(url).path.rsplit("/", 1)[-1])
    return Published(name, _with_login(url, machine), hashes.get("sha256", ""))


def _with_login(url: str, machine: Machine) -> str:
    """The same URL with the login of the index on the same host; lock files leave it out."""
    index = machine.index
    parts = urlsplit(url)
    if "@" in parts.netloc:
        return url
    for known in (index.index_url, *index.extra_index_urls, *index.find_links):
        login, at, host = urlsplit(known).netloc.rpartition("@")
        if at and host == parts.netloc and urlsplit(known).scheme == parts.scheme:
            return urlunsplit(parts._replace(netloc=f"{quote(login, safe=':%')}@{host}"))
    return url
