from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from builder.errors import BuilderError
from builder.stage.tree import Entry, Tree, scan, verify

EMPTY = hashlib.sha256(b"").hexdigest()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A small tree with a bit of everything."""
    root = tmp_path / "root"
    (root / "bin").mkdir(parents=True)
    (root / "lib" / "empty").mkdir(parents=True)
    (root / "bin" / "tool").write_bytes(b"#!")
    (root / "bin" / "tool").chmod(0o755)
    (root / "lib" / "libx.so.1").write_bytes(b"")
    (root / "lib" / "libx.so").symlink_to("libx.so.1")
    (root / "lib" / "up").symlink_to("../bin/tool")
    (root / "ünï code").write_bytes(b"x")
    return root


def test_a_scan_lists_everything_in_order(root: Path) -> None:
    assert scan(root) == (
        Entry("bin", "directory", executable=False, size=0, content=""),
        Entry("bin/tool", "file", True, 2, hashlib.sha256(b"#!").hexdigest()),
        Entry("lib", "directory", executable=False, size=0, content=""),
        Entry("lib/empty", "directory", executable=False, size=0, content=""),
        Entry("lib/libx.so", "link", executable=False, size=0, content="libx.so.1"),
        Entry("lib/libx.so.1", "file", False, 0, EMPTY),
        Entry("lib/up", "link", executable=False, size=0, content="../bin/tool"),
        Entry("ünï code", "file", False, 1, hashlib.sha256(b"x").hexdigest()),
    )


def test_many_and_large_files_are_hashed_alike(tmp_path: Path) -> None:
    contents = {f"f{number:03}": bytes([number]) * 50_000 for number in range(100)}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    assert {entry.path: entry.content for entry in scan(tmp_path)} == {
        name: hashlib.sha256(content).hexdigest() for name, content in contents.items()
    }


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            lambda root: (root / "bin/tool").write_bytes(b"#?"),
            "bin/tool: has other bytes of the same length",
        ),
        (lambda root: (root / "bin/tool").write_bytes(b"#!/"), "bin/tool: has 3 bytes and had 2"),
        (lambda root: (root / "bin/tool").chmod(0o644), "bin/tool: has another executable bit"),
        (lambda root: (root / "bin/tool").unlink(), "bin/tool: is missing"),
        (lambda root: (root / "lib/empty").rmdir(), "lib/empty: is missing"),
        (lambda root: (root / "lib/extra").touch(), "lib/extra: does not belong here"),
        (lambda root: (root / "new").mkdir(), "new: does not belong here"),
        (
            lambda root: ((root / "lib/up").unlink(), (root / "lib/up").symlink_to("../bin")),
            "lib/up: points to `../bin` and pointed to `../bin/tool`",
        ),
        (
            lambda root: ((root / "lib/empty").rmdir(), (root / "lib/empty").touch()),
            "lib/empty: is a file and was a directory",
        ),
        (lambda root: os.mkfifo(root / "pipe"), "pipe: is a named pipe"),
    ],
)
def test_every_damage_is_found_and_named(
    change: Callable[[Path], object], problem: str, root: Path
) -> None:
    tree = Tree("key", root, scan(root), {})
    assert verify(tree) == ()
    change(root)
    assert verify(tree) == (problem,)


def test_times_and_other_mode_bits_are_no_damage(root: Path) -> None:
    tree = Tree("key", root, scan(root), {})
    os.utime(root / "bin/tool", (1, 1))
    (root / "bin/tool").chmod(0o700)
    (root / "lib/libx.so.1").chmod(0o600)
    (root / "lib").chmod(0o700)
    assert verify(tree) == ()


def test_a_tree_that_is_gone_is_damaged(root: Path) -> None:
    tree = Tree("key", root, scan(root), {})
    root.rename(root.with_name("elsewhere"))
    assert verify(tree) == (".: cannot be read: No such file or directory",)


@pytest.mark.parametrize(
    ("target", "problem"),
    [
        ("/etc/passwd", "is a link to the absolute path `/etc/passwd`"),
        ("../outside", "is a link to `../outside`, which is outside of the tree"),
        ("a/../../outside", "is a link to `a/../../outside`, which is outside of the tree"),
        ("a/up/../..", "is a link to `a/up/../..`, which is outside of the tree"),
        ("\udcff", r"the link's target b'\xff' is not UTF-8"),
    ],
)
def test_links_out_of_the_tree_are_refused(target: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "up").symlink_to("..")
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(BuilderError) as caught:
        scan(tmp_path)
    assert caught.value.faults == (f"link: {problem}",)


@pytest.mark.parametrize("target", [".", "a/../a", "missing", "link", "a/up/a"])
def test_links_inside_of_the_tree_are_kept_as_written(target: str, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "up").symlink_to("..")
    (tmp_path / "link").symlink_to(target)
    assert scan(tmp_path)[-1].content == target


def test_all_that_is_odd_is_named_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / os.fsdecode(b"\xff.txt")).touch()
    (tmp_path / "link").symlink_to("/")
    monkeypatch.chdir(tmp_path)  # a socket's name has little room
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("socket")
        with pytest.raises(BuilderError) as caught:
            scan(tmp_path)
    assert caught.value.faults == (
        r"b'\xff.txt': the name is not UTF-8",
        "link: is a link to the absolute path `/`",
        "pipe: is a named pipe",
        "socket: is a socket",
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch(mode=0)
    (tmp_path / "folder").mkdir(mode=0)
    with pytest.raises(BuilderError) as caught:
        scan(tmp_path)
    assert caught.value.faults == (
        "file: cannot be read: Permission denied",
        "folder/: cannot be read: Permission denied",
    )
