"""What the caller knows about this machine; read once by the command line, passed down as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

__all__ = ["Machine", "PackageIndex"]


@dataclass(frozen=True, slots=True)
class PackageIndex:
    """Where packages come from, as the user's pip and uv settings say. URLs may hold secrets."""

    index_url: str = ""
    extra_index_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Machine:
    """Facts about the machine that runs a build.

    `path` is the search path for programs with shims (pyenv, ccache, conda) removed. `network` are
    the only variables of the caller's environment that reach a process, and only one that talks to
    the network (certificates and proxies). `cuda_roots` are folders that may hold CUDA toolkits.
    `python_roots` are folders below which interpreters are looked for (`<root>/*/bin/python`), `python` is the one
    that runs `builder` itself, `cache` the folder for what is quicker to remember than to ask again.
    """

    path: tuple[Path, ...]
    home: Path
    cores: int
    os: str
    arch: str
    index: PackageIndex = field(default_factory=PackageIndex)
    network: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    cuda_roots: tuple[Path, ...] = ()
    python_roots: tuple[Path, ...] = ()
    cache: Path = Path()
    python: Path = Path()
