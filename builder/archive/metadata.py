"""Small, exact edits of an unpacked wheel's metadata: what is not changed keeps its bytes.

METADATA follows the "Core metadata specifications", WHEEL the "Binary distribution format".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from builder.archive.wheel_name import is_same_project
from builder.errors import BuilderError, UsageError

if TYPE_CHECKING:
    from packaging.requirements import Requirement

__all__ = [
    "Headers",
    "Relabelled",
    "dist_info_of",
    "new_info",
    "new_metadata",
    "new_stem",
    "relabel",
]

_NO_REQUIREMENT = (ValueError, RecursionError)
"""What `packaging` raises: its own error is a `ValueError`, as is Python's for a huge number."""


@dataclass(frozen=True, slots=True)
class Headers:
    """A file of `Name: value` lines, continued or not, and an optional body; as bytes."""

    lines: tuple[bytes, ...]
    rest: bytes

    @classmethod
    def parse(cls, content: bytes) -> Headers:
        """Split a file at its first empty line; `bytes(headers)` gives the same bytes back."""
        starts: list[int] = []
        place = 0
        while place < len(content):
            end = content.find(b"\n", place) + 1 or len(content)
            if not content[place:end].rstrip(b"\r\n"):
                break
            if not starts or content[place] not in b" \t":
                starts.append(place)
            place = end
        ends = (*starts[1:], place)
        lines = (content[start:end] for start, end in zip(starts, ends, strict=False))
        return cls(tuple(lines), content[place:])

    def __bytes__(self) -> bytes:
        return b"".join(self.lines) + self.rest

    def get(self, name: str) -> tuple[str, ...]:
        """Every value of one header, in order."""
        return tuple(
            line.partition(b":")[2].decode("utf-8", "surrogateescape").strip()
            for line in self.lines
            if _is(line, name)
        )

    def replace(self, name: str, values: Sequence[str]) -> Headers:
        """The same file with all lines of one header replaced, where the first one was."""
        is_old = [_is(line, name) for line in self.lines]
        first = is_old.index(True) if any(is_old) else len(self.lines)
        kept = [line for line, gone in zip(self.lines, is_old, strict=True) if not gone]
        return Headers((*kept[:first], *self._made(name, values), *kept[first:]), self.rest)

    def add(self, name: str, values: Sequence[str]) -> Headers:
        """The same file with lines added behind the last one of that header, or at the end."""
        places = [index for index, line in enumerate(self.lines) if _is(line, name)]
        after = places[-1] + 1 if places else len(self.lines)
        lines = list(self.lines)
        if lines and not lines[after - 1].endswith(b"\n"):
            lines[after - 1] += self._end
        return Headers((*lines[:after], *self._made(name, values), *lines[after:]), self.rest)

    @property
    def _end(self) -> bytes:
        return b"\r\n" if self.lines and self.lines[0].endswith(b"\r\n") else b"\n"

    def _made(self, name: str, values: Sequence[str]) -> tuple[bytes, ...]:
        return tuple(f"{name}: {value}".encode() + self._end for value in values)


@dataclass(frozen=True, slots=True)
class Relabelled:
    """What `relabel` changed: the name of the dist-info folder now, and the edited files."""

    dist_info: str
    edited: tuple[str, ...]


def dist_info_of(folder: Path) -> str:
    """The name of the one dist-info folder of an unpacked wheel. Raises `BuilderError`."""
    found = sorted(path.name for path in folder.glob("*.dist-info") if path.is_dir())
    if len(found) != 1:
        raise BuilderError(
            f"a wheel has exactly one dist-info folder, this one has {len(found)}",
            faults=found,
            hint="rebuild the wheel",
        )
    return found[0]


def relabel(
    folder: Path,
    version: str | None = None,
    requires: Iterable[str] = (),
    tags: Iterable[str] | None = None,
) -> Relabelled:
    """Give an unpacked wheel another version, further requirements, or other tags.

    A version renames the dist-info and data folders. A requirement is added unless the metadata
    holds an equivalent one. `tags` are whole tags (`cp311-cp311-manylinux_2_28_x86_64`); they
    replace the old ones. The RECORD is not touched: write it afterwards.
    """
    name = dist_info_of(folder)
    edited: list[str] = []
    if version is not None:
        name = _rename(folder, name, version)
    metadata, wheel = folder / name / "METADATA", folder / name / "WHEEL"
    before = metadata.read_bytes()
    if (after := new_metadata(before, version, requires)) != before:
        metadata.write_bytes(after)
        edited.append(f"{name}/METADATA")
    if tags is not None:
        before = wheel.read_bytes()
        if (after := new_info(before, tags)) != before:
            wheel.write_bytes(after)
            edited.append(f"{name}/WHEEL")
    return Relabelled(name, tuple(edited))


def new_metadata(content: bytes, version: str | None = None, requires: Iterable[str] = ()) -> bytes:
    """A METADATA with another version and the requirements that it has no equivalent one of."""
    headers = Headers.parse(content)
    if version is not None:
        headers = headers.replace("Version", (_canonical(version),))
    if missing := _missing(requires, headers.get("Requires-Dist")):
        headers = headers.add("Requires-Dist", missing)
    return bytes(headers)


def new_info(content: bytes, tags: Iterable[str]) -> bytes:
    """A WHEEL with other tags, which is no longer pure when a tag is for one platform."""
    headers = Headers.parse(content)
    wanted = sorted(set(tags))
    if sorted(headers.get("Tag")) != wanted:
        headers = headers.replace("Tag", wanted)
    is_pure = all(tag.endswith("-any") for tag in wanted)
    if not is_pure and "true" in map(str.lower, headers.get("Root-Is-Purelib")):
        headers = headers.replace("Root-Is-Purelib", ("false",))
    return bytes(headers)


def new_stem(dist_info: str, version: str) -> str:
    """What the dist-info and data folders of a wheel with another version begin with."""
    project = dist_info.removesuffix(".dist-info").rpartition("-")[0]
    return f"{project}-{_canonical(version).replace('-', '_')}"


def _is(line: bytes, name: str) -> bool:
    return line.partition(b":")[0].strip().lower() == name.lower().encode()


def _canonical(version: str) -> str:
    from packaging.version import Version  # noqa: PLC0415  # slow to load

    try:
        return str(Version(version))
    except ValueError as error:  # also that of Python for a number of thousands of digits
        raise UsageError(
            f"`{version}` is no version",
            hint="versions follow the version specifiers specification, for example 1.2.0+cu130",
        ) from error


def _rename(folder: Path, dist_info: str, version: str) -> str:
    """Give the dist-info and data folders the new version."""
    stem = new_stem(dist_info, version)
    old = dist_info.removesuffix(".dist-info")
    for suffix in (".dist-info", ".data"):
        source, target = folder / (old + suffix), folder / (stem + suffix)
        if source.is_dir() and source != target:
            source.rename(target)
    return f"{stem}.dist-info"


def _missing(wanted: Iterable[str], present: Sequence[str]) -> tuple[str, ...]:
    """The requirements that no present one is equivalent to, canonical, in order, each once."""
    wishes = tuple(wanted)
    if not wishes:
        return ()
    from packaging.requirements import Requirement  # noqa: PLC0415  # as above

    known = [requirement for text in present if (requirement := _lenient(text)) is not None]
    missing: list[str] = []
    for text in wishes:
        try:
            requirement = Requirement(text)
        except _NO_REQUIREMENT as error:
            raise UsageError(
                f"`{text}` is no requirement: {error}",
                hint="write it as in Requires-Dist, for example torch==2.13.0",
            ) from error
        if not any(_covers(other, requirement) for other in known):
            known.append(requirement)
            missing.append(str(requirement))
    return tuple(missing)


def _lenient(text: str) -> Requirement | None:
    """A requirement of the built wheel; None for a form of old that no longer parses."""
    from packaging.requirements import Requirement  # noqa: PLC0415  # as above

    try:
        return Requirement(re.sub(r"\s+", " ", text))
    except _NO_REQUIREMENT:
        return None


def _covers(present: Requirement, wanted: Requirement) -> bool:
    """Whether a present requirement already asks for at least what is wanted."""
    try:
        return (
            is_same_project(present.name, wanted.name)
            and present.marker in (None, wanted.marker)
            and present.extras >= wanted.extras
            and (not wanted.specifier or present.specifier == wanted.specifier)
            and (not wanted.url or present.url == wanted.url)
        )
    except ValueError:  # versions are only looked at to be compared
        return False
