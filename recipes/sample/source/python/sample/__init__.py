"""A small library with the features that make packaging hard: threads, a private library, a GPU."""

from sample._native import (
    __version__,
    checksum,
    core_version,
    cuda,
    dot,
    pack,
    saxpy,
    threads,
    unpack,
)

__all__ = [
    "__version__",
    "checksum",
    "core_version",
    "cuda",
    "dot",
    "pack",
    "saxpy",
    "threads",
    "unpack",
]
