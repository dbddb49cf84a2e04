"""Edits of Mach-O files: which bytes change when names in the load commands do."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from builder.binary.macho.blobs import signature_of
from builder.binary.macho.codesign import Pieces, differing, renewed, updated, wants_signature
from builder.binary.macho.header import headed, libraries, rewritten
from builder.binary.macho.image import Image, Slice, open_image
from builder.binary.model import BinaryError, Edit
from builder.patch import Patch

__all__ = ["plan"]

_MOST_MOVED: Final = 64 << 20
"""Bytes of images that are moved behind one that grows."""
_MOST_ALIGNED: Final = 16
"""Images begin at multiples of 2**14 at most; more is no number to trust."""
_LIMITS: Final = {"IIIII": 0xFFFFFFFF, "IIQQII": 0xFFFFFFFFFFFFFFFF}


@dataclass(frozen=True, slots=True)
class _Change:
    """What becomes of one image: new bytes, by places in it, and its new size."""

    pieces: Pieces
    size: int


def plan(view: memoryview, edit: Edit) -> Patch:
    """The bytes that change: load commands, and the signatures of images that have one or need one.

    A file for several machines is edited in each image that has what is to change. Removing a
    library is refused where symbols are bound to it or, being bound by number, to one behind it.
    Raises `BinaryError`.
    """
    image = open_image(view)
    if edit.is_empty:
        return Patch(len(view))
    _refuse_names(image, edit)
    changes: list[_Change] = []
    for part in image.slices:
        with image.naming(part):
            changes.append(_changed(part, edit))
    if not image.row:
        return Patch(changes[0].size, changes[0].pieces)
    return _placed(image, changes)


def _refuse_names(image: Image, edit: Edit) -> None:
    """Refuse names that are not needed, and those that no load command can hold."""
    there: set[str] = set()
    for part in image.slices:
        with image.naming(part):
            there.update(library.name for library in libraries(part))
    missing = [old for old, _ in edit.needed if old not in there]
    if missing:
        raise BinaryError(
            f"`{missing[0]}` is not needed",
            hint=f"needed are {', '.join(sorted(there)) or 'no libraries'}",
        )
    given = [*(edit.search or ()), *(new for _, new in edit.needed if new)]
    given += [] if edit.soname is None else [edit.soname]
    for name in given:
        if not name or "\0" in name or not _is_encodable(name):
            raise BinaryError(f"{name!r} is no name for a load command")


def _is_encodable(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _changed(part: Slice, edit: Edit) -> _Change:
    """What becomes of one image: names first, then the signature over them."""
    old = [part.raw(command) for command in part.commands]
    commands = rewritten(part, edit)
    if commands == old and not edit.sign:
        return _Change((), part.size)
    signed = signature_of(part)
    is_signed = edit.sign or signed is not None or wants_signature(part)
    if signed is not None or not is_signed:
        head = headed(part, commands)
        digests = updated(part, signed, head, anew=edit.sign) if signed is not None else ()
        if digests is not None:
            return _Change((*_beginning(part, head), *digests), part.size)
    head, signature, size = renewed(part, signed, commands, anew=edit.sign)
    return _Change((*_beginning(part, head), *signature), size)


def _beginning(part: Slice, head: bytes) -> Pieces:
    return differing(0, bytes(part.window.view[: len(head)]), head)


def _placed(image: Image, changes: list[_Change]) -> Patch:
    """The changes of all images at their places in the file; what is behind one that grew moves."""
    pieces: list[tuple[int, bytes]] = []
    starts: dict[int, int] = {}
    end = old_end = moved = 0
    for part, change in sorted(
        zip(image.slices, changes, strict=True), key=lambda row: row[0].offset
    ):
        start = part.offset
        if start < end:
            start = end + -end % (1 << min(part.alignment, _MOST_ALIGNED))
            moved += part.size
            if moved > _MOST_MOVED:
                raise BinaryError(
                    f"{part.machine}: has to move to make place for the signature before it",
                    hint="sign the file where it is built: `codesign --sign - FILE`",
                )
            content = Patch(change.size, change.pieces).apply(part.window.view)
            pieces.append((end, bytes(start - end) + content))
        else:
            pieces += ((start + place, content) for place, content in change.pieces)
        starts[part.offset] = start
        end, old_end = start + change.size, part.offset + part.size
    if end > old_end and old_end < len(image.view):
        raise BinaryError("table of machines: bytes follow behind the last image, it cannot grow")
    pieces += _table(image, changes, starts)
    return Patch(max(end, len(image.view)), tuple(sorted(pieces)))


def _table(image: Image, changes: list[_Change], starts: Mapping[int, int]) -> Pieces:
    """What changes in the table of machines."""
    row = struct.Struct(">" + image.row)
    old = bytes(image.view[8 : 8 + row.size * len(changes)])
    new = b""
    for fields, change in zip(row.iter_unpack(old), changes, strict=True):
        processor, model, start, _, *rest = fields
        if starts[start] + change.size > _LIMITS[image.row]:
            raise BinaryError("table of machines: has no numbers beyond 4 GiB")
        new += row.pack(processor, model, starts[start], change.size, *rest)
    return differing(8, old, new)
