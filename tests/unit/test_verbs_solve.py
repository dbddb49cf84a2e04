from __future__ import annotations

import pytest

from builder.errors import UsageError
from builder.verbs.solve import python_specs


@pytest.mark.parametrize(
    ("text", "specs"),
    [
        ("", ()),
        ("3.11", ("python=3.11",)),
        ("3.13t", ("python=3.13", "python_abi=3.13=*_cp313t")),
    ],
)
def test_a_python_is_asked_for_in_the_words_of_conda(text: str, specs: tuple[str, ...]) -> None:
    assert python_specs(text) == specs


def test_a_python_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError):
        python_specs("pypy")
