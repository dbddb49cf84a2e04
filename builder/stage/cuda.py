"""CUDA toolkits of this machine, what they can compile for, and what a package is compiled for."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from builder.config.accelerator import Accelerator
from builder.config.machine import Machine
from builder.config.toolchain import CudaToolkit
from builder.errors import BuilderError, UsageError
from builder.process import Command, ProcessError, Processes
from builder.stage.fingerprint import fingerprint
from builder.stage.remembered import Remembered

__all__ = ["architectures", "choose_toolkit", "default_architectures", "toolkits"]

_DATA: Final = Path(__file__).parent.parent / "data" / "toolkits.toml"
_RELEASE: Final = re.compile(r"release (\d+\.\d+), V(\d+(?:\.\d+)+)")
_KNOWN: Final = re.compile(r"^compute_(\d+)[a-z]?$", re.MULTILINE)
_WORD: Final = re.compile(
    r"(?:sm_|compute_)?(?P<number>\d{2,3}|\d{1,2}\.\d)(?P<letter>[af]?)"
    r"(?P<kind>-real|-virtual|\+ptx)?",
    re.IGNORECASE,
)
# What of a toolkit decides about the bytes it makes, besides its version.
_PARTS: Final = (
    "bin/nvcc",
    "bin/ptxas",
    "bin/fatbinary",
    "nvvm/bin/cicc",
    "lib64/libcudart_static.a",
)
_SECONDS: Final = 60.0


def toolkits(machine: Machine, processes: Processes, memory: Remembered) -> tuple[CudaToolkit, ...]:
    """Every toolkit of this machine, the newest first; the same one under several names once."""
    found: dict[Path, CudaToolkit] = {}
    for root in _roots(machine):
        if root not in found and (toolkit := _look(root, machine, processes, memory)):
            found[root] = toolkit
    newest_first = sorted(
        found.values(), key=lambda toolkit: _numbers(toolkit.release), reverse=True
    )
    return tuple(newest_first)


def choose_toolkit(
    accelerator: Accelerator, machine: Machine, processes: Processes, memory: Remembered
) -> CudaToolkit:
    """The newest toolkit of exactly this X.Y. Raises `BuilderError` that lists what there is."""
    present = toolkits(machine, processes, memory)
    for toolkit in present:
        if toolkit.version == accelerator.dotted:
            return toolkit
    searched = [f"searched {root}" for root in machine.cuda_roots] or ["no folder was searched"]
    there = [f"found CUDA {toolkit.release} in {toolkit.root}" for toolkit in present]
    raise BuilderError(
        f"there is no CUDA {accelerator.dotted} toolkit on this machine",
        faults=[*there, *searched],
        hint=f"install it (`cuda-toolkit-{accelerator.dotted.replace('.', '-')}`), "
        "set CUDA_HOME to it, or ask for a version that is there",
    )


def architectures(
    asked: Sequence[str],
    toolkit: CudaToolkit,
    machine: Machine,
    processes: Processes,
    memory: Remembered,
) -> tuple[str, ...]:
    """What to compile for, as CMake spells it: what was asked for, else the default of the toolkit.

    Raises `UsageError` for a word that is no architecture or one this nvcc does not know.
    """
    chosen = parse(asked) if asked else default_architectures(toolkit.version, machine.arch)
    known = _known(toolkit, machine, processes, memory)
    unknown = [name for name in chosen if known and _number(name) not in known]
    if unknown:
        raise UsageError(
            f"CUDA {toolkit.release} cannot compile for {', '.join(unknown)}",
            faults=[f"it knows {', '.join(map(str, sorted(known)))}"],
            hint="choose other architectures, or another toolkit",
        )
    return chosen


def default_architectures(version: str, arch: str) -> tuple[str, ...]:
    """The architectures of `data/toolkits.toml`: of this version, else of the last one before it.

    Raises `UsageError` for a major version that has no table.
    """
    table = {_numbers(known): row for known, row in _table().items()}
    wanted = _numbers(version)
    before = [known for known in table if known <= wanted]
    newest = max(before, default=(0,))
    if newest[0] != wanted[0]:
        raise UsageError(
            f"no default architectures are known for CUDA {version}",
            faults=[f"known are {', '.join(_table())} and what follows each"],
            hint="say which to compile for, or add a table to `builder/data/toolkits.toml`",
        )
    row = table[newest]
    return tuple(row.get(arch, row["default"]))


def parse(words: Iterable[str]) -> tuple[str, ...]:
    """CMake's spelling of architectures written in any way: `8.0`, `sm_80`, `90a`, `12.0+PTX`.

    A word that does not say which means machine code; `+PTX` means both. Each once, in order.
    """
    found: dict[str, None] = {}
    faults: list[str] = []
    for word in (part for text in words for part in re.split(r"[;,\s]+", text) if part):
        match = _WORD.fullmatch(word)
        if match is None:
            faults.append(f"not a CUDA architecture: `{word}`")
            continue
        name = match["number"].replace(".", "") + match["letter"].lower()
        kind = (match["kind"] or "-real").lower()
        if word.lower().startswith("compute_"):
            kind = "-virtual"
        kinds = ("-real", "-virtual") if kind == "+ptx" else (kind,)
        found.update(dict.fromkeys(f"{name}{each}" for each in kinds))
    if faults:
        raise UsageError(
            "cannot read the CUDA architectures",
            faults=faults,
            hint="write them like `80-real`, `90a-real`, `120-virtual`, `8.0` or `12.0+PTX`",
        )
    return tuple(found)


def _table() -> Mapping[str, Mapping[str, list[str]]]:
    document: dict[str, dict[str, dict[str, list[str]]]] = tomllib.loads(_DATA.read_text("utf-8"))
    return document["toolkits"]


def _roots(machine: Machine) -> Iterable[Path]:
    """Real folders with an nvcc, in the order of preference; a root may be one or hold several."""
    for root in machine.cuda_roots:
        for folder in (root, *sorted(root.glob("cuda*"), reverse=True)):
            if (folder / "bin" / "nvcc").is_file():
                yield folder.resolve()
    for folder in machine.path:
        # `bin/nvcc` of a toolkit, not the wrapper of the same name that some images have.
        if (folder / "nvcc").is_file() and (folder.parent / "include" / "cuda.h").is_file():
            yield folder.resolve().parent


def _look(
    root: Path, machine: Machine, processes: Processes, memory: Remembered
) -> CudaToolkit | None:
    """The toolkit in this folder, or None if its nvcc does not answer."""
    nvcc = root / "bin" / "nvcc"
    parts = [path for part in _PARTS if (path := root / part).is_file()]
    said = _say(nvcc, ("--version",), machine, processes, memory)
    match = _RELEASE.search(said)
    if match is None:
        return None
    identity = fingerprint([said, *parts], memory)
    return CudaToolkit(root, match[1], match[2], identity)


def _known(
    toolkit: CudaToolkit, machine: Machine, processes: Processes, memory: Remembered
) -> frozenset[int]:
    """The numbers of the architectures nvcc knows; none when it is too old to say (CUDA 10)."""
    said = _say(toolkit.root / "bin" / "nvcc", ("--list-gpu-arch",), machine, processes, memory)
    return frozenset(int(number) for number in _KNOWN.findall(said))


def _say(
    nvcc: Path,
    arguments: tuple[str, ...],
    machine: Machine,
    processes: Processes,
    memory: Remembered,
) -> str:
    """What nvcc prints, remembered as long as its file stays; nothing when it fails."""
    about = " ".join(arguments)
    known = memory.get(nvcc) or {}
    if isinstance(text := known.get(about), str):
        return text
    environment = {
        "PATH": ":".join(map(str, machine.path)),
        "HOME": str(machine.home),
        "LC_ALL": "C",
    }
    argv = (str(nvcc), *arguments)
    command = Command(argv, nvcc.parent, environment, title="nvcc", timeout=_SECONDS)
    try:
        text = processes.run(command, capture=True).stdout
    except ProcessError:
        return ""
    memory.put(nvcc, {**known, about: text})
    return text


def _number(architecture: str) -> int:
    return int("".join(character for character in architecture if character.isdigit()))


def _numbers(dotted: str) -> tuple[int, ...]:
    return tuple(map(int, dotted.split(".")))
