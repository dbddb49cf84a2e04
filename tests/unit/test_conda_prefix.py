"""A build prefix in a file: whole, or cut into pieces by a compiler."""

from __future__ import annotations

import pytest
from builder_conda.prefix import leaks, mode_of, occurrences

PLACEHOLDER = "/opt/" + "placehold_" * 24
SHORT = "/home/me/build/prefix/of/some/length"


@pytest.mark.parametrize("size", [1, 7, 100, 1 << 20])
def test_a_whole_prefix_is_found_across_pieces(size: int) -> None:
    content = (
        b"x" * 50 + SHORT.encode() * 2 + b"\0" + SHORT.encode() + b"/lib" + SHORT.encode()[:-1]
    )
    windows = (content[start : start + size] for start in range(0, len(content), size))
    length = len(SHORT)
    assert occurrences(windows, SHORT.encode()) == (50, 50 + length, 51 + 2 * length)


def test_zeros_make_a_binary() -> None:
    assert (mode_of(b"a\0b"), mode_of(b"#!/bin/sh\n")) == ("binary", "text")


@pytest.mark.parametrize("prefix", [PLACEHOLDER, SHORT], ids=["padded", "short"])
def test_a_whole_prefix_is_no_leak(prefix: str) -> None:
    texts = (f"#!{prefix}/bin/sh", prefix, "placeholder", "/home/me/build/prefix/other")
    content = "\0".join(texts).encode()
    assert leaks(memoryview(content), prefix) == ()


@pytest.mark.parametrize(("prefix", "size"), [(PLACEHOLDER, 16), (PLACEHOLDER, 8), (SHORT, 16)])
def test_pieces_are_told_with_their_place(prefix: str, size: int) -> None:
    raw = prefix.encode()
    cut = [raw[at : at + size] for at in range(16, len(raw) - size, size)]
    content = raw + b"\0" * 100 + (b"\0" * 40).join(cut) + b"the words beside it"
    found = leaks(memoryview(content), prefix)
    assert found != ()
    assert all(leak.offset > len(raw) for leak in found)
    assert f"at {found[0].offset:#x}" in str(found[0])
    assert "near" in str(found[0])


PLAIN = "/opt/build/store/work/0123456789abcdef/prefix"


@pytest.mark.parametrize(
    ("prefix", "text", "size"),
    [
        (PLAIN, PLAIN[PLAIN.rindex("/") - 14 :], 16),
        (f"/opt/{'placehold_' * 20}", "acehold_placeho", 8),
    ],
    ids=["plain", "padded"],
)
def test_every_piece_is_found_wherever_it_lies(prefix: str, text: str, size: int) -> None:
    edge = b"." * ((1 << 20) - 5)  # across what is looked at together
    for at in range(len(text) - size + 1):
        for before in (b"", edge):
            content = before + text[at : at + size].encode() + b"."
            found = leaks(memoryview(content), prefix)
            assert [(one.offset, one.size) for one in found] == [(len(before), size)]
