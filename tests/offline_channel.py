"""A conda channel that no network is needed for: `python` and `python_abi` from interpreters at hand."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from builder.archive.conda_package import CondaFile, CondaPackage
from builder.archive.conda_write import write_conda
from builder.binary import elf
from builder.binary.model import Edit
from builder.channel import channel

EPOCH = 1_700_000_000
_PLACEHOLDER = f"/opt/{'placehold_' * 25}"
_UNWANTED = frozenset({
    "__pycache__", "asyncio", "concurrent", "curses", "dbm", "email", "ensurepip", "html", "http", "idlelib", "lib2to3",
    "logging", "msilib", "multiprocessing", "pydoc_data", "site-packages", "sqlite3", "test", "tests", "tkinter",
    "tomllib", "turtledemo", "unittest", "urllib", "wsgiref", "xml", "xmlrpc",
})  # fmt: skip
"""Every file is linked into every environment: what no small package imports is left out."""
_LARGE = 1 << 22
_ELF = b"\x7fELF"


def interpreters() -> dict[str, Path]:
    """The prefix of every CPython at hand that can be copied, by version (`3.11`)."""
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    found = {here: Path(sys.base_prefix)}
    for prefix in sorted(Path.home().glob(".pyenv/versions/3.*")):
        found.setdefault(".".join(prefix.name.split(".")[:2]), prefix)
    return {
        version: prefix
        for version, prefix in found.items()
        if (prefix / f"include/python{version}").is_dir() and prefix != Path("/usr")
    }


def make_channel(folder: Path, versions: Sequence[str]) -> Path:
    """Fill a channel with the interpreters of these versions."""
    channel.create(folder, ("linux-64",))
    prefixes = interpreters()
    packages = folder.parent / "interpreters"
    made = [
        path for version in versions for path in _interpreter(packages, version, prefixes[version])
    ]
    channel.add(folder, made)
    return folder


def put(folder: Path, package: CondaPackage, files: Sequence[CondaFile] = ()) -> Path:
    """Write one small package into a channel."""
    path = write_conda(folder.parent / "small", package, files, epoch=EPOCH, profile="fast")
    channel.add(folder, (path,))
    return path


def _interpreter(folder: Path, version: str, prefix: Path) -> tuple[Path, Path]:
    tag = f"cp{version.replace('.', '')}"
    pin = f"python_abi {version}.* *_{tag}"
    python = CondaPackage(
        "python", _exact(version, prefix), f"0_{tag}", "linux-64",
        run_exports={"noarch": ["python"], "weak": [pin]},
    )  # fmt: skip
    abi = CondaPackage(
        "python_abi", version, f"1_{tag}", "noarch", 1, "generic",
        constrains=(f"python {version}.* *_{tag}",),
    )  # fmt: skip
    scratch = folder / "scratch"
    scratch.mkdir(parents=True, exist_ok=True)
    return (
        write_conda(folder, python, _files(version, prefix, scratch), epoch=EPOCH, profile="fast"),
        write_conda(folder, abi, (), epoch=EPOCH, profile="fast"),
    )


def _exact(version: str, prefix: Path) -> str:
    text = (prefix / f"include/python{version}/patchlevel.h").read_text()
    micro = next(line.split()[2] for line in text.splitlines() if "PY_MICRO_VERSION" in line)
    return f"{version}.{micro}"


def _files(version: str, prefix: Path, scratch: Path) -> Iterator[CondaFile]:
    library = prefix / "lib" / f"python{version}"
    for path in sorted(library.rglob("*")):
        parts = path.relative_to(library).parts
        if not path.is_file() or _UNWANTED & set(parts) or path.suffix in {".a", ".o"}:
            continue
        yield from _file(path, prefix, scratch)
    for path in sorted((prefix / "include" / f"python{version}").rglob("*.h")):
        yield from _file(path, prefix, scratch)
    for path in sorted((prefix / "lib").glob("libpython*.so*")):
        if version in path.name:
            yield from _file(path, prefix, scratch)
    yield from _file(prefix / "bin" / f"python{version}", prefix, scratch)
    for name in ("python", "python3"):
        yield CondaFile(f"bin/{name}", link=f"python{version}")


def _file(path: Path, prefix: Path, scratch: Path) -> Iterator[CondaFile]:
    name = path.relative_to(prefix).as_posix()
    if path.is_symlink():
        yield CondaFile(name, link=str(path.readlink()))
        return
    content = path.read_bytes()
    if content.startswith(_ELF):
        yield CondaFile(name, _relocated(path, scratch), executable=True)
    elif str(prefix).encode() in content and path.suffix != ".pyc":
        text = content.replace(str(prefix).encode(), _PLACEHOLDER.encode())
        yield CondaFile(name, text, placeholder=_PLACEHOLDER)
    else:
        yield CondaFile(name, content)


def _relocated(path: Path, scratch: Path) -> bytes:
    """A binary without debug information that finds its library beside itself."""
    content = path.read_bytes()
    if len(content) > _LARGE:
        copy = scratch / path.name
        subprocess.run(["strip", "-g", "-o", copy, path], check=True)
        content = copy.read_bytes()
        copy.unlink()
    binary = elf.read(memoryview(content))
    if not any("libpython" in needed for needed in binary.needed):
        return content
    return elf.plan(memoryview(content), Edit(search=("$ORIGIN/../lib",))).apply(content)
