from __future__ import annotations

import json
import sqlite3
import struct
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest

from builder.relink.owner import Owner, Owners

LIBRARY = "usr/lib/libspam.so.1.0"
DEBIAN = 'NAME="Debian"\nID=debian\nVERSION_ID="12"\n'
STATUS = """\
Package: other
Architecture: amd64
Version: 9

Package: libspam1
Status: install ok installed
Architecture: amd64
Version: 1:2.0-3
Description: spam
 Version: not this one

"""
APK = """\
P:other
V:9
F:usr/lib
R:libother.so

P:spam-libs
V:2.0-r1
A:x86_64
L:MIT
F:usr/share
F:usr/lib
R:libspam.so.1.0
"""


def write(root: Path, files: Mapping[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return root / LIBRARY


def rpm_header(name: str, folder: str, file: str) -> bytes:
    """A header as rpm stores it: counts, index entries of (tag, type, offset, count), data."""
    entries: list[tuple[int, int, list[str] | int]] = [
        (1000, 6, [name]),
        (1001, 6, ["2.0"]),
        (1002, 6, ["3.el9"]),
        (1014, 6, ["MIT AND BSD"]),
        (1022, 6, ["x86_64"]),
        (1116, 4, 1),
        (1117, 8, [file]),
        (1118, 8, ["/etc/", folder]),
    ]
    index, data = b"", b""
    for tag, kind, value in entries:
        content = (
            struct.pack(">I", value)
            if isinstance(value, int)
            else b"".join(text.encode() + b"\0" for text in value)
        )
        many = 1 if isinstance(value, int) else len(value)
        index += struct.pack(">IIII", tag, kind, len(data), many)
        data += content
    return struct.pack(">II", len(entries), len(data)) + index + data


def rpm_database(root: Path, blob: bytes) -> None:
    place = root / "usr/lib/sysimage/rpm/rpmdb.sqlite"
    place.parent.mkdir(parents=True)
    with closing(sqlite3.connect(place)) as connection:
        connection.execute("CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, blob BLOB)")
        connection.execute("CREATE TABLE Basenames (key TEXT, hnum INTEGER, idx INTEGER)")
        connection.execute("INSERT INTO Packages VALUES (7, ?)", (blob,))
        connection.execute("INSERT INTO Basenames VALUES ('libspam.so.1.0', 7, 0)")
        connection.commit()


@pytest.mark.parametrize("listed", [f"/{LIBRARY}", "/lib/libspam.so.1.0"], ids=["usr", "merged"])
@pytest.mark.parametrize(
    ("package", "listing"),
    [("libspam1", "libspam1.list"), ("libspam1", "libspam1:amd64.list"), ("zzz", "zzz.list")],
)
def test_dpkg_says_which_package_has_the_file(
    tmp_path: Path, listed: str, package: str, listing: str
) -> None:
    library = write(
        tmp_path,
        {
            LIBRARY: "",
            "etc/os-release": DEBIAN,
            "var/lib/dpkg/status": STATUS.replace("libspam1", package),
            "var/lib/dpkg/info/other.list": "/.\n/usr/lib\n/usr/lib/libspam.so.1.0.bak\n",
            f"var/lib/dpkg/info/{listing}": f"/.\n/usr/lib\n{listed}\n",
            "usr/share/doc/libspam1/copyright": "MIT",
        },
    )
    owner = Owners(tmp_path).of(library)
    assert owner is not None
    assert (owner.kind, owner.version, owner.arch) == ("deb", "1:2.0-3", "amd64")
    assert owner.distribution == "debian-12"


def test_a_debian_package_brings_its_copyright(tmp_path: Path) -> None:
    library = write(
        tmp_path,
        {
            LIBRARY: "",
            "etc/os-release": DEBIAN,
            "var/lib/dpkg/status": STATUS,
            "var/lib/dpkg/info/libspam1.list": f"/.\n/{LIBRARY}\n",
            "usr/share/doc/libspam1/copyright": "MIT",
        },
    )
    owner = Owners(tmp_path).of(library)
    assert owner is not None
    assert owner.purl == "pkg:deb/debian/libspam1@1%3A2.0-3?arch=amd64&distro=debian-12"
    assert owner.licences == (tmp_path / "usr/share/doc/libspam1/copyright",)


def test_apk_says_which_package_has_the_file(tmp_path: Path) -> None:
    library = write(
        tmp_path,
        {LIBRARY: "", "lib/apk/db/installed": APK, "usr/share/licenses/spam-libs/COPYING": "MIT"},
    )
    text = tmp_path / "usr/share/licenses/spam-libs/COPYING"
    assert Owners(tmp_path).of(library) == Owner(
        "apk", "spam-libs", "2.0-r1", "x86_64", "", "MIT", (text,)
    )


def test_rpm_says_which_package_has_the_file(tmp_path: Path) -> None:
    library = write(tmp_path, {LIBRARY: "", "usr/share/licenses/spam/COPYING": "MIT"})
    rpm_database(tmp_path, rpm_header("spam", "/usr/lib/", "libspam.so.1.0"))
    text = tmp_path / "usr/share/licenses/spam/COPYING"
    assert Owners(tmp_path).of(library) == Owner(
        "rpm", "spam", "2.0-3.el9", "x86_64", "", "MIT AND BSD", (text,)
    )


def test_an_rpm_with_a_file_of_that_name_elsewhere_is_not_the_owner(tmp_path: Path) -> None:
    library = write(tmp_path, {LIBRARY: ""})
    rpm_database(tmp_path, rpm_header("spam", "/opt/", "libspam.so.1.0"))
    assert Owners(tmp_path).of(library) is None


@pytest.mark.parametrize(
    "blob", [b"", b"\0\0\0\1", b"\xff" * 64, rpm_header("spam", "/usr/lib/", "libspam.so.1.0")[:40]]
)
def test_a_damaged_rpm_database_does_not_know(tmp_path: Path, blob: bytes) -> None:
    library = write(tmp_path, {LIBRARY: ""})
    rpm_database(tmp_path, blob)
    assert Owners(tmp_path).of(library) is None


def test_a_conda_environment_says_which_package_has_the_file(tmp_path: Path) -> None:
    record = {
        "name": "spam",
        "version": "2.0",
        "subdir": "linux-64",
        "license": "MIT",
        "files": ["lib/libspam.so.1.0"],
        "extracted_package_dir": str(tmp_path / "pkgs/spam"),
    }
    write(
        tmp_path,
        {
            "opt/env/lib/libspam.so.1.0": "",
            "opt/env/conda-meta/other-1.json": "{",
            "opt/env/conda-meta/spam-2.0-0.json": json.dumps(record),
            "pkgs/spam/info/licenses/LICENSE.txt": "MIT",
            "pkgs/spam/info/licenses/other.txt": "no licence",
        },
    )
    owner = Owners(tmp_path).of(tmp_path / "opt/env/lib/libspam.so.1.0")
    text = tmp_path / "pkgs/spam/info/licenses/LICENSE.txt"
    assert owner == Owner("conda", "spam", "2.0", "linux-64", "", "MIT", (text,))
    assert owner.purl == "pkg:conda/spam@2.0?arch=linux-64"


@pytest.mark.parametrize(
    ("text", "is_found"),
    [
        ("opt/spam/LICENSE", True),
        ("opt/spam/lib/COPYING.LIB", True),
        ("opt/spam/share/licenses/spam/NOTICE", True),
        ("opt/spam/share/doc/libspam/copyright", True),
        ("opt/spam/share/doc/other/LICENSE", False),
        ("opt/spam/README", False),
        ("opt/LICENSE", False),
    ],
)
def test_a_library_of_no_package_brings_the_licences_of_its_prefix(
    tmp_path: Path, text: str, is_found: bool
) -> None:
    write(tmp_path, {"opt/spam/lib/libspam.so.1.0": "", text: "MIT"})
    owner = Owners(tmp_path).of(tmp_path / "opt/spam/lib/libspam.so.1.0")
    wanted = Owner("generic", "libspam", "", licences=(tmp_path / text,))
    assert owner == (wanted if is_found else None)


def test_the_licences_of_a_whole_system_are_not_those_of_one_library(tmp_path: Path) -> None:
    library = write(tmp_path, {LIBRARY: "", "usr/LICENSE": "of something"})
    assert Owners(tmp_path).of(library) is None
