"""The suite in an environment of another machine: CPython for aarch64, run by qemu.

The interpreter comes from Debian's packages for arm64, unpacked into a folder of their own: nothing is
installed, and no foreign architecture is added to this machine.
"""

from __future__ import annotations

import compileall
import fcntl
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import wheels
from builder.config.recipe import Checks
from builder.process import Processes
from smoke.catalogue import choose
from smoke.checks import CATALOGUE
from smoke.probing import ask, open_environment
from smoke.runner import Request, check_artifact, check_environment, subject_of
from smoke.subject import Installed

pytestmark = pytest.mark.e2e

PILLOW = "pillow-13.0.0-cp311-cp311-manylinux_2_27_aarch64.manylinux_2_28_aarch64.whl"
EMULATORS = ("qemu-aarch64", "qemu-aarch64-static")
PACKAGES = (
    "libc6", "libexpat1", "libffi8", "libpython3.11-minimal", "libpython3.11-stdlib", "libssl3",
    "python3.11-minimal", "zlib1g",
)  # fmt: skip
CONFIGURATION = """\
APT::Architecture "arm64";
APT::Architectures "arm64";
APT::Sandbox::User "root";
Dir::State "{folder}/state";
Dir::State::status "/dev/null";
Dir::Cache "{folder}/cache";
"""


@pytest.fixture(scope="module")
def emulator() -> str:
    found = next(filter(None, map(shutil.which, EMULATORS)), None)
    if found is None:
        pytest.skip("no qemu here: apt-get install --no-install-recommends qemu-user")
    return found


@pytest.fixture(scope="module")
def root() -> Path:
    """The root of a system for aarch64, unpacked once and kept beside the fetched wheels."""
    place = wheels.folder() / "aarch64-python3.11"
    place.parent.mkdir(parents=True, exist_ok=True)
    with (place.parent / ".aarch64-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.is_dir():
            with tempfile.TemporaryDirectory(dir=place.parent) as folder:
                _unpack(Path(folder)).rename(place)
    return place


def _unpack(folder: Path) -> Path:
    for name in ("state/lists/partial", "cache/archives/partial", "packages", "root"):
        (folder / name).mkdir(parents=True)
    configuration = folder / "apt.conf"
    configuration.write_text(CONFIGURATION.format(folder=folder))
    for words in (("update",), ("download", *PACKAGES)):
        try:
            subprocess.run(
                ["apt-get", "-q", *words], cwd=folder / "packages", check=True, timeout=120,
                env={"APT_CONFIG": str(configuration), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
                capture_output=True, text=True,
            )  # fmt: skip
        except FileNotFoundError:
            pytest.skip("no apt-get here, which fetches CPython for aarch64")
        except subprocess.CalledProcessError as error:
            pytest.skip(f"apt offers no CPython 3.11 for arm64: {error.stderr.strip()[-200:]}")
    for package in sorted((folder / "packages").glob("*.deb")):
        subprocess.run(["dpkg-deb", "-x", package, folder / "root"], check=True)
    if sys.version_info[:2] == (3, 11):
        # Compiled code is the same for every machine, and takes the emulator longest.
        library = folder / "root" / "usr" / "lib" / "python3.11"
        compileall.compile_dir(library, maxlevels=1, quiet=2, workers=2)
    return folder / "root"


@pytest.fixture
def environment(emulator: str, root: Path, tmp_path: Path) -> Path:
    """An empty environment of the foreign interpreter; `bin/python` runs it by qemu."""
    made = tmp_path / "environment"
    (made / "bin").mkdir(parents=True)
    (made / "lib" / "python3.11" / "site-packages").mkdir(parents=True)
    (made / "pyvenv.cfg").write_text(f"home = {root}/usr/bin\nversion = 3.11\n")
    real, start = made / "bin" / "python3.11", made / "bin" / "python"
    real.symlink_to(root / "usr" / "bin" / "python3.11")
    start.write_text(f'#!/bin/sh\nexec {emulator} -L {root} {real} "$@"\n')
    start.chmod(0o755)
    return made


def _opened(environment: Path) -> Installed:
    scratch = environment.parent / "scratch"
    return open_environment(environment / "bin" / "python", (), scratch, Processes())


def _installed(wheel: Path, environment: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(environment / "lib" / "python3.11" / "site-packages")


def _checked(
    wheel: Path, environment: Path, *select: str
) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Status and problems of the checks, of the wheel and of the environment that it is in."""
    chosen = choose(CATALOGUE, select)
    asked = Checks(imports=("PIL._imaging",), timeout=120)
    subject = subject_of(Request(wheel, asked))
    whole = replace(subject, installed=_opened(environment))
    reports = (check_artifact(subject, chosen), check_environment(whole, chosen))
    return {one.id: (one.status, one.problems) for report in reports for one in report.results}


def test_the_probes_run_on_another_machine_and_tell_a_crash(environment: Path) -> None:
    installed = _opened(environment)

    assert installed.facts is not None, installed.fault
    assert installed.facts.version == (3, 11)
    assert installed.facts.markers["platform_machine"] == "aarch64"
    assert installed.facts.prefix == environment
    site = environment / "lib" / "python3.11" / "site-packages"
    (site / "broken.py").write_text("import os; os.abort()\n")
    told = ask(installed, "import_probe.py", ("broken",), 60)
    assert told.said is None
    assert told.ending.startswith("was killed by SIGABRT")


def test_a_published_wheel_for_aarch64_is_sound_where_it_belongs(environment: Path) -> None:
    wheel = wheels.fetch(PILLOW)
    _installed(wheel, environment)

    found = _checked(wheel, environment)

    wrong = {id_: row for id_, row in found.items() if row[0] in {"fail", "crash"}}
    assert wrong == {}
    for id_ in ("link.needed", "env.install", "env.versions", "env.import", "env.loaded"):
        assert found[id_] == ("pass", ())


def test_a_library_that_is_missing_is_named_by_the_bytes_and_by_the_import(
    environment: Path, tmp_path: Path
) -> None:
    whole, wheel = wheels.fetch(PILLOW), tmp_path / PILLOW
    with zipfile.ZipFile(whole) as given, zipfile.ZipFile(wheel, "w") as made:
        (member,) = [one for one in given.namelist() if one.startswith("pillow.libs/libzstd-")]
        for info in given.infolist():
            if info.filename != member:
                made.writestr(info, given.read(info))
    _installed(wheel, environment)
    library = Path(member).name

    found = _checked(wheel, environment, "link.needed", "env.import")

    status, problems = found["link.needed"]
    assert status == "fail"
    assert {re.findall(r"needs `(\S+)`", one)[0] for one in problems} == {library}
    ((problem),) = found["env.import"][1]
    assert problem.startswith(f"PIL._imaging: ImportError: {library}: cannot open shared object")
