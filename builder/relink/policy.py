"""What a platform tag for Linux promises (PEP 600, PEP 656), and what in binaries forbids it.

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
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from builder.binary import Binary
from builder.errors import BuilderError

__all__ = [
    "Blocker",
    "Policy",
    "arch_of",
    "blockers",
    "is_loader",
    "lowest",
    "matches",
    "policies",
    "whitelist",
]

_FILES: Mapping[str, str] = {"glibc": "manylinux-policy.json", "musl": "musllinux-policy.json"}
_PLATFORM = re.compile(r"(?:linux|manylinux\d+|manylinux_\d+_\d+|musllinux_\d+_\d+)_(.+)")
_INSTRUCTIONS = re.compile(r"x86-64-v[2-9]")
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
    forbidden, and empty when the `library` itself is not promised by the policy. Where it is not a
    library that is asked for, `library` says what.
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
        text = (_folder() / _FILES[libc]).read_text(encoding="utf-8")
        rows = [_read(row, arch) for row in json.loads(text) if arch in row["symbol_versions"]]
    except (OSError, ImportError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BuilderError(
            f"the policy tables of the installed auditwheel cannot be read: {error!r}",
            hint="install a supported version with `pip install 'auditwheel>=6.7'`",
        ) from error
    return tuple(sorted(rows, key=lambda policy: -policy.priority))


def _folder() -> Path:
    """Where auditwheel has its tables; importing it would cost more than reading them."""
    spec = find_spec("auditwheel")
    if spec is None or not spec.submodule_search_locations:
        raise ImportError("auditwheel is not installed")
    return Path(spec.submodule_search_locations[0], "policy")


def whitelist(known: Iterable[Policy]) -> frozenset[str]:
    """Every library that at least one policy promises; such a library is never grafted."""
    return frozenset().union(*(policy.libraries for policy in known))


def matches(globs: Iterable[str], *names: str) -> bool:
    """Whether one of the globs matches one of the names of a library."""
    return any(fnmatchcase(name, glob) for glob in globs for name in names)


def is_loader(soname: str) -> bool:
    """Whether a soname is the dynamic loader itself, which every policy promises."""
    return _LOADER.fullmatch(soname) is not None


def arch_of(platforms: Iterable[str]) -> str:
    """The one architecture that Linux platform tags name, or an empty text."""
    found = {match[1] for tag in platforms if (match := _PLATFORM.fullmatch(tag))}
    return next(iter(found)) if len(found) == 1 else ""


def lowest(
    binaries: Mapping[str, Binary],
    known: Iterable[Policy],
    outside: Iterable[str] = (),
    *,
    any_instructions: bool = False,
) -> Policy | None:
    """The oldest of the known policies that the binaries deserve, None when they deserve none.

    Libraries that match a glob in `outside` do not count: they stay outside by intention. With
    `any_instructions` neither does code for other processors than the oldest of the architecture.
    """
    known = tuple(known)
    demand = _demand(binaries, tuple(outside), whitelist(known))
    if demand.instructions and not any_instructions:
        return None
    return next((policy for policy in known if demand.is_met_by(policy)), None)


def blockers(
    binaries: Mapping[str, Binary],
    policy: Policy,
    outside: Iterable[str] = (),
    *,
    any_instructions: bool = False,
) -> tuple[Blocker, ...]:
    """Every reason why the binaries do not deserve a policy, sorted; empty when they do."""
    globs = tuple(outside)
    inside = _inside(binaries)
    found: set[Blocker] = set()
    for path, binary in binaries.items():
        found.update(_libraries(path, binary, policy, inside, globs))
        found.update(_versions(path, binary, policy, inside - policy.libraries))
        found.update(_forbidden(path, binary, policy))
        if not any_instructions:
            found.update(
                Blocker(policy.name, path, "", f"a processor with {name}")
                for name in _instructions(binary)
            )
    return tuple(sorted(found))


@dataclass(frozen=True, slots=True)
class _Demand:
    """What binaries ask of a machine, all in one, so that a policy is judged at a glance."""

    libraries: frozenset[str]
    versions: frozenset[tuple[str, str]]
    users: Mapping[str, tuple[Binary, ...]]
    """Those that need a library of which some policies forbid symbols are looked at last."""
    instructions: bool

    def is_met_by(self, policy: Policy) -> bool:
        """Whether there would be no blocker."""
        allowed = policy.symbol_versions
        return (
            self.libraries <= policy.libraries
            and all(one in allowed[name] for name, one in self.versions if name in allowed)
            and not any(
                symbols.intersection(binary.undefined)
                for soname, symbols in policy.blacklist.items()
                for binary in self.users.get(soname, ())
            )
        )


def _demand(
    binaries: Mapping[str, Binary], globs: tuple[str, ...], promised: frozenset[str]
) -> _Demand:
    inside = _inside(binaries)
    own = inside - promised
    users: dict[str, list[Binary]] = {}
    versions: set[tuple[str, str]] = set()
    for binary in binaries.values():
        for soname in binary.needed:
            users.setdefault(soname, []).append(binary)
        for need in binary.versions_needed:
            if need.library not in own and not is_loader(need.library):
                family, _, version = need.version.partition("_")
                versions.add((family, version))
    external = (name for name in users if name not in inside and not is_loader(name))
    return _Demand(
        frozenset(name for name in external if not matches(globs, name)),
        frozenset(versions),
        {name: tuple(some) for name, some in users.items()},
        any(next(_instructions(binary), "") for binary in binaries.values()),
    )


def _inside(binaries: Mapping[str, Binary]) -> set[str]:
    """Every name under which a binary of the set can be needed."""
    inside = {path.rsplit("/", 1)[-1] for path in binaries}
    return inside | {binary.soname for binary in binaries.values() if binary.soname}


def _instructions(binary: Binary) -> Iterator[str]:
    """What code needs beyond the oldest processor of its architecture, as its compiler noted it."""
    return (name for name in binary.properties if _INSTRUCTIONS.fullmatch(name))


def _libraries(
    path: str, binary: Binary, policy: Policy, inside: set[str], globs: tuple[str, ...]
) -> Iterator[Blocker]:
    for soname in binary.needed:
        is_there = soname in policy.libraries or soname in inside or is_loader(soname)
        if not is_there and not matches(globs, soname):
            yield Blocker(policy.name, path, "", soname)


def _versions(path: str, binary: Binary, policy: Policy, own: set[str]) -> Iterator[Blocker]:
    """Symbols whose version is of a family that the policy limits, and not one of its versions.

    What the wheel has itself, under a name that no system has, may be as new as it likes.
    """
    for need in binary.versions_needed:
        family, _, version = need.version.partition("_")
        allowed = policy.symbol_versions.get(family)
        if need.library in own or is_loader(need.library):
            continue
        if allowed is None or version in allowed:
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
