"""Checks on code for CUDA: for which architectures it is, and how it finds the driver."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from builder.binary import Binary
from builder.relink.policy import matches
from smoke.catalogue import NO_BINARIES, Check, Outcome, Skip
from smoke.grafts import unhashed
from smoke.subject import ARTIFACTS, Member, Subject, content_of

__all__ = ["CHECKS"]

_CODE = re.compile(r"(sm|compute)_(\d+)")
_DRIVER = re.compile(
    r"lib(cuda|nvidia-ml|nvcuvid|nvidia-encode)\.so(\.\d+)*|(nvcuda|nvml)\.dll", re.IGNORECASE
)
"""Libraries of the driver; the toolkit has stubs of them in a folder of that name."""
_STUBS = "stubs"


def _architectures(subject: Subject) -> Outcome | Skip:
    wanted = {code for text in subject.expectations.architectures for code in _device_code(text)}
    if not wanted:
        return Skip("no CUDA architectures were asked for")
    holders = _holders(subject)
    if not holders:
        return Outcome((f"{subject.path.name}: has no device code, wanted {_list(wanted)}",))
    found = {code for _, codes in holders for code in codes if not code.startswith("lto_")}
    missing, more = wanted - found, found - wanted
    first = holders[0][0]
    return Outcome(
        (f"{first}: lacks device code for {_list(missing)}",) if missing else (),
        (f"{first}: also has device code for {_list(more)}",) if more else (),
    )


def _device_code(architecture: str) -> set[str]:
    """What CMake compiles for one entry of its list: `80-real`, `90-virtual`, or both for `90`."""
    number, _, kind = architecture.partition("-")
    found = {"real": {f"sm_{number}"}, "virtual": {f"compute_{number}"}}
    return found.get(kind, found["real"] | found["virtual"])


def _list(names: set[str]) -> str:
    return ", ".join(sorted(names))


def _holders(subject: Subject) -> list[tuple[str, tuple[str, ...]]]:
    """The members with device code."""
    return [
        (member.name, binary.cuda_architectures)
        for member, binary in content_of(subject).binaries
        if binary.cuda_architectures
    ]


def _ptx(subject: Subject) -> Outcome | Skip:
    holders = _holders(subject)
    if not holders:
        return Skip("there is no device code in it")
    texts = ((name, _without_ptx(codes)) for name, codes in holders)
    return Outcome(tuple(f"{name}: {text}" for name, text in texts if text))


def _without_ptx(codes: tuple[str, ...]) -> str:
    """What GPUs that come later than all machine code of a file have to do without, or nothing."""
    newest = {"sm": 0, "compute": 0}
    for code in codes:
        # PTX with a letter (`compute_90a`) runs on the GPUs it names and on no newer ones.
        match = _CODE.fullmatch(code if code.startswith("compute") else code.rstrip("af"))
        if match:
            newest[match[1]] = max(newest[match[1]], int(match[2]))
    if newest["compute"] >= newest["sm"]:
        return ""
    ptx = f"its newest PTX is compute_{newest['compute']}" if newest["compute"] else "has no PTX"
    return f"has machine code up to sm_{newest['sm']} and {ptx}, for GPUs that come later"


def _driver(subject: Subject) -> Outcome | Skip:
    content = content_of(subject)
    if not content.binaries:
        return NO_BINARIES
    problems: list[str] = []
    warnings: list[str] = []
    allowed = (*(content.host or ()), *subject.expectations.bundle.exclude)
    for member, binary in content.binaries:
        problems += _stubs(member, binary)
        for name in binary.needed:
            known = matches(allowed, name) or name in binary.delayed
            if _DRIVER.fullmatch(posixpath.basename(name)) and not known:
                warnings.append(
                    f"{member.name}: needs `{name}`, and does not load where there is no driver"
                )
    return Outcome(tuple(problems), tuple(warnings))


def _stubs(member: Member, binary: Binary) -> Iterator[str]:
    """What of the toolkit's stubs came into the package, or is searched for in their folder."""
    for entry in dict.fromkeys((*binary.rpath, *binary.runpath)):
        if _STUBS in entry.split("/"):
            yield f"{member.name}: rpath entry `{entry}` is a folder of stubs, which do nothing"
    if _DRIVER.fullmatch(unhashed(posixpath.basename(member.name))):
        yield f"{member.name}: is a library of the driver, which only the driver can bring"


CHECKS = (
    Check(
        "cuda.architectures",
        "The device code is for the CUDA architectures that were asked for.",
        ARTIFACTS,
        "artifact",
        "let the project take `CMAKE_CUDA_ARCHITECTURES` instead of choosing its own list",
        _architectures,
    ),
    Check(
        "cuda.ptx",
        "The newest architecture of each file is there as PTX too, which later GPUs can run.",
        ARTIFACTS,
        "artifact",
        "write the last entry of the list without `-real`: `80-real;90`",
        _ptx,
        "warning",
    ),
    Check(
        "cuda.driver",
        "The CUDA driver is the host's: no stub of it is inside or searched for.",
        ARTIFACTS,
        "artifact",
        "link `CUDA::cuda_driver` without its rpath, open it with `dlopen`, or name it in `exclude`",
        _driver,
    ),
)
