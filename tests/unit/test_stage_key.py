from __future__ import annotations

import copy
import json
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builder.stage.key import InputKey, canonical

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)
# A busy machine draws slowly.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
PARTS = st.dictionaries(st.text(max_size=5), VALUES, min_size=1, max_size=5)


def paths_of(value: object) -> list[tuple[object, ...]]:
    """The way to every value inside of `value`."""
    items: list[tuple[object, object]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    return [(name, *rest) for name, item in items for rest in ((), *map(tuple, paths_of(item)))]


def reversed_order(value: object) -> object:
    if isinstance(value, dict):
        return {name: reversed_order(item) for name, item in reversed(value.items())}
    if isinstance(value, list):
        return tuple(reversed_order(item) for item in value)
    return value


@patient
@given(PARTS, st.data())
def test_a_change_of_any_value_changes_the_digest(
    parts: dict[str, object], data: st.DataObject
) -> None:
    *way, last = data.draw(st.sampled_from(paths_of(parts)))
    other = copy.deepcopy(parts)
    place: object = other
    for step in way:
        place = place[step]  # type: ignore[index]  # a way that `paths_of` has walked
    before = place[last]  # type: ignore[index]  # as above
    spelling = json.dumps(before, sort_keys=True)
    after = data.draw(VALUES.filter(lambda it: json.dumps(it, sort_keys=True) != spelling))
    place[last] = after  # type: ignore[index]  # as above
    assert InputKey("core", parts).digest != InputKey("core", other).digest
    assert InputKey("core", parts).differences(InputKey("core", other)) != ()


@patient
@given(PARTS, st.text(min_size=1, max_size=5), VALUES)
def test_one_part_more_changes_the_digest(
    parts: dict[str, object], name: str, value: object
) -> None:
    less = {key: item for key, item in parts.items() if key != name}
    more = {**less, name: value}
    assert InputKey("core", less).digest != InputKey("core", more).digest


@patient
@given(PARTS)
def test_order_and_kind_of_sequence_change_nothing(parts: dict[str, object]) -> None:
    other = reversed_order(parts)
    assert isinstance(other, dict)
    assert InputKey("core", parts).digest == InputKey("core", other).digest
    assert InputKey("core", parts).differences(InputKey("core", other)) == ()


@patient
@given(PARTS)
def test_a_key_survives_being_stored(parts: dict[str, object]) -> None:
    stored = json.loads(json.dumps(parts))
    assert InputKey("core", stored).digest == InputKey("core", parts).digest


def test_the_stage_is_part_of_the_digest() -> None:
    assert InputKey("core", {}).digest != InputKey("python", {}).digest


def test_the_digest_is_pinned_so_that_stores_stay_valid() -> None:
    key = InputKey("core", {"compiler": "gcc 12", "flags": ("-O2", "-g"), "ünï": 1})
    assert canonical(key.parts) == (
        b'{"compiler":"gcc 12","flags":["-O2","-g"],"\\u00fcn\\u00ef":1}'
    )
    assert key.digest == "1ebf85ef4ac0395315300160b8cc8c0fe9dd288e0d790a914231703d90fe0526"


@pytest.mark.parametrize(
    "value",
    [
        Path("/tmp"),
        PurePosixPath("relative"),
        float("nan"),
        float("inf"),
        b"bytes",
        {"a", "b"},
        {1: "number as a name"},
        object(),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_has_no_single_spelling_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match=r"a key cannot hold the .* at `\.parts\.inner\[0\]`"):
        _ = InputKey("core", {"inner": [value]}).digest


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"compiler": "gcc 12"}, {"compiler": "gcc 13"}, ("compiler: 'gcc 12' -> 'gcc 13'",)),
        ({"a": {"b": [1, 2]}}, {"a": {"b": [1, 3]}}, ("a.b[1]: 2 -> 3",)),
        ({"a": 1}, {"a": True}, ("a: 1 -> True",)),
        ({"a": 1}, {"a": "1"}, ("a: 1 -> '1'",)),
        ({}, {"new": []}, ("new: nothing -> []",)),
        ({"old": "x"}, {}, ("old: 'x' -> nothing",)),
        ({"a.b": 1}, {"a": {"b": 1}}, ("'a.b': 1 -> nothing", "a.b: nothing -> 1")),
        ({"stage": "x"}, {"stage": "y"}, ("stage: 'x' -> 'y'",)),
        ({"a": (1, 2)}, {"a": [1, 2]}, ()),
    ],
)
def test_differences_read_as_lines(
    before: dict[str, object], after: dict[str, object], expected: tuple[str, ...]
) -> None:
    assert InputKey("core", before).differences(InputKey("core", after)) == expected


def test_a_different_stage_is_a_difference() -> None:
    assert InputKey("core", {}).differences(InputKey("python", {})) == (
        "stage: 'core' -> 'python'",
    )
