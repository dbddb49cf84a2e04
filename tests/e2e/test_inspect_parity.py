"""`builder inspect` against `auditwheel show` on published wheels: one verdict, or a reason why not.

Ours is asked twice: about the wheel as it is called, and as one that claims nothing (`linux_*`), so
that no verdict can be an echo of the name.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from benchmarks import wheels

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(platform.system() != "Linux", reason="auditwheel only runs on Linux"),
]

_BIN = Path(sys.executable).parent
_BIG = ("av-", "opencv_", "pyarrow-", "rasterio-", "scipy-")
_LONG = (
    "torch-2.9.0-cp311-cp311-manylinux_2_28_x86_64.whl",
    "pyside6_essentials-6.9.3-cp39-abi3-manylinux_2_28_x86_64.whl",
)
"""They take auditwheel more minutes than a test should; `benchmarks/inspecting.py` asks it about Qt."""


class Difference(NamedTuple):
    """What each of both says of a wheel, and why ours is another verdict."""

    theirs: str
    ours: str
    why: str


DIFFERENT: Mapping[str, Difference] = {
    "torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl": Difference(
        "linux_x86_64",
        "manylinux_2_28_x86_64",
        "torch/bin/test_shim, a test program that nobody starts, does not find three libraries that "
        "are in the wheel; we call these missing, and judge what a system has to bring",
    ),
}
MUSL_1_1 = Difference(
    "musllinux_1_2_x86_64",
    "musllinux_1_1_x86_64",
    "nothing in a binary speaks against a claim of 1.1; auditwheel takes the newest it knows of",
)

LINUX = tuple(
    pytest.param(name, marks=pytest.mark.heavy if name.startswith((*_BIG, "torch-")) else ())
    for name in wheels.known()
    if "linux_" in name and name not in _LONG
)


@pytest.mark.parametrize("name", LINUX)
def test_the_verdict_is_that_of_auditwheel(tmp_path: Path, name: str) -> None:
    published = wheels.fetch(name)
    theirs, ours = shown(published), inspected(published, tmp_path)
    assert inspected(unclaimed(published, tmp_path), tmp_path) == ours
    if name in DIFFERENT:
        assert (theirs, ours) == DIFFERENT[name][:2], DIFFERENT[name].why
    else:
        assert ours == theirs


def test_an_old_musl_may_be_claimed(tmp_path: Path) -> None:
    published = wheels.fetch("shapely-2.2.0-cp311-cp311-musllinux_1_2_x86_64.whl")
    claiming = tmp_path / published.name.replace("musllinux_1_2", "musllinux_1_1")
    claiming.symlink_to(published)
    assert (shown(claiming), inspected(claiming, tmp_path)) == MUSL_1_1[:2], MUSL_1_1.why


@pytest.mark.parametrize("name", ["shapely-2.2.0-cp311-cp311-musllinux_1_2_x86_64.whl"])
def test_a_second_look_inflates_nothing(tmp_path: Path, name: str) -> None:
    published = wheels.fetch(name)
    first, again = document(published, tmp_path), document(published, tmp_path)
    assert first["work"]["inflated"] > published.stat().st_size
    assert again == {**first, "work": {**first["work"], "inflated": 0}}


def unclaimed(wheel: Path, folder: Path) -> Path:
    """The same wheel by a name that claims no policy."""
    arch = "aarch64" if "aarch64" in wheel.name else "x86_64"
    link = folder / f"{wheel.name.rsplit('-', 1)[0]}-linux_{arch}.whl"
    link.symlink_to(wheel)
    return link


def shown(wheel: Path) -> str:
    """The tag that `auditwheel show` says a wheel is consistent with."""
    words = (str(_BIN / "auditwheel"), "show", "--json", str(wheel))
    ran = subprocess.run(words, check=True, capture_output=True, text=True)
    return str(json.loads(ran.stdout)["overall_tag"])


def inspected(wheel: Path, folder: Path) -> str:
    """The tag that `builder inspect` says a wheel deserves."""
    return str(document(wheel, folder)["subjects"][0]["platform"]["tag"])


def document(wheel: Path, folder: Path) -> dict[str, Any]:
    """What `builder inspect --json` prints."""
    words = (sys.executable, "-m", "builder", "inspect", "--json", str(wheel))
    environment = {**os.environ, "BUILDER_CACHE": str(folder / "cache")}
    ran = subprocess.run(words, check=True, capture_output=True, text=True, env=environment)
    found: dict[str, Any] = json.loads(ran.stdout)
    return found
