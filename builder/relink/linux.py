"""Linux: what its loader finds where, which tag ELF binaries deserve, what is known by name."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal

from builder.binary import Binary
from builder.relink.closure import Closure, Libraries, Rules, libc_of, resolve
from builder.relink.host import Host
from builder.relink.linux_relink import relink
from builder.relink.policy import (
    Blocker,
    Policy,
    blockers,
    lowest,
    policies,
    whitelist,
)
from builder.relink.system import Relinked, Relinking, Verdict, loaded, of_one_machine

__all__ = ["Known", "Linux", "known_by_name"]

_LIBPYTHON = "libpython*.so*"
_DATA = Path(__file__).parent.parent / "data" / "linux_system.toml"
_NUMBERED = re.compile(r"(many|musl)linux_(\d+)_(\d+)_.+")
_MUSL = "musllinux_1_2"
"""Nothing in a binary tells 1.1 from 1.2, and what is still built with has at least that."""


@dataclass(frozen=True, slots=True)
class Known:
    """Globs over sonames: what is never grafted, and what keeps its name."""

    driver: tuple[str, ...]
    keep_name: tuple[str, ...]


@cache
def known_by_name() -> Known:
    """The table `data/linux_system.toml`, read once."""
    table = tomllib.loads(_DATA.read_text("utf-8"))
    return Known(tuple(table["driver"]), tuple(table["keep_name"]))


class Linux:
    """The `System` of ELF binaries.

    `arch` is that of the wheel; without it, the most common one is judged. `is_native` says that
    binaries of that architecture run here, so that this machine's own libraries may be grafted.
    With `any_instructions`, code for newer processors forbids no tag.
    """

    name: Literal["linux"] = "linux"

    def __init__(
        self, arch: str = "", *, is_native: bool = True, any_instructions: bool = False
    ) -> None:
        self._arch = arch
        self._is_native = is_native
        self._any_instructions = any_instructions

    def resolve(
        self,
        members: Mapping[str, Binary],
        rules: Rules,
        host: Libraries,
        *,
        only_inside: bool = False,
    ) -> Closure:
        """Where everything the binaries need comes from."""
        arch, own = self._own(members)
        promised = whitelist(policies(arch, _libc(own.values(), ())))
        known = replace(
            rules,
            exclude=(*rules.exclude, *known_by_name().driver),
            system=rules.system | promised,
        )
        return resolve(own, known, host, only_inside=only_inside)

    def relink(self, case: Relinking) -> Relinked:
        """Where each graft goes, and every change in members and grafts."""
        arch, own = self._own(case.members)
        promised = whitelist(policies(arch, _libc(own.values(), ())))
        return relink(replace(case, members=own), known_by_name().keep_name, promised)

    def judge(
        self, binaries: Mapping[str, Binary], claimed: tuple[str, ...], outside: tuple[str, ...]
    ) -> Verdict:
        """The claimed tags that are honest, or else the lowest one that is."""
        arch, own = self._own(binaries)
        known = policies(arch, _libc(own.values(), claimed))
        if not known:
            tags = claimed or (f"linux_{arch}",)
            return Verdict(tags, tags[0], (), (f"no policy speaks of {arch or 'its machine'}",))
        globs = (*outside, *known_by_name().driver, _LIBPYTHON)
        return _Judge(own, known, globs, self._any_instructions).judge(claimed)

    def libraries(self, search: tuple[Path, ...]) -> Libraries:
        """The folders given, and those of this machine's loader when it is for such binaries."""
        return Host(search, None if self._is_native else ())

    def _own(self, members: Mapping[str, Binary]) -> tuple[str, Mapping[str, Binary]]:
        """The architecture, and its binaries that a loader has to do with."""
        return of_one_machine(loaded(members, "elf"), self._arch)


class _Judge:
    """The policies of one architecture and C library, and the binaries of one wheel."""

    def __init__(
        self,
        own: Mapping[str, Binary],
        known: Sequence[Policy],
        outside: tuple[str, ...],
        any_instructions: bool,  # a private class
    ) -> None:
        self._own, self._known, self._outside = own, known, outside
        self._any = any_instructions
        self._deserved = lowest(own, known, outside, any_instructions=any_instructions)

    def judge(self, claimed: tuple[str, ...]) -> Verdict:
        """The whole verdict."""
        honest = tuple(tag for tag in claimed if self._is_honest(tag))
        refused = [
            policy
            for policy in self._known
            if set(policy.tags).intersection(claimed) and set(policy.tags).isdisjoint(honest)
        ]
        forbidding = tuple(one for policy in refused for one in self._blockers(policy))
        notes = [
            f"the tag {tag} is not true"
            for tag in claimed
            if tag not in honest and _NUMBERED.fullmatch(tag)
        ]
        if honest:
            best = next((one for one in self._known if set(one.tags) & set(honest)), None)
            tag = best.name if best else honest[0]
            return Verdict(honest, tag, forbidding or self._next(), tuple(notes))
        if self._deserved is None:
            why = forbidding or self._blockers(self._known[-1])
            return Verdict((), "", why, tuple(notes))
        tags = self._lowest_tags(self._deserved)
        return Verdict(tags, tags[-1], forbidding or self._next(), tuple(notes))

    def _is_honest(self, tag: str) -> bool:
        """Whether a claim holds; of a version that has no table, when an older one would."""
        for policy in self._known:
            if tag in policy.tags:
                return not self._blockers(policy)
        wanted, deserved = _NUMBERED.fullmatch(tag), self._deserved
        have = _NUMBERED.fullmatch(deserved.name) if deserved else None
        if wanted is None or have is None or wanted[1] != have[1]:
            return False
        arch = tag.removeprefix(f"{wanted[1]}linux_{wanted[2]}_{wanted[3]}_")
        at_least = (int(have[2]), int(have[3])) <= (int(wanted[2]), int(wanted[3]))
        return at_least and deserved is not None and deserved.name.endswith(f"_{arch}")

    def _lowest_tags(self, deserved: Policy) -> tuple[str, ...]:
        if not deserved.name.startswith("musllinux"):
            return deserved.tags
        usual = next((one for one in self._known if one.name.startswith(_MUSL)), deserved)
        return (deserved if self._blockers(usual) else usual).tags

    def _next(self) -> tuple[Blocker, ...]:
        """What keeps the binaries from the next older policy."""
        if self._deserved is None or self._deserved.name.startswith("musllinux"):
            return ()
        older = self._known[: self._known.index(self._deserved)]
        return self._blockers(older[-1]) if older else ()

    def _blockers(self, policy: Policy) -> tuple[Blocker, ...]:
        return blockers(self._own, policy, self._outside, any_instructions=self._any)


def _libc(own: Iterable[Binary], claimed: Iterable[str]) -> Literal["glibc", "musl"]:
    """What the binaries are made for; what is claimed when none of them says."""
    for binary in own:
        if libc := libc_of(binary):
            return libc
    return "musl" if any(tag.startswith("musllinux") for tag in claimed) else "glibc"
