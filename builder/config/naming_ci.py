"""Names that continuous integration and publishing use: jobs, upload keys, size records."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from types import MappingProxyType
from typing import Final, Literal

from builder.config.target import DEBUG, Os, PackageType, Target
from builder.config.version import Channel
from builder.errors import UsageError

__all__ = [
    "Phase",
    "conda_channel",
    "github_job_name",
    "index_page_key",
    "job_name",
    "log_key",
    "size_record",
    "sizes_key",
    "upload_key",
]

Phase = Literal["build", "test", "upload"]

_FOLDERS: Final[Mapping[PackageType, str]] = MappingProxyType(
    {"manywheel": "whl", "wheel": "whl", "libtorch": "libtorch"}
)
_CHANNEL_FOLDERS: Final[Mapping[Channel, str]] = MappingProxyType(
    {"release": "", "test": "test", "nightly": "nightly"}
)
_GITHUB_ABIS: Final[Mapping[str, str]] = MappingProxyType(
    {"": "", "cxx11": "cxx11-abi", "precxx11": "pre-cxx11"}
)


def job_name(
    target: Target,
    phase: Phase | None,
    *,
    compiler: str = "",
    python: str = "",
    nightly: bool = False,
    dots: bool = True,
) -> str:
    """The name of a CircleCI job; without a `phase` it is the smoke job of a published package.

    `compiler` is the word old jobs had for compiler and C++ ABI (`devtoolset7`). `python` is what a
    C++ archive was built with, which its target does not say. Later jobs had no `dots`.
    """
    linking = target.variant.removesuffix(DEBUG)
    words = (
        "binary" if phase else "smoke",
        target.os if target.arch == "x86_64" else target.platform,
        target.package_type,
        python or _spelled_python(target),
        target.accelerator.label,
        compiler,
        _configuration(target),
        "nightly" if nightly else "",
        linking,
        phase or "",
    )
    name = "_".join(filter(None, words))
    return name if dots else name.replace(".", "_")


def github_job_name(target: Target) -> str:
    """The name of a GitHub build, unique on one platform: `manywheel-py3_11-cuda12_6`."""
    accelerator = target.accelerator
    words = (
        target.package_type,
        f"py{_spelled_python(target, abiflags=False)}" if target.python else "",
        f"{accelerator.kind}{accelerator.dotted}",
        target.variant,
        _GITHUB_ABIS[target.abi],
    )
    return "-".join(filter(None, words)).replace(".", "_")


def upload_key(target: Target, channel: Channel, file_name: str) -> str:
    """The key of a wheel or archive in an object store: `whl/nightly/cu100/<wheel>`."""
    if target.package_type == "conda":
        raise UsageError(
            f"`{file_name}` goes to a conda channel, not to a folder",
            hint="conda packages are published with their channel's own tool",
        )
    return _key(_FOLDERS[target.package_type], channel, f"{target.accelerator.label}/{file_name}")


def index_page_key(project: str, channel: Channel) -> str:
    """The key of the page that lists one project's wheels: `whl/nightly/torch_nightly.html`."""
    return _key("whl", channel, f"{re.sub(r'[-_.]+', '_', project).lower()}.html")


def conda_channel(organisation: str, channel: Channel) -> str:
    """The conda channel packages go to: `pytorch-nightly`, `pytorch-test`, `pytorch`."""
    return "-".join(filter(None, (organisation, _CHANNEL_FOLDERS[channel])))


def log_key(os: Os, day: date, file_name: str) -> str:
    """The key of one log of a nightly run: `nightly_logs/linux/2019_05_02/<file>`."""
    return f"nightly_logs/{os}/{day:%Y_%m_%d}/{file_name}"


def sizes_key(day: date) -> str:
    """The key of the size records of one day."""
    return f"nightly_logs/binary_sizes/{day:%Y_%m_%d}.json"


def size_record(target: Target, size: int) -> dict[str, str]:
    """One entry of the size records, in the schema dashboards read; `size` is in bytes."""
    return {
        "os": target.os,
        "pkgType": target.package_type,
        "pyVer": _spelled_python(target),
        "cuVer": target.accelerator.label,
        "size": str(size),
    }


def _key(folder: str, channel: Channel, rest: str) -> str:
    return "/".join(filter(None, (folder, _CHANNEL_FOLDERS[channel], rest)))


def _spelled_python(target: Target, *, abiflags: bool = True) -> str:
    """The Python as its package type had it: only Linux wheels were told apart by `m` and `u`."""
    if target.python is None:
        return ""
    if (abiflags and target.package_type == "manywheel") or target.python.free_threaded:
        return target.python.spelling
    return target.python.version


def _configuration(target: Target) -> str:
    if target.variant.endswith(DEBUG):
        return "debug"
    return "release" if target.package_type == "libtorch" and target.os == "windows" else ""
