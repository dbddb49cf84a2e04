"""File names of packages and of what is inside them: wheels, conda packages, C++ archives.

Wheel names follow the binary distribution format (PEP 427), RECORD lines its RFC 4180 dialect. The
other names are the ones release pages and scripts have been built on for years; they stay as they
are, and get a word more only where two targets would otherwise share one.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Final

from builder.config.accelerator import Accelerator
from builder.config.python import Python
from builder.config.target import ORDINARY_VARIANT, PACKAGE_TYPES, Os, Target
from builder.errors import UsageError

__all__ = [
    "LOADED_BY_NAME",
    "CondaBuild",
    "archive_name",
    "archive_words",
    "conda_build_string",
    "conda_name",
    "conda_subdir",
    "hashed_name",
    "old_mac_wheel_name",
    "package_name",
    "parse_conda_build_string",
    "record_line",
    "record_path",
    "subdir_of",
    "wheel_name",
    "wheel_platform",
]

# libnvrtc opens its builtins by this very name, so a renamed copy is never found.
LOADED_BY_NAME: Final = ("libnvrtc-builtins.s*",)

_HASH_DIGITS: Final = 8
_WHEEL_NAME = re.compile(r"(?P<stem>[^-/]+-[^-/]+)(?:-[0-9][^-/]*)?(?:-[^-/]+){3}\.whl")
_RECORD_ITSELF = re.compile(r"[^/]+\.dist-info/RECORD(?:\.jws|\.p7s)?")
_NEEDS_QUOTES = re.compile(r'[,"\r\n]')
_CONDA_BUILD = re.compile(
    r"py(?P<python>[0-9]\.[0-9]+t?)"
    r"(?:_(?:(?P<word>cpu|xpu|rocm[0-9.]+)|cuda(?P<cuda>[0-9]+\.[0-9]+)(?:\.[0-9]+)*(?:_cudnn[0-9.]+)?))?"
    r"_(?P<number>[0-9]+)"
)

_WINDOWS_TAGS: Final[Mapping[str, str]] = MappingProxyType(
    {"x86_64": "win_amd64", "arm64": "win_arm64", "i686": "win32"}
)
_MACOS_DEPLOYMENT: Final[Mapping[str, str]] = MappingProxyType(
    {"x86_64": "10_15", "arm64": "11_0", "universal2": "11_0"}
)
_OLD_MACOS_DEPLOYMENT: Final[Mapping[Python, str]] = MappingProxyType(
    {Python(2, 7, "m"): "10_6", Python(3, 5, "m"): "10_6"}
)
_CONDA_SYSTEMS: Final[Mapping[Os, str]] = MappingProxyType(
    {"linux": "linux", "macos": "osx", "windows": "win"}
)
_CONDA_ARCHITECTURES: Final[Mapping[str, str]] = MappingProxyType({"x86_64": "64", "i686": "32"})
_ARCHIVE_SYSTEMS: Final[Mapping[Os, str]] = MappingProxyType(
    {"linux": "", "macos": "macos", "windows": "win"}
)
_ARCHIVE_ABIS: Final[Mapping[str, str]] = MappingProxyType(
    {"": "", "cxx11": "cxx11-abi", "precxx11": "pre-cxx11-abi"}
)


def package_name(project: str, version: str, target: Target, *, suffix: str = ".zip") -> str:
    """The file a target's package is written to, as far as it is known before the build.

    Distinct targets have distinct names unless only the version could tell them apart. A conda
    package has its subdirectory in front, because there the platform is nowhere else. `suffix` is
    that of a C++ archive.
    """
    if target.package_type == "libtorch":
        return archive_name(target, version, project=project, suffix=suffix)
    if target.package_type == "conda":
        build = conda_build_string(target, 0, cuda=target.accelerator.dotted)
        return f"{conda_subdir(target)}/{conda_name(project, version, build)}"
    if target.package_type not in PACKAGE_TYPES:
        # A plugin's backend names its own files; the id keeps two targets apart until then.
        return f"{project}-{version}-{target}"
    python = _python_of(target)
    return wheel_name(
        project, version, python.interpreter_tag, python.abi_tag, wheel_platform(target)
    )


def wheel_name(project: str, version: str, python_tag: str, abi_tag: str, platform_tag: str) -> str:
    """The file name of a wheel; the project is normalised, so that it holds no dash."""
    normalised = re.sub(r"[-_.]+", "_", project).lower()
    return f"{normalised}-{version.replace('-', '_')}-{python_tag}-{abi_tag}-{platform_tag}.whl"


def wheel_platform(target: Target) -> str:
    """The platform tag of a wheel nobody has looked into yet: `linux_x86_64`, `win_amd64`."""
    match target.os:
        case "linux":
            return target.platform
        case "windows":
            return _WINDOWS_TAGS[target.arch]
        case "macos":
            return f"macosx_{_MACOS_DEPLOYMENT[target.arch]}_{target.arch}"


def old_mac_wheel_name(project: str, version: str, python: Python) -> str:
    """The name Intel wheels of macOS were given by renaming: no ABI tag, macOS 10.6 or 10.7."""
    platform = f"macosx_{_OLD_MACOS_DEPLOYMENT.get(python, '10_7')}_x86_64"
    return wheel_name(project, version, python.interpreter_tag, "none", platform)


def conda_name(project: str, version: str, build_string: str, *, suffix: str = ".tar.bz2") -> str:
    """The file name of a conda package; `suffix` is `.tar.bz2` or `.conda`."""
    return f"{project.replace('_', '-').lower()}-{version}-{build_string}{suffix}"


def conda_subdir(target: Target) -> str:
    """The platform folder of a conda channel: `linux-64`, `osx-arm64`, `win-32`."""
    return subdir_of(target.os, target.arch)


def subdir_of(os: str, arch: str) -> str:
    """The same for a system and an architecture as targets name them."""
    system = next((word for name, word in _CONDA_SYSTEMS.items() if name == os), os)
    return f"{system}-{_CONDA_ARCHITECTURES.get(arch, arch)}"


def conda_build_string(target: Target, number: int, *, cuda: str = "", cudnn: str = "") -> str:
    """The build string of a conda package: `py3.7_cuda10.0.130_cudnn7.6.1_0`, `py3.7_cpu_0`.

    `cuda` and `cudnn` are full versions and used for CUDA only; macOS does not say `cpu`. A package
    for no Python begins with its accelerator.
    """
    python, accelerator = target.python, target.accelerator
    words = []
    if python is not None:
        words = [f"py{python.version}t" if python.free_threaded else f"py{python.version}"]
    if accelerator.kind == "cuda":
        words.append(f"cuda{cuda or accelerator.dotted}")
        if cudnn:
            words.append(f"cudnn{cudnn}")
    elif accelerator.kind != "cpu" or target.os != "macos" or not words:
        words.append(accelerator.label)
    return "_".join([*words, str(number)])


@dataclass(frozen=True, slots=True)
class CondaBuild:
    """What a conda build string says. `os` is `macos`, or empty where it says nothing about it."""

    python: str
    accelerator: Accelerator
    os: str
    number: int


def parse_conda_build_string(text: str) -> CondaBuild:
    """Read a build string that `conda_build_string`, or the scripts before it, wrote."""
    match = _CONDA_BUILD.fullmatch(text)
    if match is None:
        raise UsageError(
            f"not a build string: `{text}`", hint="one reads py3.7_cpu_0 or py3.7_cuda10.0.130_0"
        )
    word = match["word"] or match["cuda"]
    return CondaBuild(
        python=match["python"],
        accelerator=Accelerator.parse(word or "cpu"),
        os="" if word else "macos",
        number=int(match["number"]),
    )


def archive_name(
    target: Target, version: str, *, project: str = "torch", suffix: str = ".zip"
) -> str:
    """The file name of a C++ archive; `version` may be `latest`.

    `libtorch-[cxx11-abi-]<variant>-<version>.zip` on Linux, `-macos-` and `-win-` elsewhere. Named
    are architectures other than x86_64, a C++ ABI that was asked for (the old one by a word that
    its releases did not have, since the default came to use their name), and every variant but the
    one macOS always had.
    """
    name = re.sub(r"[-_.]+", "-", project).lower()
    name = name if name.startswith("lib") else f"lib{name}"
    return f"{name}-{archive_words(target)}-{version}{suffix}"


def archive_words(target: Target) -> str:
    """What the file name of a C++ archive says of its target: `win-shared-with-deps`, `macos`."""
    variant = target.variant or ORDINARY_VARIANT
    if target.os == "macos" and variant == ORDINARY_VARIANT:
        variant = ""
    words = (
        _ARCHIVE_SYSTEMS[target.os],
        "" if target.arch == "x86_64" else target.arch,
        _ARCHIVE_ABIS[target.abi],
        variant,
    )
    return "-".join(filter(None, words))


def hashed_name(name: str, sha256: str, *, keep: Iterable[str] = ()) -> str:
    """The name of a grafted library: 8 digits of its content's digest before the first dot.

    Names that match a glob of `keep` stay, because something opens them by name. The split at the
    first dot is what users' files look like, also where a version follows the stem
    (`libfoo-1.2.so.3` becomes `libfoo-1-<hash>.2.so.3`).
    """
    if any(fnmatchcase(name, glob) for glob in keep):
        return name
    stem, dot, rest = name.partition(".")
    return f"{stem}-{sha256[:_HASH_DIGITS]}{dot}{rest}"


def record_path(wheel: str) -> str:
    """Where a wheel of this file name keeps its RECORD: `torch-1.2.0.dist-info/RECORD`."""
    match = _WHEEL_NAME.fullmatch(wheel)
    if match is None:
        raise UsageError(
            f"not the file name of a wheel: `{wheel}`",
            hint="one reads {project}-{version}-{python}-{abi}-{platform}.whl",
        )
    return f"{match['stem']}.dist-info/RECORD"


def record_line(path: str, sha256: str, size: int) -> str:
    """One line of a RECORD, without its line end. RECORD itself and its signatures have no digest.

    `path` is relative to the root of the wheel with forward slashes, `sha256` in hex.
    """
    cell = '"' + path.replace('"', '""') + '"' if _NEEDS_QUOTES.search(path) else path
    if _RECORD_ITSELF.fullmatch(path):
        return f"{cell},,"
    digest = base64.urlsafe_b64encode(bytes.fromhex(sha256)).rstrip(b"=").decode("ascii")
    return f"{cell},sha256={digest},{size}"


def _python_of(target: Target) -> Python:
    assert target.python is not None, "only C++ archives have no Python"
    return target.python
