from __future__ import annotations

from pathlib import Path

import pytest

from builder.archive.deliver import deliver
from builder.errors import BuilderError


def test_a_file_appears_under_its_name_with_its_bytes(tmp_path: Path) -> None:
    source = tmp_path / "a.whl"
    source.write_bytes(b"wheel" * 1000)

    delivered = deliver(source, tmp_path / "new" / "dist")

    assert delivered == tmp_path / "new" / "dist" / "a.whl"
    assert delivered.read_bytes() == source.read_bytes()
    assert [path.name for path in delivered.parent.iterdir()] == ["a.whl"]


def test_an_older_file_of_that_name_is_replaced_whole(tmp_path: Path) -> None:
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / "a.whl").write_bytes(b"older and longer")
    (tmp_path / "a.whl").write_bytes(b"new")

    assert deliver(tmp_path / "a.whl", tmp_path / "dist").read_bytes() == b"new"


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "dist").write_text("a file is in the way")
    (tmp_path / "a.whl").write_bytes(b"new")

    with pytest.raises(BuilderError, match="cannot be written") as caught:
        deliver(tmp_path / "a.whl", tmp_path / "dist")

    assert "--output-dir" in caught.value.hint
