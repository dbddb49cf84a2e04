from __future__ import annotations

import hashlib
import io
import platform
import sys
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from builder.config.machine import Machine, PackageIndex
from builder.config.python import Python
from builder.config.recipe import IndexSdist
from builder.config.toolchain import Interpreter
from builder.errors import BuilderError
from builder.process import Processes
from builder.stage.published import _with_login, find_sdist, find_wheel
from builder.stage.store import TreeStore

TAG = f"cp{sys.version_info[0]}{sys.version_info[1]}"
HERE = Interpreter(
    Python.parse(f"{sys.version_info[0]}.{sys.version_info[1]}"), Path(sys.executable),
    platform.python_version(), "x",
)  # fmt: skip
PURE = "demo-1.0-py3-none-any.whl"
OWN = f"demo-1.0-{TAG}-{TAG}-linux_x86_64.whl"
METADATA = b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\nRequires-Python: >=3.7\n"


def machine(tmp_path: Path) -> Machine:
    (tmp_path / "index").mkdir(exist_ok=True)
    index = PackageIndex((tmp_path / "index").as_uri(), find_links=(str(tmp_path / "links"),))
    return Machine(
        (Path("/usr/bin"), Path("/bin")), tmp_path, 1, "linux", "x86_64",
        index=index, cache=tmp_path / "cache", python=Path(sys.executable),
    )  # fmt: skip


def sdist(folder: Path) -> IndexSdist:
    """An sdist that nobody can build: to find it, nobody has to."""
    folder.mkdir(exist_ok=True)
    with tarfile.open(folder / "demo-1.0.tar.gz", "w:gz") as opened:
        for name, data in {"PKG-INFO": METADATA, "setup.py": b"raise SystemExit(1)\n"}.items():
            info = tarfile.TarInfo(f"demo-1.0/{name}")
            info.size = len(data)
            opened.addfile(info, io.BytesIO(data))
    data = (folder / "demo-1.0.tar.gz").read_bytes()
    return IndexSdist("demo", "1.0", hashlib.sha256(data).hexdigest())


def test_an_sdist_among_links_is_found_without_building_it(tmp_path: Path) -> None:
    source = sdist(tmp_path / "links")
    store = TreeStore(tmp_path / "store")
    url = find_sdist(source, store, machine(tmp_path), Processes())
    assert url == (tmp_path / "links" / "demo-1.0.tar.gz").as_uri()
    assert list((store.root / "work").iterdir()) == []


def test_a_version_that_is_not_there_is_told(tmp_path: Path) -> None:
    source = replace(sdist(tmp_path / "links"), version="2.0")
    with pytest.raises(BuilderError, match=r"no sdist of demo==2\.0") as caught:
        find_sdist(source, TreeStore(tmp_path / "store"), machine(tmp_path), Processes())
    assert caught.value.faults


LOGINS = {
    "same host": ("https://host/files/x", "https://me:pw@host/files/x"),
    "other host": ("https://other/files/x", "https://other/files/x"),
    "other scheme": ("http://host/files/x", "http://host/files/x"),
    "own login": ("https://you@host/x", "https://you@host/x"),
}


@pytest.mark.parametrize(("url", "expected"), LOGINS.values(), ids=LOGINS.keys())
def test_the_login_of_an_index_goes_to_its_own_host_only(
    url: str, expected: str, tmp_path: Path
) -> None:
    index = PackageIndex("https://me:pw@host/simple")
    assert _with_login(url, replace(machine(tmp_path), index=index)) == expected


def wheels(folder: Path, *names: str) -> None:
    folder.mkdir(exist_ok=True)
    for name in names:
        with zipfile.ZipFile(folder / name, "w") as archive:
            archive.writestr("demo-1.0.dist-info/METADATA", METADATA)


@pytest.mark.parametrize(
    ("names", "taken"),
    [
        ((PURE,), PURE),
        ((PURE, OWN), OWN),
        ((PURE, "demo-1.0-cp27-cp27m-linux_x86_64.whl"), PURE),
    ],
)  # fmt: skip
def test_the_wheel_is_the_one_an_installer_takes(
    tmp_path: Path, names: tuple[str, ...], taken: str
) -> None:
    wheels(tmp_path / "links", *names)

    found = find_wheel("demo==1.0", HERE, TreeStore(tmp_path / "s"), machine(tmp_path), Processes())

    assert (found.name, found.url) == (taken, (tmp_path / "links" / taken).as_uri())


def test_a_version_without_a_wheel_for_the_machine_is_told(tmp_path: Path) -> None:
    wheels(tmp_path / "links", "demo-1.0-cp27-cp27m-win32.whl")

    with pytest.raises(BuilderError, match=r"no wheel of demo==1\.0 for CPython"):
        find_wheel("demo==1.0", HERE, TreeStore(tmp_path / "s"), machine(tmp_path), Processes())
