"""A package that another tool made, written again by our writer: same inputs, same bytes, no build path in it.

What changes is the prefix that was built into (a folder of this machine, recorded as the placeholder), the time,
the order, and what the metadata says of channels. What our writer cannot say is an error, never left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any, Final

from builder.archive.conda import open_package, read_info
from builder.archive.conda_package import CondaFile, CondaPackage
from builder.archive.conda_write import Format, Profile, write_conda
from builder.archive.tar_source import Content
from builder.errors import BuilderError
from builder_conda.prefix import leaks

__all__ = ["Unpacked", "prefix_of", "unpack_package", "write_again"]

_MOST: Final = 1 << 28
_WINDOW: Final = 1 << 20
_ELF: Final = b"\x7fELF"
_WORD: Final = "/the_prefix_that_the_installer_replaces"
_OURS: Final = ("about.json", "files", "has_prefix", "index.json", "link.json", "no_link", "paths.json",
                "run_exports.json")  # fmt: skip
_DROPPED: Final = ("recipe/", "git")
"""A recipe as it was rendered names the machine; the one it was made from is in the project."""
_INDEX: Final = frozenset({
    "arch", "build", "build_number", "constrains", "depends", "license", "license_family", "name", "noarch",
    "platform", "subdir", "timestamp", "track_features", "version",
})  # fmt: skip
_ABOUT: Final = ("description", "dev_url", "doc_url", "home", "keywords", "license", "license_family",
                 "license_file", "source_url", "summary", "tags")  # fmt: skip
_PADDED: Final = "placehold_" * 20


@dataclass(frozen=True, slots=True)
class Unpacked:
    """A package with its files on disk; `binaries` are those that a loader reads (ELF)."""

    package: CondaPackage
    files: tuple[CondaFile, ...]
    binaries: Mapping[str, Path]


def unpack_package(path: Path, folder: Path, build: Path) -> Unpacked:
    """Read a package; its content goes to `folder` under numbers, with a neutral prefix in place of the built one.

    `build` is where it was built. Raises `BuilderError` for a build path in the metadata, and for a
    prefix that a compiler cut in pieces, which no installer would find.
    """
    documents = _documents(path)
    recorded = _recorded(documents["paths.json"])
    folder.mkdir(parents=True)
    files: list[CondaFile] = []
    info: list[CondaFile] = []
    with open_package(path) as members:
        for number, (member, content) in enumerate(members):
            name = member.name.removeprefix("./")
            if member.kind == "directory":
                continue
            if member.kind not in {"file", "link"}:
                raise BuilderError(
                    f"{path.name} holds {name!r}, which is a {member.kind}", hint=_REPORT
                )
            if member.kind == "link":
                files.append(CondaFile(name, link=member.target))
                continue
            place = _poured(content, folder / f"{number}")
            if not name.startswith("info/"):
                files.append(
                    _neutral(name, place, recorded.get(name), executable=member.executable)
                )
            elif _is_kept(name.removeprefix("info/")):
                info.append(CondaFile(name.removeprefix("info/"), place))
    _refuse_paths(path, info, build)
    binaries = {
        row.path: row.source
        for row in files
        if isinstance(row.source, Path) and _is_elf(row.source)
    }
    _refuse_pieces(path, binaries)
    return Unpacked(_package(documents, tuple(info)), tuple(files), binaries)


def write_again(
    unpacked: Unpacked, folder: Path, *, epoch: int, profile: Profile, file_format: Format
) -> Path:
    """Write the package into `folder` and give back its path. Raises `BuilderError`."""
    return write_conda(
        folder,
        unpacked.package,
        unpacked.files,
        epoch=epoch,
        profile=profile,
        file_format=file_format,
    )


def prefix_of(length: int) -> str:
    """A prefix of so many characters that names no machine."""
    return (_WORD * (length // len(_WORD) + 1))[:length]


def _documents(path: Path) -> Mapping[str, Any]:
    names = ("about.json", "index.json", "link.json", "paths.json", "run_exports.json")
    texts = read_info(path, {f"info/{name}": _MOST for name in names})
    found = {name: json.loads(texts.get(f"info/{name}", b"{}")) for name in names}
    if unknown := sorted(found["index.json"].keys() - _INDEX):
        raise BuilderError(
            f"the index of {path.name} says {', '.join(map(repr, unknown))}, which builder would lose",
            hint=_REPORT,
        )
    return found


def _recorded(paths: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    return {row["_path"]: row for row in paths.get("paths", ()) if row.get("prefix_placeholder")}


def _poured(content: Content, place: Path) -> Path:
    with place.open("wb") as out:
        while window := content.read(_WINDOW):
            out.write(window)
    return place


def _neutral(
    name: str, place: Path, record: Mapping[str, Any] | None, *, executable: bool
) -> CondaFile:
    """The file with the prefix of nobody, of the same length: binaries have no room for another."""
    if record is None:
        return CondaFile(name, place, executable=executable)
    old = str(record["prefix_placeholder"])
    new = prefix_of(len(old.encode()))
    with place.open("r+b") as file, mmap(file.fileno(), 0) as view:
        at = view.find(old.encode())
        while at >= 0:
            view[at : at + len(new)] = new.encode()
            at = view.find(old.encode(), at + len(new))
    mode = "text" if record.get("file_mode") == "text" else "binary"
    return CondaFile(name, place, executable=executable, placeholder=new, mode=mode)  # type: ignore[arg-type]  # one of two words


def _is_kept(name: str) -> bool:
    return name not in _OURS and not name.startswith(_DROPPED)


def _is_elf(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == _ELF


def _refuse_paths(path: Path, info: Iterable[CondaFile], build: Path) -> None:
    """Raise `BuilderError` where information tells strangers about this machine."""
    faults = [
        f"info/{row.path}: names {place}"
        for row in info
        if isinstance(row.source, Path)
        for place in (str(build), "file://")
        if place.encode() in row.source.read_bytes()
    ]
    if faults:
        raise BuilderError(
            f"the information of {path.name} holds paths of the machine that built it",
            faults=faults,
            hint="take them out of the tests and licences that the recipe adds",
        )


def _refuse_pieces(path: Path, binaries: Mapping[str, Path]) -> None:
    """Raise `BuilderError` where pieces of the prefix are left: the whole is gone by now."""
    faults = [fault for name, place in sorted(binaries.items()) for fault in _pieces(name, place)]
    if faults:
        raise BuilderError(
            f"{path.name} holds the build prefix in pieces, which no installer can replace",
            faults=faults,
            hint="compilers cut a short-lived `std::string` of the prefix up: keep it in a "
            "`static const char prefix[] = PREFIX;` with external use, or read it from a file",
        )


def _pieces(name: str, place: Path) -> Iterator[str]:
    """Pieces of any padded prefix; what was whole is gone."""
    with place.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as view:
        window = memoryview(view)
        try:
            yield from (f"{name}: {leak}" for leak in leaks(window, _PADDED))
        finally:
            window.release()


def _package(documents: Mapping[str, Any], info: tuple[CondaFile, ...]) -> CondaPackage:
    index = documents["index.json"]
    features = index.get("track_features") or ""
    return CondaPackage(
        index["name"],
        index["version"],
        index["build"],
        index["subdir"],
        build_number=index.get("build_number", 0),
        noarch=index.get("noarch") or "",
        depends=tuple(
            sorted(index.get("depends", ()))
        ),  # rattler-build's order is that of a hash table
        constrains=tuple(sorted(index.get("constrains", ()))),
        license=index.get("license") or "",
        license_family=index.get("license_family") or "",
        track_features=features if isinstance(features, str) else " ".join(features),
        about={
            key: documents["about.json"][key] for key in _ABOUT if documents["about.json"].get(key)
        },
        run_exports={key: sorted(row) for key, row in documents["run_exports.json"].items()},
        entry_points=tuple(documents["link.json"].get("noarch", {}).get("entry_points", ())),
        info=info,
    )


_REPORT: Final = "build it with another version of rattler-build, or report this"
