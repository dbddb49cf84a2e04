"""Hand a finished file over: it appears under its name whole, verified, or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from pathlib import Path

from builder.errors import BuilderError

__all__ = ["deliver"]


def deliver(file: Path, folder: Path) -> Path:
    """Copy `file` into `folder` and give back its absolute place there.

    The copy is written under a temporary name, flushed to the disk, compared by sha256 and renamed. Raises
    `BuilderError` when the folder cannot be written or the bytes differ.
    """
    target = folder.absolute() / file.name
    partial = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with file.open("rb") as source, partial.open("wb") as copy:
            shutil.copyfileobj(source, copy, 1 << 20)
            copy.flush()
            os.fsync(copy.fileno())
        if _digest(partial) != _digest(file):
            raise BuilderError(
                f"`{target}` does not have the bytes of the checked package",
                hint="check the disk, then run the same command again",
            )
        partial.replace(target)
    except OSError as error:
        raise BuilderError(
            f"`{target}` cannot be written: {error.strerror}",
            hint="free space or choose another folder with `--output-dir`",
        ) from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()
    return target


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
