"""Published wheels for benchmarks and tests: fetched from the index once, known by their digests."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
import tomllib
from pathlib import Path

from packaging.utils import parse_wheel_filename

__all__ = ["fetch", "folder", "known"]

TABLE = Path(__file__).parent / "wheels.toml"


def known() -> dict[str, str]:
    """The sha256 of every wheel by file name."""
    return tomllib.loads(TABLE.read_text("utf-8"))


def folder() -> Path:
    """Where fetched wheels are kept: `BUILDER_TEST_WHEELS`, or the user's cache."""
    own = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "builder-test-wheels"
    return Path(os.environ.get("BUILDER_TEST_WHEELS") or own)


def fetch(name: str) -> Path:
    """A wheel of the table, from the folder or the index; raises when its bytes are others."""
    place = folder() / name
    place.parent.mkdir(parents=True, exist_ok=True)
    with (place.parent / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.is_file():
            _download(name)
    with place.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != known()[name]:
        place.unlink()
        raise RuntimeError(f"`{name}` has sha256 {found}, not {known()[name]}")
    return place


def _download(name: str) -> None:
    project, version, _, tags = parse_wheel_filename(name)
    python, platforms = name.removesuffix(".whl").split("-")[-3:][::2]
    public = str(version).partition("+")[0]
    number = python.split(".")[0].removeprefix("cp").removeprefix("py")
    words = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    words += ["--only-binary=:all:", "--dest", str(folder())]
    if "+" not in str(version):
        # An old limited-API wheel is only offered to a Python that understands its tag.
        words += ["--python-version", number if "abi3" not in name else "311"]
        words += [word for one in platforms.split(".") for word in ("--platform", one)]
    subprocess.run([*words, f"{project}=={public}"], check=True, stdout=subprocess.DEVNULL)
    if not (folder() / name).is_file():
        raise RuntimeError(f"the index gave another file than `{name}` ({len(tags)} tags)")
