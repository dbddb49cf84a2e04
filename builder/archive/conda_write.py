"""Write a conda package: the same bytes for the same content, on every core; read back before it is named.

Formats: `.conda` (version 2: a zip that packs nothing, with two tars in it, one zstandard frame each)
and `.tar.bz2`. One frame, because widespread readers stop behind the first; it is compressed by several
threads in jobs whose size the level alone decides, so that their number never shows.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, Literal, Protocol

from builder.archive.conda import open_package, read_conda
from builder.archive.conda_package import (
    CondaFile,
    CondaPackage,
    Placed,
    Streamed,
    documents,
    paths_document,
    refuse_faults,
)
from builder.archive.deliver import staged, workplace
from builder.archive.file import WINDOW
from builder.archive.refusals import Limits, Member, refuse
from builder.archive.tar_source import Content
from builder.archive.tar_write import TarItem, tar_end, tar_header, tar_padding
from builder.archive.zip_format import stamp_of
from builder.archive.zip_write import Put, write_zip
from builder.errors import BuilderError, UsageError

if TYPE_CHECKING:
    from builder.archive.zip_read import Zip

__all__ = ["PROFILES", "Format", "Profile", "write_conda"]

Profile = Literal["fast", "default", "release"]
Format = Literal["conda", "tar.bz2"]

PROFILES: Final[Mapping[Profile, tuple[int, int]]] = {
    "fast": (3, 1),
    "default": (9, 9),
    "release": (19, 9),
}
"""The levels of zstandard and bzip2. Of 434 MB of machine code, 3 leaves 101 MB and 9 leaves 90; 19 takes a
tenth less than 9 and 30 times as long."""

_METADATA: Final = b'{"conda_pkg_format_version": 2}'
_MOST_THREADS: Final = 16
"""Each needs up to 130 MB of memory at the highest level, 30 MB at 9, 20 MB at 3."""
_OURS: Final = Limits(total=1 << 62, ratio=1 << 40, members=1 << 40)
"""What we wrote may unfold to whatever it was."""
_TAKEN: Final = ("info", "conda-meta")
"""Top folders that belong to the package itself, and to the environment it goes into."""
_SYSTEMS_THAT_FOLD: Final = ("osx-", "win-")

_Put = Callable[[bytes | memoryview], object]


def write_conda(
    folder: Path,
    package: CondaPackage,
    files: Iterable[CondaFile],
    *,
    epoch: int,
    profile: Profile = "default",
    file_format: Format = "conda",
    threads: int = 0,
) -> Path:
    """Write one package into `folder` and give back its path, `<name>-<version>-<build>.<file_format>`.

    Every time stamp is `epoch` (seconds since 1970), owners are 0, modes 0644 or 0755, files sorted by
    path. `threads` 0 means one per core; it never changes the bytes. No content is held as a whole.
    Raises `UsageError` for what cannot be a package, and `BuilderError` when a file is not what it was
    said to be, or nothing can be written; then nothing is left behind.
    """
    refuse_faults(package)
    members = tuple(sorted(files, key=lambda file: file.path))
    _refuse_members(package, members)
    target = folder / f"{package.stem}.{file_format}"
    count = min(threads or os.cpu_count() or 1, _MOST_THREADS)
    job = _Job(package, members, epoch, PROFILES[profile], count)
    if file_format == "conda":
        job.write_zip(target)
    else:
        job.write_bzip2(target)
    return target


class _Job:
    """One package on its way to the disk; `told` is what has to be found in it afterwards."""

    def __init__(
        self,
        package: CondaPackage,
        files: Sequence[CondaFile],
        epoch: int,
        levels: tuple[int, int],
        threads: int,
    ) -> None:
        self._package, self._files, self._epoch = package, files, epoch
        self._levels, self._threads = levels, threads
        self.told: dict[str, Placed] = {}

    def write_zip(self, target: Path) -> None:
        """The newer format."""
        stem = self._package.stem
        with workplace(target.parent) as work:
            packed = work / "pkg", work / "info"
            placed = self._packed(packed[0], self._files)
            self._packed(packed[1], self._info(placed))
            items = (
                Put("metadata.json", _METADATA),
                Put(f"pkg-{stem}.tar.zst", packed[0]),
                Put(f"info-{stem}.tar.zst", packed[1]),
            )
            write_zip(None, target, items, stamp=stamp_of(0), level=0, check=self._check)

    def write_bzip2(self, target: Path) -> None:
        """The older one, with `info/` at its end: `paths.json` has the digests of everything before."""
        import bz2  # noqa: PLC0415  # few packages are packed with it

        with staged(target) as path:
            with path.open("wb") as out:
                packer = _Packer(out, bz2.BZ2Compressor(self._levels[1]))
                placed = self._add(packer, self._files)
                self._add(packer, self._info(placed))
                packer.finish()
                out.flush()
                os.fsync(out.fileno())
            with open_package(path, _OURS) as found:
                self._compare(found)

    def _packed(self, path: Path, files: Iterable[CondaFile]) -> tuple[Placed, ...]:
        members = tuple(files)
        size = sum(member.size + 1024 for member in members)
        with path.open("wb") as out:
            packer = _Packer(out, _zstandard(self._levels[0], self._threads, size))
            placed = self._add(packer, members)
            packer.finish()
        return placed

    def _add(self, packer: _Packer, files: Iterable[CondaFile]) -> tuple[Placed, ...]:
        placed = tuple(packer.add(file, self._epoch) for file in files)
        self.told |= {row.file.path: row for row in placed}
        return placed

    def _info(self, placed: Iterable[Placed]) -> Iterator[CondaFile]:
        own = dict(documents(self._package, self._epoch))
        own["paths.json"] = paths_document(placed)
        made = (CondaFile(f"info/{name}", content) for name, content in own.items())
        more = (replace(file, path=f"info/{file.path}") for file in self._package.info)
        yield from sorted((*made, *more), key=lambda file: file.path)

    def _check(self, archive: Zip, _rows: object) -> None:
        self._compare(read_conda(archive, _OURS))

    def _compare(self, found: Iterable[tuple[Member, Content]]) -> None:
        """Read everything again. Raises `BuilderError` for what is not as it was written."""
        left = dict(self.told)
        for member, content in found:
            row = left.pop(member.name, None)
            if row is None or not _is_same(row, member, content):
                raise _unsound(f"{member.name!r} is not what was written")
        if left:
            raise _unsound(f"{next(iter(left))!r} is missing")


class _Compressor(Protocol):
    def compress(self, data: bytes | memoryview, /) -> bytes: ...

    def flush(self) -> bytes: ...


class _Packer:
    """A tar that is compressed while it is written."""

    def __init__(self, out: IO[bytes], compressor: _Compressor) -> None:
        self._out, self._compressor = out, compressor

    def add(self, file: CondaFile, epoch: int) -> Placed:
        """Write one member. Raises `BuilderError` when its content is not what `file` says."""
        size = file.size
        self._put(tar_header(TarItem(file.path, b"", file.executable, file.link), size, epoch))
        if file.link:
            return Placed(file, 0, "")
        passing = _Passing(self._put, file.placeholder.encode())
        _pour(file.source, passing)
        passing.refuse(file, size)
        self._put(tar_padding(size))
        return Placed(file, size, passing.digest.hexdigest())

    def finish(self) -> None:
        """Write the end."""
        self._put(tar_end())
        self._out.write(self._compressor.flush())

    def _put(self, data: bytes | memoryview) -> None:
        if packed := self._compressor.compress(data):
            self._out.write(packed)


class _Passing:
    """The content of one member on its way: its size, its digest, and whether it has a prefix."""

    def __init__(self, put: _Put, wanted: bytes) -> None:
        self._put, self._wanted = put, wanted
        self.digest = sha256()
        self.size = 0
        self._found = not wanted
        self._tail = b""

    def __call__(self, data: bytes | memoryview) -> None:
        self.digest.update(data)
        self.size += len(data)
        self._put(data)
        if not self._found:
            window = self._tail + bytes(data)
            self._found = self._wanted in window
            self._tail = window[-len(self._wanted) :]

    def refuse(self, file: CondaFile, size: int) -> None:
        """Raise `BuilderError` for content that is not what was promised."""
        if self.size != size:
            raise BuilderError(
                f"`{file.path}` changed while it was packed: {self.size} bytes, not {size}",
                hint="make sure that nothing writes there, then run the same command again",
            )
        if file.sha256 and self.digest.hexdigest() != file.sha256:
            raise BuilderError(
                f"{file.path!r} does not have the digest that it must have",
                faults=(f"expected {file.sha256}", f"found {self.digest.hexdigest()}"),
                hint="its source is damaged or was changed: build or download it again",
            )
        if not self._found:
            raise BuilderError(
                f"{file.path!r} does not hold the prefix that is to be replaced in it",
                hint="record a placeholder only for files in which it was found",
            )


def _pour(source: bytes | Path | Streamed, sink: _Passing) -> None:
    if isinstance(source, bytes):
        sink(source)
    elif isinstance(source, Path):
        with source.open("rb", buffering=0) as file:
            while window := file.read(WINDOW):
                sink(window)
    else:
        source.pour(sink)


def _zstandard(level: int, threads: int, size: int) -> _Compressor:
    """A compressor of one frame; `size` is about how much comes, and only narrows its window."""
    import zstandard  # noqa: PLC0415  # only those who write such a package pay for it

    params = zstandard.ZstdCompressionParameters.from_level(
        level, source_size=size, threads=threads, write_checksum=1
    )
    return zstandard.ZstdCompressor(compression_params=params).compressobj()


def _refuse_members(package: CondaPackage, files: Sequence[CondaFile]) -> None:
    """Raise `UsageError` for paths and links that nobody could unpack, or that harm who does."""
    named = (*files, *(replace(file, path=f"info/{file.path}") for file in package.info))
    members = tuple(_member(file) for file in named)
    folds = package.subdir.startswith(_SYSTEMS_THAT_FOLD)
    faults = [
        str(refusal)
        for refusal in refuse(members, 1 << 62, _OURS)
        if folds or refusal.rule != "case"
    ]
    faults += [
        f"{file.path!r}: name: `{top}/` is not for files"
        for file in files
        for top in _TAKEN
        if file.path.partition("/")[0] == top
    ]
    own = {"about.json", "index.json", "link.json", "paths.json", "run_exports.json"}
    faults += [f"{file.path!r}: duplicate: it is made" for file in package.info if file.path in own]
    if faults:
        raise UsageError(
            f"`{package.stem}` cannot be a conda package",
            faults=faults,
            hint="leave these files out, or give them other names",
        )


def _member(file: CondaFile) -> Member:
    kind: Literal["link", "file"] = "link" if file.link else "file"
    return Member(file.path, kind, executable=file.executable, target=file.link)


def _is_same(row: Placed, member: Member, content: Content) -> bool:
    if row.file.link:
        return (member.kind, member.target) == ("link", row.file.link)
    if (member.kind, member.size) != ("file", row.size) or member.executable != row.file.executable:
        return False
    digest = sha256()
    while chunk := content.read(WINDOW):
        digest.update(chunk)
    return digest.hexdigest() == row.sha256


def _unsound(fault: str) -> BuilderError:
    return BuilderError(
        f"what was written does not read back: {fault}",
        hint="check the disk, then run the same command again",
    )
