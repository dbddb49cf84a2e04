"""What a user would get: one version from the package index, or what is behind a URL, as a file."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from builder.archive.file import file_digest
from builder.config.machine import Machine
from builder.config.python import Python
from builder.config.toolchain import Interpreter
from builder.errors import BuilderError, UsageError
from builder.process import Processes
from builder.stage import interpreters
from builder.stage.download import download, download_to
from builder.stage.published import Published, find_wheel
from builder.stage.store import TreeStore

__all__ = ["chosen_interpreter", "fetched"]

_PINNED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9][A-Za-z0-9._!+-]*")


def chosen_interpreter(text: str, machine: Machine, processes: Processes) -> Interpreter:
    """The interpreter of this machine that a user names (`3.11`, `3.13t`), or the one that runs us.

    Raises `BuilderError` when it is not here.
    """
    wanted: Python | Path = Python.parse(text) if text else machine.python
    (found,) = interpreters.find((wanted,), machine, processes).values()
    if isinstance(found, BuilderError):
        raise found
    return found


@contextmanager
def fetched(
    requirements: Sequence[str],
    urls: Sequence[str],
    interpreter: Interpreter,
    machine: Machine,
    processes: Processes,
) -> Iterator[tuple[Path, ...]]:
    """The wheels that an installer would take for this interpreter, and files of any kind by URL.

    A requirement is `NAME==VERSION`, and what was downloaded of it once is kept in the store. A URL
    may end with `#sha256=HEX`. All have their own names. Raises `BuilderError` when the index has no
    such wheel, or gives other bytes than it says, and for a URL that gives nothing.
    """
    for text in requirements:
        if not _PINNED.fullmatch(text):
            raise UsageError(
                f"`{text}` does not name one version", hint="write it as NAME==VERSION"
            )
    store = TreeStore(machine.cache / "store", processes=processes)
    folder = store.scratch()
    try:
        found = [find_wheel(text, interpreter, store, machine, processes) for text in requirements]
        wheels = [_file(one, folder, store, machine) for one in found]
        yield (*wheels, *(download_to(folder, url, machine) for url in urls))
    finally:
        for file in folder.glob("*"):
            file.unlink()
        folder.rmdir()


def _file(wheel: Published, folder: Path, store: TreeStore, machine: Machine) -> Path:
    sha256 = wheel.sha256
    if not sha256:
        if not wheel.url.startswith("file:"):
            raise BuilderError(
                f"the index tells no sha256 of {wheel.name}",
                hint="download it, look at it, and give the file",
            )
        sha256 = file_digest(Path(unquote(urlsplit(wheel.url).path)))
    kept, file = download(wheel.url, sha256, store, machine), folder / wheel.name
    try:
        os.link(kept, file)
    except OSError:  # a file system without links
        shutil.copyfile(kept, file)
    return file
