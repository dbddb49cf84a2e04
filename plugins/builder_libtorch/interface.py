"""What the static libraries of an archive expect of the host, as far as its own files say it.

An object does not name the library that has its undefined symbols. What a user links by does: the
targets of CMake package files (`INTERFACE_LINK_LIBRARIES`, cmake-properties(7)) and the `Libs`
lines of pkg-config files. OpenMP is a flag there; the objects tell whose runtime it means.
"""

from __future__ import annotations

import mmap
import posixpath
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from builder.config.target import Os, Target
from builder.relink.policy import policies, whitelist
from builder_libtorch.layout import is_static
from builder_libtorch.parts import Part

__all__ = ["declares", "expected", "expected_of_parts"]

_INTERFACES: Final = (".cmake", ".pc")
_NAMES: Final[Mapping[Os, str]] = {"linux": "lib{}.so", "macos": "lib{}.dylib", "windows": "{}.lib"}
_PROPERTY = re.compile(
    rb"\b(?:INTERFACE_LINK_LIBRARIES|IMPORTED_LINK_(?:INTERFACE|DEPENDENT)_LIBRARIES\w*)"
    rb'\s+"((?:[^"\\]|\\.)*)"'
)
_OWN = re.compile(rb"\badd_(?:library|executable)\(\s*([^\s)]+)")
_LIBS = re.compile(rb"^Libs(?:\.private)?:(.*)$", re.MULTILINE)
_WRAPPED = re.compile(r"\$<(?:LINK_ONLY|INSTALL_INTERFACE|TARGET_NAME(?:_IF_EXISTS)?|1):([^<>]*)>")
_CONDITION = re.compile(r"\$<[^<>]*>")
_FILE = re.compile(r".+\.(so(\.[0-9]+)*|dylib|tbd|a|lib|dll)", re.IGNORECASE)
_KEYWORDS = frozenset({"1", "0", "debug", "optimized", "general"})
_OPENMP = "OpenMP"
_RUNTIMES: Final = {"gomp": rb"\bGOMP_", "omp": rb"\b__kmpc_"}
"""Which library has the symbols that a compiler puts in for OpenMP: GCC's, and LLVM's."""
_TARGETS: Final[Mapping[str, tuple[str, ...]]] = {
    "Threads::Threads": ("pthread",),
    "OpenMP::OpenMP_C": (_OPENMP,),
    "OpenMP::OpenMP_CXX": (_OPENMP,),
    "OpenMP::OpenMP_Fortran": (_OPENMP,),
    "ZLIB::ZLIB": ("z",),
    "BZip2::BZip2": ("bz2",),
    "LibLZMA::LibLZMA": ("lzma",),
    "OpenSSL::SSL": ("ssl",),
    "OpenSSL::Crypto": ("crypto",),
}
"""Targets of CMake's own modules whose libraries have other names."""


def expected_of_parts(parts: Iterable[Part], target: Target) -> tuple[str, ...]:
    """What the static libraries of an archive expect; nothing for a shared variant."""
    if not is_static(target):
        return ()
    given = tuple(part for part in parts if not part.link)
    texts = (
        part.content if isinstance(part.content, bytes) else part.content.read_bytes()
        for part in given
        if part.path.endswith(_INTERFACES)
    )
    libraries = {part.path: part.content for part in given if part.path.endswith((".a", ".lib"))}
    promised = whitelist(policies(target.arch)) if target.os == "linux" else ()
    return expected(texts, libraries, target.os, promised)


def expected(
    texts: Iterable[bytes],
    libraries: Mapping[str, bytes | Path],
    os: Os,
    promised: Collection[str],
) -> tuple[str, ...]:
    """The libraries that a linker is told to take from the host, by their names for a linker.

    `texts` are the package files, `libraries` the static libraries by path. A target of CMake whose
    library nobody here knows is named itself (`Some::Target`). What every host of the platform has
    (`promised`) is left out, and so is what the archive holds.
    """
    together = tuple(texts)
    own = {name.decode(errors="replace") for text in together for name in _OWN.findall(text)}
    inside = {posixpath.basename(path) for path in libraries}
    words = {word for text in together for item in _items(text) for word in _words(item, own)}
    runtimes = set(_runtimes(libraries.values())) if os == "linux" else set()
    if _OPENMP in words and os == "linux":
        runtimes = runtimes or {"gomp"}
    names = {
        word if "::" in word or _FILE.fullmatch(word) else _NAMES[os].format(word)
        for word in (words - {_OPENMP}) | runtimes
    }
    stems = {posixpath.splitext(name)[0] for name in inside}
    return tuple(
        sorted(
            name
            for name in names
            if name not in inside
            and posixpath.splitext(name)[0] not in stems
            and not any(declares(name, known) for known in promised)
        )
    )


def declares(host: str, loaded: str) -> bool:
    """Whether a name that a linker is told stands for a library that was loaded.

    That of `libgomp.so` is `libgomp.so.1`; of `Some::Target` it is `libtarget.so`, of any version.
    """
    if "::" in host:
        host = f"lib{host.rpartition('::')[2].lower()}.so"
        loaded = loaded.lower()
    return loaded == host or loaded.startswith(f"{host}.")


def _items(text: bytes) -> Iterator[str]:
    """Everything that is linked, as it is spelled."""
    for value in _PROPERTY.findall(text):
        said = re.sub(r"\\(.)", r"\1", value.decode(errors="replace"))
        before = ""
        while before != said:
            before, said = said, _CONDITION.sub("1", _WRAPPED.sub(r"\1", said), count=1)
            said = _WRAPPED.sub(r"\1", said)
        yield from said.split(";")
    for value in _LIBS.findall(text):
        yield from re.sub(r"-framework\s+\S+", "", value.decode(errors="replace")).split()


def _words(item: str, own: Collection[str]) -> Iterator[str]:
    """The libraries of one item: stems (`z`), whole file names, targets."""
    item = item.strip().strip('"')
    if not item or item in own or "$" in item:
        return
    if item.startswith("-"):
        if item.startswith("-l:"):
            yield item[3:]
        elif item.startswith("-l"):
            yield item[2:]
        elif item.startswith("-fopenmp"):
            yield _OPENMP
    elif "::" in item:
        yield from _TARGETS.get(item, (item,))
    elif re.fullmatch(r"[\w./+\\:-]+", item) and item not in _KEYWORDS:
        yield posixpath.basename(item.replace("\\", "/"))


def _runtimes(libraries: Iterable[bytes | Path]) -> Iterator[str]:
    for content in libraries:
        for name, symbol in _RUNTIMES.items():
            if _holds(content, symbol):
                yield name


def _holds(content: bytes | Path, symbol: bytes) -> bool:
    if isinstance(content, bytes):
        return re.search(symbol, content) is not None
    if not content.stat().st_size:
        return False
    with content.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
        return re.search(symbol, view) is not None
