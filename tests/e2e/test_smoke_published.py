"""Published wheels of every system: the suite finds what is known of them, and other tools see it too."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks import findings, wheels

pytestmark = pytest.mark.e2e

TABLE = findings.Table.read()
FOUND: dict[str, set[str]] = {
    "psycopg2_binary-2.9.13-cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64.whl": {
        "metadata.licences",
    },
    "psycopg2_binary-2.9.13-cp311-cp311-manylinux_2_27_aarch64.manylinux_2_28_aarch64.whl": {
        "link.renamed", "metadata.licences",
    },
    "psycopg2_binary-2.9.13-cp311-cp311-musllinux_1_2_x86_64.whl": {"metadata.licences"},
    "psycopg2_binary-2.9.13-cp311-cp311-macosx_10_9_x86_64.whl": {"metadata.licences"},
    "pillow-13.0.0-cp311-cp311-macosx_11_0_arm64.whl": {"link.search", "leak.build-paths"},
    "pillow-13.0.0-cp311-cp311-musllinux_1_2_aarch64.whl": set(),
    "pillow-13.0.0-cp311-cp311-win_amd64.whl": set(),
    "numpy-2.4.6-cp311-cp311-win32.whl": {"link.needed"},
}  # fmt: skip
KNOWN = "psycopg2_binary-2.9.13-cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64.whl"


@pytest.mark.parametrize("name", FOUND)
def test_what_is_found_is_known_and_seen_by_other_tools(name: str) -> None:
    found = findings.look(wheels.fetch(name))

    groups = [findings.grouped(found, evidence) for evidence in TABLE.evidence]
    assert {one.check for one in found} == FOUND[name]
    assert findings.unexplained(found, TABLE) == ()
    assert [
        fault
        for evidence, group in zip(TABLE.evidence, groups, strict=True)
        for some in group.values()
        for fault in findings.faults(evidence, some)
    ] == []


def test_a_finding_that_nobody_showed_is_named() -> None:
    found = findings.look(wheels.fetch(KNOWN))
    fewer = tuple(one for one in TABLE.evidence if "libpq" not in one.says)

    missing = findings.unexplained(found, replace(TABLE, evidence=fewer))

    assert [one.text.partition(":")[0] for one in missing] == [
        "psycopg2_binary.libs/libpq-a17e3caa.so.5.17"
    ]


@pytest.mark.parametrize(
    ("proof", "fault"),
    [
        (
            findings.Proof("readelf -dW {files}", shows=("NEEDED.*libnone",)),
            "does not show `NEEDED",
        ),
        (findings.Proof("readelf -dW {files}", lacks=("NEEDED.*libssl",)), "shows `NEEDED"),
        (
            findings.Proof("python -m zipfile -l {package}", lacks=(r"METADATA",)),
            "shows `METADATA`",
        ),
    ],
    ids=["missing", "there all the same", "in the list"],
)
def test_a_command_that_shows_something_else_is_a_fault(proof: findings.Proof, fault: str) -> None:
    found = findings.look(wheels.fetch(KNOWN))
    (evidence,) = (one for one in TABLE.evidence if "libpq" in one.says)
    (group,) = findings.grouped(found, evidence).values()

    (told,) = findings.faults(replace(evidence, proofs=(proof,)), group)

    assert told.startswith(f"{KNOWN}: `{proof.command}` {fault}")
