from __future__ import annotations

import json
from pathlib import Path

import pytest

from builder.relink.owner import Owner
from builder.relink.sbom import Component, licence_files, render

DEB = Owner("deb", "libgomp1", "12.2.0-14", "amd64", "debian-12", "GPL-3")
GOMP = Component("libgomp.so.1", "spam.libs/libgomp-ab.so.1", "a" * 64, "b" * 64, DEB)
OWN = Component("libham.so", "spam.libs/libham-cd.so", "c" * 64, "d" * 64)


def test_a_bill_says_what_was_grafted_and_where_it_came_from() -> None:
    bill = json.loads(render("spam", "1.0", (OWN, GOMP), file="spam-1.0-x.whl"))
    assert (bill["bomFormat"], bill["specVersion"], bill["version"]) == ("CycloneDX", "1.6", 1)
    assert bill["metadata"]["component"]["purl"] == "pkg:pypi/spam@1.0?file_name=spam-1.0-x.whl"
    gomp, ham = bill["components"]
    assert gomp == {
        "type": "library",
        "bom-ref": "pkg:deb/debian/libgomp1@12.2.0-14?arch=amd64&distro=debian-12"
        "#spam.libs/libgomp-ab.so.1",
        "name": "libgomp1",
        "version": "12.2.0-14",
        "licenses": [{"license": {"name": "GPL-3"}}],
        "hashes": [{"alg": "SHA-256", "content": "b" * 64}],
        "purl": "pkg:deb/debian/libgomp1@12.2.0-14?arch=amd64&distro=debian-12",
        "pedigree": {
            "ancestors": [
                {
                    "type": "library",
                    "name": "libgomp.so.1",
                    "hashes": [{"alg": "SHA-256", "content": "a" * 64}],
                }
            ],
            "notes": "copied to libgomp-ab.so.1; names and search path changed",
        },
        "evidence": {"occurrences": [{"location": "spam.libs/libgomp-ab.so.1"}]},
    }
    assert ham["name"] == "libham.so"
    assert "purl" not in ham
    assert bill["dependencies"][0]["dependsOn"] == [gomp["bom-ref"], ham["bom-ref"]]


def test_the_same_grafts_give_the_same_bytes_in_any_order() -> None:
    assert render("spam", "1.0", (OWN, GOMP)) == render("spam", "1.0", (GOMP, OWN))


@pytest.mark.parametrize(
    ("project", "version", "components"),
    [("spam", "1.1", (GOMP,)), ("eggs", "1.0", (GOMP,)), ("spam", "1.0", (OWN,))],
    ids=["version", "project", "components"],
)
def test_the_serial_number_is_of_the_content(
    project: str, version: str, components: tuple[Component, ...]
) -> None:
    def serial(content: bytes) -> str:
        return str(json.loads(content)["serialNumber"])

    assert serial(render(project, version, components)) != serial(render("spam", "1.0", (GOMP,)))


def test_licence_texts_come_in_a_folder_for_each_package(tmp_path: Path) -> None:
    text = tmp_path / "copyright"
    text.write_bytes(b"free \xff as in bytes")
    gone = tmp_path / "COPYING"
    owner = Owner("deb", "libgomp1", "12", licences=(text, gone))
    row = Component("libgomp.so.1", "spam.libs/libgomp.so.1", "a", "b", owner)
    assert licence_files((row, OWN)) == {
        "licenses/grafted/libgomp1/copyright": b"free \xff as in bytes"
    }
