"""Which compilers build a target here, and what they are: one identity for the input key.

The identity names the compiler's programs by their bytes, the C library by its version, and what
they were asked to do. A path is not in it, so two machines with the same tools share results.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from builder.config.machine import Machine
from builder.config.target import Target
from builder.config.toolchain import CudaToolkit, Toolchain
from builder.errors import BuilderError, UsageError
from builder.process import Command, ProcessError, Processes
from builder.stage import cuda
from builder.stage.fingerprint import fingerprint
from builder.stage.remembered import Remembered

__all__ = ["choose", "find_toolkits"]

_FORMAT: Final = "1"
_SECONDS: Final = 30.0
_PAIRS: Final = (("gcc", "g++"), ("clang", "clang++"), ("cc", "c++"))
# The programs behind the driver, and the libraries that get linked in or against.
_PROGRAMS: Final = ("cc1", "cc1plus", "as", "ld", "collect2")
_LIBRARIES: Final = ("libstdc++.so.6", "libgcc.a", "libgcc_s.so.1", "libgomp.so.1")
_GLIBC: Final = re.compile(rb"GNU C Library \(([^\n\0]*)\) [a-z]+ release version (\d+\.\d+)")


@dataclass(frozen=True, slots=True)
class _Compilers:
    cc: Path
    cxx: Path
    summary: str
    identity: str


def choose(
    target: Target,
    machine: Machine,
    processes: Processes,
    *,
    baseline: str = "auto",
    architectures: tuple[str, ...] = (),
    planning: bool = False,
) -> Toolchain:
    """The toolchain for one target on this machine; with `planning`, one that is not there is `missing`.

    `architectures` are for CUDA, in any spelling; none means the toolkit's default. Raises
    `BuilderError` when a compiler or a toolkit is missing, `UsageError` for architectures that the
    toolkit does not know.
    """
    memory = _memory(machine)
    compilers = _compilers(machine, processes, memory)
    toolkit: CudaToolkit | None = None
    chosen: tuple[str, ...] = ()
    missing = ""
    if target.accelerator.kind == "cuda":
        try:
            toolkit = cuda.choose_toolkit(target.accelerator, machine, processes, memory)
            chosen = cuda.architectures(architectures, toolkit, machine, processes, memory)
        except UsageError:
            raise
        except BuilderError as error:
            if not planning:
                raise
            missing = f"{error.message}: {error.hint}"
            version = target.accelerator.dotted
            chosen = cuda.parse(architectures) or cuda.default_architectures(version, target.arch)
    memory.save()
    words = [_FORMAT, compilers.identity, toolkit.identity if toolkit else "", *chosen]
    return Toolchain(
        cc=compilers.cc,
        cxx=compilers.cxx,
        summary=f"{compilers.summary}, CUDA {toolkit.release}" if toolkit else compilers.summary,
        identity=fingerprint(words, memory),
        baseline=baseline,
        cuda=toolkit,
        architectures=chosen,
        cache=_cache(machine),
        missing=missing,
    )


def find_toolkits(machine: Machine, processes: Processes) -> tuple[CudaToolkit, ...]:
    """Every CUDA toolkit of this machine, the newest first."""
    memory = _memory(machine)
    found = cuda.toolkits(machine, processes, memory)
    memory.save()
    return found


def _memory(machine: Machine) -> Remembered:
    return Remembered(machine.cache, "toolchains", _FORMAT)


def _cache(machine: Machine) -> Path | None:
    """The compiler cache: ccache where there is one, because it needs no server."""
    search = _search(machine)
    found = shutil.which("ccache", path=search) or shutil.which("sccache", path=search)
    return Path(found) if found else None


def _search(machine: Machine) -> str:
    return ":".join(map(str, machine.path))


def _compilers(machine: Machine, processes: Processes, memory: Remembered) -> _Compilers:
    search = _search(machine)
    for names in _PAIRS:
        found = [shutil.which(name, path=search) for name in names]
        if all(found):
            cc, cxx = (Path(str(path)) for path in found)
            return _describe(cc, cxx, machine, processes, memory)
    raise BuilderError(
        "there is no C and C++ compiler on this machine",
        faults=[f"searched {folder}" for folder in machine.path],
        hint="`apt-get install build-essential` (Debian, Ubuntu) or `dnf install gcc-c++`",
    )


def _describe(
    cc: Path, cxx: Path, machine: Machine, processes: Processes, memory: Remembered
) -> _Compilers:
    """What the compilers are. What they say is remembered until the driver's file changes."""
    driver = cc.resolve()
    known = memory.get(driver) or {}
    about = f"{cc} {_search(machine)}"
    said = known.get(about)
    if not (isinstance(said, list) and all(isinstance(line, str) for line in said)):
        said = _ask(cc, machine, processes)
        memory.put(driver, {**(memory.get(driver) or {}), about: said})
    version, triple, *files = said
    # A library that is not there is said as a bare name.
    libc, *parts = [path.resolve() if path.is_absolute() else path for path in map(Path, files)]
    glibc, build = _glibc(libc) if libc.is_file() else ("", "")
    counted = (driver, cxx.resolve(), *(path for path in parts if path.is_file()))
    # The C library counts by its version: its bytes do not enter what is compiled.
    identity = fingerprint([version, triple, glibc, build, *counted], memory)
    summary = f"{version}, glibc {glibc}" if glibc else version
    return _Compilers(cc, cxx, summary, identity)


def _ask(cc: Path, machine: Machine, processes: Processes) -> list[str]:
    """Version line, machine, C library, and the programs and libraries behind the driver."""

    def ask(*arguments: str) -> str:
        environment = {"PATH": _search(machine), "LC_ALL": "C", "HOME": str(machine.home)}
        command = Command(
            (str(cc), *arguments), machine.home, environment, title=cc.name, timeout=_SECONDS
        )
        return processes.run(command, capture=True).stdout.strip()

    try:
        version = ask("--version").partition("\n")[0]
        triple = ask("-dumpmachine")
        programs = [ask(f"-print-prog-name={name}") for name in _PROGRAMS]
        libc, *libraries = [ask(f"-print-file-name={name}") for name in ("libc.so.6", *_LIBRARIES)]
    except ProcessError as error:
        raise BuilderError(
            f"the compiler `{cc}` does not answer", faults=error.last_lines, hint="install it again"
        ) from error
    located = [shutil.which(program, path=_search(machine)) or "" for program in programs]
    return [version, triple, libc, *filter(None, located), *libraries]


def _glibc(libc: Path) -> tuple[str, str]:
    """Version and distribution of a GNU C library, from its banner; nothing for another one."""
    match = _GLIBC.search(libc.read_bytes())
    return (match[2].decode(), match[1].decode("ascii", "replace")) if match else ("", "")
