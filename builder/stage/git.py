"""Git revisions as plain files: a bare mirror in the store, one pinned commit, its submodules."""

from __future__ import annotations

import hashlib
import posixpath
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from builder.config.machine import Machine
from builder.errors import BuilderError, UsageError
from builder.process import Command, Completed, ProcessError, Processes
from builder.stage.download import without_login
from builder.stage.store import TreeStore
from builder.stage.uv import url_secrets

__all__ = ["Mirror", "checkout", "commit_date", "pin"]

_COMMIT: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_SCHEMES: Final = frozenset({"file", "https", "ssh"})
_SCP: Final = re.compile(r"[\w.-]+@[\w.-]+:(?!/)[^\s]+")
_LIMIT: Final = 60 * 60.0
_DEEPEST: Final = 10


@dataclass(frozen=True, slots=True)
class Mirror:
    """A bare copy of one repository: where from, where to."""

    url: str
    folder: Path
    store: TreeStore
    machine: Machine
    processes: Processes

    def run(self, *words: str, environment: Mapping[str, str] | None = None) -> Completed:
        """One git command on the mirror: no prompt, no hook, no program of the repository's."""
        command = Command(
            ("git", "-c", "core.hooksPath=/dev/null", "-c", "safe.directory=*", *words),
            self.folder,
            {**_environment(self.url, self.machine), **(environment or {})},
            title=f"git {words[0]}",
            timeout=_LIMIT,
            secrets=tuple(url_secrets(self.url)),
        )
        return self.processes.run(command, capture=True)


def pin(
    url: str, revision: str, store: TreeStore, machine: Machine, processes: Processes
) -> tuple[Mirror, str]:
    """The mirror of a repository, brought up to date, and the commit that `revision` names now.

    A revision that is a whole commit id and is known already needs no network. Raises
    `BuilderError` with git's explanation, `UsageError` for a URL or a revision that is none.
    """
    _refuse(url, revision)
    name = hashlib.sha256(without_login(url).encode()).hexdigest()[:16]
    mirror = Mirror(url, store.root / "git" / f"{name}.git", store, machine, processes)
    with store.exclusive(f"git-{name}"):
        _create(mirror)
        commit = _commit(mirror, revision) if _COMMIT.fullmatch(revision) else ""
        if not commit:
            _update(mirror, revision)
            commit = _commit(mirror, revision)
    if not commit:
        raise BuilderError(
            f"`{without_login(url)}` has no revision `{revision}`",
            hint="give a commit, a tag or a branch that `git ls-remote` shows",
        )
    return mirror, commit


def commit_date(mirror: Mirror, commit: str) -> int:
    """When the commit was made, in seconds since 1970."""
    return int(mirror.run("log", "-1", "--format=%ct", commit).stdout)


def checkout(mirror: Mirror, commit: str, target: Path, depth: int = 0) -> None:
    """Write the files of a commit into the folder `target`, each submodule at its own commit."""
    if depth > _DEEPEST:
        raise BuilderError(
            f"the submodules of `{without_login(mirror.url)}` are nested more than {_DEEPEST} deep",
            hint="a repository that is its own submodule cannot be checked out",
        )
    target.mkdir(parents=True, exist_ok=True)
    index = target.with_name(f".{target.name}.index")
    # The user's own filters and line endings must not change what a commit is.
    neutral = {
        "GIT_INDEX_FILE": str(index),
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
    }
    try:
        mirror.run(
            "-c", "core.bare=false", f"--work-tree={target}", "checkout", "--force", "--quiet",
            commit, "--", ".", environment=neutral,
        )  # fmt: skip
    finally:
        index.unlink(missing_ok=True)
    for path, url, pinned in _submodules(mirror, commit):
        inner, found = pin(url, pinned, mirror.store, mirror.machine, mirror.processes)
        shutil.rmtree(target / path, ignore_errors=True)
        checkout(inner, found, target / path, depth + 1)


def _refuse(url: str, revision: str) -> None:
    parts = urlsplit(url)
    local = Path(url).is_absolute()
    known = local or parts.scheme in _SCHEMES or bool(_SCP.fullmatch(url))
    if not known or url.startswith("-"):
        raise UsageError(
            f"`{without_login(url)}` is not a repository that is fetched",
            hint="give an https, ssh or file URL, or an absolute folder",
        )
    if not revision or revision.startswith("-") or any(c.isspace() for c in revision):
        raise UsageError(
            f"not a git revision: {revision!r}", hint="give a commit, a tag or a branch"
        )


def _environment(url: str, machine: Machine) -> dict[str, str]:
    """The address travels in the environment: it may hold a password, and arguments are public."""
    settings = {"remote.origin.url": url, "core.fsmonitor": "false", "gc.auto": "0"}
    variables = {
        **machine.network,
        "PATH": ":".join(map(str, machine.path)),
        "HOME": str(machine.home),
        "LC_ALL": "C.UTF-8",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "true",
        "GIT_SSH_COMMAND": "ssh -o BatchMode=yes",
        "GIT_ALLOW_PROTOCOL": "file:https:ssh",
        "GIT_LFS_SKIP_SMUDGE": "1",
        "GIT_CONFIG_COUNT": str(len(settings)),
    }
    for number, (name, text) in enumerate(settings.items()):
        variables[f"GIT_CONFIG_KEY_{number}"] = name
        variables[f"GIT_CONFIG_VALUE_{number}"] = text
    return variables


def _create(mirror: Mirror) -> None:
    if (mirror.folder / "HEAD").exists():
        return
    shutil.rmtree(mirror.folder, ignore_errors=True)
    mirror.folder.mkdir(parents=True)
    _run(mirror, "init", "--quiet", "--bare", "--template=", ".")


def _update(mirror: Mirror, revision: str) -> None:
    heads = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
    fetch = ("fetch", "--quiet", "--no-tags", "--force", "--prune", "--update-head-ok", "origin")
    _run(mirror, *fetch, *heads)
    if _COMMIT.fullmatch(revision) and not _commit(mirror, revision):
        # A commit that no branch holds; many servers give it to who knows its id.
        _run(mirror, *(word for word in fetch if word != "--prune"), revision)


def _run(mirror: Mirror, *words: str) -> Completed:
    try:
        return mirror.run(*words)
    except ProcessError as error:
        raise BuilderError(
            f"`{without_login(mirror.url)}` cannot be fetched",
            faults=error.last_lines or (error.message,),
            hint="check the address, your access rights and the network; nothing is asked for here",
        ) from error


def _commit(mirror: Mirror, revision: str) -> str:
    """The id of the commit that a revision names in the mirror, or nothing."""
    for name in (revision, f"refs/tags/{revision}", f"refs/heads/{revision}"):
        try:
            answer = mirror.run(
                "rev-parse", "--quiet", "--verify", "--end-of-options", f"{name}^{{commit}}"
            )
        except ProcessError:
            continue
        return answer.stdout.strip()
    return ""


def _submodules(mirror: Mirror, commit: str) -> tuple[tuple[str, str, str], ...]:
    """Path, URL and commit of every submodule."""
    rows = mirror.run("ls-tree", "-r", "-z", commit).stdout.split("\0")
    pinned = {
        path: meta.split()[2]
        for meta, _, path in (row.partition("\t") for row in rows if row)
        if meta.startswith("160000 ")
    }
    if not pinned:
        return ()
    try:
        text = mirror.run("config", "--blob", f"{commit}:.gitmodules", "--null", "--list").stdout
    except ProcessError:
        text = ""
    settings = dict(row.split("\n", 1) for row in text.split("\0") if "\n" in row)
    urls = {
        path: settings.get(name.removesuffix(".path") + ".url", "")
        for name, path in settings.items()
        if name.startswith("submodule.") and name.endswith(".path")
    }
    if missing := sorted(set(pinned) - {path for path, url in urls.items() if url}):
        raise BuilderError(
            f"`{without_login(mirror.url)}` has submodules without a URL: {', '.join(missing)}",
            hint="correct its `.gitmodules`, or give an archive that holds them",
        )
    return tuple((path, _joined(mirror.url, urls[path]), pinned[path]) for path in sorted(pinned))


def _joined(base: str, url: str) -> str:
    """A submodule's URL, which may be relative to its parent's (gitmodules(5))."""
    if not url.startswith(("./", "../")):
        return url
    head, colon, tail = base.rpartition(":") if _SCP.fullmatch(base) else ("", "", base)
    if "://" in tail:
        scheme, _, rest = tail.partition("://")
        return f"{scheme}://{posixpath.normpath(posixpath.join(rest, url))}"
    return f"{head}{colon}{posixpath.normpath(posixpath.join(tail, url))}"
