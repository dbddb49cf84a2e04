"""The full version of a package (PEP 440): base, channel, build number and local part."""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING, Final, Literal, get_args

from builder.config.accelerator import Accelerator
from builder.config.target import Os, PackageType
from builder.errors import UsageError

if TYPE_CHECKING:
    from packaging.version import Version

__all__ = ["Channel", "full_version", "has_local_part", "parse_tag", "parse_version"]

Channel = Literal["release", "test", "nightly"]

_TAG = re.compile(r"v?(?P<base>[0-9]+(?:\.[0-9]+)+)(?:-?rc[0-9]+)?")
_NEXT_RELEASE: Final = ("a", 0)


def full_version(
    base: str,
    *,
    channel: str,
    today: date,
    build_number: int = 1,
    accelerator: Accelerator,
    package_type: PackageType,
    os: Os,
    local: bool,
    override: str = "",
) -> str:
    """The canonical version of one package.

    `release` and `test`: `base`, with `.postN` for a build number above 1 (conda packages carry the
    number in their build string instead). `nightly`: `base` without `a0`, and `.devYYYYMMDD` of
    `today`. `local` asks for the accelerator's label as local part; macOS and conda never have one.
    `override` is the exact version and everything else is left aside. Raises `UsageError`.
    """
    if override:
        return str(parse_version(override))
    version = parse_version(base)
    match channel:
        case "release" | "test":
            number = 1 if package_type == "conda" else build_number
            public = _with_build_number(version, number)
        case "nightly":
            public = _dated(version, today, build_number)
        case _:
            raise UsageError(
                f"no such channel: `{channel}`", hint=f"one of {', '.join(get_args(Channel))}"
            )
    part = _local_part(
        version, accelerator.label, wanted=local, possible=has_local_part(package_type, os)
    )
    return f"{public}+{part}" if part else public


def has_local_part(package_type: PackageType, os: Os) -> bool:
    """Whether versions of this kind of package may say their accelerator (`+cpu`, `+cu130`)."""
    return package_type != "conda" and os != "macos"


def parse_tag(tag: str) -> tuple[str, Channel]:
    """Base version and channel that a git tag stands for: `v1.6.0-rc1` is 1.6.0 for `test`.

    A final tag goes to `test` as well: a release is promoted from there, never built into place. No
    tag at all ("") is a nightly whose version is written elsewhere.
    """
    if not tag:
        return "", "nightly"
    match = _TAG.fullmatch(tag.strip())
    if match is None:
        raise UsageError(f"not a release tag: `{tag}`", hint="write it like v1.6.0 or v1.6.0-rc1")
    return match["base"], "test"


def parse_version(text: str) -> Version:
    """One version as PEP 440 has it; its `str` is canonical. Raises `UsageError`."""
    from packaging.version import InvalidVersion, Version  # noqa: PLC0415 - slow to import

    try:
        return Version(text)
    except InvalidVersion as error:
        raise UsageError(
            f"not a version: `{text}`", hint="write it as PEP 440 has it, like 1.2.0 or 1.2.0rc1"
        ) from error


def _with_build_number(version: Version, build_number: int) -> str:
    if build_number < 0:
        raise UsageError(f"not a build number: {build_number}", hint="build numbers begin at 1")
    if build_number <= 1:
        return version.public
    if version.post is not None or version.dev is not None:
        raise UsageError(
            f"build number {build_number} cannot be added to the version `{version}`",
            hint="give a base version without a `.post` or `.dev` part, or the exact version",
        )
    return f"{version.public}.post{build_number}"


def _local_part(version: Version, label: str, *, wanted: bool, possible: bool) -> str:
    """The local part to write; one that the base has for its own reasons is never lost."""
    given = version.local or ""
    if not possible:
        return "" if given == label else given
    if not wanted:
        return given
    if given not in {"", label}:
        raise UsageError(
            f"the version `{version}` has a local part already, so `{label}` cannot be added",
            hint="leave the local part out of the base version",
        )
    return label


def _dated(version: Version, today: date, build_number: int) -> str:
    if version.dev is not None or version.post is not None:
        raise UsageError(
            f"a nightly cannot be made of the version `{version}`",
            hint="give the base version, like 1.2.0 or 1.2.0a0; the date is added",
        )
    if build_number > 1:
        raise UsageError(
            f"a nightly has a date and no build number {build_number}",
            hint="leave the build number out, or give the exact version",
        )
    base = version.base_version if version.pre == _NEXT_RELEASE else version.public
    return f"{base}.dev{today:%Y%m%d}"
