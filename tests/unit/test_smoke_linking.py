"""ld.so(8) on paper: which library is found, and which is missing and why."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from builder.binary import Binary
from smoke.linking import linked
from smoke.subject import Content, Expectations, Member


def lib(
    needed: tuple[str, ...] = (),
    runpath: tuple[str, ...] = (),
    rpath: tuple[str, ...] = (),
    soname: str = "",
) -> Binary:
    return Binary(
        "elf", "x86_64", 64, "little", "shared",
        soname=soname, needed=needed, rpath=rpath, runpath=runpath,
    )  # fmt: skip


def missing(binaries: Mapping[str, Binary], links: Mapping[str, str] | None = None) -> list[str]:
    """Each missing library with its chain, as text."""
    members = [Member(name, name, 1, "", one) for name, one in binaries.items()]
    members += [Member(name, name, 0, "", link=to) for name, to in (links or {}).items()]
    found = linked(Content(tuple(members)), Expectations())
    assert found is not None
    return [" > ".join((*one.chain, one.name)) for one in found.missing]


HERE = ("$ORIGIN",)


@pytest.mark.parametrize(
    ("binaries", "expected"),
    [
        pytest.param({"a": lib(("libc.so.6",))}, [], id="host library"),
        pytest.param({"a": lib(("b",))}, ["a > b"], id="absent"),
        pytest.param({"a": lib(("b",), HERE), "b": lib()}, [], id="runpath"),
        pytest.param({"a": lib(("b",), (), HERE), "b": lib()}, [], id="rpath"),
        pytest.param({"a": lib(("b",)), "b": lib()}, ["a > b"], id="there but not found"),
        pytest.param(
            {"a": lib(("b",), HERE), "b": lib(("c",)), "c": lib()},
            ["a > b > c"],
            id="runpath is not handed down",
        ),
        pytest.param(
            {"a": lib(("b",), (), HERE), "b": lib(("c",)), "c": lib()},
            [],
            id="rpath is handed down",
        ),
        pytest.param(
            {"a": lib(("b",), (), HERE), "b": lib(("c",), ("$ORIGIN/x",)), "c": lib()},
            ["a > b > c"],
            id="a runpath stops inheritance",
        ),
        pytest.param(
            {"a": lib(("b",), ("$ORIGIN/x",), HERE), "b": lib()},
            ["a > b"],
            id="a runpath hides the own rpath",
        ),
        pytest.param(
            {"a": lib(("b", "c"), HERE), "b": lib(("c",)), "c": lib()},
            [],
            id="loaded already by the time",
        ),
        pytest.param(
            {"a": lib(("b", "c"), HERE), "b": lib(("sonamed",)), "c": lib(soname="sonamed")},
            [],
            id="loaded already under its soname",
        ),
        pytest.param({"a": lib(("b",), HERE), "b": lib(("a",), HERE)}, [], id="circle"),
        pytest.param(
            {"a": lib(("b", "x"), HERE), "b": lib(("x",))},
            ["a > x", "a > b > x"],
            id="each requirer is told",
        ),
        pytest.param(
            {"a": lib(("c",), HERE), "b": lib(("c",), HERE), "c": lib(("x",))},
            ["a > c > x"],
            id="once for two ways",
        ),
    ],
)
def test_libraries_are_looked_for_as_the_loader_does(
    binaries: dict[str, Binary], expected: list[str]
) -> None:
    assert missing(binaries) == expected


def test_links_lead_to_their_file() -> None:
    binaries = {"a": lib(("libb.so.1",), ("$ORIGIN/lib",)), "lib/libb.so.1.2": lib(("x",))}

    assert missing(binaries, {"lib/libb.so.1": "lib/libb.so.1.2"}) == ["a > lib/libb.so.1.2 > x"]


def test_what_was_searched_is_told() -> None:
    one = Member("p/a.so", "site/p/a.so", 1, "", lib(("b",), ("$ORIGIN/../q", "/opt/lib", "")))

    found = linked(Content((one,)), Expectations())

    assert found is not None
    assert [(need.name, need.searched) for need in found.missing] == [("b", ("site/q", "/opt/lib"))]
