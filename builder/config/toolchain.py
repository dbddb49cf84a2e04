"""Toolchain and interpreter values: one resolved row each, with an identity for the input key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from builder.config.python import Python

__all__ = ["CudaToolkit", "Interpreter", "Toolchain"]


@dataclass(frozen=True, slots=True)
class Interpreter:
    """One CPython on this machine. `identity` (digest of version, ABI and build) has no path in it."""

    python: Python
    executable: Path
    version: str
    identity: str


@dataclass(frozen=True, slots=True)
class CudaToolkit:
    """One CUDA toolkit root. `version` is `13.0`, `release` the full `13.0.88`."""

    root: Path
    version: str
    release: str
    identity: str


@dataclass(frozen=True, slots=True)
class Toolchain:
    """The compilers and policies of one build.

    `identity` is a digest of what the tools are (versions, bytes, libc), never of where they are.
    `architectures` are CUDA architectures as CMake spells them (`80-real`, `120-virtual`).
    `baseline` is the platform tag asked for (`manylinux_2_28`) or `auto` (the lowest honest one).
    `missing` says in one line what a plan is made without, and how to get it; nothing can be built then.
    """

    cc: Path
    cxx: Path
    summary: str
    identity: str
    baseline: str = "auto"
    cuda: CudaToolkit | None = None
    architectures: tuple[str, ...] = ()
    cache: Path | None = None
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    missing: str = ""
