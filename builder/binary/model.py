"""What a linker sees in one binary, as values: the same for every format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from builder.errors import BuilderError

__all__ = [
    "Binary",
    "BinaryError",
    "ByteOrder",
    "Edit",
    "Flaw",
    "FlawKind",
    "Format",
    "Kind",
    "Signature",
    "VersionNeed",
]

Format = Literal["elf", "macho", "pe"]
Kind = Literal["shared", "executable", "object", "other"]
Signature = Literal["", "adhoc", "identity"]
"""None, an ad-hoc one, or one of a developer (which an edit breaks)."""
ByteOrder = Literal["little", "big"]
FlawKind = Literal["layout", "pages", "relro", "signature", "checksum"]


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

    `machine` is spelled as in platform tags (`x86_64`, `i686`, `aarch64`, `ppc64le`; Mach-O
    `arm64`; PE `amd64`, `win32`, `arm64`). `soname` is also the install name of a Mach-O library
    and the name in the export table of a DLL. `needed` has each library once, in the loader's
    order; of these, `optional` ones may be absent (weak) and `delayed` ones are loaded on first use
    (delay-load, lazy). `rpath` and `runpath` are split, empty entries kept; a Mach-O file only has
    the first. `undefined` are the names taken from elsewhere, versioned or not, each once, in the
    order of the symbol table (those of Mach-O keep their leading underscore). `executable_stack` is
    also true for a program or library that says nothing about its stack: the loader takes that for
    yes. `properties` are what the code was
    compiled for (`x86-64-v3`, `ibt`, `shstk`, `bti`, `pac`), sorted. `debug_link` is the name and
    the CRC of the file with the debug information. `cuda_architectures` are machine code (`sm_90a`),
    PTX (`compute_120`) and code for link time (`lto_90`), sorted by number.

    A universal file has one `Binary` per machine in `slices`; it itself is what they have in
    common: `machine` is `universal2` for x86_64 and arm64, else `universal`, and its lists are the
    unions of theirs.
    """

    format: Format
    machine: str
    bits: Literal[32, 64]
    byte_order: ByteOrder
    kind: Kind
    soname: str = ""
    needed: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    delayed: tuple[str, ...] = ()
    rpath: tuple[str, ...] = ()
    runpath: tuple[str, ...] = ()
    interpreter: str = ""
    versions_needed: tuple[VersionNeed, ...] = ()
    versions_defined: tuple[str, ...] = ()
    undefined: tuple[str, ...] = ()
    text_relocations: bool = False
    executable_stack: bool = False
    platform: str = ""
    min_os: str = ""
    sdk: str = ""
    properties: tuple[str, ...] = ()
    build_id: str = ""
    debug_link: tuple[str, int] | None = None
    signature: Signature = ""
    cuda_architectures: tuple[str, ...] = ()
    slices: tuple[Binary, ...] = ()

    @property
    def each(self) -> tuple[Binary, ...]:
        """The binary of every machine in the file: the slices, or the one that it is."""
        return self.slices or (self,)

    @property
    def machines(self) -> tuple[str, ...]:
        """Every machine the file has code for."""
        return tuple(binary.machine for binary in self.each)

    @property
    def is_loaded(self) -> bool:
        """Whether a loader has to do with it, as with libraries and programs."""
        return self.kind in {"shared", "executable"}


@dataclass(frozen=True, slots=True)
class Flaw:
    """One thing that is wrong with the bytes of a binary that can be read.

    `layout`: what the loader maps does not add up. `pages`: machines with larger pages cannot load
    it. `relro`: what was relocated stays writable. `signature`: it is not there, or for other
    bytes. `checksum`: that in the header is stale. One that is not `fatal` is loaded by most.
    """

    kind: FlawKind
    text: str
    fatal: bool = True


@dataclass(frozen=True, slots=True)
class Edit:
    """Every change wanted in one binary, applied once; what is not named stays as it is.

    `soname` is also the install name of a Mach-O library. `needed` are pairs of old and new names;
    an empty new one removes the library, and an old one that is not needed is an error. `search` is
    the whole new rpath, `()` for none. `search_kind` says which of the two an ELF file has
    afterwards. A Mach-O file that was signed, or is for arm64, is signed ad hoc after a change;
    `sign` asks for that in any case.
    """

    soname: str | None = None
    needed: tuple[tuple[str, str], ...] = ()
    search: tuple[str, ...] | None = None
    search_kind: Literal["keep", "rpath", "runpath"] = "keep"
    sign: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing is to change."""
        return self == Edit()
