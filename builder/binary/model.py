"""What a linker sees in one binary, as values: the same for every format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from builder.errors import BuilderError

__all__ = ["Binary", "BinaryError", "ByteOrder", "Format", "Kind", "VersionNeed"]

Format = Literal["elf", "macho", "pe"]
Kind = Literal["shared", "executable", "object", "other"]
ByteOrder = Literal["little", "big"]


class BinaryError(BuilderError):
    """Bytes that are no binary, or a damaged one: the message says which part of it and where."""


@dataclass(frozen=True, slots=True)
class VersionNeed:
    """One symbol version that a library must have, and the undefined symbols that ask for it.

    `symbols` is empty when the binary asks for the version alone.
    """

    library: str
    version: str
    symbols: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Binary:
    r"""One binary. Texts are decoded as UTF-8, with `\xNN` for what is none; absent ones are empty.

    `machine` is spelled as in platform tags (`x86_64`, `i686`, `aarch64`, `ppc64le`). `needed` has
    each library once, in the loader's order. `rpath` and `runpath` are split at colons, empty
    entries kept. `undefined` are the names taken from elsewhere, versioned or not, each once, in
    the order of the symbol table. `executable_stack` is also true for a program or library that
    says nothing about its stack: the loader takes that for yes. `cuda_architectures` are machine
    code (`sm_90a`), PTX (`compute_120`) and code for link time (`lto_90`), sorted by number.
    """

    format: Format
    machine: str
    bits: Literal[32, 64]
    byte_order: ByteOrder
    kind: Kind
    soname: str = ""
    needed: tuple[str, ...] = ()
    rpath: tuple[str, ...] = ()
    runpath: tuple[str, ...] = ()
    interpreter: str = ""
    versions_needed: tuple[VersionNeed, ...] = ()
    undefined: tuple[str, ...] = ()
    text_relocations: bool = False
    executable_stack: bool = False
    build_id: str = ""
    cuda_architectures: tuple[str, ...] = ()
