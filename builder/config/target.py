"""Target: one binary configuration, and its canonical id.

An id is `{type}-{python}-{accelerator}-{os}_{arch}[-{abi}][-{variant}]`. No field holds a dash (a
variant's are written as underscores), and no variant is called like an ABI, so an id reads one way.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Final, Literal, Self, get_args

from builder.config.accelerator import Accelerator
from builder.config.python import Python
from builder.errors import UsageError

__all__ = [
    "ABIS",
    "ARCHITECTURES",
    "DEBUG",
    "ORDINARY_VARIANT",
    "PACKAGE_TYPES",
    "VARIANTS",
    "Os",
    "PackageType",
    "Target",
    "parse_abi",
    "parse_package_type",
    "parse_platform",
    "parse_variant",
    "supports",
]

# The types below are known as data; a plugin may bring more, so this is any word.
PackageType = str
Os = Literal["linux", "macos", "windows"]

ARCHITECTURES: Final[Mapping[Os, tuple[str, ...]]] = MappingProxyType(
    {
        "linux": ("x86_64", "aarch64", "i686", "ppc64le", "s390x", "riscv64", "armv7l"),
        "macos": ("x86_64", "arm64", "universal2"),
        "windows": ("x86_64", "arm64", "i686"),
    }
)
PACKAGE_TYPES: Final[Mapping[PackageType, tuple[Os, ...]]] = MappingProxyType(
    {
        "manywheel": ("linux",),
        "wheel": ("macos", "windows"),
        "conda": ("linux", "macos", "windows"),
        "libtorch": ("linux", "macos", "windows"),
    }
)
ABIS: Final = ("cxx11", "precxx11")
_LINKINGS: Final = (
    "shared-with-deps",
    "shared-without-deps",
    "static-with-deps",
    "static-without-deps",
)
VARIANTS: Final[Mapping[PackageType, tuple[str, ...]]] = MappingProxyType(
    {
        "manywheel": (),
        "wheel": (),
        "conda": (),
        "libtorch": (*_LINKINGS, *(f"{linking}-debug" for linking in _LINKINGS)),
    }
)

ORDINARY_VARIANT: Final = _LINKINGS[0]
"""The one that is meant where a C++ archive is asked for without a variant."""
DEBUG: Final = "-debug"
"""How the variants end that are linked to the debug runtime of Visual C++."""
_RELEASE: Final = "-release"

_OS_SPELLINGS: Final[Mapping[str, Os]] = MappingProxyType(
    {
        "linux": "linux",
        "macos": "macos",
        "osx": "macos",
        "darwin": "macos",
        "windows": "windows",
        "win": "windows",
    }
)
_ARCH_SPELLINGS: Final[Mapping[str, str]] = MappingProxyType(
    {"64": "x86_64", "amd64": "x86_64", "x64": "x86_64"}
    | {"32": "i686", "x86": "i686", "i386": "i686", "aarch64": "arm64", "arm64": "aarch64"}
)
_TYPE = re.compile(r"[a-z][a-z0-9_]*")
_OLD_ABI = re.compile(r"pre-?cxx11(-abi)?|devtoolset-?[0-9]+")
_NEW_ABI = re.compile(r"cxx11|.*cxx11-abi")


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """One binary configuration; `str` is its id, `parse` the inverse; nonsense raises `UsageError`.

    `python` is None for C++ archives and only for them, so targets of one type always compare.
    `abi` ("", `cxx11` or `precxx11`) is the C++ ABI and exists on Linux only. `variant` is one of
    `VARIANTS` of the type, or ""; those with `-debug` exist on Windows only.
    """

    package_type: PackageType
    python: Python | None
    accelerator: Accelerator
    os: Os
    arch: str
    abi: str = ""
    variant: str = ""

    def __post_init__(self) -> None:
        faults = tuple(_faults(self))
        if faults:
            raise UsageError(
                f"`{self}` is not a target",
                faults=faults,
                hint="an id reads {type}-{python}-{accelerator}-{os}_{arch}[-{abi}][-{variant}]",
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an id. Its fields may have any spelling that has no dash in it (`3.7m`, `cu100`)."""
        fields = text.strip().split("-")
        if not 4 <= len(fields) <= 6 or "" in fields:  # noqa: PLR2004 - four fields and two optional ones
            raise UsageError(
                f"not a target id: `{text}`",
                hint="write it like manywheel-cp311-cpu-linux_x86_64",
            )
        package_type, python, accelerator, platform, *rest = fields
        abi = rest.pop(0) if rest and rest[0] in ABIS else ""
        variant = rest.pop(0) if rest else ""
        if rest:
            raise UsageError(
                f"not a target id: `{text}`",
                hint=f"the C++ ABI is {' or '.join(ABIS)}, then a variant",
            )
        os, arch = parse_platform(platform)
        return cls(
            parse_package_type(package_type),
            None if python == "none" else Python.parse(python),
            Accelerator.parse(accelerator),
            os,
            arch,
            abi,
            parse_variant(variant) if variant else "",
        )

    def __str__(self) -> str:
        fields = [
            self.package_type,
            str(self.python or "none"),
            str(self.accelerator),
            self.platform,
        ]
        if self.abi:
            fields.append(self.abi)
        if self.variant:
            fields.append(self.variant.replace("-", "_"))
        return "-".join(fields)

    @property
    def platform(self) -> str:
        """Operating system and architecture, `linux_x86_64`."""
        return f"{self.os}_{self.arch}"

    def matches(self, glob: str) -> bool:
        """Whether this target's id matches a shell glob; upper and lower case differ."""
        return fnmatchcase(str(self), glob)


def supports(package_type: PackageType, os: Os) -> bool:
    """Whether packages of this type are made for this operating system."""
    return package_type not in PACKAGE_TYPES or os in PACKAGE_TYPES[package_type]


def parse_package_type(text: str) -> PackageType:
    """One of `PACKAGE_TYPES`, or a word that a plugin's backend may be named."""
    word = text.strip().lower()
    if not _TYPE.fullmatch(word):
        known = ", ".join(PACKAGE_TYPES)
        raise UsageError(
            f"no such package type: `{text}`",
            hint=f"one of {known}, or the name of a plugin's backend",
        )
    return word


def parse_platform(text: str) -> tuple[Os, str]:
    """Operating system and architecture: `linux_x86_64`, or an old one (`win-64`, `osx-arm64`).

    `linux` and `windows` alone are x86_64, as in old job names.
    """
    system, _, arch = text.strip().lower().replace("-", "_").partition("_")
    if system == "win32":
        system, arch = "windows", arch or "i686"
    os = _OS_SPELLINGS.get(system)
    if os is None:
        raise UsageError(
            f"not a platform: `{text}`",
            hint=f"write it like linux_x86_64; systems are {', '.join(get_args(Os))}",
        )
    arch = arch or ("" if os == "macos" else "x86_64")
    for candidate in (arch, _ARCH_SPELLINGS.get(arch, "")):
        if candidate in ARCHITECTURES[os]:
            return os, candidate
    raise UsageError(
        f"not a platform: `{text}`",
        hint=f"architectures of {os} are {', '.join(ARCHITECTURES[os])}",
    )


def parse_abi(text: str) -> str:
    """`cxx11`, `precxx11` or "": canonical, or as `DESIRED_DEVTOOLSET` had it (`gcc5.4_cxx11-abi`).

    Every devtoolset emitted the old ABI, whatever was asked of it.
    """
    word = text.strip().lower()
    if not word:
        return ""
    if _OLD_ABI.fullmatch(word):
        return "precxx11"
    if _NEW_ABI.fullmatch(word):
        return "cxx11"
    raise UsageError(f"not a C++ ABI: `{text}`", hint=f"one of {', '.join(ABIS)}")


def parse_variant(text: str) -> str:
    """A variant of some package type, with dashes or underscores: `shared-with-deps`.

    `-release` may be said, and is what every variant is that does not end with `-debug`.
    """
    word = text.strip().lower().replace("_", "-").removesuffix(_RELEASE)
    known = [variant for variants in VARIANTS.values() for variant in variants]
    if word not in known:
        raise UsageError(f"no such variant: `{text}`", hint=f"one of {', '.join(known)}")
    return word


def _faults(target: Target) -> Iterable[str]:
    package_type, os = target.package_type, target.os
    if not _TYPE.fullmatch(package_type):
        yield f"no such package type: `{package_type}`"
        return
    if os not in ARCHITECTURES:
        yield f"no such operating system: `{os}`"
        return
    if not supports(package_type, os):
        others = [name for name in PACKAGE_TYPES if supports(name, os)]
        yield f"`{package_type}` is not made for {os}; {', '.join(others)} are"
    if target.arch not in ARCHITECTURES[os]:
        yield f"{os} has no architecture `{target.arch}`; known are {', '.join(ARCHITECTURES[os])}"
    if target.abi and target.abi not in ABIS:
        yield f"no such C++ ABI: `{target.abi}`; known are {', '.join(ABIS)}"
    if target.abi and os != "linux":
        yield f"{os} has one C++ ABI; leave `{target.abi}` out"
    if package_type == "libtorch" and target.python is not None:
        yield "a C++ archive has no Python; write `none`"
    if package_type in PACKAGE_TYPES and package_type != "libtorch" and target.python is None:
        yield f"`{package_type}` needs a Python"
    if target.variant and target.variant not in VARIANTS.get(package_type, ()):
        known = ", ".join(VARIANTS.get(package_type, ())) or "none"
        yield f"`{package_type}` has no variant `{target.variant}`; known are: {known}"
    elif target.variant.endswith(DEBUG) and os != "windows":
        yield f"{os} has one runtime; leave `{DEBUG}` out of `{target.variant}`"
