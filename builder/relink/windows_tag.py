"""The platform tags of Windows wheels: the machine of their extension modules and DLLs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from builder.binary import Binary
from builder.relink.policy import Blocker
from builder.relink.system import Verdict

__all__ = ["judge_windows"]

_TAGS: Mapping[str, str] = {
    "amd64": "win_amd64",
    "win32": "win32",
    "arm64": "win_arm64",
    "armv7": "win_arm32",
}


def judge_windows(binaries: Mapping[str, Binary], claimed: Iterable[str]) -> Verdict:
    """The claimed tags when the binaries are for them, else the tag of most of the binaries.

    An extension module of another machine forbids a tag. Other binaries of other machines may be
    carried for programs to start or copy; they are noted.
    """
    claims = tuple(claimed)
    machines = Counter(_machines(binaries))
    deserved = (
        _TAGS.get(max(machines, key=lambda name: (machines[name], name)), "") if machines else ""
    )
    blockers = tuple(blocker for tag in claims for blocker in _blockers(tag, binaries))
    blocked = {blocker.tag for blocker in blockers}
    honest = tuple(tag for tag in claims if tag in _TAGS.values() and tag not in blocked)
    if honest:
        notes = [f"the tag {tag} is not true and is dropped" for tag in claims if tag in blocked]
        return Verdict(honest, honest[0], blockers, (*notes, *_strangers(binaries, honest)))
    own = _blockers(deserved, binaries) if deserved else ()
    if not deserved or own:
        return Verdict((), "", blockers or own, ())
    notes = [f"the tag {tag} is not true: it is {deserved}" for tag in claims]
    return Verdict((deserved,), deserved, blockers, (*notes, *_strangers(binaries, (deserved,))))


def _machines(binaries: Mapping[str, Binary]) -> list[str]:
    """The machines of the extension modules, or of all binaries when there are none."""
    modules = [binary.machine for path, binary in binaries.items() if _is_module(path)]
    return modules or [binary.machine for binary in binaries.values()]


def _blockers(tag: str, binaries: Mapping[str, Binary]) -> tuple[Blocker, ...]:
    """The extension modules of other machines; all binaries when none is of this one."""
    strangers = [path for path, binary in sorted(binaries.items()) if not _fits(tag, binary)]
    modules = [path for path in strangers if _is_module(path)]
    if len(strangers) < len(binaries):
        strangers = modules
    return tuple(
        Blocker(tag, path, "", f"a machine of kind {binaries[path].machine}") for path in strangers
    )


def _strangers(binaries: Mapping[str, Binary], tags: Iterable[str]) -> tuple[str, ...]:
    """The binaries that are for none of the tags."""
    wanted = tuple(tags)
    return tuple(
        f"{path}: is for {binary.machine}, unlike the wheel"
        for path, binary in sorted(binaries.items())
        if not any(_fits(tag, binary) for tag in wanted)
    )


def _fits(tag: str, binary: Binary) -> bool:
    return _TAGS.get(binary.machine) == tag


def _is_module(path: str) -> bool:
    return path.lower().endswith(".pyd")
