"""How `uv` is called: found through its package, told everything by us, nothing by surroundings.

Index URLs may hold passwords. They travel in the environment, are masked in whatever is shown, and
enter a digest only.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from builder.config.machine import Machine, PackageIndex
from builder.errors import BuilderError
from builder.process import Command, Completed, ProcessError, Processes

__all__ = ["index_digest", "run_uv", "secrets"]

_LIMIT = 60 * 60.0

# `sysconfig`, which uv's own look-up asks, is not ready for two threads that ask it first at once.
_LOOKING: Final = threading.Lock()


def run_uv(
    arguments: tuple[str, ...],
    machine: Machine,
    processes: Processes,
    *,
    directory: Path,
    title: str,
    log: Path | None = None,
) -> Completed:
    """Run `uv` without a configuration, a prompt, or a download of interpreters.

    Raises `ProcessError` with uv's own explanation.
    """
    command = Command(
        (_program(), *arguments, "--no-config"),
        directory,
        _environment(machine),
        title=title,
        timeout=_LIMIT,
        secrets=secrets(machine.index),
    )
    return processes.run(command, log=log, capture=True)


def explain(error: ProcessError, what: str, hint: str) -> BuilderError:
    """The same failure, said in the words of the caller; uv's own stay below it."""
    offline = any("dns error" in line or "onnect" in line for line in error.last_lines)
    return BuilderError(
        what,
        faults=error.last_lines,
        hint="check the network, proxy and index settings (as for pip)" if offline else hint,
        log=error.log,
    )


def index_digest(index: PackageIndex) -> str:
    """What tells two package indexes apart, without giving a password away."""
    text = json.dumps([index.index_url, index.extra_index_urls, index.find_links])
    return hashlib.sha256(text.encode()).hexdigest()


def secrets(index: PackageIndex) -> tuple[str, ...]:
    """The passwords and tokens in the URLs of an index, as written and decoded."""
    urls = (index.index_url, *index.extra_index_urls, *index.find_links)
    return tuple(dict.fromkeys(secret for url in urls for secret in url_secrets(url)))


def url_secrets(url: str) -> Iterable[str]:
    """The password of a URL, or its user name where that is the token; as written and decoded."""
    login, at, _ = urlsplit(url).netloc.rpartition("@")
    user, colon, password = login.partition(":")
    secret = password if colon else user
    # `git@host` and the like are no secrets.
    if at and secret and (colon or urlsplit(url).scheme in {"http", "https"}):
        yield secret
        if unquote(secret) != secret:
            yield unquote(secret)


def _program() -> str:
    from uv import find_uv_bin  # noqa: PLC0415 - most calls of `builder` need no uv

    try:
        with _LOOKING:
            return str(find_uv_bin())
    except FileNotFoundError as error:
        raise BuilderError(
            "the `uv` package has no `uv` program in it",
            hint="install it again: `pip install --force-reinstall uv`",
        ) from error


def _environment(machine: Machine) -> dict[str, str]:
    index = machine.index
    variables = {
        **machine.network,
        "PATH": ":".join(map(str, machine.path)),
        "HOME": str(machine.home),
        "LC_ALL": "C.UTF-8",
        "UV_CACHE_DIR": str(machine.cache / "uv"),
        "UV_NO_PROGRESS": "1",
        "UV_NO_PYTHON_DOWNLOADS": "1",
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_DEFAULT_INDEX": index.index_url,
        "UV_EXTRA_INDEX_URL": " ".join(index.extra_index_urls),
        "UV_FIND_LINKS": ",".join(index.find_links),
        # pip looks at all indexes and takes the best version; so do we when there are several.
        "UV_INDEX_STRATEGY": "unsafe-best-match" if index.extra_index_urls else "",
    }
    return {name: text for name, text in variables.items() if text}
