"""Hand a finished file over: it appears under its name whole, verified, or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from builder.errors import BuilderError

__all__ = ["deliver", "hand_over", "is_same_file", "staged"]


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


def hand_over(file: Path, target: Path) -> Path:
    """Give a file another name, without a second copy of its bytes where the disk can do that.

    Raises `BuilderError` when it cannot be written.
    """
    if is_same_file(file, target):
        return target
    with staged(target) as partial:
        try:
            os.link(file, partial)
        except OSError:  # another disk, or one that knows no links
            try:
                shutil.copyfile(file, partial)
            except OSError as error:
                raise _unwritable(target, error) from error
    return target


def is_same_file(file: Path, target: Path) -> bool:
    """Whether two paths lead to one file; a path that nothing can be at leads nowhere."""
    try:
        return target.samefile(file)
    except OSError:
        return False


@contextlib.contextmanager
def staged(target: Path) -> Iterator[Path]:
    """A path to write to, with the name of `target`, which gets it when all went well.

    Raises `BuilderError` when it cannot be written.
    """
    folder = target.parent / f".{target.name}.{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder / target.name
        (folder / target.name).replace(target)
    except OSError as error:
        raise _unwritable(target, error) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _unwritable(target: Path, error: OSError) -> BuilderError:
    return BuilderError(
        f"`{target}` cannot be written: {error.strerror or error}",
        hint="free space or choose another folder",
    )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
