"""Hand a finished file over: it appears under its name whole, verified, or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from builder.archive.file import file_digest
from builder.errors import BuilderError

__all__ = ["deliver", "hand_over", "is_same_file", "staged", "workplace"]

_HINT: Final = "free space or choose another folder"


def deliver(file: Path, folder: Path) -> Path:
    """Copy `file` into `folder` and give back its absolute place there.

    The copy is written under a temporary name, flushed to the disk, compared by sha256 and renamed. Raises
    `BuilderError` when the folder cannot be written or the bytes differ.
    """
    target = folder.absolute() / file.name
    with staged(target, f"{_HINT} with `--output-dir`") as partial:
        with file.open("rb") as source, partial.open("wb") as copy:
            shutil.copyfileobj(source, copy, 1 << 20)
            copy.flush()
            os.fsync(copy.fileno())
        if file_digest(partial) != file_digest(file):
            raise BuilderError(
                f"`{target}` does not have the bytes of the checked package",
                hint="check the disk, then run the same command again",
            )
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
            shutil.copyfile(file, partial)
    return target


def is_same_file(file: Path, target: Path) -> bool:
    """Whether two paths lead to one file; a path that nothing can be at leads nowhere."""
    try:
        return target.samefile(file)
    except OSError:
        return False


@contextmanager
def staged(target: Path, hint: str = _HINT) -> Iterator[Path]:
    """A path to write to, with the name of `target`, which gets it when all went well.

    Else nothing is left behind. Raises `BuilderError` for every `OSError` on the way.
    """
    folder = target.parent / f".{target.name}.{os.getpid()}"
    partial = folder / target.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield partial
        partial.replace(target)
    except OSError as error:
        what = error.strerror or str(error)
        if error.filename is not None and Path(error.filename) not in {folder, partial, target}:
            what = f"{what}: `{error.filename}`"
        raise BuilderError(f"`{target}` cannot be written: {what}", hint=hint) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def workplace(folder: Path, hint: str = _HINT) -> Iterator[Path]:
    """A folder for what is on the way, below `folder` and so on its disk; it is gone in the end.

    Raises `BuilderError` for every `OSError` on the way.
    """
    from tempfile import TemporaryDirectory  # noqa: PLC0415  # slow to load

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".builder-", dir=folder) as work:
            yield Path(work)
    except OSError as error:
        what = error.strerror or str(error)
        if error.filename is not None and folder not in Path(error.filename).parents:
            what = f"{what}: `{error.filename}`"
        raise BuilderError(f"`{folder}` cannot be written: {what}", hint=hint) from error
