from __future__ import annotations

import os
from pathlib import Path

from builder.stage.fingerprint import fingerprint
from builder.stage.remembered import Remembered


def test_a_fingerprint_knows_bytes_and_texts_but_no_place(tmp_path: Path) -> None:
    memory = Remembered(tmp_path, "x", "1")
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"tool")
    two.write_bytes(b"tool")
    assert fingerprint(["a", one], memory) == fingerprint(["a", two], memory)
    different = {
        fingerprint(["a", one], memory),
        fingerprint(["b", one], memory),
        fingerprint([one, "a"], memory),
        fingerprint(["a", one, one], memory),
    }
    assert len(different) == 4


def test_a_changed_file_changes_it_and_an_unchanged_one_is_not_read_again(tmp_path: Path) -> None:
    memory = Remembered(tmp_path, "x", "1")
    file = tmp_path / "tool"
    file.write_bytes(b"old")
    before, status = fingerprint([file], memory), file.stat()
    file.write_bytes(b"new")
    os.utime(file, ns=(status.st_mtime_ns, status.st_mtime_ns))
    assert fingerprint([file], memory) == before
    os.utime(file, ns=(1, 1))
    assert fingerprint([file], memory) != before
