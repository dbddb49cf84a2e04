from __future__ import annotations

import time
import tracemalloc

import pytest

from builder.archive.refusals import RULES, Limits, Member, refuse, strip_top

LIMITS = Limits(total=1000, ratio=10, floor=100, members=5)


def file(name: str, size: int = 1) -> Member:
    return Member(name, "file", size)


def link(name: str, target: str) -> Member:
    return Member(name, "link", target=target)


REFUSED = {
    "absolute": ("absolute", [file("/etc/passwd")]),
    "drive": ("absolute", [file("C:/windows/x")]),
    "up": ("traversal", [file("../x")]),
    "up inside": ("traversal", [file("a/b/../../c")]),
    "backslash": ("name", [file("a\\..\\x")]),
    "newline": ("name", [file("a\nb")]),
    "NUL": ("name", [file("a\0b")]),
    "no name": ("name", [file("./")]),
    "not UTF-8": ("name", [file("a\udcff")]),
    "long name": ("name", [file("a" * 256)]),
    "long path": ("name", [file("/".join(["a" * 200] * 21))]),
    "deep path": ("name", [file("a/" * 3000 + "a")]),
    "device": ("special", [Member("null", "special")]),
    "password": ("encrypted", [Member("a", "file", encrypted=True)]),
    "twice": ("duplicate", [file("a"), file("./a")]),
    "file and folder": ("duplicate", [file("a"), Member("a/", "directory")]),
    "link twice": ("duplicate", [link("a", "b"), link("a", "c")]),
    "case": ("case", [file("Readme"), file("README")]),
    "case of a folder": ("case", [file("src/a"), file("Src/b")]),
    "accents": ("case", [file("caf\u00e9"), file("cafe\u0301")]),
    "below a file": ("conflict", [file("a"), file("a/b")]),
    "below a link": ("conflict", [link("a", "b"), file("a/x"), file("b/y")]),
    "link out": ("link", [link("a", "../x")]),
    "link out from below": ("link", [link("d/a", "../../x")]),
    "link to absolute": ("link", [link("a", "/etc")]),
    "link to nothing": ("link", [link("a", "")]),
    "link through a link": ("link", [link("d/up", ".."), link("e", "d/up/../x"), file("d/f")]),
    "link in circles": ("link", [link("a", "b"), link("b", "a")]),
    "link with a drive": ("link", [link("a", "C:/x")]),
    "link to a long path": ("link", [link("a", "b/" * 3000)]),
    "link over many steps": ("link", [link("a", "b/" * 1500), link("b", "./" * 2000)]),
    "hard link to nothing": ("link", [Member("a", "hardlink", target="b")]),
    "hard link out": ("link", [Member("a", "hardlink", target="../b")]),
    "hard link to later": ("link", [Member("a", "hardlink", target="b"), file("b")]),
    "too many bytes": ("bomb", [file("a", 1001)]),
    "too dense": ("bomb", [file("a", 101)]),
    "too dense by hard links": (
        "bomb",
        [file("a", 60), Member("b", "hardlink", target="a")],
    ),
    "too many members": ("bomb", [file(str(number)) for number in range(6)]),
    "negative size": ("damaged", [file("a", -1)]),
}


@pytest.mark.parametrize(("rule", "members"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_not_safe_is_refused_by_name(rule: str, members: list[Member]) -> None:
    refusals = refuse(members, 10, LIMITS)
    assert [refusal.rule for refusal in refusals][:1] == [rule]
    assert str(refusals[0]).startswith(repr(refusals[0].member))


def test_every_rule_has_a_sample() -> None:
    assert {rule for rule, _ in REFUSED.values()} == set(RULES)


ALLOWED = {
    "files and folders": [Member("d/", "directory"), file("d/a"), file("e/f/b")],
    "folder twice": [Member("d", "directory"), Member("d/", "directory")],
    "dots that are names": [file("..."), file("a..b"), file(".hidden")],
    "link inside": [file("lib/x.so.1"), link("lib/x.so", "x.so.1"), link("l", "lib")],
    "link up but inside": [link("a/b/c", "../../d"), file("d")],
    "link to nothing there": [link("a", "nowhere")],
    "link to a link": [file("c"), link("b", "c"), link("a", "b")],
    "hard link": [file("a"), Member("b", "hardlink", target="./a")],
    "small and dense": [file("a", 100)],
}


@pytest.mark.parametrize("members", ALLOWED.values(), ids=ALLOWED.keys())
def test_what_is_safe_is_allowed(members: list[Member]) -> None:
    assert refuse(members, 1, LIMITS) == ()


DEEP = "a/" * 2000 + "x"
COSTLY = {
    "deep folders": [file(f"{number}/{DEEP}") for number in range(100)],
    "deep folders of plain names": [file(f"{number}/{'a/' * 120}x") for number in range(4000)],
    "deep links": [link(f"{number}", "a/" * 2000) for number in range(300)],
    "links in many folders": [link(f"{n}/{'a/' * 1900}x", "y") for n in range(200)],
    "links of many hops": [link("a", "./" * 2000), *(link(f"{n}", "a/" * 50) for n in range(300))],
}


@pytest.mark.parametrize("members", COSTLY.values(), ids=COSTLY)
def test_judging_costs_no_more_than_the_names(members: list[Member]) -> None:
    start = time.process_time()
    refuse(members, 1 << 30, Limits())
    assert time.process_time() - start < 5
    tracemalloc.start()
    try:
        refuse(members[:40], 1 << 30, Limits())
        assert tracemalloc.get_traced_memory()[1] < 48 << 20
    finally:
        tracemalloc.stop()


STRIPPED = {
    "one folder": (["top/a", "top/b/c"], ["a", "b/c"]),
    "one folder, said": (["top/", "top/a"], [".", "a"]),
    "dot first": (["./top/a", "./top/b"], ["a", "b"]),
    "two folders": (["x/a", "y/b"], ["x/a", "y/b"]),
    "a file beside": (["top/a", "b"], ["top/a", "b"]),
    "one file": (["a"], ["a"]),
    "nothing that is safe": (["top/../a", "top/b"], ["top/../a", "top/b"]),
    "absolute": (["/top/a", "/top/b"], ["/top/a", "/top/b"]),
}


@pytest.mark.parametrize(("names", "expected"), STRIPPED.values(), ids=STRIPPED.keys())
def test_one_common_folder_is_stripped(names: list[str], expected: list[str]) -> None:
    members = [Member(name, "directory" if name.endswith("/") else "file") for name in names]
    assert [member.name for member in strip_top(members)] == expected


def test_stripping_changes_hard_links_and_leaves_links() -> None:
    members = [
        file("top/a"),
        Member("top/b", "hardlink", target="top/a"),
        link("top/c", "../top/a"),
    ]
    stripped = strip_top(members)
    assert [member.target for member in stripped] == ["", "a", "../top/a"]
    assert [refusal.rule for refusal in refuse(stripped, 100, LIMITS)] == ["link"]
