from __future__ import annotations

import pytest

from smoke.claims import dist_info_text, header, manylinux_versions, name_of
from smoke.subject import Content


@pytest.mark.parametrize(
    ("platforms", "expected"),
    [
        (("manylinux1_x86_64",), ((2, 5),)),
        (("manylinux_2_17_x86_64", "manylinux2014_x86_64"), ((2, 17),)),
        (("manylinux_2_28_aarch64", "manylinux_2_17_aarch64"), ((2, 17), (2, 28))),
        (("linux_x86_64", "any", "musllinux_1_2_x86_64"), ()),
    ],
)
def test_claimed_glibc(platforms: tuple[str, ...], expected: tuple[tuple[int, int], ...]) -> None:
    assert manylinux_versions(platforms) == expected


def test_headers_come_from_the_head_of_the_file() -> None:
    text = "Name: a\nTag: x\ntag: y\n\nTag: body\n"
    content = Content((), texts={"a-1.dist-info/WHEEL": text})

    assert header(content, "WHEEL", "Tag") == ("x", "y")
    assert header(content, "WHEEL", "Version") == ()
    assert header(content, "METADATA", "Name") == ()
    assert header(None, "METADATA", "Name") == ()


def test_dist_info_text_finds_by_base_name() -> None:
    content = Content((), texts={"a-1.dist-info/METADATA": "Name: a"})

    assert dist_info_text(content, "METADATA") == "Name: a"
    assert dist_info_text(content, "WHEEL") is None


def test_a_name_that_is_no_wheels_is_none() -> None:
    name = name_of("a-1-py3-none-any.whl")

    assert name is not None
    assert name.platforms == ("any",)
    assert name_of("a.whl") is None
