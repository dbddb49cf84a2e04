from __future__ import annotations

import os
from pathlib import Path

from builder.stage.remembered import Remembered


def test_facts_are_remembered_between_runs(tmp_path: Path) -> None:
    file = tmp_path / "tool"
    file.write_text("one")
    memory = Remembered(tmp_path / "cache", "tools", "1")
    memory.put(file, {"version": "1.0"})
    memory.save()
    assert Remembered(tmp_path / "cache", "tools", "1").get(file) == {"version": "1.0"}


def test_a_changed_file_is_forgotten(tmp_path: Path) -> None:
    file = tmp_path / "tool"
    file.write_text("one")
    memory = Remembered(tmp_path, "tools", "1")
    memory.put(file, {"version": "1.0"})
    os.utime(file, ns=(1, 1))
    assert memory.get(file) is None


def test_another_version_of_the_question_forgets_the_answers(tmp_path: Path) -> None:
    file = tmp_path / "tool"
    file.write_text("one")
    memory = Remembered(tmp_path, "tools", "1")
    memory.put(file, {"version": "1.0"})
    memory.save()
    assert Remembered(tmp_path, "tools", "2").get(file) is None


def test_two_writers_keep_the_answers_of_both(tmp_path: Path) -> None:
    files = [tmp_path / "a", tmp_path / "b"]
    memories = [Remembered(tmp_path, "tools", "1") for _ in files]
    for file, memory in zip(files, memories, strict=True):
        file.write_text(file.name)
        memory.put(file, {"name": file.name})
        memory.save()
    third = Remembered(tmp_path, "tools", "1")
    assert [third.get(file) for file in files] == [{"name": "a"}, {"name": "b"}]


def test_a_damaged_or_unwritable_cache_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "tools.json").write_text('{"version": "1", "facts": [')
    file = tmp_path / "tool"
    file.write_text("one")
    assert Remembered(tmp_path, "tools", "1").get(file) is None
    memory = Remembered(file / "no-folder", "tools", "1")
    memory.put(file, {})
    memory.save()
    assert memory.get(file) == {}
