"""`Python`: every spelling, one canonical name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.config.python import Python, parse_pythons
from builder.errors import UsageError

KNOWN = tuple(Python.parse(text) for text in ("3.11", "3.12", "3.13"))


def _possible(version: tuple[int, int]) -> st.SearchStrategy[Python]:
    if version < (3, 3):
        flags = ["m", "mu"]
    elif version < (3, 8):
        flags = ["m"]
    else:
        flags = [""] if version < (3, 13) else ["", "t"]
    return st.sampled_from([Python(*version, flag) for flag in flags])


pythons = st.tuples(st.integers(1, 9), st.integers(0, 120)).flatmap(_possible)


@given(pythons)
def test_parse_is_the_inverse_of_str(python: Python) -> None:
    assert Python.parse(str(python)) == python


@given(pythons)
def test_every_rendering_reads_back(python: Python) -> None:
    assert Python.parse(python.folder) == python
    assert Python.parse(python.spelling) == python


@given(pythons, pythons)
def test_different_pythons_have_different_names(one: Python, other: Python) -> None:
    assert (str(one) == str(other)) is (one == other)
    assert (one.folder == other.folder) is (one == other)


@pytest.mark.parametrize(
    ("text", "folder"),
    [
        ("2.7m", "cp27-cp27m"),
        ("2.7mu", "cp27-cp27mu"),
        ("2.7", "cp27-cp27m"),
        ("3.5m", "cp35-cp35m"),
        ("3.6m", "cp36-cp36m"),
        ("3.7m", "cp37-cp37m"),
        ("3.7", "cp37-cp37m"),
        ("37", "cp37-cp37m"),
        ("cp37", "cp37-cp37m"),
        ("cp37m", "cp37-cp37m"),
        ("cp37-cp37m", "cp37-cp37m"),
        ("cp27-cp27mu", "cp27-cp27mu"),
        ("3.8", "cp38-cp38"),
        ("3.8m", "cp38-cp38"),
        ("3.10", "cp310-cp310"),
        ("310", "cp310-cp310"),
        ("cp311", "cp311-cp311"),
        ("3.13", "cp313-cp313"),
        ("3.13t", "cp313-cp313t"),
        ("cp313-cp313t", "cp313-cp313t"),
        (" CP311 ", "cp311-cp311"),
    ],
)
def test_old_spellings(text: str, folder: str) -> None:
    assert Python.parse(text).folder == folder


def test_parts_of_a_name() -> None:
    python = Python.parse("2.7mu")
    assert (python.version, python.spelling) == ("2.7", "2.7mu")
    assert (python.interpreter_tag, python.abi_tag) == ("cp27", "cp27mu")
    assert [Python.parse(text).free_threaded for text in ("3.13", "3.13t")] == [False, True]


def test_versions_sort_as_numbers() -> None:
    texts = ["3.13t", "3.9", "2.7mu", "3.13", "3.10", "2.7m"]
    ordered = sorted(Python.parse(text) for text in texts)
    assert [python.spelling for python in ordered] == [
        "2.7m",
        "2.7mu",
        "3.9",
        "3.10",
        "3.13",
        "3.13t",
    ]


@pytest.mark.parametrize(
    "text",
    ["", "3", "python", "3.07", "03.7", "3.7.1", "3.7mu", "cp38m", "3.12t", "cp37-cp38",
     "cp37-cp36m", "3.11u", "3.-1", "11.1", "३.७", "3.7\n3.8", "pp37"],
)  # fmt: skip
def test_nonsense_is_refused_with_a_hint(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        Python.parse(text)
    assert caught.value.hint


@pytest.mark.parametrize("fields", [(0, 1, ""), (10, 1, ""), (3, -1, ""), (3, 7, ""), (3, 8, "m")])
def test_a_python_that_never_was_cannot_be_made(fields: tuple[int, int, str]) -> None:
    with pytest.raises(UsageError):
        Python(*fields)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["3.11"], "cp311"),
        (["3.7,3.9-3.13"], "cp37m cp39 cp310 cp311 cp312 cp313"),
        (["3.6-3.8"], "cp36m cp37m cp38"),
        (["cp37-cp37m"], "cp37m"),
        (["cp36m-cp38"], "cp36m cp37m cp38"),
        (["3.13t-3.14t"], "cp313t cp314t"),
        (["2.7m-2.7mu"], "cp27m cp27mu"),
        (["3.12", "3.11", "3.12"], "cp312 cp311"),
        (["all"], "cp311 cp312 cp313"),
        (["3.8,ALL"], "cp38 cp311 cp312 cp313"),
        ([" 3.8 , ,3.9"], "cp38 cp39"),
        ([], ""),
    ],
)
def test_lists_and_ranges(texts: list[str], expected: str) -> None:
    assert " ".join(map(str, parse_pythons(texts, KNOWN))) == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("2.7-3.7", "two major versions"),
        ("3.13-3.9", "backwards"),
        ("3.13-3.14t", "mixes"),
        ("3.9-", "not a Python version"),
        ("3.9-3.10-3.11", "not a Python version"),
    ],
)
def test_a_senseless_range_is_refused(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        parse_pythons([text], KNOWN)


def test_all_faults_of_a_list_are_told_at_once() -> None:
    with pytest.raises(UsageError) as caught:
        parse_pythons(["3.x,3.11", "4.y"], KNOWN)
    assert len(caught.value.faults) == 2


def test_all_of_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="none is known"):
        parse_pythons(["all"], ())
