from __future__ import annotations

import os
from pathlib import Path

from builder.relink.auditwheel import Auditwheel
from builder.relink.patchelf import patchelf_program, patchelf_version

ENGINE = Auditwheel(Path("/usr/bin/python3"), (Path("/usr/bin"),), None)  # type: ignore[arg-type]  # starts nothing


def test_the_identity_names_the_versions_and_no_path() -> None:
    identity = ENGINE.identity()

    assert sorted(identity) == ["auditwheel", "patchelf"]
    assert all(text[0].isdigit() for text in identity.values())


def test_the_installed_patchelf_is_a_program() -> None:
    assert os.access(patchelf_program(), os.X_OK)
    assert patchelf_version()
