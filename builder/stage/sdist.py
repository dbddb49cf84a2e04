"""Where the package index has the sdist of one version; `uv` is asked, so its settings count."""

from __future__ import annotations

import shutil
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit, urlunsplit

from builder.config.machine import Machine
from builder.config.recipe import IndexSdist
from builder.errors import BuilderError
from builder.process import ProcessError, Processes
from builder.stage.store import TreeStore
from builder.stage.uv import explain, run_uv

__all__ = ["locate"]

# Later than any: what counts is that the project is not left out for needing a newer Python.
_ANY_PYTHON: Final = "3.99"


@dataclass(frozen=True, slots=True)
class _Sdist:
    location: str
    sha256: str


def locate(source: IndexSdist, store: TreeStore, machine: Machine, processes: Processes) -> str:
    """The URL of an sdist, with the login its index needs. Nothing is built to find it.

    Raises `BuilderError` when the index has no such sdist, or one with another sha256.
    """
    requirement = f"{source.project}=={source.version}"
    folder = store.scratch()
    try:
        (folder / "wanted.txt").write_text(f"{requirement}\n", "utf-8")
        answer = run_uv(
            (
                "pip", "compile", "--python", str(machine.python), "--python-version", _ANY_PYTHON,
                "--no-deps", "--no-binary", source.project, "--format", "pylock.toml",
                "--no-header", "--quiet", "wanted.txt",
            ),
            machine,
            processes,
            directory=folder,
            title=f"find {requirement}",
        )  # fmt: skip
        found = _read(answer.stdout, folder, requirement)
    except ProcessError as error:
        raise explain(
            error,
            f"the package index has no sdist of {requirement}",
            "check project and version in the recipe",
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if found.sha256 and found.sha256 != source.sha256:
        raise BuilderError(
            f"the sdist of {requirement} has other bytes than the recipe says",
            faults=[f"expected sha256 {source.sha256}", f"the index says   {found.sha256}"],
            hint="find out why it changed before you change the recipe",
        )
    return _with_login(found.location, machine)


def _read(text: str, folder: Path, requirement: str) -> _Sdist:
    """The sdist in a `pylock.toml` of one package (PEP 751)."""
    packages = tomllib.loads(text).get("packages", [])
    sdist = packages[0].get("sdist") if packages else None
    if sdist is None:
        raise BuilderError(
            f"the package index has no sdist of {requirement}",
            hint="give the source another way: a git revision, an archive or a folder",
        )
    path = sdist.get("path")
    location = (folder / path).resolve().as_uri() if path else str(sdist["url"])
    return _Sdist(location, str(sdist.get("hashes", {}).get("sha256", "")))


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
