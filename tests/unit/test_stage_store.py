from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from builder.errors import BuilderError, Interrupted, UsageError
from builder.events import Event
from builder.process import Processes
from builder.stage.key import InputKey
from builder.stage.store import TreeStore, Workspace

KEY = InputKey("core", {"compiler": "gcc 12", "flags": ["-O2"]})
OTHER = InputKey("core", {"compiler": "gcc 13", "flags": ["-O2"]})


def write(workspace: Workspace) -> Mapping[str, object]:
    (workspace.content / "lib").mkdir()
    (workspace.content / "lib" / "libx.so.1").write_bytes(b"library")
    (workspace.content / "lib" / "libx.so").symlink_to("libx.so.1")
    (workspace.root / "rubbish").mkdir()
    return {"compiler_runs": 3, "nested": MappingProxyType({"a": (1, 2)})}


def refuse(_workspace: Workspace) -> Mapping[str, object]:
    raise AssertionError("nothing had to be built")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


# One tree per key


def test_a_tree_is_made_once_and_found_then(tmp_path: Path) -> None:
    store = TreeStore(tmp_path / "store")
    assert (store.contains(KEY), store.find(KEY)) == (False, None)
    assert names(tmp_path) == []
    made, hit = store.make(KEY, write)
    assert hit is False
    assert store.make(KEY, refuse) == (made, True)
    assert store.find(KEY) == store.find(KEY.digest) == made
    assert store.contains(KEY)
    assert store.contains(KEY.digest)
    assert not store.contains(OTHER)
    assert made.root == store.root / "trees" / KEY.digest / "content"
    assert made.facts == {"compiler_runs": 3, "nested": {"a": [1, 2]}}
    assert [entry.path for entry in made.entries] == ["lib", "lib/libx.so", "lib/libx.so.1"]
    assert names(store.root / "work") == []


def test_the_layout_of_a_store_is_pinned(tmp_path: Path) -> None:
    store = TreeStore(tmp_path)
    tree, _ = store.make(KEY, write)
    assert names(tmp_path) == [
        "CACHEDIR.TAG", "environments", "locks", "logs", "sources", "trees", "work",
    ]  # fmt: skip
    assert (
        (tmp_path / "CACHEDIR.TAG")
        .read_text(encoding="ascii")
        .startswith("Signature: 8a477f597d28d172789f06886806bc55\n")
    )
    assert (store.sources, store.environments) == (tmp_path / "sources", tmp_path / "environments")
    assert names(tree.root.parent) == ["content", "manifest.json"]
    manifest = json.loads((tree.root.parent / "manifest.json").read_text(encoding="utf-8"))
    assert {name: manifest[name] for name in ("schema", "digest", "key")} == {
        "schema": 1,
        "digest": KEY.digest,
        "key": {"stage": "core", "parts": KEY.parts},
    }


def test_the_workspace_is_the_same_for_the_same_key(tmp_path: Path) -> None:
    store = TreeStore(tmp_path)
    seen: list[Workspace] = []

    def fail(workspace: Workspace) -> Mapping[str, object]:
        seen.append(workspace)
        assert names(workspace.root) == ["content"]
        write(workspace)
        raise BuilderError("it broke")

    for _ in range(2):
        with pytest.raises(BuilderError, match="it broke"):
            store.make(KEY, fail)
    root = tmp_path / "work" / KEY.digest[:16]
    log = tmp_path / "logs" / f"{KEY.digest[:16]}.log"
    assert seen == [Workspace(root, root / "content", log)] * 2


# What fails


def test_a_failure_leaves_its_log_and_nothing_else(tmp_path: Path) -> None:
    def fail(workspace: Workspace) -> Mapping[str, object]:
        write(workspace)
        workspace.log.write_text("the story", encoding="utf-8")
        raise BuilderError("it broke")

    store = TreeStore(tmp_path)
    with pytest.raises(BuilderError) as caught:
        store.make(KEY, fail)
    assert Path(caught.value.log).read_text(encoding="utf-8") == "the story"
    assert (names(tmp_path / "trees"), names(tmp_path / "work")) == ([], [])
    assert not store.contains(KEY)
    assert store.make(KEY, write)[1] is False


def test_keep_leaves_what_failed_until_the_next_try(tmp_path: Path) -> None:
    def fail(workspace: Workspace) -> Mapping[str, object]:
        write(workspace)
        raise KeyboardInterrupt

    told: list[Event] = []
    store = TreeStore(tmp_path, events=told.append, keep=True)
    with pytest.raises(KeyboardInterrupt):
        store.make(KEY, fail)
    assert names(tmp_path / "work" / KEY.digest[:16]) == ["content", "rubbish"]
    assert [(event.kind, "kept the work folder" in event.text) for event in told] == [
        ("note", True)
    ]
    store.make(KEY, write)
    assert names(tmp_path / "work") == []


def test_what_cannot_be_a_tree_is_no_tree(tmp_path: Path) -> None:
    def odd(workspace: Workspace) -> Mapping[str, object]:
        (workspace.content / "link").symlink_to("/etc/passwd")
        return {}

    with pytest.raises(BuilderError, match="link to the absolute path"):
        TreeStore(tmp_path).make(KEY, odd)
    assert (names(tmp_path / "trees"), names(tmp_path / "work")) == ([], [])


def test_read_only_folders_are_no_obstacle(tmp_path: Path) -> None:
    def lock_up(workspace: Workspace) -> Mapping[str, object]:
        write(workspace)
        (workspace.root / "rubbish" / "deep").mkdir()
        (workspace.root / "rubbish" / "deep").chmod(0o555)
        (workspace.root / "rubbish").chmod(0o555)
        workspace.content.chmod(0o555)
        return {}

    TreeStore(tmp_path).make(KEY, lock_up)
    assert names(tmp_path / "work") == []


def test_facts_that_are_no_json_are_our_mistake(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="a manifest cannot hold"):
        TreeStore(tmp_path).make(KEY, lambda _workspace: {"where": tmp_path})
    assert (names(tmp_path / "trees"), names(tmp_path / "work")) == ([], [])


def test_a_run_that_was_killed_at_its_very_end_is_cleaned_up_after(tmp_path: Path) -> None:
    store = TreeStore(tmp_path)
    store.make(KEY, write)
    (tmp_path / "work" / KEY.digest[:16] / "build").mkdir(parents=True)
    (tmp_path / "work" / OTHER.digest[:16]).mkdir()
    assert store.make(KEY, refuse)[1] is True
    assert names(tmp_path / "work") == [OTHER.digest[:16]]


# What was damaged


def _flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda root: _flip(root / "content/lib/libx.so.1"), "libx.so.1: has other bytes"),
        (lambda root: (root / "content/lib/libx.so").unlink(), "libx.so: is missing"),
        (lambda root: (root / "content/extra").touch(), "extra: does not belong here"),
        (
            lambda root: (root / "content").rename(root / "x"),
            "damaged and will be made again: .: cannot be read",
        ),
        (lambda root: _flip(root / "manifest.json"), "manifest.json: was changed"),
        (lambda root: os.truncate(root / "manifest.json", 40), "manifest.json: was changed"),
        (lambda root: (root / "manifest.json").unlink(), "manifest.json: cannot be read"),
        (
            lambda root: (root / "manifest.json").write_bytes(
                (root.parent / OTHER.digest / "manifest.json").read_bytes()
            ),
            "manifest.json: is that of",
        ),
    ],
)
def test_a_damaged_tree_is_told_of_and_made_again(
    damage: Callable[[Path], object], problem: str, tmp_path: Path
) -> None:
    told: list[Event] = []
    store = TreeStore(tmp_path, events=told.append)
    store.make(OTHER, write)
    tree, _ = store.make(KEY, write)
    damage(tree.root.parent)
    assert store.find(KEY) is None
    assert [event.kind for event in told] == ["warning"]
    assert problem in told[0].text
    assert (names(tmp_path / "trees"), names(tmp_path / "work")) == ([OTHER.digest], [])
    assert store.make(KEY, write) == (tree, False)


def test_only_the_first_of_many_problems_are_told(tmp_path: Path) -> None:
    told: list[Event] = []
    store = TreeStore(tmp_path, events=told.append)
    tree, _ = store.make(KEY, write)
    for number in range(9):
        (tree.root / f"extra{number}").touch()
    store.find(KEY)
    assert told[0].text.endswith("extra4: does not belong here; and 4 more")


# Several at once


def test_threads_that_make_the_same_tree_build_it_once(tmp_path: Path) -> None:
    builds: list[int] = []
    results: list[tuple[str, bool]] = []

    def build(workspace: Workspace) -> Mapping[str, object]:
        builds.append(threading.get_ident())
        return write(workspace)

    def make() -> None:
        tree, hit = TreeStore(tmp_path).make(KEY, build)
        results.append((tree.key, hit))

    threads = [threading.Thread(target=make) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(builds) == 1
    assert sorted(results) == [(KEY.digest, False)] + [(KEY.digest, True)] * 5


def test_waiting_is_told_and_ends_when_everything_is_stopped(tmp_path: Path) -> None:
    told = threading.Event()
    processes = Processes()
    store = TreeStore(tmp_path, events=lambda _event: told.set(), processes=processes)
    caught: list[BuilderError] = []

    def wait() -> None:
        try:
            store.make(KEY, refuse)
        except BuilderError as error:
            caught.append(error)

    with store.exclusive(KEY.digest):
        thread = threading.Thread(target=wait)
        thread.start()
        assert told.wait(15)
        processes.stop()
        thread.join()
    assert [type(error) for error in caught] == [Interrupted]


# Where a store can be


def test_a_file_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "store").touch()
    with pytest.raises(UsageError, match="is not a folder"):
        TreeStore(tmp_path / "store").make(KEY, write)


def test_a_folder_of_other_things_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(UsageError, match="is not empty and is not a store"):
        TreeStore(tmp_path).make(KEY, write)
    assert names(tmp_path) == ["thesis.tex"]


def test_a_folder_below_a_file_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BuilderError, match="cannot be used"):
        TreeStore(tmp_path / "file" / "store").make(KEY, write)


def test_a_store_that_cannot_be_written_is_named() -> None:
    with pytest.raises(BuilderError, match="the store `/proc/builder-store` cannot be") as caught:
        TreeStore(Path("/proc/builder-store")).make(KEY, write)
    assert caught.value.exit_code == 1


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_named(number: int, tmp_path: Path) -> None:
    def fill(workspace: Workspace) -> Mapping[str, object]:
        raise OSError(number, "full", str(workspace.content / "x"))

    with pytest.raises(BuilderError, match=r"the disk of the store .* is full") as caught:
        TreeStore(tmp_path).make(KEY, fill)
    assert "--store" in caught.value.hint
    assert names(tmp_path / "work") == []


def test_other_errors_of_a_build_are_left_alone(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        TreeStore(tmp_path).make(KEY, lambda workspace: {"x": (workspace.root / "no").read_text()})


def test_a_tree_is_found_in_a_store_that_is_only_read(tmp_path: Path) -> None:
    tree, _ = TreeStore(tmp_path).make(KEY, write)
    for path in (tmp_path / "locks").iterdir():
        path.unlink()
    assert TreeStore(tmp_path).make(KEY, refuse) == (tree, True)
    assert names(tmp_path / "locks") == []


# What a store tells


def test_explain_compares_with_the_most_similar_key_of_the_stage(tmp_path: Path) -> None:
    store = TreeStore(tmp_path)
    assert store.explain(KEY) == ()
    store.make(InputKey("core", {"compiler": "clang", "flags": ["-O3", "-g"]}), write)
    store.make(InputKey("python", dict(KEY.parts)), write)
    store.make(KEY, write)
    assert store.explain(KEY) == ()
    assert store.explain(OTHER) == ("compiler: 'gcc 12' -> 'gcc 13'",)


def test_scratch_folders_are_new_and_do_not_pile_up(tmp_path: Path) -> None:
    store = TreeStore(tmp_path)
    first, second = store.scratch(), store.scratch()
    assert first != second
    assert first.is_dir()
    os.utime(first, (0, 0))
    store.scratch()
    assert not first.exists()
    assert second.exists()
