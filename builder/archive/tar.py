"""Members of tar archives ("pax" of POSIX.1-2001, GNU and v7), one after another from a stream.

Python's `tarfile` reads headers of any size into memory and wants to go back in the file; what is
needed here is a loop over blocks of 512 bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from builder.archive.refusals import Kind, Limits, Member
from builder.archive.tar_source import ArchiveError, Content, Source

__all__ = ["looks_like_tar", "read_tar"]

_BLOCK: Final = 512
_END: Final = bytes(_BLOCK)
_LONGEST: Final = 4 << 20
"""Of a name or a list of attributes; those of real archives are a thousand times shorter."""
_REST: Final = 1 << 62
_FILES: Final = frozenset(b"\x0007")
_KINDS: Final[Mapping[int, Kind]] = {ord("1"): "hardlink", ord("2"): "link", ord("5"): "directory"}
_DEVICES: Final = frozenset(b"346")
_USED: Final = frozenset({b"path", b"linkpath", b"size"})
"""Keys of pax headers that count here; no list of others is long enough to be held."""
_SPARSE_KEYS: Final = b"GNU.sparse."
_LONG_NAME, _LONG_TARGET, _PAX, _PAX_GLOBAL, _PAX_SUN, _SPARSE = map(ord, "LKxgXS")


def looks_like_tar(head: bytes) -> bool:
    """Whether the first block of a file is the header of a tar archive."""
    return len(head) >= _BLOCK and _checks(head[:_BLOCK])


def read_tar(
    source: Source, archive: str, limits: Limits | None = None
) -> Iterator[tuple[Member, Content]]:
    """Every member and its content, which is passed over when the next one is asked for.

    Sparse files, devices and pipes are `special`. Raises `ArchiveError`, which names `archive`.
    """
    reader = _Reader(source, archive, limits or Limits())
    while (found := reader.next()) is not None:
        yield found
        found[1].skip()
        source.skip(-found[0].size % _BLOCK)


class _Reader:
    """The walk over the headers: what those for one member, and for all of them, said so far."""

    def __init__(self, source: Source, archive: str, limits: Limits) -> None:
        self._source, self._archive, self._limits = source, archive, limits
        self._everywhere: dict[str, str] = {}
        self._count = 0
        self._total = 0

    def next(self) -> tuple[Member, Content] | None:
        said: dict[str, str] = {}
        while True:
            block = self._source.read(_BLOCK)
            if block == _END:
                # What packed it may have a digest behind the end.
                self._source.skip(_REST)
                return None
            if not block and self._count:
                # Packed in parts, it can be cut between two of them and unpack without an error.
                raise self._damage("it ends without the block of zeros that ends every tar")
            if len(block) < _BLOCK or not _checks(block):
                raise self._damage("no header where one must be")
            size, kind = self._number(block[124:136]), block[156]
            if kind in {_PAX, _PAX_SUN}:
                said |= self._attributes(size)
            elif kind == _PAX_GLOBAL:
                self._everywhere |= self._attributes(size)
            elif kind in {_LONG_NAME, _LONG_TARGET}:
                text = self._extra(size).split(b"\0", 1)[0]
                said["path" if kind == _LONG_NAME else "linkpath"] = _text(text)
            else:
                return self._member(block, size, self._everywhere | said)

    def _member(self, block: bytes, size: int, said: Mapping[str, str]) -> tuple[Member, Content]:
        name = said.get("path") or _name(block)
        kind = _kind(block[156], name)
        if block[156] == _SPARSE:
            self._skip_map(block)
        is_sparse = kind == "special" or _SPARSE_KEYS.decode() in said
        if "size" in said:
            size = self._decimal(said["size"])
        if kind in {"directory", "link", "hardlink"} or block[156] in _DEVICES:
            size = 0
        self._count += 1
        self._total += size
        if self._count > self._limits.members or self._total > self._limits.total:
            raise ArchiveError(self._archive, ("bomb: it has more members or bytes than it may",))
        member = Member(
            name,
            "special" if is_sparse else kind,
            size,
            bool(self._number(block[100:108]) & 0o111),
            said.get("linkpath") or _text(_field(block[157:257])) if "link" in kind else "",
        )
        return member, Content(self._source, size, repr(name), self._archive)

    def _attributes(self, size: int) -> dict[str, str]:
        """What counts of the records of a pax header: `LENGTH KEY=VALUE`, each with a newline.

        Any one about a sparse file is there as the beginning that they have in common.
        """
        found: dict[str, str] = {}
        data, place = self._extra(size), 0
        while place < len(data) and data[place]:
            word = data[place : place + 20].split(b" ", 1)[0]
            length = int(word) if word.isdigit() else 0
            end = max(place, place + length - 1)
            key, equals, value = data[place + len(word) + 1 : end].partition(b"=")
            if not equals:
                raise self._damage("a header for a member is not readable")
            if key in _USED:
                found[key.decode()] = _text(value)
            elif key.startswith(_SPARSE_KEYS):
                found[_SPARSE_KEYS.decode()] = ""
            place += length
        return found

    def _extra(self, size: int) -> bytes:
        """The content of a header that is about the next one."""
        if size > _LONGEST:
            raise ArchiveError(self._archive, (f"bomb: a header of {size} bytes",))
        data = self._source.read(size)
        if len(data) < size:
            raise self._damage("it ends within a header")
        self._source.skip(-size % _BLOCK)
        return data

    def _skip_map(self, block: bytes) -> None:
        """Pass over the blocks that go on with the map of a sparse file of old GNU tar."""
        more = block[482]
        while more:
            block = self._source.read(_BLOCK)
            if len(block) < _BLOCK:
                raise self._damage("it ends within a header")
            more = block[504]

    def _number(self, field: bytes) -> int:
        """Octal digits, or bytes behind a first one of 0x80 (GNU)."""
        if field[0] == 0x80:  # noqa: PLR2004  # the mark
            return int.from_bytes(field[1:], "big")
        number = _octal(field)
        if number is None:
            raise self._damage("a number is not readable")
        return number

    def _decimal(self, text: str) -> int:
        if not (text.isascii() and text.isdigit()) or len(text) > len(str(1 << 64)):
            raise self._damage("a size is not readable")
        return int(text)

    def _damage(self, why: str) -> ArchiveError:
        return ArchiveError(self._archive, (f"damaged: {why} (member {self._count + 1})",))


def _checks(block: bytes) -> bool:
    """Whether the check sum is right: some tools summed signed bytes, which is only looked at where it may matter."""
    said = _octal(block[148:156])
    rest = block[:148] + b" " * 8 + block[156:]
    total = sum(rest)
    return said == total or said == total - 256 * sum(byte > 127 for byte in rest)  # noqa: PLR2004  # the sign


def _octal(field: bytes) -> int | None:
    """The number in a field, 0 in an empty one; None for other letters."""
    text = _field(field).strip(b" ")
    return int(text or b"0", 8) if not text.strip(b"01234567") else None


def _kind(type_: int, name: str) -> Kind:
    if type_ in _FILES:
        # Before there was a type for folders, the name said it.
        return "directory" if name.endswith("/") and not type_ else "file"
    return _KINDS.get(type_, "special")


def _name(block: bytes) -> str:
    name = _text(_field(block[:100]))
    prefix = _text(_field(block[345:500])) if block[257:263] == b"ustar\0" else ""
    return f"{prefix}/{name}" if prefix else name


def _field(field: bytes) -> bytes:
    return field.split(b"\0", 1)[0]


def _text(text: bytes) -> str:
    return text.decode("utf-8", "surrogateescape")
