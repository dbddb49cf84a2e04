from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from builder.relink.memory import SETTLED, Memory, digest_of_source

CODE = b"code"
LONG_AGO = 1_600_000_000_000_000_000


def written(path: Path, content: bytes = b"content", when: int = LONG_AGO) -> Path:
    path.write_bytes(content)
    os.utime(path, ns=(when, when))
    return path


def remembered(memory: Memory, file: Path, said: bytes = b"said") -> Path:
    """Tell the memory of a file; the entry that holds it."""
    place = memory.look(file, CODE)
    memory.keep(place, said)
    assert place.entry is not None
    return place.entry


def known(memory: Memory, file: Path, code: bytes = CODE) -> bytes | None:
    return memory.look(file, code).content


def test_what_is_kept_is_known_to_the_next_process(tmp_path: Path) -> None:
    file = written(tmp_path / "a")
    remembered(Memory(tmp_path / "m"), file)
    assert known(Memory(tmp_path / "m"), file) == b"said"


def rewrite(file: Path) -> None:
    written(file, b"changed")


def touch(file: Path) -> None:
    os.utime(file, ns=(LONG_AGO, LONG_AGO + 1))


def grow(file: Path) -> None:
    written(file, b"content and more")


def replace(file: Path) -> None:
    written(file.with_name("new")).replace(file)


@pytest.mark.parametrize("change", [rewrite, touch, grow, replace])
def test_a_changed_file_is_another_one(tmp_path: Path, change: Callable[[Path], None]) -> None:
    memory, file = Memory(tmp_path / "m"), written(tmp_path / "a")
    remembered(memory, file)
    change(file)
    assert known(memory, file) is None


def test_other_code_and_other_names_know_nothing(tmp_path: Path) -> None:
    memory, file = Memory(tmp_path / "m"), written(tmp_path / "a")
    remembered(memory, file)
    assert known(memory, file, b"other") is None
    assert known(memory, file.rename(tmp_path / "b")) is None


def test_another_link_to_a_file_changes_nothing(tmp_path: Path) -> None:
    memory, file = Memory(tmp_path / "m"), written(tmp_path / "a")
    remembered(memory, file)
    (tmp_path / "b").hardlink_to(file)
    assert known(memory, file) == b"said"


@pytest.mark.parametrize("damage", [b"", b"x", b"builder remembers\n00000000\nsaid"])
def test_a_damaged_entry_was_never_there(tmp_path: Path, damage: bytes) -> None:
    memory, file = Memory(tmp_path / "m"), written(tmp_path / "a")
    entry = remembered(memory, file)
    entry.write_bytes(damage)
    assert known(memory, file) is None
    assert not entry.exists()


def test_a_file_that_was_just_written_is_not_remembered(tmp_path: Path) -> None:
    memory, file = Memory(tmp_path / "m"), tmp_path / "a"
    file.write_bytes(b"content")
    entry = remembered(memory, file)
    assert not entry.exists()
    now = file.stat().st_mtime_ns
    os.utime(file, ns=(now, now - 2 * SETTLED))
    assert remembered(memory, file).exists()


def test_a_file_that_changes_meanwhile_is_not_remembered(tmp_path: Path) -> None:
    memory, file = Memory(tmp_path / "m"), written(tmp_path / "a")
    place = memory.look(file, CODE)
    written(file, b"another", LONG_AGO + 1)
    memory.keep(place, b"said")
    assert place.entry is not None
    assert not place.entry.exists()


def test_without_source_or_file_nothing_is_remembered(tmp_path: Path) -> None:
    memory, file = Memory(tmp_path / "m"), written(tmp_path / "a")
    assert memory.look(file, b"").entry is None
    assert memory.look(tmp_path / "absent", CODE).entry is None
    memory.keep(memory.look(file, b""), b"said")
    assert not (tmp_path / "m").exists()


def test_the_least_recently_used_go_first(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "m", most=300)
    entries = [remembered(memory, written(tmp_path / name), bytes(60)) for name in "abc"]
    for entry, when in zip(entries, (3, 1, 2), strict=True):
        os.utime(entry, ns=(when, when))
    remembered(memory, written(tmp_path / "d"), bytes(60))
    assert [entry.exists() for entry in entries] == [True, False, True]


def test_what_is_too_large_is_not_kept(tmp_path: Path) -> None:
    memory, file = Memory(tmp_path / "m", most=99), written(tmp_path / "a")
    assert not remembered(memory, file, bytes(100)).exists()


def test_what_a_killed_process_left_is_removed_an_hour_later(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "m")
    entry = remembered(memory, written(tmp_path / "a"))
    old, young = entry.with_name("old.part"), entry.with_name("young.part")
    written(old)
    young.write_bytes(b"")
    remembered(memory, written(tmp_path / "b"))
    assert (old.exists(), young.exists()) == (False, True)


def test_a_folder_that_cannot_be_written_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(b"no folder")
    memory, file = Memory(tmp_path / "m"), written(tmp_path / "a")
    remembered(memory, file)
    assert known(memory, file) is None


def test_the_digest_is_that_of_all_modules_and_files(tmp_path: Path) -> None:
    (tmp_path / "room" / "inner").mkdir(parents=True)
    module = written(tmp_path / "room" / "inner" / "a.py")
    table = written(tmp_path / "t.toml")
    first = digest_of_source([tmp_path / "room", table])
    written(tmp_path / "room" / "notes.txt")
    assert digest_of_source([tmp_path / "room", table]) == first
    found = {first}
    for path in (module, table):
        written(path, b"changed")
        found.add(digest_of_source([tmp_path / "room", table]))
    assert len(found) == 3
    assert digest_of_source([tmp_path / "absent.py"]) == b""
