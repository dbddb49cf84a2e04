"""The product of axes as targets, and the refusal of two targets that would write one file."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import product

from builder.config.accelerator import Accelerator
from builder.config.python import Python
from builder.config.target import (
    DEBUG,
    ORDINARY_VARIANT,
    VARIANTS,
    Os,
    PackageType,
    Target,
    parse_abi,
    parse_package_type,
    parse_platform,
    parse_variant,
    supports,
)
from builder.errors import UsageError

__all__ = ["expand", "refuse_collisions"]


def expand(
    *,
    types: Iterable[str],
    pythons: Sequence[Python],
    accelerators: Sequence[Accelerator],
    platforms: Iterable[tuple[str, str]],
    abis: Iterable[str] = ("",),
    variants: Iterable[str] = ("",),
    pythonless: Collection[str] = ("libtorch",),
) -> tuple[Target, ...]:
    """Every target of the product of the axes, sorted, each once. `pythonless` types have no Python.

    An axis that a package type does not have is left out of its targets: C++ archives have no
    Python, wheels no variant, only Linux has a C++ ABI to choose and only Windows a debug variant.
    Where nothing else is said, a C++ archive is the ordinary one. A package type that is not made
    for a platform gives nothing there. `UsageError` where nothing comes out at all, and for an
    ABI or a variant that no target could take.
    """
    package_types = tuple(parse_package_type(text) for text in types)
    systems = tuple(parse_platform(f"{os}_{arch}") for os, arch in platforms)
    abi_axis = tuple(parse_abi(text) for text in abis)
    variant_axis = tuple(parse_variant(text) if text else "" for text in variants)
    targets: set[Target] = set()
    for package_type, (os, arch) in product(package_types, systems):
        if not supports(package_type, os):
            continue
        own_pythons: Sequence[Python | None] = (None,) if package_type in pythonless else pythons
        own_abis = abi_axis if os == "linux" else ("",)
        own_variants = _of_type(package_type, os, variant_axis)
        for python, accelerator, abi, variant in product(
            own_pythons, accelerators, own_abis, own_variants
        ):
            targets.add(Target(package_type, python, accelerator, os, arch, abi, variant))
    if not any(supports(name, os) for name, (os, _) in product(package_types, systems)):
        _refuse_empty(package_types, systems)
    _refuse_unused(targets, abi_axis, variant_axis)
    return tuple(sorted(targets))


def refuse_collisions(named: Iterable[tuple[Target, str]]) -> None:
    """Raise `UsageError` when two targets would write one file name; all collisions at once.

    Names that differ only in upper and lower case collide too: not every disk tells them apart.
    """
    owners: dict[str, dict[Target, str]] = {}
    for target, name in named:
        owners.setdefault(name.casefold(), {}).setdefault(target, name)
    faults = [
        f"`{' and '.join(dict.fromkeys(names.values()))}` would be written by "
        + " and by ".join(f"`{target}`" for target in names)
        for names in owners.values()
        if len(names) > 1
    ]
    if faults:
        raise UsageError(
            "two targets of one matrix would write one file",
            faults=faults,
            hint="skip one of them with --skip, or let the version carry the accelerator",
        )


def _of_type(package_type: PackageType, os: Os, variants: Sequence[str]) -> Sequence[str]:
    """The variants of the axis that this package type has there; without any, the plain one."""
    known = VARIANTS.get(package_type, ())
    if not known:
        return ("",)
    named = (variant or ORDINARY_VARIANT for variant in variants)
    return [one for one in named if one in known and (os == "windows" or not one.endswith(DEBUG))]


def _refuse_empty(types: Sequence[PackageType], systems: Sequence[tuple[Os, str]]) -> None:
    faults = [
        f"`{package_type}` is not made for {os}_{arch}"
        for package_type, (os, arch) in product(types, systems)
        if not supports(package_type, os)
    ]
    if faults:
        raise UsageError(
            "no package type asked for is made for a platform asked for",
            faults=faults,
            hint="wheels are `manywheel` on linux and `wheel` on macos and windows",
        )


def _refuse_unused(targets: Iterable[Target], abis: Iterable[str], variants: Iterable[str]) -> None:
    taken = {word for target in targets for word in (target.abi, target.variant)} | {""}
    faults = [f"no target has the C++ ABI `{abi}`" for abi in abis if abi not in taken]
    faults += [f"no target has the variant `{name}`" for name in variants if name not in taken]
    if faults:
        raise UsageError(
            "the axes do not fit together",
            faults=faults,
            hint="a C++ ABI is chosen on linux only, a variant for `libtorch` only, "
            "one with `-debug` on windows only",
        )
