"""The one place that reads the environment, the clock and this machine, and makes values of them."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path

from builder.config.machine import Machine, PackageIndex

__all__ = [
    "environment",
    "read_index",
    "recipe_roots",
    "this_machine",
    "this_platform",
    "this_subdir",
    "today",
]

# Certificates and proxies: all that a process which talks to the network may get of the caller's environment.
_NETWORK = (
    "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT", "GIT_SSL_CAINFO",
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy",
    "NETRC", "PIP_DEFAULT_TIMEOUT", "UV_HTTP_TIMEOUT",
)  # fmt: skip
_SHIMS = ("pyenv/shims", "pyenv-virtualenv/shims", "/ccache", "/conda/", "/condabin")
_CUDA_PATTERNS = ("/usr/local/cuda-*", "/usr/local/cuda", "/opt/cuda", "/opt/cuda-*")
_OS = {"Linux": "linux", "Darwin": "macos", "Windows": "windows"}
_ARCH = {"AMD64": "x86_64", "ARM64": "arm64"}


def environment() -> Mapping[str, str]:
    """The caller's environment."""
    return dict(os.environ)


def today() -> date:
    """The date of today in UTC, as nightlies are dated."""
    return datetime.now(tz=UTC).date()


def this_machine(environ: Mapping[str, str] | None = None) -> Machine:
    """What is known of this machine. The cache is `BUILDER_CACHE`, else the user's cache folder."""
    environ = environment() if environ is None else environ
    home = Path(environ.get("HOME") or Path.home())
    cache = environ.get("BUILDER_CACHE") or Path(
        environ.get("XDG_CACHE_HOME") or home / ".cache", "builder"
    )
    return Machine(
        path=_search_path(environ.get("PATH", "")),
        home=home,
        cores=_cores(),
        os=this_platform()[0],
        arch=this_platform()[1],
        index=read_index(environ, _pip_files(environ, home)),
        network={name: environ[name] for name in _NETWORK if environ.get(name)},
        cuda_roots=_cuda_roots(environ),
        python_roots=_existing(
            [*(([environ["PYENV_ROOT"] + "/versions"]) if environ.get("PYENV_ROOT") else []),
             home / ".pyenv" / "versions", "/opt/python"]
        ),
        cache=Path(cache).absolute(),
        python=Path(sys.executable),
    )  # fmt: skip


def this_platform() -> tuple[str, str]:
    """Operating system and architecture of this machine, as targets spell them."""
    system, arch = platform.system(), platform.machine()
    return _OS.get(system, system.lower()), _ARCH.get(arch, arch)


def this_subdir() -> str:
    """What conda calls this machine's platform."""
    from builder.config.naming import subdir_of  # noqa: PLC0415  # asked by one verb only

    return subdir_of(*this_platform())


def recipe_roots(folder: Path) -> tuple[Path, ...]:
    """Where recipes are looked for by name: `recipes/` here, the checkout's own, the packed copy."""
    package = Path(__file__).parent.parent
    candidates = (folder / "recipes", package.parent / "recipes", package / "_recipes")
    return tuple(dict.fromkeys(root.resolve() for root in candidates if root.is_dir()))


def read_index(environ: Mapping[str, str], files: Iterable[Path]) -> PackageIndex:
    """Where packages come from: uv's and pip's variables win over pip's configuration files."""
    settings: dict[str, str] = {}
    for file in files:
        import configparser  # noqa: PLC0415  # slow to load, and most machines have no such file

        parser = configparser.RawConfigParser()
        try:
            parser.read(file, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError):
            continue  # pip itself will complain about it; it says nothing to us
        for section in ("global", "install", "download"):
            if parser.has_section(section):
                settings.update(parser.items(section))

    def setting(name: str, *variables: str) -> str:
        found = (environ[variable] for variable in variables if environ.get(variable))
        return next(found, settings.get(name, ""))

    return PackageIndex(
        setting("index-url", "UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL").strip(),
        _words(setting("extra-index-url", "UV_INDEX", "UV_EXTRA_INDEX_URL", "PIP_EXTRA_INDEX_URL")),
        _words(setting("find-links", "UV_FIND_LINKS", "PIP_FIND_LINKS")),
    )


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.replace(",", " ").split())


def _pip_files(environ: Mapping[str, str], home: Path) -> tuple[Path, ...]:
    chosen = environ.get("PIP_CONFIG_FILE")
    if chosen == os.devnull:
        return ()
    config = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    files = [
        Path("/etc/xdg/pip/pip.conf"),
        Path("/etc/pip.conf"),
        home / ".pip" / "pip.conf",
        config / "pip" / "pip.conf",
        Path(sys.prefix) / "pip.conf",
    ]
    return tuple(file for file in [*files, *([Path(chosen)] if chosen else [])] if file.is_file())


def _search_path(text: str) -> tuple[Path, ...]:
    """The caller's search path without shims and without the environment `builder` runs in."""
    own = Path(sys.prefix) / "bin" if sys.prefix != sys.base_prefix else None
    folders = (Path(word) for word in text.split(os.pathsep) if word)
    return tuple(
        dict.fromkeys(
            folder
            for folder in folders
            if folder.is_absolute()
            and folder != own
            and not any(shim in f"{folder.as_posix()}/" for shim in _SHIMS)
            and folder.is_dir()
        )
    )


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cuda_roots(environ: Mapping[str, str]) -> tuple[Path, ...]:
    given = [environ[name] for name in ("CUDA_HOME", "CUDA_PATH") if environ.get(name)]
    found = [
        path
        for pattern in _CUDA_PATTERNS
        for path in sorted(Path("/").glob(pattern.removeprefix("/")), reverse=True)
    ]
    return _existing([*given, *found])


def _existing(paths: Iterable[str | Path]) -> tuple[Path, ...]:
    return tuple(dict.fromkeys(Path(path) for path in paths if Path(path).is_dir()))
