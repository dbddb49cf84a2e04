"""What a platform tag promises (PEP 600), and the verdict on a set of binaries.

The tables are those of the installed `auditwheel` package; how they are stored there is hidden
here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from typing import Literal

from builder.binary import Binary
from builder.errors import BuilderError

__all__ = ["Blocker", "Policy", "blockers", "is_loader", "lowest", "policies", "whitelist"]

_FILES: Mapping[str, str] = {"glibc": "manylinux-policy.json", "musl": "musllinux-policy.json"}
_LOADER = re.compile(r"ld-linux.*\.so\.\d+|ld64\.so\.[12]|ld-musl-.*\.so\.1|ld\.so\.1")


@dataclass(frozen=True, slots=True)
class Policy:
    """One platform tag and what it promises.

    `symbol_versions` maps a family (`GLIBC`) to the versions there are. `libraries` are the sonames
    every machine of this policy has, `blacklist` maps a soname to symbols that may not be taken
    from it. A higher `priority` is an older, more widely installable policy.
    """

    name: str
    aliases: tuple[str, ...]
    priority: int
    symbol_versions: Mapping[str, frozenset[str]]
    libraries: frozenset[str]
    blacklist: Mapping[str, frozenset[str]]

    @property
    def tags(self) -> tuple[str, ...]:
        """Every platform tag of this policy, the legacy aliases too, sorted as in a file name."""
        return tuple(sorted((self.name, *self.aliases)))


@dataclass(frozen=True, slots=True, order=True)
class Blocker:
    """Why one binary does not deserve one tag.

    `symbol` is `name@VERSION` for a symbol that is too new, the bare name for one that is
    forbidden, and empty when the `library` itself is not promised by the policy.
    """

    tag: str
    binary: str
    symbol: str
    library: str

    def __str__(self) -> str:
        if not self.symbol:
            return f"{self.binary}: needs {self.library}"
        return f"{self.binary}: {self.symbol} of {self.library}"

    def to_json(self) -> Mapping[str, str]:
        """The JSON form of the command line."""
        return {
            "tag": self.tag,
            "binary": self.binary,
            "symbol": self.symbol,
            "library": self.library,
        }


@cache
def policies(arch: str, libc: Literal["glibc", "musl"] = "glibc") -> tuple[Policy, ...]:
    """Every policy for one architecture (`x86_64`), oldest first, without the plain `linux` one.

    Empty for an architecture no policy speaks of. Raises `BuilderError` when the tables cannot be
    read.
    """
    try:
        text = files("auditwheel").joinpath("policy", _FILES[libc]).read_text(encoding="utf-8")
        rows = [_read(row, arch) for row in json.loads(text) if arch in row["symbol_versions"]]
    except (OSError, ImportError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BuilderError(
            f"the policy tables of the installed auditwheel cannot be read: {error!r}",
            hint="install a supported version with `pip install 'auditwheel>=6.7'`",
        ) from error
    return tuple(sorted(rows, key=lambda policy: -policy.priority))


def whitelist(known: Iterable[Policy]) -> frozenset[str]:
    """Every library that at least one policy promises; such a library is never grafted."""
    return frozenset().union(*(policy.libraries for policy in known))


def is_loader(soname: str) -> bool:
    """Whether a soname is the dynamic loader itself, which every policy promises."""
    return _LOADER.fullmatch(soname) is not None


def lowest(
    binaries: Mapping[str, Binary], known: Iterable[Policy], outside: Iterable[str] = ()
) -> Policy | None:
    """The oldest policy that the binaries of one wheel deserve, or None when there is none.

    `binaries` are all ELF files of the wheel by path; a library that is one of them needs no
    promise, nor does one that matches a glob of `outside`.
    """
    globs = tuple(outside)
    return next((policy for policy in known if not blockers(binaries, policy, globs)), None)


def blockers(
    binaries: Mapping[str, Binary], policy: Policy, outside: Iterable[str] = ()
) -> tuple[Blocker, ...]:
    """Every reason why the binaries do not deserve a policy, sorted; empty when they do."""
    globs = tuple(outside)
    inside = {path.rsplit("/", 1)[-1] for path in binaries}
    inside |= {binary.soname for binary in binaries.values() if binary.soname}
    found: set[Blocker] = set()
    for path, binary in binaries.items():
        found.update(_libraries(path, binary, policy, inside, globs))
        found.update(_versions(path, binary, policy))
        found.update(_forbidden(path, binary, policy))
    return tuple(sorted(found))


def _libraries(
    path: str, binary: Binary, policy: Policy, inside: set[str], globs: tuple[str, ...]
) -> Iterator[Blocker]:
    for soname in binary.needed:
        if soname in policy.libraries or soname in inside or is_loader(soname):
            continue
        if any(fnmatchcase(soname, glob) for glob in globs):
            continue
        yield Blocker(policy.name, path, "", soname)


def _versions(path: str, binary: Binary, policy: Policy) -> Iterator[Blocker]:
    """Symbols whose version is of a family that the policy limits, and not one of its versions."""
    for need in binary.versions_needed:
        family, _, version = need.version.partition("_")
        allowed = policy.symbol_versions.get(family)
        if allowed is None or version in allowed or is_loader(need.library):
            continue
        for symbol in need.symbols or ("",):
            name = f"{symbol}@{need.version}" if symbol else need.version
            yield Blocker(policy.name, path, name, need.library)


def _forbidden(path: str, binary: Binary, policy: Policy) -> Iterator[Blocker]:
    for soname, symbols in policy.blacklist.items():
        if soname in binary.needed:
            for symbol in sorted(symbols.intersection(binary.undefined)):
                yield Blocker(policy.name, path, symbol, soname)


def _read(row: Mapping[str, object], arch: str) -> Policy:
    """One row of the tables as a value, for one architecture."""
    versions, aliases, libraries, blacklist, priority = (
        row["symbol_versions"],
        row["aliases"],
        row["lib_whitelist"],
        row["blacklist"],
        row["priority"],
    )
    if not (
        isinstance(versions, dict)
        and isinstance(aliases, list)
        and isinstance(libraries, list)
        and isinstance(blacklist, dict)
        and isinstance(priority, int)
    ):
        raise TypeError(f"policy {row['name']!r} has an unknown form")
    return Policy(
        name=f"{row['name']}_{arch}",
        aliases=tuple(f"{alias}_{arch}" for alias in aliases),
        priority=priority,
        symbol_versions={family: frozenset(names) for family, names in versions[arch].items()},
        libraries=frozenset(_musl_name(name, arch) for name in libraries),
        blacklist={soname: frozenset(symbols) for soname, symbols in blacklist.items()},
    )


def _musl_name(soname: str, arch: str) -> str:
    """The musl table says `libc.so`; binaries say `libc.musl-x86_64.so.1`."""
    if soname != "libc.so":
        return soname
    return f"libc.musl-{ {'i686': 'x86', 'armv7l': 'armv7'}.get(arch, arch) }.so.1"
