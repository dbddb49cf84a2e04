from __future__ import annotations

from dataclasses import replace

import pytest

from builder.binary import Binary
from builder.relink.macos_tag import judge_macos, macos_tag


def thin(min_os: str, machine: str = "arm64") -> Binary:
    return Binary(
        format="macho", machine=machine, bits=64, byte_order="little", kind="shared", min_os=min_os
    )


def fat(intel: str, arm: str) -> Binary:
    slices = (thin(intel, "x86_64"), thin(arm))
    return replace(slices[0], machine="universal2", slices=slices)


@pytest.mark.parametrize(
    ("binaries", "claimed", "expected"),
    [
        # What is claimed and true stays, also when less would be true.
        ([thin("11.0")], ["macosx_11_0_arm64"], ["macosx_11_0_arm64"]),
        ([thin("11.0")], ["macosx_14_0_arm64"], ["macosx_14_0_arm64"]),
        ([thin("10.9", "x86_64")], ["macosx_10_9_x86_64"], ["macosx_10_9_x86_64"]),
        ([fat("10.9", "11.0")], ["macosx_10_9_universal2"], ["macosx_10_9_universal2"]),
        ([fat("10.9", "11.0")], ["macosx_10_9_x86_64"], ["macosx_10_9_x86_64"]),
        (
            [fat("10.9", "11.0")],
            ["macosx_10_9_x86_64", "macosx_11_0_arm64"],
            ["macosx_10_9_x86_64", "macosx_11_0_arm64"],
        ),
        # What is not becomes the lowest that is.
        ([thin("14.0"), thin("11.0")], ["macosx_11_0_arm64"], ["macosx_14_0_arm64"]),
        ([thin("10.15", "x86_64")], ["macosx_10_9_x86_64"], ["macosx_10_15_x86_64"]),
        ([fat("10.9", "12.0")], ["macosx_10_9_universal2"], ["macosx_12_0_universal2"]),
        ([fat("10.13", "11.0")], ["macosx_10_9_universal2"], ["macosx_10_13_universal2"]),
        ([fat("10.15", "11.0")], ["macosx_10_9_x86_64"], ["macosx_10_15_x86_64"]),
        ([fat("10.9", "11.0"), thin("11.0")], ["macosx_10_9_universal2"], ["macosx_11_0_arm64"]),
        ([thin("11.0")], ["macosx_11_0_x86_64"], ["macosx_11_0_arm64"]),
        # Without a claim, or with one that no installer looks for.
        ([thin("12.0")], [], ["macosx_12_0_arm64"]),
        ([thin("12.0")], ["linux_x86_64"], ["macosx_12_0_arm64"]),
        ([fat("10.9", "11.0")], [], ["macosx_10_9_universal2"]),
        ([thin("10.9")], ["macosx_10_9_arm64"], ["macosx_11_0_arm64"]),
        ([thin("12.3")], ["macosx_12_3_arm64"], ["macosx_12_0_arm64"]),
        ([thin("")], [], ["macosx_11_0_arm64"]),
        ([thin("", "x86_64")], [], ["macosx_10_4_x86_64"]),
        # Some claims are true and some are not.
        (
            [fat("10.9", "12.0")],
            ["macosx_10_9_x86_64", "macosx_11_0_arm64"],
            ["macosx_10_9_x86_64"],
        ),
        # A point release cannot be said.
        ([thin("14.2")], ["macosx_14_0_arm64"], ["macosx_14_0_arm64"]),
        # Nothing is common to all.
        ([thin("11.0"), thin("10.9", "x86_64")], ["macosx_11_0_universal2"], []),
    ],
)
def test_the_tag_of_a_wheel(
    binaries: list[Binary], claimed: list[str], expected: list[str]
) -> None:
    named = {f"{number}.so": binary for number, binary in enumerate(binaries)}

    verdict = judge_macos(named, claimed)

    assert list(verdict.platforms) == expected
    assert verdict.tag == (expected[0] if expected else "")


def test_what_forbids_a_claimed_tag_is_named() -> None:
    binaries = {"p/a.so": fat("10.9", "11.0"), "p/b.so": thin("12.1"), "p/c.so": fat("10.13", "12")}

    found = judge_macos(binaries, ["macosx_10_9_universal2"]).blockers

    assert [(blocker.binary, blocker.library) for blocker in found] == [
        ("p/b.so", "code for x86_64, which it has not"),
        ("p/b.so", "macOS 12.1 on arm64"),
        ("p/c.so", "macOS 10.13 on x86_64"),
        ("p/c.so", "macOS 12 on arm64"),
    ]
    assert {blocker.tag for blocker in found} == {"macosx_10_9_universal2"}


def test_what_keeps_a_true_tag_from_being_lower_is_named() -> None:
    binaries = {"a.so": thin("14.0"), "b.so": thin("11.0")}

    (blocker,) = judge_macos(binaries, ["macosx_14_0_arm64"]).blockers

    assert (blocker.binary, blocker.library) == ("a.so", "macOS 14.0")


def test_the_lowest_tag_has_nothing_that_keeps_it_from_being_lower() -> None:
    assert judge_macos({"a.so": thin("11.0")}, ["macosx_11_0_arm64"]).blockers == ()


@pytest.mark.parametrize(
    ("binary", "claimed", "note"),
    [
        (thin("14.2"), "macosx_14_0_arm64", "a.so: asks for macOS 14.2, of which a tag says 14.0"),
        (thin("12.0"), "macosx_12_3_arm64", "no installer asks for macosx_12_3_arm64"),
        (thin("12.0"), "macosx_11_0_arm64", "the tag macosx_11_0_arm64 is not true"),
    ],
)
def test_what_a_reader_should_know_is_noted(binary: Binary, claimed: str, note: str) -> None:
    notes = judge_macos({"a.so": binary}, [claimed]).notes

    assert any(note in one for one in notes)


@pytest.mark.parametrize(
    ("version", "architecture", "expected"),
    [
        ("11.3", "arm64", "macosx_11_0_arm64"),
        ("10.15", "x86_64", "macosx_10_15_x86_64"),
        ("14", "universal2", "macosx_14_0_universal2"),
    ],
)
def test_the_tag_for_a_deployment_target(version: str, architecture: str, expected: str) -> None:
    assert macos_tag(version, architecture) == expected
