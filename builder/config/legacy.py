"""The environment variables of the old build scripts, read as defaults of the command line.

This is the one place that knows them. Each variable that is used gives one notice: how it was read
and what to say instead. An empty variable says nothing, as in the scripts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Final, TypeVar, get_args

from builder.config.accelerator import Accelerator
from builder.config.python import Python
from builder.config.target import (
    PackageType,
    parse_abi,
    parse_package_type,
    parse_platform,
    parse_variant,
)
from builder.config.version import Channel, full_version, parse_version
from builder.errors import UsageError

__all__ = ["VARIABLES", "Defaults", "read"]

VARIABLES: Final = (
    "PACKAGE_TYPE",
    "BUILD_PYTHONLESS",
    "DESIRED_PYTHON",
    "DESIRED_CUDA",
    "GPU_ARCH_TYPE",
    "GPU_ARCH_VERSION",
    "DESIRED_DEVTOOLSET",
    "LIBTORCH_VARIANT",
    "LIBTORCH_CONFIG",
    "PYTORCH_BUILD_VERSION",
    "PYTORCH_BUILD_NUMBER",
    "OVERRIDE_PACKAGE_VERSION",
    "UPLOAD_CHANNEL",
    "TORCH_PACKAGE_NAME",
    "PYTORCH_ROOT",
    "PYTORCH_FINAL_PACKAGE_DIR",
    "TORCH_CUDA_ARCH_LIST",
    "OVERRIDE_TORCH_CUDA_ARCH_LIST",
    "SKIP_ALL_TESTS",
)

_T = TypeVar("_T")
_CHANNELS: Final = get_args(Channel)
_NEW_ABI_SUFFIX: Final = "-cxx11-abi"
_CUDA_ARCH = re.compile(r"(?P<major>[0-9]+)\.(?P<minor>[0-9][a-z]?)(?P<ptx>\+PTX)?")
_BASH_ARRAY_MARKS = str.maketrans(dict.fromkeys("()'\",;", " "))


@dataclass(frozen=True, slots=True)
class Defaults:
    """What the old variables say, in canonical spelling; an empty field says nothing.

    `version` is exact, with `.postN` for a build number above 1; so is `override`, which wins over
    it and makes the build number 0. `architectures` are as CMake spells them (`80-real`).
    """

    types: tuple[str, ...] = ()
    pythons: tuple[str, ...] = ()
    accelerators: tuple[str, ...] = ()
    os: str = ""
    arch: str = ""
    abi: str = ""
    variants: tuple[str, ...] = ()
    version: str = ""
    override: str = ""
    build_number: int = 1
    channel: str = ""
    package_name: str = ""
    source: str = ""
    output: str = ""
    architectures: tuple[str, ...] = ()
    check: bool = True

    @property
    def exact_version(self) -> str:
        """The version to build, whichever variable said it."""
        return self.override or self.version


@dataclass(frozen=True, slots=True)
class _Reading:
    """The variables that are set, and what has been found out about them so far."""

    said: Mapping[str, str]
    notices: dict[str, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def parse(self, name: str, parser: Callable[[str], _T]) -> _T | None:
        """The value of one variable; None when it is not set or cannot be read."""
        if name not in self.said:
            return None
        try:
            return parser(self.said[name])
        except UsageError as error:
            self.faults.append(f"{name}: {error.message} ({error.hint})")
            return None

    def note(self, name: str, meaning: str) -> None:
        """Say how a variable was read."""
        if name in self.said:
            self.notices[name] = f"the old variable {name}={self.said[name]} {meaning}"


def read(environ: Mapping[str, str]) -> tuple[Defaults, tuple[str, ...]]:
    """Defaults from the old variables, and one notice for each that is set.

    Raises one `UsageError` with every value that cannot be read and every contradiction.
    """
    said = {name: environ[name].strip() for name in VARIABLES if environ.get(name, "").strip()}
    reading = _Reading(said)
    defaults = Defaults()
    for step in (
        _read_type,
        _read_python,
        _read_accelerator,
        _read_variant,
        _read_version,
        _read_rest,
    ):
        defaults = step(reading, defaults)
    if reading.faults:
        raise UsageError(
            "the old environment variables cannot be followed",
            faults=reading.faults,
            hint="unset what is not meant, and say the rest with flags (`builder build --help`)",
        )
    return defaults, tuple(reading.notices[name] for name in VARIABLES if name in reading.notices)


def _read_type(reading: _Reading, defaults: Defaults) -> Defaults:
    package_type = reading.parse("PACKAGE_TYPE", parse_package_type)
    pythonless = reading.parse("BUILD_PYTHONLESS", _switch)
    if pythonless and package_type not in {None, "libtorch"}:
        reading.faults.append(
            f"PACKAGE_TYPE={package_type} and BUILD_PYTHONLESS contradict each other: "
            "only `libtorch` is built without Python"
        )
    if pythonless and "PACKAGE_TYPE" not in reading.said:
        package_type = "libtorch"
    reading.note("PACKAGE_TYPE", f"is read as `--type {package_type}`; say that instead")
    meaning = "is read as `--type libtorch`; say that instead" if pythonless else "says nothing"
    reading.note("BUILD_PYTHONLESS", meaning)
    return replace(defaults, types=(package_type,)) if package_type else defaults


def _read_python(reading: _Reading, defaults: Defaults) -> Defaults:
    if defaults.types == ("libtorch",):
        reading.note("DESIRED_PYTHON", "is ignored: a C++ archive has no Python; unset it")
        return defaults
    pythons = reading.parse("DESIRED_PYTHON", _pythons) or ()
    reading.note("DESIRED_PYTHON", f"is read as `--python {','.join(pythons)}`; say that instead")
    return replace(defaults, pythons=pythons)


def _read_accelerator(reading: _Reading, defaults: Defaults) -> Defaults:
    """The accelerator and what travelled with it: the C++ ABI, and an architecture."""
    desired, desired_abi = reading.parse("DESIRED_CUDA", _desired_cuda) or (None, "")
    kind, arch, gpu_abi = reading.parse("GPU_ARCH_TYPE", _gpu_arch_type) or ("", "", "")
    gpu = _gpu_accelerator(reading, kind, desired)
    if desired and kind and (desired.kind != kind or (gpu and gpu != desired)):
        reading.faults.append(
            f"DESIRED_CUDA={reading.said['DESIRED_CUDA']} and GPU_ARCH_TYPE={kind}"
            f"{f' {gpu.dotted}' if gpu and gpu.dotted else ''} contradict each other"
        )
    accelerator = desired or gpu
    abis = {
        "DESIRED_CUDA": desired_abi,
        "GPU_ARCH_TYPE": gpu_abi,
        "DESIRED_DEVTOOLSET": reading.parse("DESIRED_DEVTOOLSET", parse_abi) or "",
    }
    if len(set(filter(None, abis.values()))) > 1:
        asked = " and ".join(f"{name}={reading.said[name]}" for name, abi in abis.items() if abi)
        reading.faults.append(f"{asked} contradict each other about the C++ ABI")
    abi = next(filter(None, abis.values()), "")
    for name in ("DESIRED_CUDA", "GPU_ARCH_TYPE", "GPU_ARCH_VERSION"):
        flags = f"--cuda {accelerator}" + (f" --abi {abis[name]}" if abis.get(name) else "")
        flags += f" --os linux --arch {arch}" if arch and name == "GPU_ARCH_TYPE" else ""
        reading.note(name, f"is read as `{flags}`; say that instead")
    reading.note("DESIRED_DEVTOOLSET", f"is read as `--abi {abi}`; say that instead")
    return replace(
        defaults,
        accelerators=(str(accelerator),) if accelerator else (),
        os="linux" if arch else "",
        arch=arch,
        abi=abi,
    )


def _gpu_accelerator(
    reading: _Reading, kind: str, desired: Accelerator | None
) -> Accelerator | None:
    """The accelerator that `GPU_ARCH_TYPE` and `GPU_ARCH_VERSION` say together."""
    version = reading.said.get("GPU_ARCH_VERSION", "").removesuffix("-aarch64")
    if not kind:
        if version and "GPU_ARCH_TYPE" not in reading.said:
            reading.faults.append(f"GPU_ARCH_VERSION={version} is set without GPU_ARCH_TYPE")
        return None
    if kind in {"cpu", "xpu"}:
        return Accelerator.parse(kind)
    if not version:
        if desired is None and "DESIRED_CUDA" not in reading.said:
            reading.faults.append(f"GPU_ARCH_TYPE={kind} needs GPU_ARCH_VERSION")
        return None
    return reading.parse("GPU_ARCH_VERSION", lambda _text: Accelerator.parse(f"{kind}{version}"))


def _read_variant(reading: _Reading, defaults: Defaults) -> Defaults:
    variant = reading.parse("LIBTORCH_VARIANT", parse_variant)
    config = reading.parse("LIBTORCH_CONFIG", _libtorch_config)
    if defaults.types not in {(), ("libtorch",)}:
        for name in ("LIBTORCH_VARIANT", "LIBTORCH_CONFIG"):
            reading.note(name, f"is ignored: `{defaults.types[0]}` has no variants; unset it")
        return defaults
    if config == "debug" and "LIBTORCH_VARIANT" not in reading.said:
        reading.faults.append("LIBTORCH_CONFIG=debug needs LIBTORCH_VARIANT")
    if config == "debug" and variant and not variant.endswith("-debug"):
        variant = f"{variant}-debug"
    reading.note("LIBTORCH_VARIANT", f"is read as `--variant {variant}`; say that instead")
    meaning = f"is read as `--variant {variant}`; say that instead"
    reading.note("LIBTORCH_CONFIG", meaning if config == "debug" else "says nothing new; unset it")
    return replace(defaults, variants=(variant,)) if variant else defaults


def _read_version(reading: _Reading, defaults: Defaults) -> Defaults:
    override = str(reading.parse("OVERRIDE_PACKAGE_VERSION", parse_version) or "")
    number = reading.parse("PYTORCH_BUILD_NUMBER", _build_number)
    number = 1 if number is None else number
    package_type: PackageType = parse_package_type((*defaults.types, "manywheel")[0])
    version = reading.parse(
        "PYTORCH_BUILD_VERSION",
        lambda text: full_version(
            text,
            channel="release",
            today=date.min,
            build_number=number,
            accelerator=Accelerator("cpu"),
            package_type=package_type,
            os="linux",
            local=False,
        ),
    )
    if override:
        ignored = "is ignored: OVERRIDE_PACKAGE_VERSION is the exact version; unset it"
        reading.note("PYTORCH_BUILD_VERSION", ignored)
        reading.note("PYTORCH_BUILD_NUMBER", ignored)
    else:
        reading.note("PYTORCH_BUILD_VERSION", f"is read as `--version {version}`; say that instead")
        reading.note(
            "PYTORCH_BUILD_NUMBER", f"is read as `--build-number {number}`; say that instead"
        )
    reading.note("OVERRIDE_PACKAGE_VERSION", f"is read as `--version {override}`; say that instead")
    return replace(
        defaults, version=version or "", override=override, build_number=0 if override else number
    )


def _read_rest(reading: _Reading, defaults: Defaults) -> Defaults:
    said = reading.said
    channel = reading.parse("UPLOAD_CHANNEL", _channel) or ""
    own = reading.parse("TORCH_CUDA_ARCH_LIST", _architectures) or ()
    overriding = reading.parse("OVERRIDE_TORCH_CUDA_ARCH_LIST", _architectures) or ()
    skips_checks = reading.parse("SKIP_ALL_TESTS", _switch) or False
    reading.note("UPLOAD_CHANNEL", f"is read as `--channel {channel}`; say that instead")
    reading.note("TORCH_PACKAGE_NAME", "is read as the package's name; set `name` in the recipe")
    reading.note(
        "PYTORCH_ROOT", f"is read as `--source {said.get('PYTORCH_ROOT')}`; say that instead"
    )
    output = said.get("PYTORCH_FINAL_PACKAGE_DIR", "")
    reading.note(
        "PYTORCH_FINAL_PACKAGE_DIR", f"is read as `--output-dir {output}`; say that instead"
    )
    for name, architectures in (
        ("TORCH_CUDA_ARCH_LIST", own),
        ("OVERRIDE_TORCH_CUDA_ARCH_LIST", overriding),
    ):
        reading.note(name, f"is read as `--cuda-arch {','.join(architectures)}`; say that instead")
    if overriding:
        reading.note(
            "TORCH_CUDA_ARCH_LIST", "is ignored for OVERRIDE_TORCH_CUDA_ARCH_LIST; unset it"
        )
    meaning = "is read as `--no-check`; say that instead" if skips_checks else "says nothing"
    reading.note("SKIP_ALL_TESTS", meaning)
    return replace(
        defaults,
        channel=channel,
        package_name=said.get("TORCH_PACKAGE_NAME", ""),
        source=said.get("PYTORCH_ROOT", ""),
        output=output,
        architectures=overriding or own,
        check=not skips_checks,
    )


def _pythons(text: str) -> tuple[str, ...]:
    """One Python, `3.5;3.6;3.7` (Windows), or the text of a bash array (conda); or `all`."""
    words = text.translate(_BASH_ARRAY_MARKS).split()
    if not words:
        raise UsageError(f"names no Python: `{text}`", hint="write it like 3.7m or cp37-cp37m")
    spelled = (word if word == "all" else str(Python.parse(word)) for word in words)
    return tuple(dict.fromkeys(spelled))


def _desired_cuda(text: str) -> tuple[Accelerator, str]:
    accelerator = text.removesuffix(_NEW_ABI_SUFFIX)
    return Accelerator.parse(accelerator), "cxx11" if accelerator != text else ""


def _gpu_arch_type(text: str) -> tuple[str, str, str]:
    """Kind, architecture and C++ ABI: the second and third travelled as `cuda-aarch64`."""
    kind, _, rest = text.lower().partition("-")
    if kind not in {"cpu", "cuda", "rocm", "xpu"}:
        raise UsageError(f"not an accelerator: `{text}`", hint="one of cpu, cuda, rocm, xpu")
    if not rest:
        return kind, "", ""
    if f"-{rest}" == _NEW_ABI_SUFFIX:
        return kind, "", "cxx11"
    return kind, parse_platform(f"linux-{rest}")[1], ""


def _libtorch_config(text: str) -> str:
    if text not in {"debug", "release"}:
        raise UsageError(f"not a configuration: `{text}`", hint="one of debug, release")
    return text


def _build_number(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise UsageError(f"not a build number: `{text}`", hint="a whole number, 1 for the first")
    return int(text)


def _channel(text: str) -> str:
    if text not in _CHANNELS:
        raise UsageError(f"no such channel: `{text}`", hint=f"one of {', '.join(_CHANNELS)}")
    return text


def _architectures(text: str) -> tuple[str, ...]:
    """`5.0;6.0+PTX` as CMake has it: `50-real`, `60-real`, `60-virtual`."""
    found: list[str] = []
    for word in re.split(r"[;,\s]+", text.strip(";, ")):
        match = _CUDA_ARCH.fullmatch(word)
        if match is None:
            raise UsageError(
                f"not a CUDA architecture: `{word}`", hint="write it like 7.5 or 8.6+PTX"
            )
        number = match["major"] + match["minor"]
        found += [f"{number}-real"] + ([f"{number}-virtual"] if match["ptx"] else [])
    return tuple(dict.fromkeys(found))


def _switch(text: str) -> bool:
    return text.lower() not in {"0", "false", "off", "no"}
