from __future__ import annotations

import os
from pathlib import Path

import pytest

from builder.relink.auditwheel import Auditwheel
from builder.relink.patchelf import patchelf_program, patchelf_version

ENGINE = Auditwheel(Path("/usr/bin/python3"), (Path("/usr/bin"),), None)  # type: ignore[arg-type]  # starts nothing


@pytest.mark.parametrize(
    ("library", "name"),
    [
        ("libgomp.so.1", "libgomp-ba7816bf.so.1"),
        ("libcudart.so.10.0", "libcudart-ba7816bf.so.10.0"),
        ("libfoo-1.2.so.3", "libfoo-1-ba7816bf.2.so.3"),
        ("libgomp-ba7816bf.so.1", "libgomp-ba7816bf.so.1"),
    ],
)
def test_grafted_names_are_those_of_auditwheel(library: str, name: str) -> None:
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

    assert ENGINE.grafted_name(Path("/lib") / library, digest) == name


def test_the_identity_names_the_versions_and_no_path() -> None:
    identity = ENGINE.identity()

    assert sorted(identity) == ["auditwheel", "patchelf"]
    assert all(text[0].isdigit() for text in identity.values())


def test_the_installed_patchelf_is_a_program() -> None:
    assert os.access(patchelf_program(), os.X_OK)
    assert patchelf_version()
