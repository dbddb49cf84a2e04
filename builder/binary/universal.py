"""Files with code for several machines: what all of it says together."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from builder.binary.model import Binary, Signature

__all__ = ["united"]

_UNIVERSAL2: Final = ["arm64", "x86_64"]
_STRONGEST: Final[tuple[Signature, ...]] = ("identity", "adhoc", "")


def united(slices: tuple[Binary, ...]) -> Binary:
    """The binary that stands for all slices of one file; there is at least one of them.

    Lists are unions; a library may be absent, or come late, when no slice wants it otherwise. The
    system, its version, the SDK and the build are known where all slices agree, and the strongest
    signature counts.
    """
    first = slices[0]
    insisted = {name for one in slices for name in one.needed if name not in one.optional}
    at_once = {name for one in slices for name in one.needed if name not in one.delayed}
    signatures = {one.signature for one in slices}
    is_universal2 = sorted(one.machine for one in slices) == _UNIVERSAL2
    return Binary(
        format=first.format,
        machine="universal2" if is_universal2 else "universal",
        bits=64 if any(one.bits == 64 for one in slices) else 32,  # noqa: PLR2004  # a class, not a number
        byte_order=first.byte_order,
        kind=first.kind,
        soname=_first(one.soname for one in slices),
        needed=_union(one.needed for one in slices),
        optional=_union((one.optional for one in slices), insisted),
        delayed=_union((one.delayed for one in slices), at_once),
        rpath=_union(one.rpath for one in slices),
        interpreter=_first(one.interpreter for one in slices),
        undefined=_union(one.undefined for one in slices),
        executable_stack=any(one.executable_stack for one in slices),
        platform=_agreed(one.platform for one in slices),
        min_os=_agreed(one.min_os for one in slices),
        sdk=_agreed(one.sdk for one in slices),
        build_id=_agreed(one.build_id for one in slices),
        signature=next(kind for kind in _STRONGEST if kind in signatures),
        slices=slices,
    )


def _union(lists: Iterable[tuple[str, ...]], but: Iterable[str] = ()) -> tuple[str, ...]:
    left_out = frozenset(but)
    return tuple(dict.fromkeys(name for one in lists for name in one if name not in left_out))


def _first(texts: Iterable[str]) -> str:
    return next(filter(None, texts), "")


def _agreed(texts: Iterable[str]) -> str:
    found = set(texts)
    return found.pop() if len(found) == 1 else ""
