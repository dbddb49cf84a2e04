from __future__ import annotations

import pytest

from builder.archive.conda import subdir_of


@pytest.mark.parametrize(
    ("index", "found"),
    [
        pytest.param(b'{"subdir": "linux-64"}', ("linux-64",), id="said"),
        pytest.param(b'{"subdir": ""}', (), id="empty"),
        pytest.param(b'{"subdir": 64}', (), id="a number"),
        pytest.param(b'{"subdir": "\\ud800"}', (), id="half a character"),
        pytest.param(b"[]", (), id="a list"),
        pytest.param(b"", (), id="nothing"),
        pytest.param(b"\xff", (), id="no text"),
        pytest.param(b"[" * 100_000, (), id="nested"),
        pytest.param(b"1" * 5000, (), id="a large number"),
    ],
)
def test_a_platform_is_what_the_index_says_or_nothing(index: bytes, found: tuple[str, ...]) -> None:
    assert subdir_of(index) == found
