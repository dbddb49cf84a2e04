"""The README's two commands on a machine that has only Python and git: a bare Debian root, in namespaces of its own."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.heavy]

PROJECT = Path(__file__).parents[2]
GIVEN = ("ca-certificates", "git", "python3")
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")

# Enter the root as a container would: own mounts and processes, which end with the command.
ENTER = """
set -e
mount -t proc proc "$0/proc"
mount --rbind /dev "$0/dev"
exec chroot "$0" env -i HOME=/tmp LANG=C.UTF-8 TERM=dumb BUILDER_BARE_MACHINE=1 \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt PIP_CERT=/etc/ssl/certs/ca-certificates.crt \
    sh -c "cd /srv/project && $1"
"""


def run_in(root: Path, command: str) -> subprocess.CompletedProcess[str]:
    """Run one command line of the README inside the root."""
    return subprocess.run(
        ("unshare", "--mount", "--pid", "--ipc", "--fork", "--kill-child", "--propagation", "private",
         "sh", "-c", ENTER, str(root), command),
        capture_output=True, text=True, check=False, timeout=1500,
    )  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    if os.environ.get("BUILDER_BARE_MACHINE"):
        pytest.skip("this is the bare machine already")
    if os.name != "posix" or os.geteuid() != 0:
        pytest.skip("making a container root needs root")
    for program in ("mmdebstrap", "unshare"):
        if shutil.which(program) is None:
            pytest.skip(f"`{program}` is not installed")
    folder = tmp_path_factory.mktemp("bare") / "root"
    try:
        _make_root(folder)
        yield folder
    finally:
        # Mounts were seen only by the commands that made them, and ended with them: these are files.
        shutil.rmtree(folder, ignore_errors=True)


def _make_root(folder: Path) -> None:
    made = subprocess.run(
        ("mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(GIVEN)}", "bookworm",
         str(folder), *_sources()),
        capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr[-2000:]
    if CERTIFICATES.is_file():
        shutil.copyfile(CERTIFICATES, folder / CERTIFICATES.relative_to("/"))
    _copy_project(folder / "srv" / "project")


def _sources() -> list[str]:
    """This machine's own lists of packages where they are for the same release: it may reach no others."""
    system = platform.freedesktop_os_release()
    if (system.get("ID"), system.get("VERSION_CODENAME")) != ("debian", "bookworm"):
        return []
    apt = Path("/etc/apt")
    lists = (
        apt / "sources.list",
        *apt.glob("sources.list.d/debian*.sources"),
        *apt.glob("sources.list.d/debian*.list"),
    )
    return [str(path) for path in lists if path.is_file() and path.stat().st_size]


def _copy_project(target: Path) -> None:
    """A clone, with what is not committed yet."""
    subprocess.run(("git", "clone", "--quiet", str(PROJECT), str(target)), check=True)
    listed = subprocess.run(
        ("git", "ls-files", "-co", "--exclude-standard", "-z"),
        cwd=PROJECT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    for name in filter(None, listed.stdout.split("\0")):
        if (PROJECT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, target / name, follow_symlinks=False)


def readme_commands() -> tuple[str, str]:
    """The first two commands of the README."""
    lines = (PROJECT / "README.md").read_text(encoding="utf-8").splitlines()
    first, second, *_ = [line for line in lines if line.startswith("./dev ")]
    return first, second


def test_the_first_command_gives_a_checked_wheel(root: Path) -> None:
    command, _ = readme_commands()

    ran = run_in(root, command)

    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-4000:]
    (wheel,) = (root / "srv" / "project" / "dist").glob("*.whl")
    assert wheel.name.startswith("builder_sample-1.4.0+cpu-cp311-cp311-manylinux_")


def test_the_second_command_sets_up_and_passes_the_quick_tests(root: Path) -> None:
    _, command = readme_commands()

    ran = run_in(root, f"{command} -m 'not e2e' -q")

    assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr[-2000:]
    assert " passed" in ran.stdout.splitlines()[-1]
