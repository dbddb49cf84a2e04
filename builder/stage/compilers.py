"""How compilers are called in a stage: the same bytes in every folder, and every run counted.

Shims stand in front of the compilers. Whatever build system calls them, they count compilations,
map the paths of sources to neutral names, and go through ccache or sccache when the toolchain has
one. They are named `gcc` and `g++` (or `clang`, `clang++`), because build systems look at the name.

ccache is preferred. sccache needs a server; each stage has one of its own, which ends with the
command that started it, so no server outlives a build or serves two at once.
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from builder.config.machine import Machine
from builder.config.toolchain import CudaToolkit, Toolchain

__all__ = ["count", "prepare"]

_HERE: Final = Path(__file__).parent
_NEUTRAL: Final = "/builder"
# Long before the 108 bytes that the address of a Unix socket has (unix(7)).
_LONGEST_SOCKET: Final = 90
# The first toolkit known to have `--objdir-as-tempdir`.
_NAMED_TEMPORARIES: Final = 12


def prepare(
    folder: Path,
    toolchain: Toolchain,
    machine: Machine,
    *,
    roots: Mapping[str, Path],
    store: Path,
    epoch: int,
) -> Mapping[str, str]:
    """Write the shims into `folder` and give back the variables that make builds use them.

    `roots` are the folders whose paths may not leak, by the name that each has in the result;
    the store is one of them. `epoch` is in seconds since 1970.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    base = store.resolve()
    named = {f"{_NEUTRAL}/store": base} | {
        f"{_NEUTRAL}/{name}": root.resolve() for name, root in roots.items()
    }
    family = "clang" if "clang" in toolchain.summary.lower() else "gcc"
    cc, cxx = folder / family, folder / {"gcc": "g++", "clang": "clang++"}[family]
    cache = _usable_cache(toolchain, folder)
    for shim, real, alias in ((cc, toolchain.cc, "cc"), (cxx, toolchain.cxx, "c++")):
        _write(shim, _compiler_shim(real, folder, base, named, cache))
        (folder / alias).symlink_to(shim.name)
    variables = {
        "CC": str(cc),
        "CXX": str(cxx),
        "SOURCE_DATE_EPOCH": str(epoch),
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONNOUSERSITE": "1",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        **_cache_variables(cache, folder, base, machine),
    }
    if toolchain.cuda is not None:
        variables |= _cuda(toolchain.cuda, toolchain.architectures, folder, cache)
    return {**variables, **toolchain.environment}


def count(folder: Path) -> int:
    """How often a compiler was asked to compile since `prepare`.

    Trying out what a compiler understands does not count; what a cache answers does.
    """
    try:
        return (folder / "count").read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


def _write(file: Path, text: str) -> None:
    file.write_text(text, "utf-8")
    file.chmod(0o755)


def _filled(template: str, values: Mapping[str, str]) -> str:
    text = (_HERE / template).read_text("utf-8")
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text


def _counting(folder: Path) -> str:
    return _filled("shim_count.sh", {"count_file": shlex.quote(str(folder / "count"))})


def _compiler_shim(
    real: Path, folder: Path, base: Path, named: Mapping[str, Path], cache: Path | None
) -> str:
    quoted = [
        (shlex.quote(str(path)), shlex.quote(name))
        for name, path in sorted(named.items(), key=lambda item: len(item[1].parts))
    ]
    return _filled(
        "shim.sh",
        {
            "real": shlex.quote(str(real)),
            "base": shlex.quote(str(base)),
            "count": _counting(folder),
            "cache": f"{shlex.quote(str(cache))} " if cache else "",
            "maps": "".join(f' "$prefix"{path}={name}' for path, name in quoted),
            "names": "\n".join(
                f"    {path}/*) neutral={name}${{1#{path}}} ;;" for path, name in reversed(quoted)
            ),
            "roots": " ".join(path for path, _ in quoted),
        },
    )


def _usable_cache(toolchain: Toolchain, folder: Path) -> Path | None:
    cache = toolchain.cache
    if (
        cache is not None
        and cache.name.startswith("sccache")
        and len(str(folder)) > _LONGEST_SOCKET
    ):
        return None
    return cache


def _cache_variables(
    cache: Path | None, folder: Path, base: Path, machine: Machine
) -> dict[str, str]:
    """Settings that hit in another store and another work folder, and nothing of the user's own."""
    if cache is None:
        return {}
    if cache.name.startswith("sccache"):
        return {
            "SCCACHE_DIR": str(machine.cache / "sccache"),
            "SCCACHE_BASEDIRS": str(base),
            "SCCACHE_CONF": str(folder / "sccache.toml"),
            "SCCACHE_SERVER_UDS": str(folder / "sccache.sock"),
            "SCCACHE_IGNORE_SERVER_IO_ERROR": "1",
        }
    return {
        "CCACHE_DIR": str(machine.cache / "ccache"),
        "CCACHE_BASEDIR": str(base),
        "CCACHE_COMPILERCHECK": "content",
        "CCACHE_CONFIGPATH": str(folder / "ccache.conf"),
    }


def _cuda(
    toolkit: CudaToolkit, architectures: tuple[str, ...], folder: Path, cache: Path | None
) -> dict[str, str]:
    real = toolkit.root / "bin" / "nvcc"
    named_temporaries = int(toolkit.version.partition(".")[0]) >= _NAMED_TEMPORARIES
    # What sccache makes of nvcc's many steps is its own business; ccache runs it as a whole.
    usable = cache if cache and cache.name.startswith("ccache") else None
    for name, launcher in (("nvcc", ""), ("nvcc-launcher", "1")):
        values = {
            "real": shlex.quote(str(real)),
            "launcher": f'-n "{launcher}"',
            "count": _counting(folder),
            "folder": shlex.quote(str(folder)),
            "flags": " --objdir-as-tempdir" if named_temporaries else "",
            "cache": f"{shlex.quote(str(usable))} " if usable else "",
        }
        _write(folder / name, _filled("shim_nvcc.sh", values))
    return {
        "CUDA_HOME": str(toolkit.root),
        "CUDA_PATH": str(toolkit.root),
        "CUDAToolkit_ROOT": str(toolkit.root),
        "CUDACXX": str(real),
        "CUDAARCHS": ";".join(architectures),
        "CMAKE_CUDA_COMPILER_LAUNCHER": str(folder / "nvcc-launcher"),
        # What torch's extension builder calls instead of CUDA_HOME/bin/nvcc.
        "PYTORCH_NVCC": str(folder / "nvcc"),
    }
