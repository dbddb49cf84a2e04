from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from builder.errors import NothingSelected
from smoke.catalogue import Check, choose, listing, reference
from smoke.checks import CATALOGUE

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "checks.md"


def test_ids_are_unique() -> None:
    ids = [check.id for check in CATALOGUE]

    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("check", CATALOGUE, ids=lambda check: check.id)
def test_every_check_says_what_it_is_and_what_to_do(check: Check) -> None:
    family, _, name = check.id.partition(".")

    assert family.isidentifier()
    assert name.replace("-", "_").isidentifier()
    assert check.summary.endswith(".")
    assert len(check.remedy) > 20
    assert not check.remedy.endswith(".")
    assert check.kinds
    assert check.applies == f"{', '.join(check.kinds)} ({check.needs})"


def test_the_reference_page_is_fresh() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference(CATALOGUE), (
        "write it again: python -m smoke --list --markdown > docs/reference/checks.md"
    )


def test_the_listing_is_the_contract() -> None:
    listed = listing(CATALOGUE[:1])

    assert listed == {
        "schema": 1,
        "checks": [
            {
                "id": "archive.readable",
                "summary": CATALOGUE[0].summary,
                "severity": "error",
                "applies": "wheel, conda, archive, binary, folder (artifact)",
                "remedy": CATALOGUE[0].remedy,
            }
        ],
    }


@pytest.mark.parametrize(
    ("select", "skip", "expected"),
    [
        (
            (),
            ("link.*", "archive.*", "env.*", "recipe.*", "wheel.*", "metadata.*", "symbol.*"),
            "binary.readable",
        ),
        (("archive.*",), (), "archive.readable"),
        (("*.search",), (), "link.search"),
        (("link.*", "wheel.name"), ("link.*",), "wheel.name"),
    ],
)
def test_globs_choose(select: tuple[str, ...], skip: tuple[str, ...], expected: str) -> None:
    assert choose(CATALOGUE, select, skip)[0].id == expected


def test_choosing_nothing_says_what_there_was() -> None:
    with pytest.raises(NothingSelected, match=r"nope\.\*") as caught:
        choose(CATALOGUE, ("nope.*",))

    assert "link.needed" in caught.value.hint
    assert caught.value.exit_code == 3


def test_order_of_the_catalogue_survives_choosing() -> None:
    chosen = choose(CATALOGUE, ("*",))

    assert chosen == CATALOGUE


def test_a_check_is_a_value() -> None:
    check = CATALOGUE[0]

    assert replace(check, severity="warning") != check
