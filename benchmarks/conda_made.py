"""Indexing channels and converting wheels, for `conda.py`: what is made ready, and the commands of all sides."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks import wheels
from benchmarks.conda_cases import ALONE, OURS, Case, Side, caches
from benchmarks.conda_differences import differing_channels, differing_packages
from builder.archive.conda_package import CondaFile, CondaPackage
from builder.archive.conda_write import write_conda

__all__ = ["NATIVE", "OTHERS", "convert_cases", "index_cases", "refusal"]

PURE: Final = (
    "requests-2.34.2-py3-none-any.whl",
    "rich-15.0.0-py3-none-any.whl",
    "setuptools-84.2.1-py3-none-any.whl",
    "sympy-1.14.0-py3-none-any.whl",
)
NATIVE: Final = (
    "black-26.10.1-cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64.manylinux_2_28_x86_64.whl"
)
OTHERS: Final = ("whl2conda==26.7.2", "conda-index==0.13.0", "boltons==26.2.0", "frozendict==2.5.1")
"""The last two are what `conda` imports for conda-index."""


def index_cases(folder: Path, checkout: str) -> Iterator[Case]:
    """Channels of small packages: from nothing, with nothing changed, with one added.

    conda-index imports `conda`, which is not on the index: `checkout` is a folder with its source,
    and without one it is left out.
    """
    ways: dict[str, tuple[tuple[str, ...], Mapping[str, str]]] = {
        "`channel index`": ((*OURS, "channel", "index"), {}),
        "rattler": ((*ALONE, "index"), {}),
    }
    if checkout:
        module = (str(_others() / "python"), "-m", "conda_index", "--zst", "--no-bz2")
        ways["conda-index"] = (
            (*module, "--run-exports", "--threads", "1"),
            {"PYTHONPATH": checkout},
        )
    for count in (100, 1000):
        place = folder / f"index-{count}"
        fresh = _small_packages(place / "packages", count)
        sides = [_Indexer(place / name.strip("`"), argv, name, {**caches(place), **variables})
                 for name, (argv, variables) in ways.items()]  # fmt: skip
        for side in sides:
            side.learn(place / "packages")
        for what, turn in (
            ("from nothing", partial(_Indexer.from_nothing, packages=place / "packages")),
            ("nothing changed", _Indexer.known),
            ("one added", partial(_Indexer.one_added, fresh=fresh)),
        ):
            first, *others = [side.side(partial(turn, side)) for side in sides]
            yield Case(
                "index",
                f"{count} packages, {what}",
                (first,),
                tuple(others),
                partial(differing_channels, sides[0].channel, sides[1].channel),
            )


class _Indexer:
    """A tool, its channel, and a copy of that as it was when the tool knew it."""

    def __init__(
        self, folder: Path, argv: tuple[str, ...], name: str, environment: Mapping[str, str]
    ) -> None:
        self.channel = folder / "channel"
        self._state, self._name = folder / "known", name
        self._argv, self._environment = (*argv, str(self.channel)), environment

    def learn(self, packages: Path) -> None:
        """Index the packages once."""
        self.from_nothing(packages)
        variables = {**os.environ, **self._environment}
        subprocess.run(self._argv, env=variables, check=True, capture_output=True)
        shutil.copytree(self.channel, self._state)

    def side(self, before: partial[None]) -> Side:
        """What is measured."""
        return Side(self._name, self._argv, self._environment, before)

    def from_nothing(self, packages: Path) -> None:
        """Packages, and no index."""
        shutil.rmtree(self.channel, ignore_errors=True)
        shutil.copytree(packages, self.channel / "noarch")

    def known(self) -> None:
        """The channel as the tool left it, times of files included."""
        shutil.rmtree(self.channel)
        shutil.copytree(self._state, self.channel)

    def one_added(self, fresh: Path) -> None:
        """The same, and one package that it has not seen."""
        self.known()
        shutil.copy2(fresh, self.channel / "noarch")


def _small_packages(folder: Path, count: int) -> Path:
    """So many packages in a folder, and the path of one more beside it."""
    for number in range(count + 1):
        name = f"small-{number:04}"
        package = CondaPackage(
            name, "1.0", "py_0", "noarch",
            noarch="python", depends=("python >=3.9", f"small-{number // 2:04}"), license="MIT",
        )  # fmt: skip
        files = [
            CondaFile(f"site-packages/{name}/__init__.py", f"number = {number}\n".encode()),
            CondaFile(f"site-packages/{name}/data.txt", f"{number}\n".encode() * 100),
        ]
        place = folder if number < count else folder.with_name("fresh")
        last = write_conda(place, package, files, epoch=0)
    return last


def convert_cases(folder: Path) -> Iterator[Case]:
    """Pure wheels: ours as it is by default, and as hard as whl2conda packs."""
    for name in PURE:
        wheel, place = wheels.fetch(name), folder / name.partition("-")[0]
        command = (*OURS, "convert", "-q", str(wheel), "-o")
        profiles = ("default",) if name.startswith("sympy") else ("default", "release")
        whl2conda = (str(_others() / "whl2conda"), "convert", "--overwrite", "--format", "V2")
        theirs = (*whl2conda, "--out-dir", str(place / "theirs"), str(wheel))
        yield Case(
            "convert",
            name.rpartition("-py3")[0],
            tuple(
                Side(
                    f"`convert --compression {profile}`",
                    (*command, str(place / profile), "--compression", profile),
                    caches(place),
                )
                for profile in profiles
            ),
            (Side("whl2conda", theirs, {}),),
            partial(differing_packages, place / "default", place / "theirs"),
        )


def refusal() -> str:
    """What whl2conda says of a wheel with binaries."""
    words = (str(_others() / "whl2conda"), "convert", str(wheels.fetch(NATIVE)), "--dry-run")
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    said = done.stderr.strip().rpartition("\n")[2]
    if not done.returncode or "is not pure python" not in said:
        raise SystemExit(f"whl2conda no longer refuses `{NATIVE}`: {said}")
    return said.rpartition(".whl ")[2]


def _others() -> Path:
    """The programs of others, in an environment that is made once."""
    place = wheels.folder().with_name("builder-benchmark-conda")
    made = place / "made"
    if not made.is_file() or made.read_text("utf-8") != " ".join(OTHERS):
        shutil.rmtree(place, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
        install = [str(place / "bin" / "pip"), "install", "--quiet", *OTHERS]
        subprocess.run(install, check=True, capture_output=True)
        made.write_text(" ".join(OTHERS), "utf-8")
    return place / "bin"
