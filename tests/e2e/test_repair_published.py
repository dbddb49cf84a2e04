"""Published wheels of every platform, unbundled and repaired again; judged by other people's parsers.

Each result must resolve, keep its tag, keep the bytes of what did not change, and stay as it is in a
second run; on this machine's own platform it is installed and its project's own calls are made.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from benchmarks import wheels
from tests.e2e import second_opinion as second
from tests.e2e import unbundle

pytestmark = [pytest.mark.e2e, pytest.mark.heavy]

_CALLS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "av": ((), "import av; assert av.codec.Codec('h264', 'r').name == 'h264'"),
    "faiss_cpu": (
        ("numpy", "packaging"),
        (
            "import faiss, numpy; i = faiss.IndexFlatL2(4); i.add(numpy.eye(4, dtype='float32'));"
            "assert i.search(numpy.eye(4, dtype='float32')[:1], 1)[1][0][0] == 0"
        ),
    ),
    "fiona": (
        ("attrs", "certifi", "click", "click-plugins", "cligj"),
        "import fiona; assert 'GPKG' in fiona.supported_drivers",
    ),
    "gmpy2": ((), "import gmpy2; assert gmpy2.isqrt(gmpy2.mpz(10) ** 40) == 10 ** 20"),
    "h5py": (
        ("numpy",),
        (
            "import h5py; f = h5py.File('x.h5', 'w', driver='core', backing_store=False);"
            "f['a'] = [1, 2, 3]; assert f['a'][1] == 2"
        ),
    ),
    "netcdf4": (
        ("numpy", "cftime", "certifi"),
        (
            "import netCDF4; d = netCDF4.Dataset('x.nc', 'w', diskless=True);"
            "d.createDimension('t', 3); assert d.dimensions['t'].size == 3"
        ),
    ),
    "numpy": ((), "import numpy; assert numpy.linalg.inv(numpy.eye(3) * 2)[0, 0] == 0.5"),
    "opencv_python_headless": (
        ("numpy",),
        "import cv2, numpy; assert cv2.cvtColor(numpy.zeros((4, 4, 3), 'uint8'), 6).shape == (4, 4)",
    ),
    "pillow": (
        (),
        (
            "from PIL import Image, features; import io; b = io.BytesIO();"
            "Image.new('RGB', (8, 8), 'red').save(b, 'JPEG'); Image.open(b).load();"
            "assert features.check('freetype2')"
        ),
    ),
    "psycopg2_binary": ((), "import psycopg2; assert psycopg2.__libpq_version__ > 100000"),
    "pycurl": ((), "import pycurl; assert 'OpenSSL' in pycurl.version or 'SSL' in pycurl.version"),
    "pyproj": (
        ("certifi",),
        (
            "import pyproj; t = pyproj.Transformer.from_crs(4326, 3857, always_xy=True);"
            "assert abs(t.transform(0, 0)[0]) < 1e-6"
        ),
    ),
    "pyzmq": ((), "import zmq; c = zmq.Context(); s = c.socket(zmq.REP); s.bind('inproc://x')"),
    "rasterio": (
        ("numpy", "affine", "attrs", "certifi", "click", "cligj", "pyparsing"),
        "import rasterio; from rasterio.crs import CRS; assert CRS.from_epsg(4326).is_geographic",
    ),
    "scikit_learn": (
        ("numpy", "scipy", "joblib", "narwhals", "threadpoolctl"),
        "from sklearn.cluster import KMeans; assert KMeans(2, n_init=1).fit([[0], [9]]).labels_.any()",
    ),
    "scipy": (
        ("numpy",),
        "import scipy.linalg, scipy.fft; assert abs(scipy.linalg.det([[1, 2], [3, 4]]) + 2) < 1e-9",
    ),
    "shapely": (
        ("numpy",),
        "import shapely; assert abs(shapely.Point(0, 0).buffer(1).area - 3.14) < 0.02",
    ),
    "tables": (
        ("numpy", "numexpr", "packaging", "py-cpuinfo", "typing-extensions", "blosc2"),
        (
            "import tables; f = tables.open_file('x.h5', 'w', driver='H5FD_CORE',"
            "driver_core_backing_store=0); f.create_array('/', 'a', [1]); assert f.root.a[0] == 1"
        ),
    ),
}
"""What else an installed wheel needs, and a few calls of its project."""


def _chosen() -> tuple[str, ...]:
    """Every wheel of the table that a repair tool has grafted into, but the ones for hours."""
    skipped = ("torch-", "lxml-", "matplotlib-", "pyarrow-", "pyside6", "sentencepiece-")
    return tuple(name for name in wheels.known() if not name.startswith(skipped))


def _repair(wheel: Path, libraries: Path, out: Path) -> dict[str, Any]:
    """Run the command; the one entry of its document."""
    words = (sys.executable, "-m", "builder", "repair", "--json", "-w", str(out))
    done = subprocess.run(
        (*words, "--add-path", str(libraries), str(wheel)),
        capture_output=True, text=True, check=False,
        env={**os.environ, "BUILDER_CACHE": str(out.parent / "cache")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (entry,) = json.loads(done.stdout)["repaired"]
    found: dict[str, Any] = entry
    return found


def _packed(wheel: Path) -> dict[str, tuple[int, int, bytes]]:
    """The size, CRC and compressed bytes of every member."""
    found = {}
    content = memoryview(wheel.read_bytes())
    with zipfile.ZipFile(wheel) as archive:
        for info in archive.infolist():
            place = info.header_offset
            skip = 30 + int.from_bytes(content[place + 26 : place + 28], "little")
            skip += int.from_bytes(content[place + 28 : place + 30], "little")
            data = bytes(content[place + skip : place + skip + info.compress_size])
            found[info.filename] = (info.file_size, info.CRC, data)
    return found


@pytest.mark.parametrize("name", _chosen())
def test_a_published_wheel_is_repaired_as_well_as_its_makers_did(name: str, tmp_path: Path) -> None:
    published = wheels.fetch(name)
    if not unbundle.vendored(published):
        pytest.skip("nothing was grafted into it")
    libraries, out = tmp_path / "libraries", tmp_path / "out"
    given = unbundle.unbundle(published, tmp_path / "given", libraries)

    entry = _repair(given, libraries, out)

    repaired = Path(entry["output"])
    found = second.binaries(repaired)
    assert repaired.name == name
    assert second.record_problems(repaired) == []
    assert [line for path in found for line in second.layout_problems(path, found[path])] == []
    known = {line.rpartition(": ")[2] for line in second.unresolved(second.binaries(published))}
    missing = second.unresolved(found)
    assert {line.rpartition(": ")[2] for line in missing} <= known

    before, after = _packed(given), _packed(repaired)
    grafted = {row["as"] for row in entry["grafted"]}
    assert len(grafted) == len({row["from"] for row in entry["grafted"]})
    changed = {path for path in before if after.get(path) != before[path]}
    assert changed <= {*entry["edited"], *(path for path in before if path.endswith("/RECORD"))}

    again = _repair(repaired, libraries, tmp_path / "again")
    assert Path(again["output"]).read_bytes() == repaired.read_bytes()

    if f"linux_{platform.machine()}" in name or f"_{platform.machine()}.whl" in name:
        _use(repaired, tmp_path)


def _use(wheel: Path, folder: Path) -> None:
    """Install a wheel for this machine and make its project's calls, with no library path set."""
    project = wheel.name.partition("-")[0]
    if "musllinux" in wheel.name or "macosx" in wheel.name or project not in _CALLS:
        return
    needs, calls = _CALLS[project]
    site = folder / "site"
    install = (sys.executable, "-m", "pip", "install", "-q", "--target", str(site))
    subprocess.run((*install, "--no-deps", str(wheel)), check=True, capture_output=True)
    if needs:
        words = (*install, "--only-binary=:all:", *needs)
        subprocess.run(words, check=True, capture_output=True)
    variables = {key: text for key, text in os.environ.items() if key != "LD_LIBRARY_PATH"}
    ran = subprocess.run(
        (sys.executable, "-c", calls),
        cwd=folder, env={**variables, "PYTHONPATH": str(site)}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
