"""Published wheels for benchmarks and tests: fetched from the index once, known by their digests."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

from packaging.utils import parse_wheel_filename

__all__ = ["checked", "fetch", "folder", "known"]

TABLE = Path(__file__).parent / "wheels.toml"


def known() -> dict[str, str]:
    """The sha256 of every wheel that repairs work on, by file name."""
    return {name: digest for name, digest in _table().items() if isinstance(digest, str)}


def checked() -> dict[str, str]:
    """The sha256 of every wheel there is, those that only checks look at too."""
    more: dict[str, str] = _table()["checked"]
    return known() | more


def folder() -> Path:
    """Where fetched wheels are kept: `BUILDER_TEST_WHEELS`, or the user's cache."""
    own = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "builder-test-wheels"
    return Path(os.environ.get("BUILDER_TEST_WHEELS") or own)


def fetch(name: str, kept: Path | None = None) -> Path:
    """A wheel of the table, from the folder or the index; raises when its bytes are others.

    `kept` is the folder to use instead of the usual one.
    """
    place = (kept or folder()) / name
    place.parent.mkdir(parents=True, exist_ok=True)
    with (place.parent / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.is_file():
            _download(name, place.parent)
    with place.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    wanted = (checked() | _table()["converted"])[name]
    if found != wanted:
        place.unlink()
        raise RuntimeError(f"`{name}` has sha256 {found}, not {wanted}")
    return place


def _table() -> dict[str, Any]:
    return tomllib.loads(TABLE.read_text("utf-8"))


def _download(name: str, kept: Path) -> None:
    project, version, _, tags = parse_wheel_filename(name)
    python, platforms = name.removesuffix(".whl").split("-")[-3:][::2]
    public = str(version).partition("+")[0]
    number = python.split(".")[0].removeprefix("cp").removeprefix("py")
    words = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    words += ["--only-binary=:all:", "--dest", str(kept)]
    if "+" not in str(version):
        # An old limited-API wheel is only offered to a Python that understands its tag.
        # So is a pure one, to a Python as new as it requires.
        newest = "abi3" in name or python.startswith("py")
        words += ["--python-version", "311" if newest else number]
        words += [word for one in platforms.split(".") for word in ("--platform", one)]
    subprocess.run([*words, f"{project}=={public}"], check=True, stdout=subprocess.DEVNULL)
    if not (kept / name).is_file():
        raise RuntimeError(f"the index gave another file than `{name}` ({len(tags)} tags)")
