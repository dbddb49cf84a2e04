"""Full versions of packages, and what a tag means."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from builder.config.accelerator import Accelerator
from builder.config.version import full_version, has_local_part, parse_tag, parse_version
from builder.errors import UsageError

DAY = date(2019, 7, 31)
CU100 = Accelerator.parse("cu100")


def version_of(base: str, **changes: Any) -> str:
    settings: dict[str, Any] = {
        "channel": "release",
        "today": DAY,
        "build_number": 1,
        "accelerator": CU100,
        "package_type": "manywheel",
        "os": "linux",
        "local": True,
        "override": "",
    }
    return full_version(base, **(settings | changes))


@pytest.mark.parametrize(
    ("base", "changes", "expected"),
    [
        ("1.2.0", {}, "1.2.0+cu100"),
        ("1.2.0", {"channel": "test"}, "1.2.0+cu100"),
        ("1.2.0", {"channel": "nightly"}, "1.2.0.dev20190731+cu100"),
        ("1.2.0", {"local": False}, "1.2.0"),
        ("1.2.0", {"accelerator": Accelerator("cpu")}, "1.2.0+cpu"),
        ("2.4.0", {"accelerator": Accelerator.parse("rocm6.2")}, "2.4.0+rocm6.2"),
        ("2.4.0", {"accelerator": Accelerator("xpu")}, "2.4.0+xpu"),
        ("1.2.0", {"os": "macos", "package_type": "wheel"}, "1.2.0"),
        ("1.2.0", {"os": "windows", "package_type": "wheel"}, "1.2.0+cu100"),
        ("1.2.0", {"package_type": "conda"}, "1.2.0"),
        ("1.2.0", {"package_type": "libtorch"}, "1.2.0+cu100"),
        ("1.2.0", {"package_type": "libtorch", "os": "macos"}, "1.2.0"),
        ("1.2.0", {"channel": "nightly", "package_type": "conda"}, "1.2.0.dev20190731"),
        ("1.2.0a0", {"channel": "nightly", "local": False}, "1.2.0.dev20190731"),
        ("1.2.0a1", {"channel": "nightly", "local": False}, "1.2.0a1.dev20190731"),
        ("1.2.0a0", {"local": False}, "1.2.0a0"),
        ("1.0.1", {"build_number": 2, "local": False}, "1.0.1.post2"),
        ("1.0.1", {"build_number": 2}, "1.0.1.post2+cu100"),
        ("1.0.1", {"build_number": 2, "package_type": "conda"}, "1.0.1"),
        ("1.0.1", {"build_number": 0}, "1.0.1+cu100"),
        ("1.0.1.post2", {"local": False}, "1.0.1.post2"),
        ("1.2.0+cu100", {}, "1.2.0+cu100"),
        ("1.2.0+cu100", {"build_number": 3}, "1.2.0.post3+cu100"),
        ("1.2.0+cu100", {"package_type": "conda"}, "1.2.0"),
        ("1.2.0+mine", {"local": False}, "1.2.0+mine"),
        ("1.2.0+mine", {"package_type": "conda"}, "1.2.0+mine"),
        ("v1.2.0-RC1", {"local": False}, "1.2.0rc1"),
        ("9.9", {"override": "1.2.0.dev1+cu92", "build_number": 4}, "1.2.0.dev1+cu92"),
        ("", {"override": "1.2-RC1", "channel": "nightly"}, "1.2rc1"),
    ],
)
def test_full_versions(base: str, changes: dict[str, Any], expected: str) -> None:
    assert version_of(base, **changes) == expected


@pytest.mark.parametrize(
    ("base", "changes", "says"),
    [
        ("", {}, "not a version"),
        ("one", {}, "not a version"),
        ("1.0", {"override": "one"}, "not a version"),
        ("1.0", {"channel": "weekly"}, "no such channel"),
        ("1.0", {"build_number": -1}, "not a build number"),
        ("1.0.post1", {"build_number": 2}, "cannot be added"),
        ("1.0.dev1", {"build_number": 2}, "cannot be added"),
        ("1.0.dev1", {"channel": "nightly"}, "nightly cannot be made"),
        ("1.0.post1", {"channel": "nightly"}, "nightly cannot be made"),
        ("1.0", {"channel": "nightly", "build_number": 2}, "no build number"),
        ("1.0+cu92", {}, "local part already"),
    ],
)
def test_a_version_that_cannot_be_is_refused(base: str, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        version_of(base, **changes)
    assert caught.value.hint


numbers = st.lists(st.integers(0, 99), min_size=1, max_size=4).map(
    lambda parts: ".".join(map(str, parts))
)


@given(numbers, st.integers(1, 5), st.sampled_from(["release", "test", "nightly"]), st.booleans())
def test_every_version_is_canonical_and_in_order(
    base: str, number: int, channel: str, local: bool
) -> None:
    number = 1 if channel == "nightly" else number
    text = version_of(base, channel=channel, build_number=number, local=local)
    version = Version(text)
    assert str(version) == text
    assert version.base_version == base
    assert version.is_devrelease is (channel == "nightly")
    assert version.local == ("cu100" if local else None)
    assert version.is_postrelease is (number > 1)


@given(st.dates(date(2018, 1, 1)), st.dates(date(2018, 1, 1)))
def test_a_later_nightly_is_a_later_version(one: date, other: date) -> None:
    versions = [
        Version(version_of("1.2.0a0", channel="nightly", today=day)) for day in (one, other)
    ]
    assert (versions[0] < versions[1]) is (one < other)
    assert max(versions) < Version("1.2.0")


def test_where_a_local_part_is_possible() -> None:
    assert has_local_part("manywheel", "linux")
    assert has_local_part("wheel", "windows")
    assert not has_local_part("conda", "linux")
    assert not has_local_part("libtorch", "macos")


@pytest.mark.parametrize(
    ("tag", "meaning"),
    [
        ("v1.6.0-rc1", ("1.6.0", "test")),
        ("v1.6.0rc12", ("1.6.0", "test")),
        ("v1.6.0", ("1.6.0", "test")),
        ("2.10.1", ("2.10.1", "test")),
        ("", ("", "nightly")),
    ],
)
def test_tags(tag: str, meaning: tuple[str, str]) -> None:
    assert parse_tag(tag) == meaning


@pytest.mark.parametrize("tag", ["main", "v1", "ciflow/trunk/1.2", "v1.2.0-beta1", "1.2.0-rc"])
def test_a_tag_that_is_no_release_is_refused(tag: str) -> None:
    with pytest.raises(UsageError, match="not a release tag"):
        parse_tag(tag)


def test_a_parsed_version_prints_canonically() -> None:
    assert str(parse_version("1.2.0-post.1+CPU")) == "1.2.0.post1+cpu"
