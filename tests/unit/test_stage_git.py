from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from builder.config.machine import Machine
from builder.config.recipe import GitRevision
from builder.errors import BuilderError, UsageError
from builder.process import Processes
from builder.stage.git import _environment, _joined
from builder.stage.source import SourceTree, fetch
from builder.stage.store import TreeStore


def machine(tmp_path: Path) -> Machine:
    return Machine((Path("/usr/bin"), Path("/bin")), tmp_path, 1, "linux", "x86_64")


def git(folder: Path, *words: str, date: str = "2001-02-03T04:05:06Z") -> str:
    settings = ("user.name=x", "user.email=x@example.org", "init.defaultBranch=main")
    words = (*(part for text in settings for part in ("-c", text)), *words)
    words = ("-c", "protocol.file.allow=always", *words)
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(folder),
        "GIT_AUTHOR_DATE": date,
        "GIT_COMMITTER_DATE": date,
    }
    return subprocess.run(
        ["git", *words], cwd=folder, check=True, capture_output=True, text=True, env=environment
    ).stdout.strip()


def commit(folder: Path, name: str, text: str) -> str:
    """A repository in `folder` with one more commit."""
    folder.mkdir(exist_ok=True)
    git(folder, "init")
    (folder / name).write_text(text)
    git(folder, "add", "--all")
    git(folder, "commit", "-m", name)
    return git(folder, "rev-parse", "HEAD")


def get(url: str, revision: str, tmp_path: Path) -> SourceTree:
    store = TreeStore(tmp_path / "store")
    return fetch(GitRevision(url, revision), store, machine(tmp_path), Processes())


def test_a_revision_is_pinned_checked_out_and_dated(tmp_path: Path) -> None:
    repository = tmp_path / "r"
    first = commit(repository, "a.c", "one\n")
    tree = get(str(repository), "main", tmp_path)
    assert (tree.revision, tree.epoch) == (first, 981173106)
    assert [path.name for path in tree.root.iterdir()] == ["a.c"]
    assert tree.root.parent == tmp_path / "store" / "sources"


def test_a_branch_moves_and_a_commit_stays(tmp_path: Path) -> None:
    repository = tmp_path / "r"
    first = commit(repository, "a.c", "one\n")
    git(repository, "tag", "-a", "v1", "-m", "v1")
    assert get(str(repository), "main", tmp_path).revision == first
    second = commit(repository, "a.c", "two\n")
    url = repository.as_uri()
    found = [get(url, name, tmp_path).revision for name in ("main", "v1", first[:10], first)]
    assert found == [second, first, first, first]


def test_a_known_commit_needs_no_repository(tmp_path: Path) -> None:
    repository = tmp_path / "r"
    first = commit(repository, "a.c", "one\n")
    tree = get(str(repository), first, tmp_path)
    repository.rename(tmp_path / "gone")
    assert get(str(repository), first, tmp_path) == tree
    with pytest.raises(BuilderError, match="cannot be fetched"):
        get(str(repository), "main", tmp_path)


def test_submodules_come_at_their_own_commits(tmp_path: Path) -> None:
    inner, outer = tmp_path / "inner", tmp_path / "outer"
    commit(inner, "in.c", "one\n")
    commit(outer, "a.c", "a\n")
    git(outer, "submodule", "add", "../inner", "third/inner")
    git(outer, "commit", "-m", "x")
    commit(inner, "in.c", "two\n")
    root = get(str(outer), "main", tmp_path).root
    assert (root / "third" / "inner" / "in.c").read_text() == "one\n"
    assert not list(root.rglob(".git"))


def test_a_submodule_without_an_address_is_told(tmp_path: Path) -> None:
    inner, outer = tmp_path / "inner", tmp_path / "outer"
    commit(inner, "in.c", "one\n")
    commit(outer, "a.c", "a\n")
    git(outer, "submodule", "add", "../inner", "inner")
    git(outer, "rm", "--cached", ".gitmodules")
    git(outer, "commit", "-m", "x")
    with pytest.raises(BuilderError, match="submodules without a URL: inner"):
        get(str(outer), "main", tmp_path)


def test_the_users_settings_do_not_change_a_commit(tmp_path: Path) -> None:
    (tmp_path / ".gitconfig").write_text("[core]\n\tautocrlf = true\n\tfilemode = false\n")
    commit(tmp_path / "r", "a.c", "one\n")
    root = get(str(tmp_path / "r"), "main", tmp_path).root
    assert (root / "a.c").read_bytes() == b"one\n"


REFUSED = {
    "option": ("--upload-pack=x", "main", "is not a repository"),
    "transport": ("ext::sh -c x", "main", "is not a repository"),
    "plain http": ("http://host/x", "main", "is not a repository"),
    "relative": ("some/folder", "main", "is not a repository"),
    "option as revision": ("/r", "--output=x", "not a git revision"),
    "no revision": ("/r", "", "not a git revision"),
}


@pytest.mark.parametrize(("url", "revision", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_revision_is_refused(
    url: str, revision: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        get(url, revision, tmp_path)


def test_an_unknown_revision_is_told(tmp_path: Path) -> None:
    commit(tmp_path / "r", "a.c", "one\n")
    with pytest.raises(BuilderError, match="has no revision `v9`"):
        get(str(tmp_path / "r"), "v9", tmp_path)


def test_a_password_is_in_no_argument_and_no_message(tmp_path: Path) -> None:
    url = "https://me:s3cret@127.0.0.1:9/x.git"
    with pytest.raises(BuilderError, match="cannot be fetched") as caught:
        get(url, "main", tmp_path)
    assert "s3cret" not in str(caught.value)
    assert "s3cret" not in " ".join(
        path.read_text("utf-8", "replace") for path in tmp_path.rglob("config")
    )
    assert url in _environment(url, machine(tmp_path)).values()


JOINED = {
    "absolute": ("https://h/a/b.git", "https://o/c.git", "https://o/c.git"),
    "beside": ("https://h/a/b.git", "../c.git", "https://h/a/c.git"),
    "scp": ("git@h:a/b.git", "../c.git", "git@h:a/c.git"),
    "folder": ("/srv/a", "../c", "/srv/c"),
    "file": ("file:///srv/a", "../c", "file:///srv/c"),
}


@pytest.mark.parametrize(("base", "url", "expected"), JOINED.values(), ids=JOINED.keys())
def test_the_address_of_a_submodule(base: str, url: str, expected: str) -> None:
    assert _joined(base, url) == expected
